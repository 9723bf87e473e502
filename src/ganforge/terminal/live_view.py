"""The live view: progress, losses with their equilibrium, metrics, health, and the samples drawn in the terminal."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import product

from rich.console import Console, RenderableType
from rich.live import Live
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from ganforge.core import formatting
from ganforge.core.events import Event, Finished, Started
from ganforge.terminal import panels
from ganforge.terminal.braille import Line, Lines
from ganforge.terminal.run_state import Clock, RunHeading, RunState
from ganforge.terminal.sample_preview import SamplePreview

_INTERVAL = 0.25
"""Least seconds between two refreshes."""
_SHARE = 0.015
"""Share of the time that refreshing may take; slow refreshes are less frequent."""
_SIDE_BY_SIDE = 78
"""Columns from which the samples are beside the numbers, not below."""
_NUMBERS_WIDTH = 46
"""Least columns of the numbers."""
_HEALTH_SHARE = 3
"""Health may take one third of the rows."""
_SAMPLE_ROWS = 6
"""Least rows for drawing samples."""


class LiveView:
    """Draws the run's state into the terminal, at most four times a second.

    Args:
        console: a console on a terminal.
        heading: what is known before the start.
        clock: seconds, monotonic.

    Attributes:
        refreshes: number of refreshes so far.
    """

    def __init__(self, console: Console, heading: RunHeading, clock: Clock = time.monotonic) -> None:
        self._console, self._heading, self._clock = console, heading, clock
        self._state = RunState(clock)
        self._preview: SamplePreview | None = None
        self._live: Live | None = None
        self._size = console.size
        self._waiting: deque[str] = deque()
        self._messages: deque[str] = deque(maxlen=2)
        self._running = False
        self._due = 0.0
        self._cost = 0.0
        self.refreshes = 0

    @contextmanager
    def callback(self) -> Iterator[Callable[[Event], None]]:
        """The event handler; the last state remains on the screen, and the terminal is restored."""
        self._running = True
        try:
            yield self._handle
        finally:
            self._running = False
            self._close()

    def notify(self, text: str) -> None:
        """Show a message: at the next event while the run is running, else at once."""
        self._waiting.append(text)
        if not self._running:
            self._print_waiting()

    def frame(self) -> list[Line]:
        """The whole view for the current size of the console."""
        state = self._state
        started = state.started
        if started is None:
            return []
        width, height = self._size.width, self._size.height - 1
        terms = state.terms()
        head = [
            *self._lines(panels.heading(self._heading, started), width),
            *self._lines(panels.progress(state, started), width),
            [],
        ]
        health = panels.health(state, started, terms, width, height // _HEALTH_SHARE)
        notes = [Text(formatting.clean(text), panels.MESSAGE) for text in self._messages]
        hint = [] if state.finished else [Text("Ctrl-C saves and stops", panels.DIM)]
        foot = [[], *(line for text in (*health, *notes, *hint) for line in self._lines(panels.one_line(text), width))]
        body = self._body(started, terms, width, height - len(head) - len(foot))
        return [*head, *body, *foot][: max(height, 1)]

    def _handle(self, event: Event) -> None:
        self._state.update(event)
        if isinstance(event, Started):
            self._preview = SamplePreview(event)
        if self._waiting or isinstance(event, Started | Finished) or self._clock() >= self._due:
            self._refresh()

    def _refresh(self) -> None:
        began = self._clock()
        while self._waiting:
            self._messages.append(self._waiting.popleft())
        self._open().update(Lines(self.frame()), refresh=True)
        self.refreshes += 1

        ended = self._clock()
        if self.refreshes > 1:  # the first one includes imports
            self._cost = 0.5 * (self._cost + ended - began) if self._cost else ended - began
        self._due = ended + max(_INTERVAL, self._cost / _SHARE)

    def _open(self) -> Live:
        """The live display; after a resize a new one on a clear screen, since old lines are elsewhere then."""
        size = self._console.size
        if self._live is not None and size != self._size:
            self._live.transient = True
            self._live.stop()
            self._console.clear()
            self._live = None
        self._size = size
        if self._live is None:
            redirect = sys.stdout.isatty()  # results on a piped stdout must not be drawn into the terminal
            self._live = Live(console=self._console, auto_refresh=False, redirect_stdout=redirect)
            self._live.start()
        return self._live

    def _close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None
        self._print_waiting()

    def _print_waiting(self) -> None:
        while self._waiting:
            with suppress(OSError):  # the terminal is gone: no reason to stop training
                self._console.print(Text(formatting.clean(self._waiting.popleft()), panels.MESSAGE))

    def _lines(self, renderable: RenderableType, width: int) -> list[Line]:
        return self._console.render_lines(renderable, self._console.options.update(width=width, height=None), pad=False)

    def _body(self, started: Started, terms: dict[str, float], width: int, height: int) -> list[Line]:
        if width < _SIDE_BY_SIDE:
            numbers = self._numbers(started, terms, width, height)
            below = self._samples(width, height - len(numbers) - 1)
            return [*numbers, [], *below] if below else numbers
        left = max(_NUMBERS_WIDTH, min(width * 11 // 20, width - 40))
        right = width - left - 2
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(width=left)
        grid.add_column(width=right)
        grid.add_row(Lines(self._numbers(started, terms, left, height)), Lines(self._samples(right, height)))
        return self._lines(grid, width)

    def _numbers(self, started: Started, terms: dict[str, float], width: int, height: int) -> list[Line]:
        """Losses and metrics, with explanations as far as there is room."""
        losses, loss_notes = panels.losses(started, terms, self._state.trends(), width)
        metrics, metric_notes = panels.metrics(self._state.scores, width)
        blocks = [(self._lines(losses, width), loss_notes)] + (
            [(self._lines(metrics, width), metric_notes)] if metric_notes else []
        )
        lines: list[Line] = []
        for explained in product((True, False), repeat=len(blocks)):
            parts = [_with_notes(rows, notes, width) if on else rows for (rows, notes), on in zip(blocks, explained, strict=True)]
            lines = [line for part in parts for line in ([], *part)][1:]
            if len(lines) <= height:
                break
        return lines[: max(height, 0)]

    def _samples(self, width: int, height: int) -> list[Line]:
        picture = self._state.picture
        if picture is None or self._preview is None or height < _SAMPLE_ROWS:
            return []
        size = (width, min(height, self._preview.rows_wanted(width)))
        return self._lines(self._preview.panel(picture, size, coloured=not self._console.no_color), width)


def _with_notes(rows: list[Line], notes: list[list[str]], width: int) -> list[Line]:
    """A table's header and rows, each row followed by its notes."""
    lines = rows[:1]
    for row, texts in zip(rows[1:], notes, strict=False):
        lines += [row, *([Segment(f"    {text}"[:width], panels.DIM)] for text in texts)]
    return lines
