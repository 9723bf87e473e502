"""The console's vocabulary: commands say what a line means, this module says how it looks.

Results go to stdout; warnings, errors and notes to stderr, so that ``--json`` leaves exactly one object on stdout. Colours appear
on a terminal only, and never where ``NO_COLOR`` is set.
"""

from __future__ import annotations

import enum
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import TYPE_CHECKING, TextIO

from ganforge.core.errors import GanforgeError, RecipeError

if TYPE_CHECKING:
    from rich.console import Console


_CONTROL = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
"""Control characters: texts come from plugins and recipes too, and may not steer the terminal."""

_NARROW = 60
"""Columns of a terminal below which rows may become blocks."""

_PADDED = 60
"""Width to which cells are padded at most: one long text must not make every other line as long."""


def say(text: str = "", *, style: str = "") -> None:
    """A line of the result, on stdout; ``style`` is one of rich's, such as ``bold``."""
    _print(sys.stdout, text, style)


def success(text: str) -> None:
    """Something went well, on stdout."""
    _print(sys.stdout, text, "green")


def note(text: str) -> None:
    """A remark beside the result, on stderr."""
    _print(sys.stderr, text, "dim")


def warning(text: str) -> None:
    """Something the user should know and that stops nothing, on stderr."""
    _print(sys.stderr, f"warning: {text}", "yellow")


def failure(error: GanforgeError) -> None:
    """What went wrong and what to do about it, on stderr; a recipe's problems one by one."""
    if isinstance(error, RecipeError):
        _recipe_failure(error)
        return
    _print(sys.stderr, f"error: {error.message}", "bold red")
    if error.remedy:
        _print(sys.stderr, f"  {error.remedy}", "")


def table(headings: Sequence[str], rows: Iterable[Sequence[object]], *, right: Iterable[int] = ()) -> None:
    """Rows under headings, on stdout; on a narrow terminal that would break words, each row as a block of lines.

    Args:
        headings: one for each column.
        rows: cells; ``None`` is shown as a dash.
        right: indices of the columns that are aligned to the right, such as numbers.
    """
    cells = [["–" if cell is None else _one_line(str(cell)) for cell in row] for row in rows]
    numbers = set(right)
    if not sys.stdout.isatty():
        _plain_table([[_one_line(heading) for heading in headings], *cells], numbers)
        return

    from rich.table import Table
    from rich.text import Text

    terminal, named = _console(sys.stdout), [_one_line(heading) for heading in headings]
    if terminal.width < _NARROW and _least_width([named, *cells]) > terminal.width:
        for row in cells:
            block = Table.grid("", "", padding=(0, 2, 0, 0))
            for heading, cell in zip(named, row, strict=True):
                block.add_row(Text(heading, style="bold"), Text(cell, overflow="fold"))
            terminal.print(block, "", sep="\n")
        return
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for index, heading in enumerate(named):
        grid.add_column(heading, justify="right" if index in numbers else "left", overflow="fold")
    for row in cells:
        grid.add_row(*map(Text, row))
    terminal.print(grid)


def json_out(value: Mapping[str, object]) -> None:
    """One JSON object on stdout; numbers that are not finite become ``null``, since JSON has no word for them."""
    sys.stdout.write(json.dumps(_plain(value), indent=2, allow_nan=False) + "\n")


def _recipe_failure(error: RecipeError) -> None:
    count = len(error.problems)
    _print(sys.stderr, f"error: {count} problem{'s' if count != 1 else ''} in the recipe", "bold red")
    for problem in error.problems:
        where = (
            f"{problem.file}:{problem.line}"
            if problem.file and problem.line
            else str(problem.file or ("--set" if problem.key else ""))
        )
        _print(sys.stderr, "\n  " + "  ".join(part for part in (where, problem.key) if part), "bold")
        _print(sys.stderr, f"      {problem.message}", "")
        if problem.hint:
            _print(sys.stderr, f"      {problem.hint}", "cyan")
    _print(sys.stderr, "\nnothing was built.", "")


def _one_line(text: str) -> str:
    return " ".join(text.translate(_CONTROL).split("\n"))


def _least_width(rows: list[list[str]]) -> int:
    """Columns of a terminal on which no word of the table breaks."""
    longest = [max(len(word) for cell in column for word in (*cell.split(), "")) for column in zip(*rows, strict=True)]
    return sum(longest) + 2 * (len(longest) - 1)


def _plain_table(rows: list[list[str]], numbers: set[int]) -> None:
    """Whole lines for grep: never wrapped or cut, whatever the width of the terminal that is not there."""
    widths = [min(max(map(len, column)), _PADDED) for column in zip(*rows, strict=True)]
    for row in rows:
        sized = enumerate(zip(row, widths, strict=True))
        padded = [cell.rjust(width) if index in numbers else cell.ljust(width) for index, (cell, width) in sized]
        sys.stdout.write("  ".join(padded).rstrip() + "\n")


def _console(stream: TextIO) -> Console:
    from rich.console import Console

    return Console(file=stream, highlight=False, markup=False, emoji=False)


def _print(stream: TextIO, text: str, style: str) -> None:
    text = text.translate(_CONTROL)
    if not stream.isatty():
        stream.write(text + "\n")
        return
    from rich.text import Text

    _console(stream).print(Text(text, style=style), soft_wrap=True)


def _plain(value: object) -> object:
    match value:
        case Mapping():
            return {str(key): _plain(item) for key, item in value.items()}
        case enum.Enum():
            return _plain(value.value)
        case PurePath():
            return str(value)
        case float() if not math.isfinite(value):
            return None
        case str() | int() | float() | None:
            return value
        case set() | frozenset():
            return sorted(map(str, value))
        case Iterable():
            return [_plain(item) for item in value]
    return str(value)
