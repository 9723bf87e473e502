"""Lines of a fixed width, put together from cells: what the live view is built of."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len, set_cell_size
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style

from ganforge.core.formatting import clean
from ganforge.terminal.braille import Line

PLAIN = Style()
BOLD = Style(bold=True)
DIM = Style(dim=True)
REAL = Style(dim=True)
FAKE = (
    Style(color="bright_cyan", bold=True),
    Style(color="bright_magenta", bold=True),
    Style(color="bright_yellow", bold=True),
    Style(color="bright_green", bold=True),
    Style(color="bright_red", bold=True),
    Style(color="bright_blue", bold=True),
)
CURVE = Style(color="yellow")
BETTER = Style(color="green")
WORSE = Style(color="red")
MESSAGE = Style(color="yellow")


class Frame:
    """Lines that rich prints as they are."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self.lines = lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines, each followed by a line break."""
        del console, options
        for line in self.lines:
            yield from line
            yield Segment.line()


def cell(text: str, width: int, style: Style = PLAIN, *, right: bool = False) -> Segment:
    """``text`` in exactly ``width`` columns, cut with an ellipsis where it is too long; wide letters count as two."""
    text = clean(text)
    length = cell_len(text)
    if length > width:
        return Segment(set_cell_size(set_cell_size(text, max(width - 1, 0)) + "…", width), style)
    blank = " " * (width - length)
    return Segment(blank + text if right else text + blank, style)


def fitted(line: Line, width: int) -> Line:
    """The line in exactly ``width`` columns."""
    return Segment.adjust_line_length(line, width)


def beside(left: Sequence[Line], right: Sequence[Line], widths: tuple[int, int], gap: int = 2) -> list[Line]:
    """Two blocks next to each other; the shorter one is continued with blanks."""
    return [
        [
            *fitted(left[row] if row < len(left) else [], widths[0]),
            Segment(" " * gap),
            *fitted(right[row] if row < len(right) else [], widths[1]),
        ]
        for row in range(max(len(left), len(right)))
    ]


def boxed(lines: Iterable[Line], width: int, title: str, foot: Line | None = None) -> list[Line]:
    """The lines in a frame of ``width`` columns with a title in its upper edge and a legend in its lower one."""
    inner = width - 2
    name = f" {clean(title)} " if cell_len(title) + 4 <= inner else ""
    head: Line = [Segment("╭─", DIM), Segment(name), Segment("─" * (inner - 1 - cell_len(name)) + "╮", DIM)]
    legend = foot or []
    length = Segment.get_line_length(legend)
    if length + 2 > inner:
        legend, length = [], 0
    tail: Line = [Segment("╰─", DIM), *legend, Segment("─" * (inner - 1 - length) + "╯", DIM)]
    return [head, *([Segment("│", DIM), *fitted(line, inner), Segment("│", DIM)] for line in lines), tail]


def centred(line: Line, width: int) -> Line:
    """The line in the middle of ``width`` columns."""
    return fitted([Segment(" " * max(0, (width - Segment.get_line_length(line)) // 2)), *line], width)
