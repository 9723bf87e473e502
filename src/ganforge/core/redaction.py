"""Redaction of secrets before anything is stored: MLflow would store ``api_key=sk-…`` unchanged and show it to everyone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

HIDDEN = "***"

# All patterns take linear time: each starts only at the beginning of a word, and long repetitions are possessive (++, *+).
_KEY = (  # at the end of a key: client_secret, but not token_dim and compass
    r"(?:password|passwd|passphrase|secrets?|credentials?|(?:api|access|account|private|secret|auth)[_-]?key|authorization|auth"
    r"|(?<![a-z])(?:pass|pwd|sig|signature)|token)"
)
_SECRET_KEY = re.compile(rf"{_KEY}\Z", re.IGNORECASE)
_WORD_KEY = re.compile(r"(?:token|pass)\Z", re.IGNORECASE)  # cls_token = "learned" and filter_pass = "low" are no secrets
_WORD = re.compile(r"[a-z_]{1,20}")
_HARMLESS = re.compile(r"true|false|none|-?\d{1,3}|-?\d*\.\d{1,4}|\[[\d\s.,-]*\]", re.IGNORECASE)
_SECRET_SHAPE = re.compile(
    r"(?<![\w/.-])(?:sk|pk|rk)-(?=[\w-]*\d)[A-Za-z0-9_-]{16,}"  # OpenAI and others
    r"|\b[sr]k_live_[A-Za-z0-9]{16,}|\bAIza[\w-]{30,}|\bpypi-[\w-]{20,}"
    r"|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}"
    r"|\bhf_[A-Za-z0-9]{30,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|\bxox[abprs]-[A-Za-z0-9-]{10,}"
    r"|(?<![\w-])eyJ[\w-]{8,}+\.[\w-]{8,}+\.[\w-]{4,}"  # JSON web token
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\b(?:Bearer|Basic) +[A-Za-z0-9._~+/-]{16,}=*"
)
_LOGIN = re.compile(r"(?<![\w+.-])(?P<scheme>[\w+.-]++://)(?P<user>(?:[^/\s@\"<>]*+@)+)")
_VALUE = r"""(?P<value>\"""[\s\S]*?\"""|'''[\s\S]*?'''|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*'|\[[^\[\]]*\]|\{[^{}]*\}|[^\s,;}\]]+)"""
_ASSIGNMENT = re.compile(  # key = value, "key": value
    rf"""(?<![\w.\-/])(?P<head>(?=[\w.\-]*?(?P<key>{_KEY})["']?\s*+(?::|=(?!=)))[\w.\-]++["']?\s*+[:=]\s*+){_VALUE}""",
    re.IGNORECASE,
)
_OPTION = re.compile(rf"(?<![\w-])(?P<head>--(?=[\w-]*?(?P<key>{_KEY})\s)[\w-]++\s++)(?!-){_VALUE}", re.IGNORECASE)  # --key value
_USER = re.compile(r"(?P<scheme>^[a-zA-Z][\w+.-]*://)(?P<user>[^/?#]*@)")
_NO_SECRET_USER = re.compile(r"(?:\$\{[\w-]+\}(?::\$\{[\w-]+\})?|git)")  # PEP 610: names of variables, and git's usual user
_SECRET_PART = re.compile(r"pass|pwd|secret|token|key|credential|signature|\bsig\b|\bauth|jwt|session", re.IGNORECASE)


def mask(key: str, value: str) -> str:
    """The value, or ``***`` if the key names a secret; secrets inside other values are masked, too."""
    return HIDDEN if value and is_secret(key, value) else mask_text(value)


def is_secret(key: str, value: str) -> bool:
    """Whether the key names a secret and the value may be one."""
    if not _SECRET_KEY.search(key) or _HARMLESS.fullmatch(value):
        return False
    return not (_WORD_KEY.search(key) and _WORD.fullmatch(value))


def mask_data(data: Any, key: str = "") -> Any:
    """Plain data with every text masked by its key, and all that is below a key that names a secret; tuples become lists."""
    match data:
        case str():
            return mask(key, data)
        case int() | float() if not isinstance(data, bool) and is_secret(key, str(data)):
            return HIDDEN
        case Mapping():
            inner = key if _SECRET_KEY.search(key) else ""
            return {name: mask_data(value, inner or str(name)) for name, value in data.items()}
        case list() | tuple():
            return [mask_data(value, key) for value in data]
        case _:
            return data


def mask_text(text: str) -> str:
    """Free text (a log line, a recipe, a command line) without logins in URIs, known shapes of secrets, and ``password = …``."""
    text = _LOGIN.sub(_public_user, text)
    text = _SECRET_SHAPE.sub(HIDDEN, text)
    return _OPTION.sub(_hide_assignment, _ASSIGNMENT.sub(_hide_assignment, text))


def _hide_assignment(match: re.Match[str]) -> str:
    value = match["value"]
    if not is_secret(match["key"], value.strip("\"'")):
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
    if match["scheme"].lower().endswith(("ssh://", "sftp://")):
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
