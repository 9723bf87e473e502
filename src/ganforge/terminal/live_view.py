"""The live view: progress, losses beside their equilibrium, metrics, and the samples drawn in the terminal."""

from __future__ import annotations

import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import product

from rich.console import Console
from rich.live import Live
from rich.text import Text

from ganforge.core import formatting
from ganforge.core.events import Event, Finished, Started
from ganforge.terminal import panels, rows
from ganforge.terminal.braille import Line
from ganforge.terminal.progress_ui import Heading, Tell
from ganforge.terminal.run_state import Clock, Standing
from ganforge.terminal.sample_preview import Portrait

_INTERVAL = 0.25
"""Least seconds between two refreshes."""
_SHARE = 0.015
"""Share of the time that refreshing may take; where a refresh is dear, it comes more rarely."""
_SIDE_BY_SIDE = 78
"""Columns from which the samples stand beside the numbers, no longer below."""
_NUMBERS = 46
"""Least columns of the numbers."""
_HEALTH = 3
"""One of so many rows may go to health: its verdict, findings and what the losses mean."""
_LEAST_ROWS = 6
"""Rows below which samples are not worth drawing."""


class LiveView:
    """Draws the run's standing into the terminal, by its own clock and within its share of the time.

    Args:
        console: a console on a terminal.
        heading: what is known before the start.
        clock: seconds, monotonic.

    Attributes:
        refreshes: how often it has drawn.
    """

    def __init__(self, console: Console, heading: Heading, clock: Clock = time.monotonic) -> None:
        self._console, self._heading, self._clock = console, heading, clock
        self._standing = Standing(clock)
        self._portrait: Portrait | None = None
        self._live: Live | None = None
        self._size = console.size
        self._waiting: deque[str] = deque()
        self._messages: deque[str] = deque(maxlen=2)
        self._running = False
        self._due = 0.0
        self._cost = 0.0
        self.refreshes = 0

    @contextmanager
    def observer(self) -> Iterator[Tell]:
        """Tell the view what happens; the last state stays on the screen, the terminal is left as it was found."""
        self._running = True
        try:
            yield self._tell
        finally:
            self._running = False
            self._close()

    def notify(self, text: str) -> None:
        """Show a message: at the next event while the run goes, else at once."""
        self._waiting.append(text)
        if not self._running:
            self._print_waiting()

    def frame(self) -> list[Line]:
        """The whole view for the console's present size."""
        standing = self._standing
        started = standing.started
        if started is None:
            return []
        width, height = self._size.width, self._size.height - 1
        terms = standing.terms()
        head = [*panels.heading(self._heading, started, width), panels.progress(standing, started, width), []]
        sayings = panels.health(standing, started, terms, width, height // _HEALTH)
        foot = [[], *sayings, *panels.messages(self._messages, width), *self._hint(width)]
        body = self._body(started, terms, width, height - len(head) - len(foot))
        return [*head, *body, *foot][: max(height, 1)]

    def _tell(self, event: Event) -> None:
        self._standing.hear(event)
        if isinstance(event, Started):
            self._portrait = Portrait(event)
        if self._waiting or isinstance(event, Started | Finished) or self._clock() >= self._due:
            self._refresh()

    def _refresh(self) -> None:
        began = self._clock()
        while self._waiting:
            self._messages.append(self._waiting.popleft())
        live = self._opened()
        live.update(rows.Frame(self.frame()), refresh=True)
        self.refreshes += 1

        ended = self._clock()
        if self.refreshes > 1:  # the first also imports what draws, and says nothing about the next
            self._cost = 0.5 * (self._cost + ended - began) if self._cost else ended - began
        self._due = ended + max(_INTERVAL, self._cost / _SHARE)

    def _opened(self) -> Live:
        """The live display, begun anew on a clean screen when the terminal's size has changed: old lines lie elsewhere then."""
        size = self._console.size
        if self._live is not None and size != self._size:
            self._live.transient = True
            self._live.stop()
            self._console.clear()
            self._live = None
        self._size = size
        if self._live is None:
            redirect = sys.stdout.isatty()  # results on a piped stdout are not ours to draw into the terminal
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
            with suppress(OSError):  # the terminal has gone: no reason to stop training
                self._console.print(Text(formatting.clean(self._waiting.popleft()), rows.MESSAGE))

    def _body(self, started: Started, terms: dict[str, float], width: int, height: int) -> list[Line]:
        if width < _SIDE_BY_SIDE:
            numbers = self._numbers(started, terms, width, height)
            below = self._samples(width, height - len(numbers) - 1)
            return [*numbers, [], *below] if below else numbers
        left = max(_NUMBERS, min(width * 11 // 20, width - 40))
        right = width - left - 2
        return rows.beside(self._numbers(started, terms, left, height), self._samples(right, height), (left, right))

    def _numbers(self, started: Started, terms: dict[str, float], width: int, height: int) -> list[Line]:
        trends = self._standing.trends()
        for losses_too, metrics_too in product((True, False), repeat=2):  # in words too, as far as there is room
            losses = panels.losses(started, terms, trends, width, explained=losses_too)
            metrics = panels.metrics(self._standing.scores, width, explained=metrics_too)
            lines = [*losses, [], *metrics] if metrics else losses
            if len(lines) <= height:
                return lines
        return lines[: max(height, 0)]

    def _samples(self, width: int, height: int) -> list[Line]:
        picture = self._standing.picture
        if picture is None or self._portrait is None or height < _LEAST_ROWS:
            return []
        size = (width, min(height, self._portrait.rows_wanted(width)))
        return self._portrait.lines(picture, size, coloured=not self._console.no_color)

    def _hint(self, width: int) -> list[Line]:
        return [] if self._standing.finished else [[rows.cell("Ctrl-C saves and stops", width, rows.DIM)]]
