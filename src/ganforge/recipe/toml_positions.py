"""Where each key of a TOML text stands; and limits, held before ``tomllib`` reads a hostile file.

``tomllib`` tells no positions, takes quadratic time for a key of many dots and recurses for each bracket. This scanner knows
the structure of TOML 1.0 only: it leaves numbers, dates, escapes and doubled keys to ``tomllib``, which reads the text next.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right

from ganforge.recipe.dotted_keys import BARE, Key

MAX_DEPTH = 16
"""Names and indices on the way to a value, at most."""
MAX_LIST_LENGTH = 10_000
"""Elements of a list, at most."""

_SPACE = re.compile(r"[ \t]*+")
_BLANK = re.compile(r"(?:[ \t\n]++|#[^\n]*+)*+")
_REST = re.compile(r"[ \t]*+(?:#[^\n]*+)?+(?:\n|\Z)")
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
    """A text that is not TOML, or goes beyond the limits.

    Attributes:
        message: what is wrong.
        line: in which line, from 1, where that is known.
        column: in which column, from 1, where that is known.
    """

    def __init__(self, message: str, line: int | None, column: int | None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.column = column


def find_lines(text: str) -> dict[Key, int]:
    """The line, from 1, of every key and list element in a TOML text; a table's line is that of its header or first mention.

    Raises:
        TomlError: the structure is not TOML, is nested deeper than `MAX_DEPTH`, or holds a list longer than `MAX_LIST_LENGTH`.
    """
    return _Scanner(text.replace("\r\n", "\n")).document()


class _Scanner:
    """One pass over the text; ``_at`` is the offset of what comes next."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._breaks = [match.start() for match in re.finditer("\n", text)]
        self._lines: dict[Key, int] = {}
        self._tables_so_far: dict[Key, int] = {}

    def document(self) -> dict[Key, int]:
        table: Key = ()
        self._skip(_BLANK)
        while self._at < len(self._text):
            if self._take("[["):
                table = self._array_header()
            elif self._take("["):
                table = self._header()
            else:
                self._assignment(table)
            if self._match(_REST) is None:
                raise self._error("expected the end of the line")
            self._skip(_BLANK)
        return self._lines

    def _header(self) -> Key:
        line = self._line()
        table = self._reach(self._name(), line)
        self._lines[table] = line
        if not self._take("]"):
            raise self._error("expected ']' at the end of the table's header")
        return table

    def _array_header(self) -> Key:
        line = self._line()
        names = self._name()
        array = (*self._reach(names[:-1], line), names[-1])
        if not self._take("]]"):
            raise self._error("expected ']]' at the end of the table's header")

        count = self._tables_so_far.get(array, 0)
        self._tables_so_far[array] = count + 1
        self._check(array, count)
        self._lines.setdefault(array, line)
        self._lines[*array, count] = line
        return (*array, count)

    def _reach(self, names: tuple[str, ...], line: int) -> Key:
        """Where a header leads: a step into an array of tables means its newest table. Tables that it implies stand here too."""
        key: Key = ()
        for name in names:
            key = (*key, name)
            self._lines.setdefault(key, line)
            if key in self._tables_so_far:
                key = (*key, self._tables_so_far[key] - 1)
        self._check(key)
        return key

    def _assignment(self, table: Key) -> None:
        line = self._line()
        names = self._name()
        if not self._take("="):
            raise self._error("expected '=' after a key")
        for position in range(1, len(names)):
            self._lines.setdefault((*table, *names[:position]), line)
        key = (*table, *names)
        self._lines[key] = line
        self._skip(_SPACE)
        self._value(key)

    def _name(self) -> tuple[str, ...]:
        names = []
        while True:
            self._skip(_SPACE)
            names.append(self._step())
            self._skip(_SPACE)
            if len(names) > MAX_DEPTH:
                raise self._error(f"nested deeper than {MAX_DEPTH} levels")
            if not self._take("."):
                return tuple(names)

    def _step(self) -> str:
        if bare := self._match(BARE):
            return bare
        if literal := self._match(_LITERAL):
            return literal[1:-1]
        if basic := self._match(_BASIC):
            return self._unescaped(basic)
        raise self._error("expected a key")

    def _unescaped(self, basic: str) -> str:
        if "\\" not in basic:
            return basic[1:-1]
        try:
            return str(tomllib.loads(f"key = {basic}")["key"])
        except tomllib.TOMLDecodeError:
            raise self._error("a bad escape in a quoted key") from None

    def _value(self, key: Key) -> None:
        self._check(key)
        for opening, pattern in _STRINGS:
            if self._text.startswith(opening, self._at):
                if not self._match(pattern):
                    raise self._error("a string that is not closed")
                return
        if self._take("["):
            self._array(key)
        elif self._take("{"):
            self._inline_table(key)
        elif not self._match(_SCALAR):
            raise self._error("expected a value")

    def _array(self, key: Key) -> None:
        count = 0
        self._skip(_BLANK)
        while not self._take("]"):
            self._check(key, count)
            self._lines[*key, count] = self._line()
            self._value((*key, count))
            self._skip(_BLANK)
            if not self._take(",") and not self._text.startswith("]", self._at):
                raise self._error("expected ',' or ']' in a list")
            self._skip(_BLANK)
            count += 1

    def _inline_table(self, key: Key) -> None:
        self._skip(_SPACE)
        if self._take("}"):
            return
        while True:
            self._assignment(key)
            self._skip(_SPACE)
            if self._take("}"):
                return
            if not self._take(","):
                raise self._error("expected ',' or '}' in an inline table, which stands in one line")

    def _check(self, key: Key, count: int = 0) -> None:
        if len(key) > MAX_DEPTH:
            raise self._error(f"nested deeper than {MAX_DEPTH} levels")
        if count >= MAX_LIST_LENGTH:
            raise self._error(f"a list of more than {MAX_LIST_LENGTH:,} elements")

    def _match(self, pattern: re.Pattern[str]) -> str | None:
        found = pattern.match(self._text, self._at)
        if found is None:
            return None
        self._at = found.end()
        return found[0]

    def _skip(self, pattern: re.Pattern[str]) -> None:
        self._match(pattern)

    def _take(self, token: str) -> bool:
        if not self._text.startswith(token, self._at):
            return False
        self._at += len(token)
        return True

    def _line(self) -> int:
        return bisect_right(self._breaks, self._at - 1) + 1

    def _error(self, message: str) -> TomlError:
        line = self._line()
        start = self._breaks[line - 2] + 1 if line > 1 else 0
        return TomlError(message, line, self._at - start + 1)
