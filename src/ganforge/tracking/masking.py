"""Secrets are cut out before anything is written down: MLflow stores ``api_key=sk-…`` as it is, and shows it to everyone."""

from __future__ import annotations

import re
from collections.abc import Mapping

HIDDEN = "***"

_SECRET_KEY = re.compile(r"pass|secret|token|api[_-]?key|credential", re.IGNORECASE)
_HARMLESS = re.compile(r"true|false|none|-?\d{1,3}|-?\d*\.\d{1,4}", re.IGNORECASE)  # passes = 3, drop_tokens = true
_SECRET_SHAPE = re.compile(
    r"\b(?:sk|pk|rk)-[A-Za-z0-9_-]{8,}"  # OpenAI and its many imitators
    r"|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}"
    r"|\bhf_[A-Za-z0-9]{16,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"
    r"|\bxox[abprs]-[A-Za-z0-9-]{10,}"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]{4,}"  # JSON web token
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\bBearer +[A-Za-z0-9._~+/-]{8,}=*"
)
_LOGIN = re.compile(r"(?P<scheme>\b[a-zA-Z][\w+.-]*://)[^/\s@\"']+@")
_ASSIGNMENT = re.compile(
    r"""(?P<head>(?P<key>[\w.\-]*(?:pass|secret|token|api[_-]?key|credential)[\w.\-]*)["']?\s*[=:]\s*)"""
    r"""(?P<value>"[^"\n]*"|'[^'\n]*'|[^\s,;}\]]+)""",
    re.IGNORECASE,
)


def mask(key: str, value: str) -> str:
    """The value, or ``***`` where the key says that it is a secret; secrets inside other values are cut out too."""
    if _SECRET_KEY.search(key) and not _HARMLESS.fullmatch(value):
        return HIDDEN
    return mask_text(value)


def mask_all(values: Mapping[str, str]) -> dict[str, str]:
    """:func:`mask` for every item."""
    return {key: mask(key, value) for key, value in values.items()}


def mask_text(text: str) -> str:
    """Free text (a log line, a recipe, a command line) without logins in URIs, known shapes of secrets, and ``password = …``."""
    text = _LOGIN.sub(r"\g<scheme>", text)
    text = _SECRET_SHAPE.sub(HIDDEN, text)
    return _ASSIGNMENT.sub(_hide_assignment, text)


def _hide_assignment(match: re.Match[str]) -> str:
    value = match["value"]
    if _HARMLESS.fullmatch(value.strip("\"'")):
        return match[0]
    quote = value[0] if value[0] in "\"'" else ""
    return f"{match['head']}{quote}{HIDDEN}{quote}"
