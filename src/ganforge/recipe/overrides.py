"""``--set key=value``: one value of a recipe replaced from the command line.

The value is TOML: ``64``, ``1e-3``, ``true``, ``[64, 64]``, ``{ schedule = "linear", start = 1.0, end = 0.0 }``, ``"text"``. Quotes
may be left out where nothing but text can be meant: a word that begins with a letter, holds only letters, digits and ``- _ . /``,
and is none of the words that other languages have for yes, no or nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from copy import deepcopy
from typing import Any

from ganforge.core.errors import Problem
from ganforge.recipe.dotted_keys import Key, format_key, parse_key, resolve_indices
from ganforge.recipe.inheritance import Place
from ganforge.recipe.toml_file import MAX_BYTES, parse_toml
from ganforge.recipe.toml_positions import MAX_DEPTH, TomlError

_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
_LOOKALIKES = {"yes", "no", "on", "off", "true", "false", "none", "null", "nil", "inf", "nan"}
_FORM = "write --set key=value, such as --set train.iterations=500 or --set 'loss[1].weight=0.5'"


class _OverrideError(ValueError):
    """An override that cannot be applied."""

    def __init__(self, key: str, message: str, hint: str | None) -> None:
        super().__init__(message)
        self.problem = Problem(key, message, hint=hint)


def apply_overrides(
    table: dict[str, Any], places: dict[Key, Place], texts: Sequence[str]
) -> tuple[dict[str, Any], dict[Key, Place], list[Problem]]:
    """The tables with each ``key=value`` applied in turn, where each key was given, and what could not be applied."""
    table, places = deepcopy(table), dict(places)
    problems: list[Problem] = []
    for text in texts:
        try:
            key, value = _assignment(text, table)
            _put(table, key, value)
        except _OverrideError as refused:
            problems.append(refused.problem)
            continue
        places = {other: place for other, place in places.items() if other[: len(key)] != key}
        places[key] = Place(None, None)
    return table, places, problems


def _assignment(text: str, table: dict[str, Any]) -> tuple[Key, Any]:
    if any("\ud800" <= letter <= "\udfff" for letter in text):  # how Python shows bytes of the command line that are not UTF-8
        raise _OverrideError("", f"--set {_cut(text)}: this is not UTF-8 text", None)
    name, equals, value = text.partition("=")
    name = name.strip()
    if not equals or not name:
        raise _OverrideError(
            "", f"--set {_cut(text)}: there is no '='" if not equals else f"--set {_cut(text)}: there is no key", _FORM
        )
    try:
        key = resolve_indices(parse_key(name), table)
    except ValueError:
        raise _OverrideError("", f"--set {_cut(text)}: {_cut(name)} is no dotted key", _FORM) from None
    if len(key) > MAX_DEPTH:
        raise _OverrideError("", f"--set {_cut(text)}: nested deeper than {MAX_DEPTH} levels", None)
    if key[0] == "extends":
        raise _OverrideError("extends", "cannot be changed by --set", "write a recipe file that extends another one")
    return key, _value(format_key(key), value.strip())


def _value(key: str, text: str) -> Any:
    if not text:
        raise _OverrideError(key, "--set gives no value", f"write --set {key}='\"\"' for an empty text")
    if len(text) > MAX_BYTES:
        raise _OverrideError(key, "--set gives a value longer than any recipe", None)
    try:
        return parse_value(text)
    except ValueError:
        raise _OverrideError(key, f"--set gives {_cut(text)}, which is no TOML value", _remedy(key, text)) from None


def parse_value(text: str) -> Any:
    """One value of the command line: TOML, or a word without quotes where nothing but text can be meant.

    Raises:
        ValueError: neither of them.
    """
    try:
        table, _ = parse_toml(f"value = {text}\n")
        if list(table) == ["value"]:
            return table["value"]
    except TomlError:
        pass
    if _WORD.fullmatch(text) and text.lower() not in _LOOKALIKES:
        return text
    raise ValueError(f"{_cut(text)} is no TOML value")


def _remedy(key: str, text: str) -> str:
    if text.lower() in {"none", "null", "nil"}:
        return f"leave the key out for its default, or write '\"{text}\"' if the text is meant"
    if text.lower() in _LOOKALIKES:
        return f"write true or false, or '\"{text}\"' if the text is meant"
    return f"text needs quotes: --set {key}='{json.dumps(text, ensure_ascii=False)}'" if len(text) <= 60 else "text needs quotes"


def _put(table: Any, key: Key, value: Any) -> None:
    """Set ``key`` in nested tables, making tables on the way where there are none."""
    for depth, step in enumerate(key[:-1], start=1):
        _reachable(table, key, depth)
        table = table.setdefault(step, {}) if isinstance(step, str) else table[step]
    _reachable(table, key, len(key))
    table[key[-1]] = value


def _reachable(table: Any, key: Key, depth: int) -> None:
    """Refuse a step that the value it starts from does not have."""
    step, before = key[depth - 1], format_key(key[: depth - 1])
    if isinstance(step, str) and not isinstance(table, dict):
        if isinstance(table, list):
            raise _OverrideError(format_key(key), f"{before} is a list", f"name the element, counted from 0: {before}[0].{step}")
        raise _OverrideError(format_key(key), f"{before} is no table", f"set the whole of it: --set {before}='{{ {step} = … }}'")
    if isinstance(step, int) and not (isinstance(table, list) and step < len(table)):
        count = f"has {len(table)} element{'s' * (len(table) != 1)}, counted from 0" if isinstance(table, list) else "is no list"
        raise _OverrideError(format_key(key), f"{before} {count}", None)


def _cut(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:59] + "…")
