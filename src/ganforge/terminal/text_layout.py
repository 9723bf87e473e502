"""Text and tables for a terminal's width: lines break between words only, so that names, numbers and paths stay whole."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from itertools import accumulate, zip_longest
from operator import gt

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

_GAP = 2  # blanks between two columns
_READABLE = 16  # columns of text get no narrower than this while an optional column can be left out
_NARROWEST = 10  # least width of a column whose words may be wider
_OFTEN = 3  # a table may have words that are wider than their column in every third row
_WORDS = re.compile(r"\s*(?:`[^`]+`|\S)+")  # each with the blanks before it; a `command` is one word


def wrap_words(text: str, width: int, first: int | None = None) -> list[str]:
    """The text in lines of ``width`` cells, the first one of ``first``; a longer word, such as a path, is a line of its own."""
    lines = [""]
    for word in _WORDS.findall(text):
        room = width if first is None or len(lines) > 1 else first
        if lines[-1] and cell_len(lines[-1]) + cell_len(word) > room:
            lines.append("")
        lines[-1] += word if lines[-1] else word.strip()
    return lines


def wrap_line(line: str, width: int, indent: int | None = None) -> list[str]:
    """A line with its own indentation, wrapped; continued lines are indented by ``indent``, by default like the first one."""
    lead = line[: len(line) - len(line.lstrip())]
    hanging = min(len(lead) if indent is None else indent, width // 2)
    first, *others = wrap_words(line, width - hanging, width - len(lead))
    return [lead + first, *(" " * max(min(hanging, width - cell_len(other)), 0) + other for other in others)]


def print_text(console: Console, text: str, *, style: str = "", indent: int | None = None) -> None:
    """Print plain text, wrapped with :func:`wrap_line` if the console is a terminal."""
    for line in text.split("\n"):
        for part in wrap_line(line, console.width, indent) if console.is_terminal else [line]:
            console.print(Text(part, style), soft_wrap=True)


def lay_out_table(
    rows: Sequence[Sequence[str]], right: Collection[int], optional: Sequence[int], width: int
) -> tuple[list[Text], list[str]]:
    """The lines of a table in ``width`` cells, and the headings, which are its first row, of the columns that are left out.

    Optional columns are left out, the first ones first, until the longest words fit. If they still do not, a few words may be wider
    than their column; what is right of them starts a new line. If there are many, each cell gets a line of its own.
    """
    kept, droppable = list(range(len(rows[0]))), list(optional)
    while True:
        words = [[max(map(cell_len, row[index].split()), default=0) for row in rows] for index in kept]
        wanted = [max(cell_len(row[index]) for row in rows) for index in kept]
        least = [max(max(longest), min(want, _READABLE)) for longest, want in zip(words, wanted, strict=True)]
        room = width - _GAP * (len(kept) - 1)
        if sum(least) <= room or not droppable:
            break
        kept.remove(droppable.pop(0))

    widths = _widen(_shrink(least, words, room), wanted, room)
    shown = [[row[index] for index in kept] for row in rows]
    wide = sum(any(map(gt, longest, widths)) for longest in zip(*words, strict=True))
    if sum(widths) <= room and _OFTEN * wide <= len(rows):
        aligned = [index in right for index in kept]
        styles = ["bold", *([""] * (len(shown) - 1))]
        lines = [Text(line, style) for row, style in zip(shown, styles, strict=True) for line in _row(row, widths, aligned, width)]
    else:
        lines = [
            Text(line, "" if number else "bold") for row in shown[1:] for number, line in enumerate(_record(shown[0], row, width))
        ]
    return lines, [heading for index, heading in enumerate(rows[0]) if index not in kept]


def _row(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool], width: int) -> list[str]:
    lines = []
    starts = accumulate((column + _GAP for column in widths[:-1]), initial=0)
    columns = list(zip(starts, widths, right, strict=True))
    for pieces in zip_longest(*map(wrap_words, cells, widths), fillvalue=""):
        line = ""
        for piece, (start, column, is_right) in zip(pieces, columns, strict=True):
            size = cell_len(piece)
            place = max(min(start + (max(column - size, 0) if is_right else 0), width - size), 0)
            if piece and line and cell_len(line) > place - _GAP:
                lines.append(line)
                line = ""
            line += " " * (place - cell_len(line)) + piece if piece else ""
        lines.append(line)
    return lines


def _record(headings: Sequence[str], cells: Sequence[str], width: int) -> list[str]:
    """One row as lines: its first cell, then each other one after its heading."""
    size = max(map(cell_len, headings[1:]), default=0)
    others = [f"  {heading:<{size}}  {cell}" for heading, cell in zip(headings[1:], cells[1:], strict=True)]
    return [cells[0], *(part for line in others for part in wrap_line(line, width, size + 4))]


def _shrink(widths: list[int], words: Sequence[Sequence[int]], room: int) -> list[int]:
    """Narrow the columns to ``room``, at each step the one in which the fewest words become too wide."""
    widths = list(widths)
    while sum(widths) > room:
        narrower = [
            max((length for length in longest if _NARROWEST <= length < width), default=min(width, _NARROWEST))
            for longest, width in zip(words, widths, strict=True)
        ]
        costs = [
            (sum(length > less for length in longest), -width, index)
            for index, (longest, less, width) in enumerate(zip(words, narrower, widths, strict=True))
            if less < width
        ]
        if not costs:
            break
        *_, index = min(costs)
        widths[index] = max(narrower[index], widths[index] - (sum(widths) - room))
    return widths


def _widen(widths: list[int], wanted: Sequence[int], room: int) -> list[int]:
    """Distribute what is left of ``room``, so that as many columns as possible are as wide as wanted."""
    for done, index in enumerate(sorted(range(len(widths)), key=lambda index: wanted[index] - widths[index])):
        share = max(room - sum(widths), 0) // (len(widths) - done)
        widths[index] += max(min(wanted[index] - widths[index], share), 0)
    return widths
