"""TOML files: read within limits and parsed, with the line of every key; and dotted keys such as ``loss[1].weight``.

``tomllib`` parses the text but reports no positions, so the lines are found in a second pass over text that is known to be valid.
Recipes may come from anyone, so both passes enforce limits.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from ganforge.core.errors import Problem, RecipeError

Key = tuple[str | int, ...]
"""A path into nested tables and lists: names and list indices from 0."""
BARE = re.compile(r"[A-Za-z0-9_-]+")
"""A key that TOML accepts without quotes."""

MAX_BYTES = 1_000_000
"""Size limit of a recipe file."""
MAX_DEPTH = 16
"""Limit on the names and indices in the path of a value."""
MAX_LIST_LENGTH = 10_000
"""Limit on the elements of a list."""

_STEP = re.compile(
    r"""\[(?P<index>\d{1,9})\] | \.(?:(?P<bare>[A-Za-z0-9_-]+) | (?P<basic>"(?:[^"\\]|\\.)*") | '(?P<literal>[^']*)')""", re.VERBOSE
)
_MAX_NAME = 80
_MOST_SUGGESTED = 500  # recipes of a folder that are compared with a misspelt name
_TOMLLIB_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_LONG_KEY = re.compile(r"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+){100}""")
"""``tomllib`` takes quadratic time for a key with many dots."""
_SYMBOL = re.compile(
    r'''"""(?:[^"\\]++|\\.|"{1,2}(?!"))*+"{3,5}'''
    r"""|'''(?:[^']++|'{1,2}(?!'))*+'{3,5}|"(?:[^"\\]++|\\.)*+"|'[^']*+'"""
    r"""|\#[^\n]*+|[\[\]{}=,.\n]|[^\s\[\]{}=,.\#"']++""",
    re.DOTALL,
)


class TomlError(ValueError):
    """A text that is not TOML or exceeds the limits. Its arguments are message, line and column, which count from 1 if known."""


@dataclass(frozen=True, slots=True)
class TomlDocument:
    """A parsed TOML file, with the line of each key."""

    path: Path
    text: str
    table: Mapping[str, Any]
    lines: Mapping[Key, int]


def load_toml(path: Path) -> TomlDocument:
    """Read one TOML file; a RecipeError if it is unreadable, too large, not TOML, or empty."""
    text = _read_text(path)
    try:
        table, lines = parse_toml(text)
    except TomlError as error:
        message, line, column = error.args
        place = f", column {column}" if column else ""
        raise _refusal(path, f"not valid TOML{place}: {message}", line=line) from None
    if not table:
        tables = "[train], [dataset], [sampler], [generator], [discriminator], [[loss]]"
        raise _refusal(path, "the file is empty", hint=f"a recipe needs at least {tables}")
    return TomlDocument(path, text, table, lines)


def parse_toml(text: str) -> tuple[dict[str, Any], dict[Key, int]]:
    """The tables of a TOML text, and the line of each key; a TomlError if it is not TOML or exceeds the limits."""
    if _LONG_KEY.search(text):
        raise _too_deep(None)
    try:
        table = tomllib.loads(text)
    except RecursionError:
        raise _too_deep(None) from None
    except ValueError as error:  # not only TOMLDecodeError: numbers with thousands of digits, impossible dates
        place = _TOMLLIB_PLACE.search(str(error))
        message = _TOMLLIB_PLACE.sub("", str(error))
        line, column = (int(place[1]), int(place[2])) if place and place[1] else (None, None)
        raise TomlError(message[:1].lower() + message[1:], line, column) from None
    return table, find_lines(text)


def find_lines(text: str) -> dict[Key, int]:
    """The line, from 1, of every key and list element of valid TOML; for a table that of its header, else of its first mention."""
    return _LineFinder(text).find()


def format_key(key: Key) -> str:
    """``("loss", 1, "params", "x")`` → ``loss[1].params.x``; other names are quoted, and shortened if they are very long."""
    text = ""
    for step in key:
        if isinstance(step, int):
            text += f"[{step}]"
            continue
        name = step if len(step) <= _MAX_NAME else step[: _MAX_NAME - 1] + "…"
        text += ("." if text else "") + (name if BARE.fullmatch(name) else json.dumps(name, ensure_ascii=len(step) == len(name)))
    return text


def parse_key(text: str) -> Key:
    """``loss[1].weight`` → ``("loss", 1, "weight")``, or a ValueError; for ``loss.1.weight`` see :func:`resolve_indices`."""
    steps: list[str | int] = []
    dotted, at = f".{text}", 0
    while step := _STEP.match(dotted, at):
        name = step["bare"] or step["literal"] or str(json.loads(step["basic"] or '""', strict=False))
        steps.append(int(step["index"]) if step["index"] else name)
        at = step.end()
    if at < len(dotted):
        raise ValueError(f"{text!r} is not a dotted key")
    return tuple(steps)


def resolve_indices(key: Key, table: object) -> Key:
    """The same key with digits as indices wherever ``table`` has a list."""
    steps: list[str | int] = []
    for step in key:
        if isinstance(table, Sequence) and not isinstance(table, str) and isinstance(step, str) and step.isdecimal():
            step = int(step)
        steps.append(step)
        table = step_into(table, step)
    return tuple(steps)


def step_into(value: object, step: str | int) -> Any:
    """The value at ``step`` of a table or list, or ``None``."""
    if isinstance(value, Mapping) and isinstance(step, str):
        return value.get(step)
    if isinstance(value, Sequence) and not isinstance(value, str) and isinstance(step, int) and 0 <= step < len(value):
        return value[step]
    return None


def _read_text(path: Path) -> str:
    try:
        if path.exists() and not path.is_file():  # opening a FIFO would block
            raise _refusal(path, "is a folder" if path.is_dir() else "is not a regular file", hint="name a recipe file")
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise _refusal(path, "no such file", hint=_suggest_file(path)) from None
    except (OSError, ValueError) as error:  # a ValueError for a NUL in the name
        raise _refusal(path, f"cannot read the file: {getattr(error, 'strerror', None) or error}") from None
    if len(content) > MAX_BYTES:
        raise _refusal(path, f"the file is larger than {MAX_BYTES / 1e6:.0f} MB", hint="move data into separate files")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _refusal(path, "the file is not UTF-8 text", line=line, hint="save it as UTF-8") from None


def _suggest_file(path: Path) -> str | None:
    """A recipe of a similar name in the folder, the working folder or its ``recipes``, else the recipes in the folder."""
    if path.suffix != ".toml" and path.with_name(path.name + ".toml").is_file():
        return f"did you mean {path.with_name(path.name + '.toml')}?"
    found = {file.stem.lower(): file for folder in (Path(), Path("recipes"), path.parent) for file in _recipes_in(folder)}
    if near := get_close_matches(path.stem.lower(), found, n=1, cutoff=0.7):
        return f"did you mean {found[near[0]]}?"
    recipes = [file.name for file in _recipes_in(path.parent)]
    more = f" and {len(recipes) - 8} more" if len(recipes) > 8 else ""
    return f"recipes in {path.parent}: {', '.join(recipes[:8])}{more}" if recipes else None


def _recipes_in(folder: Path) -> list[Path]:
    try:
        return sorted(file for file in folder.glob("*.toml") if file.name != "pyproject.toml")[:_MOST_SUGGESTED]
    except (OSError, ValueError):
        return []


def _refusal(path: Path, message: str, *, line: int | None = None, hint: str | None = None) -> RecipeError:
    return RecipeError([Problem("", message, file=path, line=line, hint=hint)])


def _too_deep(line: int | None) -> TomlError:
    return TomlError(f"nested deeper than {MAX_DEPTH} levels", line, None)


class _LineFinder:
    """One pass over the symbols of valid TOML; ``_line`` is that of the present symbol."""

    def __init__(self, text: str) -> None:
        self._line = 1
        self._symbols = self._split(text)
        self._lines: dict[Key, int] = {}
        self._array_lengths: dict[Key, int] = {}

    def find(self) -> dict[Key, int]:
        table: Key = ()
        for symbol in self._symbols:
            if symbol == "[":
                table = self._header()
            elif symbol != "\n":
                self._assignment(table, symbol)
        return self._lines

    def _split(self, text: str) -> Iterator[str]:
        for match in _SYMBOL.finditer(text):
            if not match[0].startswith("#"):
                yield match[0]
            self._line += match[0].count("\n")

    def _next(self, *, skip: str = "") -> str:
        """The next symbol that is not ``skip``; "" at the end."""
        return next((symbol for symbol in self._symbols if symbol != skip), "")

    def _header(self) -> Key:
        """The key of a table, or of the next table of an array."""
        line, symbol = self._line, self._next()
        if symbol != "[":
            key = self._header_key(self._names(symbol, "]"), line)
        else:
            *names, last = self._names(self._next(), "]")
            key = (*self._header_key(names, line), last)
            self._lines.setdefault(key, line)
            index = self._array_lengths.get(key, 0)
            self._array_lengths[key] = index + 1
            key = (*key, index)
            self._next()  # the second "]"
        self._check_limits(key)
        self._lines[key] = line
        return key

    def _header_key(self, names: Sequence[str], line: int) -> Key:
        """The key that a header refers to: an array of tables means its last table. Implied tables get the header's line."""
        key: Key = ()
        for name in names:
            key = (*key, name)
            self._lines.setdefault(key, line)
            if key in self._array_lengths:
                key = (*key, self._array_lengths[key] - 1)
        return key

    def _names(self, symbol: str, end: str) -> list[str]:
        """The names of a dotted key that begins with ``symbol``."""
        names = []
        while symbol != end:
            if symbol != ".":
                names.append(_unquote(symbol))
            symbol = self._next()
        return names

    def _assignment(self, table: Key, symbol: str) -> str:
        """A key that begins with ``symbol``, and its value; returns the symbol after it."""
        line, key = self._line, table
        for name in self._names(symbol, "="):
            key = (*key, name)
            self._lines.setdefault(key, line)
        self._lines[key] = line
        return self._value(key, self._next())

    def _value(self, key: Key, symbol: str) -> str:
        """A value that begins with ``symbol``; returns the symbol after it."""
        self._check_limits(key)
        if symbol == "[":
            self._array(key)
        elif symbol == "{":
            self._inline_table(key)
        while symbol not in {"", "\n", ",", "]", "}"}:  # numbers and dates may be several symbols
            symbol = self._next()
        return symbol

    def _array(self, key: Key) -> None:
        index, symbol = 0, self._next(skip="\n")
        while symbol != "]":
            self._lines[*key, index] = self._line
            symbol = self._value((*key, index), symbol)
            if symbol == "\n":
                symbol = self._next(skip="\n")
            if symbol == ",":
                symbol = self._next(skip="\n")
            index += 1

    def _inline_table(self, key: Key) -> None:
        symbol = self._next()
        while symbol != "}":
            symbol = self._assignment(key, symbol)
            if symbol == ",":
                symbol = self._next()

    def _check_limits(self, key: Key) -> None:
        if len(key) > MAX_DEPTH:
            raise _too_deep(self._line)
        if isinstance(key[-1], int) and key[-1] >= MAX_LIST_LENGTH:
            raise TomlError(f"a list of more than {MAX_LIST_LENGTH:,} elements", self._line, None)


def _unquote(symbol: str) -> str:
    if symbol[0] == '"':
        return str(tomllib.loads(f"key = {symbol}")["key"]) if "\\" in symbol else symbol[1:-1]
    return symbol.strip("'")
