"""TOML files: read within limits and parsed, with the line of every key; and dotted keys such as ``loss[1].weight``.

Recipes may come from anyone. ``tomllib`` reports no positions, takes quadratic time for a key with many dots and recurses for each
bracket, so a scanner runs first: it records lines and enforces the limits. The scanner knows only the structure of TOML 1.0. It
leaves numbers, dates, escapes and duplicate keys to ``tomllib``, which parses the text next.
"""

from __future__ import annotations

import json
import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
_TOMLLIB_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
_SPACE = re.compile(r"[ \t]*+")
_BLANK = re.compile(r"(?:[ \t\n]++|#[^\n]*+)*+")
_LINE_END = re.compile(r"[ \t]*+(?:#[^\n]*+)?+(?:\n|\Z)")
_SCALAR = re.compile(r"[^\s,\]}#\[{\"'=][^,\]}\n#]*+")
_BASIC = re.compile(r'"(?:[^"\\\n]++|\\.)*+"')
_LITERAL = re.compile(r"'[^'\n]*+'")
_STRINGS = (
    ('"""', re.compile(r'"""(?:[^"\\]++|\\.|"{1,2}(?!"))*+"{3,5}', re.DOTALL)),
    ("'''", re.compile(r"'''(?:[^']++|'{1,2}(?!'))*+'{3,5}")),
    ('"', _BASIC),
    ("'", _LITERAL),
)


class TomlError(ValueError):
    """A text that is not TOML or exceeds the limits; line and column count from 1."""

    def __init__(self, message: str, line: int | None, column: int | None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column


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
        column = f", column {error.column}" if error.column else ""
        raise _refusal(path, f"not valid TOML{column}: {error.message}", line=error.line) from None
    if not table:
        tables = "[train], [dataset], [sampler], [generator], [discriminator], [[loss]]"
        raise _refusal(path, "the file is empty", hint=f"a recipe needs at least {tables}")
    return TomlDocument(path, text, table, lines)


def parse_toml(text: str) -> tuple[dict[str, Any], dict[Key, int]]:
    """The tables of a TOML text, and the line of each key; a TomlError if it is not TOML or exceeds the limits."""
    lines = find_lines(text)
    try:
        return tomllib.loads(text), lines
    except ValueError as error:  # not only TOMLDecodeError: numbers with thousands of digits, impossible dates
        place = _TOMLLIB_PLACE.search(str(error))
        message = _TOMLLIB_PLACE.sub("", str(error))
        line, column = (int(place[1]), int(place[2])) if place and place[1] else (None, None)
        raise TomlError(message[:1].lower() + message[1:], line, column) from None


def find_lines(text: str) -> dict[Key, int]:
    """The line, from 1, of every key and list element; for a table that of its header, else of its first mention."""
    return _Scanner(text.replace("\r\n", "\n")).scan()


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
    """The same name with ``.toml``, or the recipes in the folder."""
    if path.suffix != ".toml" and path.with_name(path.name + ".toml").is_file():
        return f"did you mean {path.with_name(path.name + '.toml')}?"
    recipes = sorted(file.name for file in path.parent.glob("*.toml"))[:8] if path.parent.is_dir() else []
    return f"recipes in {path.parent}: {', '.join(recipes)}" if recipes else None


def _refusal(path: Path, message: str, *, line: int | None = None, hint: str | None = None) -> RecipeError:
    return RecipeError([Problem("", message, file=path, line=line, hint=hint)])


class _Scanner:
    """One pass over a text; ``_at`` is the offset of the next character."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._breaks = [match.start() for match in re.finditer("\n", text)]
        self._lines: dict[Key, int] = {}
        self._array_lengths: dict[Key, int] = {}

    def scan(self) -> dict[Key, int]:
        table: Key = ()
        self._match(_BLANK)
        while self._at < len(self._text):
            if self._accept("[["):
                table = self._header("]]")
            elif self._accept("["):
                table = self._header("]")
            else:
                self._assignment(table)
            if self._match(_LINE_END) is None:
                raise self._error("expected the end of the line")
            self._match(_BLANK)
        return self._lines

    def _header(self, closing: str) -> Key:
        """The key of a table, or of the next table of an array."""
        line = self._line()
        names = self._dotted_name()
        key = self._header_key(names, line) if closing == "]" else (*self._header_key(names[:-1], line), names[-1])
        self._expect(closing, f"expected '{closing}' at the end of the table header")
        if closing == "]]":
            self._lines.setdefault(key, line)
            index = self._array_lengths.get(key, 0)
            self._array_lengths[key] = index + 1
            self._check_limits(key, index)
            key = (*key, index)
        self._lines[key] = line
        return key

    def _header_key(self, names: tuple[str, ...], line: int) -> Key:
        """The key that a header refers to: an array of tables means its last table. Implied tables get the header's line."""
        key: Key = ()
        for name in names:
            key = (*key, name)
            self._lines.setdefault(key, line)
            if key in self._array_lengths:
                key = (*key, self._array_lengths[key] - 1)
        self._check_limits(key)
        return key

    def _assignment(self, table: Key) -> None:
        line = self._line()
        names = self._dotted_name()
        self._expect("=", "expected '=' after a key")
        for length in range(1, len(names)):
            self._lines.setdefault((*table, *names[:length]), line)
        key = (*table, *names)
        self._lines[key] = line
        self._match(_SPACE)
        self._value(key)

    def _dotted_name(self) -> tuple[str, ...]:
        names = []
        while True:
            self._match(_SPACE)
            names.append(self._name())
            self._match(_SPACE)
            if len(names) > MAX_DEPTH:
                raise self._error(f"nested deeper than {MAX_DEPTH} levels")
            if not self._accept("."):
                return tuple(names)

    def _name(self) -> str:
        if bare := self._match(BARE):
            return bare
        quoted = self._match(_LITERAL) or self._match(_BASIC)
        if quoted is None:
            raise self._error("expected a key")
        if quoted[0] == "'" or "\\" not in quoted:
            return quoted[1:-1]
        try:
            return str(tomllib.loads(f"key = {quoted}")["key"])
        except tomllib.TOMLDecodeError:
            raise self._error("invalid escape in a quoted key") from None

    def _value(self, key: Key) -> None:
        self._check_limits(key)
        for opening, pattern in _STRINGS:
            if self._text.startswith(opening, self._at):
                if not self._match(pattern):
                    raise self._error("unterminated string")
                return
        if self._accept("["):
            self._array(key)
        elif self._accept("{"):
            self._inline_table(key)
        elif not self._match(_SCALAR):
            raise self._error("expected a value")

    def _array(self, key: Key) -> None:
        index = 0
        self._match(_BLANK)
        while not self._accept("]"):
            self._check_limits(key, index)
            self._lines[*key, index] = self._line()
            self._value((*key, index))
            self._match(_BLANK)
            if not self._accept(",") and not self._text.startswith("]", self._at):
                raise self._error("expected ',' or ']' in a list")
            self._match(_BLANK)
            index += 1

    def _inline_table(self, key: Key) -> None:
        self._match(_SPACE)
        if self._accept("}"):
            return
        while True:
            self._assignment(key)
            self._match(_SPACE)
            if self._accept("}"):
                return
            self._expect(",", "expected ',' or '}' in an inline table, which must be on one line")

    def _check_limits(self, key: Key, index: int = 0) -> None:
        if len(key) > MAX_DEPTH:
            raise self._error(f"nested deeper than {MAX_DEPTH} levels")
        if index >= MAX_LIST_LENGTH:
            raise self._error(f"a list of more than {MAX_LIST_LENGTH:,} elements")

    def _match(self, pattern: re.Pattern[str]) -> str | None:
        found = pattern.match(self._text, self._at)
        if found is None:
            return None
        self._at = found.end()
        return found[0]

    def _accept(self, token: str) -> bool:
        if not self._text.startswith(token, self._at):
            return False
        self._at += len(token)
        return True

    def _expect(self, token: str, message: str) -> None:
        if not self._accept(token):
            raise self._error(message)

    def _line(self) -> int:
        return bisect_right(self._breaks, self._at - 1) + 1

    def _error(self, message: str) -> TomlError:
        line = self._line()
        start = self._breaks[line - 2] + 1 if line > 1 else 0
        return TomlError(message, line, self._at - start + 1)
