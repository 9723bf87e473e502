"""Redaction of secrets before anything is stored: MLflow would store ``api_key=sk-…`` unchanged and show it to everyone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

HIDDEN = "***"

# No pattern here takes more than linear time: each begins where a word begins, and its repetitions give nothing back.
_KEY = (
    r"(?:password|passwd|passphrase|secret|credential|api[_-]?key|access[_-]?key"
    r"|token(?![a-z])|(?<![a-z])(?:pass|pwd)(?![a-z]))"  # but not tokens, compass and passes
)
_SECRET_KEY = re.compile(_KEY, re.IGNORECASE)
_HARMLESS = re.compile(r"true|false|none|-?\d{1,3}|-?\d*\.\d{1,4}|\[[\d\s.,-]*\]", re.IGNORECASE)  # token_dropout = 0.1
_SECRET_SHAPE = re.compile(
    r"\b(?:sk|pk|rk)-[A-Za-z0-9_-]{8,}"  # OpenAI and others
    r"|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}"
    r"|\bhf_[A-Za-z0-9]{16,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|\bxox[abprs]-[A-Za-z0-9-]{10,}"
    r"|(?<![\w-])eyJ[\w-]{8,}+\.[\w-]{8,}+\.[\w-]{4,}"  # JSON web token
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\bBearer +[A-Za-z0-9._~+/-]{8,}=*"
)
_LOGIN = re.compile(r"(?<![\w+.-])(?P<scheme>[\w+.-]++://)(?P<user>(?:[^/\s@\"'<>]*+@)+)")
_ASSIGNMENT = re.compile(
    rf"""(?<![\w.\-])(?<!://)(?P<head>(?=[\w.\-]*?{_KEY})[\w.\-]++["']?\s*+(?::|=(?!=))\s*+)"""
    r"""(?P<value>\"""[\s\S]*?\"""|'''[\s\S]*?'''|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*'|\[[^\[\]\n]*\]|[^\s,;}\]]+)""",
    re.IGNORECASE,
)
_USER = re.compile(r"(?P<scheme>^[a-zA-Z][\w+.-]*://)(?P<user>[^/?#]*@)")
_NO_SECRET_USER = re.compile(r"(?:\$\{[\w-]+\}(?::\$\{[\w-]+\})?|git)")  # PEP 610: names of variables, and git's usual user
_SECRET_PART = re.compile(r"pass|pwd|secret|token|key|credential|signature|\bsig\b|\bauth|jwt|session", re.IGNORECASE)


def mask(key: str, value: str) -> str:
    """The value, or ``***`` if the key names a secret; secrets inside other values are masked, too."""
    if value and _SECRET_KEY.search(key) and not _HARMLESS.fullmatch(value):
        return HIDDEN
    return mask_text(value)


def mask_data(data: Any, key: str = "") -> Any:
    """Plain data with every text masked by its innermost key; tuples become lists."""
    match data:
        case str():
            return mask(key, data)
        case Mapping():
            return {name: mask_data(value, str(name)) for name, value in data.items()}
        case list() | tuple():
            return [mask_data(value, key) for value in data]
        case _:
            return data


def mask_text(text: str) -> str:
    """Free text (a log line, a recipe, a command line) without logins in URIs, known shapes of secrets, and ``password = …``."""
    text = _LOGIN.sub(_public_user, text)
    text = _SECRET_SHAPE.sub(HIDDEN, text)
    return _ASSIGNMENT.sub(_hide_assignment, text)


def _hide_assignment(match: re.Match[str]) -> str:
    value = match["value"]
    if _HARMLESS.fullmatch(value.strip("\"'")):
        return match[0]
    quote = value[0] if value[0] in "\"'" else ""
    return f"{match['head']}{quote}{HIDDEN}{quote}"


def public_url(url: str) -> str:
    """An address without its login and without secret parts of its query; everything else is unchanged.

    Addresses that pip accepts stay usable: users of SSH, ``git@`` and variables such as ``${TOKEN}@`` are no secrets.
    """
    url = _USER.sub(_public_user, url)
    address, hash_sign, fragment = url.partition("#")
    address, question_mark, query = address.partition("?")
    return address + _public_parts(question_mark, query) + _public_parts(hash_sign, fragment)


def _public_user(match: re.Match[str]) -> str:
    user = match["user"][:-1]  # without its @
    if match["scheme"].lower().endswith("ssh://"):
        user = user.partition(":")[0]
    elif not _NO_SECRET_USER.fullmatch(user):
        user = ""
    return f"{match['scheme']}{user}@" if user else match["scheme"]


def _public_parts(sign: str, text: str) -> str:
    parts = [part for part in text.split("&") if not _is_secret(part)]
    return sign + "&".join(parts) if parts else ""


def _is_secret(part: str) -> bool:
    key, _, value = unquote(part).partition("=")
    return bool(_SECRET_PART.search(key) or _SECRET_SHAPE.search(value))
