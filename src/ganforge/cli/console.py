"""Console output: commands state the meaning of a line, this module its style.

Results go to stdout; warnings, errors and notes to stderr. With ``--json``, stdout gets exactly one object, and what parts of a
plugin print goes to stderr. Colours appear only on a terminal, and never if ``NO_COLOR`` is set.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, TextIO

from ganforge.core import formatting
from ganforge.core.errors import GanforgeError, RecipeError
from ganforge.core.redaction import mask_data, mask_text
from ganforge.terminal import palette

if TYPE_CHECKING:
    from rich.console import Console


_CONTROL = {code: None for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}
"""Control characters, removed because text may come from plugins and recipes."""

_PADDED = 60
"""Maximum width that cells are padded to, so that one long cell does not lengthen every line."""


_json: list[str] = []
"""What :func:`stdout_for_json` writes."""


def print_whole(text: str) -> None:
    """Print lines of the result to stdout that are to be copied, such as commands and TOML: none is broken, however long."""
    _print(sys.stdout, text, "", whole=True)


def print_line(text: str = "", *, style: str = "", indent: int | None = None) -> None:
    """Print a line of the result to stdout; ``style`` is a rich style such as ``bold``, ``indent`` that of continued lines."""
    _print(sys.stdout, text, style, indent=indent)


def print_facts(facts: Mapping[str, object], width: int) -> None:
    """Print one indented line per fact that is not empty, its name padded to ``width``."""
    for name, fact in facts.items():
        if fact:
            _print(sys.stdout, f"  {name:<{width}} {fact}", "", indent=width + 3)


def success(text: str) -> None:
    """Print a success message to stdout."""
    _print(sys.stdout, text, palette.GOOD)


def note(text: str, *, style: str = "dim", indent: int | None = None) -> None:
    """Print additional information to stderr; ``indent`` is that of continued lines, by default that of the line."""
    _print(sys.stderr, text, style, indent=indent)


def command(name: str, text: str) -> None:
    """Print a command to stderr, to be copied: on one line, however long."""
    _print(sys.stderr, f"  {name:<9} {text}", "", whole=True)


def warning(text: str) -> None:
    """Print a warning to stderr."""
    _print(sys.stderr, f"warning: {text}", palette.WARNING)


def failure(error: GanforgeError) -> None:
    """Print an error and its remedy to stderr; each problem of a recipe separately."""
    if isinstance(error, RecipeError):
        _recipe_failure(error)
        return
    _print(sys.stderr, f"error: {error.message}", f"bold {palette.BAD}")
    if error.remedy:
        _print(sys.stderr, f"  {error.remedy}", "")


def table(
    headings: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    right: Iterable[int] = (),
    optional: Iterable[int] = (),
    stream: TextIO | None = None,
) -> None:
    """Print a table.

    On a terminal, cells are wrapped between words. Where that is not enough, optional columns are left out, with a note.

    Args:
        headings: one per column.
        rows: cells; ``None`` is shown as a dash.
        right: indices of right-aligned columns, such as numbers.
        stream: stdout by default.
        optional: indices of columns that a narrow terminal may lack, the first one to leave out first.
    """
    cells = [["–" if cell is None else mask_text(formatting.clean(str(cell))) for cell in row] for row in rows]
    lines = [[formatting.clean(heading) for heading in headings], *cells]
    stream = stream or sys.stdout
    if not stream.isatty():
        _plain_table(lines, set(right), stream)
        return

    from ganforge.terminal.text_layout import lay_out_table

    console = open_console(stream)
    laid_out, missing = lay_out_table(lines, set(right), list(optional), console.width)
    for line in laid_out:
        console.print(line, soft_wrap=True)
    if missing:
        note(f"not shown in {console.width} columns: {', '.join(missing)}")


@contextmanager
def stdout_for_json() -> Iterator[None]:
    """What anything writes to stdout goes to stderr; afterwards stdout gets what :func:`print_json` was given."""
    from ganforge.core.process_state import stdout_to_stderr

    stdout = sys.stdout
    try:
        with stdout_to_stderr(), redirect_stdout(sys.stderr):
            try:
                yield
            finally:
                stdout.flush()  # what was written to it by way of another reference
    finally:
        stdout.write("".join(_json))
        _json.clear()


def print_json(facts: Mapping[str, object]) -> None:
    """Print one JSON object to stdout once the command has ended: ``facts`` after the version of its keys.

    Numbers that are not finite become ``null``, as JSON cannot represent them; dataclasses become objects.
    """
    from pydantic_core import to_jsonable_python

    plain = to_jsonable_python({"schema": 1, **facts}, inf_nan_mode="null", fallback=_plain)
    _json.append(json.dumps(mask_data(plain), indent=2) + "\n")  # ASCII: not every locale can encode λ


def attributes(thing: object, *names: str) -> dict[str, object]:
    """Some attributes by name, for :func:`print_json`."""
    return {name: getattr(thing, name) for name in names}


def _recipe_failure(error: RecipeError) -> None:
    _print(sys.stderr, f"error: {formatting.plural(len(error.problems), 'problem')} in the recipe", f"bold {palette.BAD}")
    for problem in error.problems:
        where = f"{problem.file}:{problem.line}" if problem.file and problem.line else str(problem.file or "--set")
        _print(sys.stderr, "\n  " + "  ".join(part for part in (where, problem.key) if part), "bold")
        _print(sys.stderr, f"      {problem.message}", "")
        if problem.hint:
            _print(sys.stderr, f"      {problem.hint}", palette.ACCENT)


def _plain_table(rows: list[list[str]], numbers: set[int], stream: TextIO) -> None:
    """Unwrapped lines for pipes and grep."""
    widths = [min(max(map(len, column)), _PADDED) for column in zip(*rows, strict=True)]
    for row in rows:
        sized = enumerate(zip(row, widths, strict=True))
        padded = [cell.rjust(width) if index in numbers else cell.ljust(width) for index, (cell, width) in sized]
        stream.write("  ".join(padded).rstrip() + "\n")


def open_console(stream: TextIO | None = None) -> Console:
    """A console that prints plain text to ``stream``, by default to stderr, whatever that is then."""
    from rich.console import Console

    console = Console(file=stream, stderr=True, highlight=False, markup=False, emoji=False)
    if console.width < 1:  # COLUMNS=0, where nothing would be visible
        console.width = 80
    return console


def _print(stream: TextIO, text: str, style: str, *, indent: int | None = None, whole: bool = False) -> None:
    text = mask_text(text.translate(_CONTROL))
    if whole or not stream.isatty():
        stream.write(text + "\n")
        return

    from ganforge.terminal.text_layout import print_text

    print_text(open_console(stream), text, style=style, indent=indent)


def _plain(value: object) -> object:
    """What pydantic does not know: other mappings and sequences, and anything else as text."""
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, Iterable) else str(value)
