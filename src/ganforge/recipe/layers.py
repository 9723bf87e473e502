"""The layers of a recipe: files that extend each other, and ``--set`` on top, with the place of every value.

``extends = "base.toml"`` merges tables key by key. Every other value is replaced, lists and arrays of tables included. A table that
names another component or curve than its base starts anew, since the keys of one mean nothing to the other: another ``use`` drops
the base's ``params`` (for an optimizer, its whole table), another ``schedule`` drops the whole curve. What describes one recipe,
``title``, ``description`` and ``[[expect]]``, is not inherited.

``--set key=value`` replaces one value, and another ``use`` drops what it drops above. The value is TOML: ``64``, ``1e-3``,
``true``, ``[64, 64]``, ``"text"``, ``{ schedule = "linear", start = 1.0, end = 0.0 }``. Quotes are optional for a word that can
only be text: it begins with a letter, contains only letters, digits and ``- _ . /``, and is not another language's word for yes,
no or nothing.
"""

from __future__ import annotations

import json
import math
import re
import shlex
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ganforge.core.errors import Problem, RecipeError
from ganforge.recipe.toml_file import (
    MAX_DEPTH,
    Key,
    TomlDocument,
    TomlError,
    format_key,
    load_toml,
    parse_key,
    parse_toml,
    resolve_indices,
    step_into,
)

_OWN = ("title", "description", "expect")
MAX_CHAIN = 8
"""Limit on the files in a chain of ``extends``."""
_NOT_BELOW = re.compile(r"[\\\0]|^/|^[^/]*:|(^|/)\.\.(/|$)")
"""Absolute paths, URLs, drives, backslashes and parent folders."""
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_./-]*")
_LOOKALIKES = {"yes", "no", "on", "off", "true", "false", "none", "null", "nil", "inf", "nan"}
_SET_SYNTAX = "write --set key=value, such as --set train.iterations=500 or --set 'loss[1].weight=0.5'"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value was given; both ``None`` for ``--set``."""

    file: Path | None
    line: int | None

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.file else "--set"


@dataclass(frozen=True, slots=True)
class MergedRecipe:
    """The merged tables of a recipe, without ``extends``; where each key was given; and the files, the recipe's own first."""

    table: dict[str, Any]
    places: dict[Key, Place]
    documents: tuple[TomlDocument, ...]


def load_chain(path: Path) -> MergedRecipe:
    """Read a recipe and the chain of files that it extends; a RecipeError if one cannot be read or extended.

    A base is named by a relative path with forward slashes and lies in the recipe's folder or below it, symbolic links resolved.
    """
    documents = [load_toml(path)]
    root = path.parent.resolve()
    while base := _base(documents[-1], root):
        if base.resolve() in {document.path.resolve() for document in documents}:
            names = " → ".join(str(document.path) for document in documents)
            raise _refusal(documents[-1], f"recipes extend each other in a cycle: {names} → {base}")
        if len(documents) == MAX_CHAIN:
            raise _refusal(documents[-1], f"more than {MAX_CHAIN} files extend each other")
        if not base.is_file():
            raise _refusal(documents[-1], f"no such file: {base}")
        documents.append(load_toml(base))

    table: dict[str, Any] = {}
    places: dict[Key, Place] = {}
    for document in reversed(documents):
        top = {name: value for name, value in document.table.items() if name != "extends"}
        replaced: list[Key] = [(name,) for name in _OWN if name in table]
        table = _merge({name: value for name, value in table.items() if name not in _OWN}, top, (), replaced)
        places = {key: place for key, place in places.items() if not any(key[: len(other)] == other for other in replaced)}
        places |= {key: Place(document.path, line) for key, line in document.lines.items() if key != ("extends",)}
    return MergedRecipe(table, places, tuple(documents))


def apply_overrides(merged: MergedRecipe, texts: Sequence[str]) -> tuple[MergedRecipe, list[Problem]]:
    """The recipe with each ``key=value`` applied in order, and the overrides that cannot be applied."""
    table, places = deepcopy(merged.table), merged.places
    problems: list[Problem] = []
    for text in texts:
        try:
            key, value = _parse_override(text, table)
            dropped = _dropped_by(table, key, value)
            _assign(table, key, value)
        except RecipeError as error:
            problems += error.problems
            continue
        gone = [key, *((*key[:-1], name) for name in dropped)]
        places = {other: place for other, place in places.items() if not any(other[: len(one)] == one for one in gone)}
        places[key] = Place(None, None)
    return replace(merged, table=table, places=places), problems


def parse_value(text: str) -> Any:
    """One value of the command line: TOML, or a word without quotes that can only be text; else a ValueError."""
    try:
        table, _ = parse_toml(f"value = {text}\n")
        if list(table) == ["value"]:
            return table["value"]
    except TomlError:
        pass
    if _WORD.fullmatch(text) and text.lower() not in _LOOKALIKES:
        return text
    raise ValueError(f"{_shorten(text)} is not a TOML value")


def _base(document: TomlDocument, root: Path) -> Path | None:
    """The file that ``document`` extends, or ``None``."""
    if "extends" not in document.table:
        return None
    name = document.table["extends"]
    base = document.path.parent / str(name)
    is_relative = isinstance(name, str) and name.strip() and not _NOT_BELOW.search(name)
    if not is_relative or not base.resolve().is_relative_to(root):
        message = f"must name a file in the recipe's folder or below it, got {_shorten(str(name))}"
        raise _refusal(document, message, hint='write a relative path with forward slashes, such as extends = "base.toml"')
    return base


def _merge(base: Mapping[str, Any], top: Mapping[str, Any], at: Key, replaced: list[Key]) -> dict[str, Any]:
    """``top`` merged over ``base``; keys whose base value is dropped are appended to ``replaced``."""
    merged = dict(base)
    if _changes(base, top, "use") and len(at) == 1 and merged.pop("params", None) is not None:
        replaced.append((*at, "params"))
    for name, value in top.items():
        key = (*at, name)
        below = merged.get(name)
        if isinstance(value, Mapping) and isinstance(below, Mapping) and not _starts_anew(below, value, key):
            merged[name] = _merge(below, value, key, replaced)
            continue
        if name in merged:
            replaced.append(key)
        merged[name] = value
    return merged


def _dropped_by(table: Any, key: Key, value: object) -> list[str]:
    """Drop what belongs to the component that another ``use`` replaces, and return the names of the dropped keys."""
    if key[-1] != "use":
        return []
    for step in key[:-1]:
        table = step_into(table, step)
    if not isinstance(table, dict) or table.get("use") in (None, value):
        return []
    names = [name for name in table if name == "params" or (key[-2] == "optimizer" and name != "use")]
    for name in names:
        del table[name]
    return names


def _starts_anew(base: Mapping[str, Any], top: Mapping[str, Any], key: Key) -> bool:
    return _changes(base, top, "schedule") or (len(key) > 1 and _changes(base, top, "use"))


def _changes(base: Mapping[str, Any], top: Mapping[str, Any], name: str) -> bool:
    return name in top and name in base and top[name] != base[name]


def _refusal(document: TomlDocument, message: str, *, hint: str | None = None) -> RecipeError:
    return RecipeError([Problem("extends", message, file=document.path, line=document.lines[("extends",)], hint=hint)])


def _set_error(key: str, message: str, hint: str | None = None) -> RecipeError:
    return RecipeError([Problem(key, message, hint=hint)])


def _parse_override(text: str, table: dict[str, Any]) -> tuple[Key, Any]:
    shown = _shorten(text)
    if any("\ud800" <= letter <= "\udfff" for letter in text):  # Python's form of command-line bytes that are not UTF-8
        raise _set_error(shown, "not UTF-8 text")
    name, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not name:
        raise _set_error(shown, f"missing {'key' if equals else repr('=')}", _SET_SYNTAX)
    try:
        key = resolve_indices(parse_key(name), table)
    except ValueError:
        raise _set_error(shown, f"{_shorten(name)} is not a dotted key", _SET_SYNTAX) from None
    if len(key) > MAX_DEPTH:
        raise _set_error(shown, f"nested deeper than {MAX_DEPTH} levels")
    if key[0] == "extends":
        raise _set_error("extends", "--set cannot change this key", "write a recipe file that extends another one")

    shown = format_key(key)
    if not value:
        raise _set_error(shown, "--set without a value", "leave the key out for its default")
    try:
        return key, parse_value(value)
    except ValueError as error:
        raise _set_error(shown, f"--set: {error}", _value_hint(shown, value)) from None


def _value_hint(key: str, text: str) -> str:
    if meant := meant_value(text):
        return f"write it as TOML: --set {shlex.quote(key)}={shlex.quote(meant)}"
    if text.lower() in {"none", "null", "nil"}:
        return f"leave the key out for its default; the text is --set {shlex.quote(key)}='\"{text}\"'"
    if text.lower() in _LOOKALIKES:
        return f"write true or false; the text is --set {shlex.quote(key)}='\"{text}\"'"
    quoted = shlex.quote(json.dumps(text, ensure_ascii=False))
    return f"text needs quotes: --set {shlex.quote(key)}={quoted}" if len(text) <= 60 else "text needs quotes"


def meant_value(text: str) -> str | None:
    """The number, list or boolean that was written as in Python or a shell, as TOML: ``8,8``, ``(8, 8)``, ``[a, b]``, ``.5``."""
    if text.startswith("{") and text.endswith("}"):
        return _meant_table(text[1:-1])
    inside, is_list = text.strip(), text.startswith(("[", "(")) and text.endswith(("]", ")"))
    parts = (inside[1:-1] if is_list else inside).split(",")
    meant = [_meant_item(part.strip()) for part in (parts[:-1] if len(parts) > 1 and not parts[-1].strip() else parts)]
    if len(text) > 60 or None in meant or (not is_list and any(str(item).startswith('"') for item in meant)):
        return None
    items = [str(item) for item in meant]
    return f"[{', '.join(items)}]" if is_list or len(items) > 1 else items[0]


def _meant_table(text: str) -> str | None:
    pairs = [part.partition("=") for part in text.split(",")]
    values = [_meant_item(value.strip()) for _, _, value in pairs]
    if len(text) > 200 or None in values or not all(_WORD.fullmatch(name.strip()) for name, _, _ in pairs):
        return None
    return f"{{ {', '.join(f'{name.strip()} = {value}' for (name, _, _), value in zip(pairs, values, strict=True))} }}"


def _meant_item(text: str) -> str | None:
    if text in ("True", "False"):
        return text.lower()
    if re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text):
        value = float(text)
        return f"{int(text)}" if re.fullmatch(r"[+-]?\d+", text) else repr(value) if math.isfinite(value) else None
    word = text.strip("'\"")
    return json.dumps(word, ensure_ascii=False) if _WORD.fullmatch(word) and word.lower() not in _LOOKALIKES else None


def _assign(table: Any, key: Key, value: Any) -> None:
    """Set ``key`` in nested tables; missing tables on the way are created."""
    for depth, step in enumerate(key, start=1):
        _check_step(table, key, depth)
        if depth == len(key):
            table[step] = value
        else:
            table = table.setdefault(step, {}) if isinstance(step, str) else table[step]


def _check_step(table: Any, key: Key, depth: int) -> None:
    """Raise if ``table`` does not have the step of this depth."""
    step, before = key[depth - 1], format_key(key[: depth - 1])
    if isinstance(table, list):
        if isinstance(step, str) or step >= len(table):
            named = key[depth - 1 :] if isinstance(step, str) else key[depth:]
            hint = f"name an element by its index: {format_key((*key[: depth - 1], 0, *named))}"
            raise _set_error(format_key(key), f"{before} is a list of length {len(table)}; indices start at 0", hint)
    elif not isinstance(table, dict) or isinstance(step, int):
        kind = "a table, not a list" if isinstance(table, dict) else "not a table"
        hint = f"leave out the index: {before}" if isinstance(table, dict) else f"its value is --set {shlex.quote(before)}=…"
        raise _set_error(format_key(key), f"{before} is {kind}", hint)


def _shorten(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:59] + "…")
