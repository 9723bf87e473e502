"""A recipe written out: as TOML with every default, as flat text for a tracker, and as a fingerprint."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from ganforge.recipe.dotted_keys import BARE
from ganforge.recipe.tables import Recipe

COSMETIC_KEYS = ("title", "description", "expect", "pictures", "checkpoints", "tracking", "requires")
"""What says how a run is called, judged, shown and recorded, and changes none of its results."""

_QUOTES = re.compile(r'\\\\|(?:\\")+')
"""An escaped backslash, or escaped quotes in a row."""


def to_toml(recipe: Recipe) -> str:
    """The whole recipe as TOML, defaults included, in the order of the schema; reading it gives an equal recipe.

    Values that are ``None`` have no word in TOML and are left out: they are defaults everywhere in a recipe.

    Raises:
        ValueError: the params hold what TOML has no word for, such as ``None`` within a list; no recipe that was read does.
    """
    table = to_plain(recipe)
    lines = [f"{name} = {value(item)}" for name, item in table.items() if not _is_table(item) and item != []]
    for name, item in table.items():
        if isinstance(item, Mapping):
            lines += _section(f"[{name}]", name, item)
        elif _is_table(item):
            for element in item:
                lines += _section(f"[[{name}]]", name, element)
    return "\n".join(lines).strip("\n") + "\n"


def flatten(recipe: Recipe) -> dict[str, str]:
    """Every value under its dotted key, such as ``loss.0.weight``; lists of plain values and empty ones are written as TOML.

    Keys hold only what MLflow lets the name of a parameter hold: other characters become ``_``.
    """
    return {".".join(key): text for key, text in _leaves(to_plain(recipe), ())}


def fingerprint(recipe: Recipe) -> str:
    """A sha256 in hex: equal for recipes that ask for the same training and measurements, however called, shown and recorded.

    Take it of a resolved recipe: only there do equal experiments have equal params.
    """
    table = {name: item for name, item in to_plain(recipe).items() if name not in COSMETIC_KEYS}
    canonical = json.dumps(table, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def to_plain(recipe: Recipe) -> dict[str, Any]:
    """The recipe as nested dicts and lists of plain values, ``None`` left out."""
    return dict(_without_none(recipe.model_dump(mode="json")))


def value(item: object) -> str:
    """A value in TOML, on one line but for text of several lines, which stands as a multi-line string.

    Raises:
        ValueError: TOML has no word for it.
    """
    match item:
        case bool():
            return "true" if item else "false"
        case int():
            return str(item)
        case float():
            return _float(item)
        case str():
            return _paragraphs(item) if "\n" in item else _string(item)
        case PurePath():
            return _string(str(item))
        case Mapping():
            inside = ", ".join(f"{key(name)} = {_inline(part)}" for name, part in item.items())
            return f"{{ {inside} }}" if inside else "{}"
        case Sequence():
            return f"[{', '.join(_inline(part) for part in item)}]"
    raise ValueError(f"TOML has no word for {item!r}")


def key(name: str) -> str:
    """A key in TOML, quoted where it must be."""
    return name if BARE.fullmatch(name) else _string(name)


def _section(header: str, name: str, table: Mapping[str, Any]) -> list[str]:
    """A table's lines; its ``params`` and ``optimizer`` get headers of their own."""
    below = [part for part in ("params", "optimizer") if isinstance(table.get(part), Mapping)]
    lines = ["", header] + [f"{key(part)} = {value(item)}" for part, item in table.items() if part not in below]
    for part in below:
        if table[part]:
            lines += ["", f"[{name}.{part}]", *(f"{key(inner)} = {value(item)}" for inner, item in table[part].items())]
    return lines


def _is_table(item: object) -> bool:
    return isinstance(item, Mapping) or (isinstance(item, list) and bool(item) and all(isinstance(part, Mapping) for part in item))


def _inline(item: object) -> str:
    """As :func:`value`, but on one line: an inline table must not be broken."""
    return _string(item) if isinstance(item, str) else value(item)


def _float(number: float) -> str:
    if not math.isfinite(number):
        raise ValueError(f"a recipe holds no {number}")
    return repr(number)


def _string(text: str) -> str:
    # JSON's escapes are TOML's, except that TOML wants DEL escaped too.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _paragraphs(text: str) -> str:
    escaped = "\n".join(_string(line)[1:-1] for line in text.split("\n"))
    return f'"""\n{_QUOTES.sub(_bare_quote, escaped)}"""'


def _bare_quote(match: re.Match[str]) -> str:
    """A lone quote needs no escape within a multi-line string, unless it stands at the end."""
    return '"' if match[0] == '\\"' and match.end() < len(match.string) else match[0]


def _without_none(item: Any) -> Any:
    if isinstance(item, Mapping):
        return {name: _without_none(part) for name, part in item.items() if part is not None}
    if isinstance(item, list | tuple):
        return [_without_none(part) for part in item]
    return item


def _leaves(item: Any, at: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(item, Mapping) and item:
        for name, part in item.items():
            yield from _leaves(part, (*at, _parameter_name(name)))
    elif _is_table(item):
        for index, part in enumerate(item):
            yield from _leaves(part, (*at, str(index)))
    elif item != {} and item != []:
        yield at, item if isinstance(item, str) else value(item)


def _parameter_name(name: str) -> str:
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "_-. :") else "_" for letter in name)
