"""Plain lines for logs and pipes: no control codes, few lines, each complete by itself."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

from ganforge.core import formatting, health_lines, loss_interpretation
from ganforge.core.events import Evaluated, Event, Finished, HealthChecked, RolledBack, Started, Stepped
from ganforge.terminal.progress_ui import Heading, Tell
from ganforge.terminal.run_state import Clock, Standing

_SECONDS = 2.0
"""Least time between two progress lines."""
_SHARE = 20
"""A progress line at each twentieth of the run, unless it would come too soon."""
_CEILING = 60.0
"""Most time between two progress lines, however slow the run."""


class PlainLines:
    """Lines for the start, the progress (each 5 % of the run, at least 2 s and at most a minute apart), evaluations and the end.

    Of health, a line when a finding appears, gets worse or better, or goes away, and the verdict at the end.
    """

    def __init__(self, file: IO[str], heading: Heading, clock: Clock = time.monotonic) -> None:
        self._file, self._heading, self._clock = file, heading, clock
        self._standing = Standing(clock)
        self._messages: deque[str] = deque()
        self._running = False
        self._written = -_CEILING
        self._shown = 0

    @contextmanager
    def observer(self) -> Iterator[Tell]:
        """Tell the lines what happens; messages still waiting at the end are written."""
        self._running = True
        try:
            yield self._tell
        finally:
            self._running = False
            self._say_messages()

    def notify(self, text: str) -> None:
        """Write a message on a line of its own: at the next event while the run goes, else at once."""
        self._messages.append(text)
        if not self._running:
            self._say_messages()

    def _tell(self, event: Event) -> None:
        before = self._standing.examined
        self._standing.hear(event)
        if self._messages:
            self._say_messages()
        match event:
            case Stepped():
                self._progress()
            case Started():
                self._start(event)
            case Evaluated() if event.values:
                self._evaluation(event)
            case HealthChecked():
                for change in health_lines.changes(before.findings if before else (), event):
                    self._say(f"health at {formatting.count(event.iteration)}: {formatting.clean(change)}")
            case RolledBack():
                self._go_back(event.iteration, event.reached)
            case Finished():
                self._conclude(event)

    def _start(self, event: Started) -> None:
        self._say(formatting.clean(self._heading.title))
        self._say(f"run {formatting.clean(str(self._heading.folder))}, seed {self._heading.seed}, on {event.device}")
        self._say(f"{formatting.data(event.data)}; {formatting.parameters(event.parameters)}")
        self._say(
            f"from iteration {formatting.count(event.iteration)} to {formatting.count(event.iterations)}"
            if event.iteration
            else f"{formatting.plural(event.iterations, 'iteration')}"
        )
        self._written, self._shown = self._clock(), event.iteration

    def _progress(self) -> None:
        now = self._clock()
        waited = now - self._written
        if waited < _SECONDS:
            return
        started, iteration = self._standing.started, self._standing.iteration
        if started is None:
            return
        is_first = self._shown == started.iteration
        if not is_first and waited < _CEILING and _SHARE * (iteration - self._shown) < started.iterations:
            return

        self._written, self._shown = now, iteration
        self._say(self._progress_line(started))

    def _progress_line(self, started: Started) -> str:
        standing = self._standing
        per_second, left = standing.pace()
        parts = [
            f"{formatting.count(standing.iteration)}/{formatting.count(started.iterations)}",
            f"{formatting.share(standing.iteration, started.iterations):>5}",
            formatting.speed(per_second),
            f"{formatting.duration(left)} left" if left is not None else "",
            formatting.brief_terms(standing.terms(), started.term_info),
            "  ".join(f"{formatting.clean(key)} {formatting.number(value)}" for key, value in standing.measured().items()),
        ]
        return "  ".join(part for part in parts if part)

    def _go_back(self, iteration: int, reached: int) -> None:
        self._say(f"back from iteration {formatting.count(reached)} to {formatting.count(iteration)}")
        self._shown = min(self._shown, iteration)

    def _conclude(self, event: Finished) -> None:
        standing = self._standing
        term_info = standing.started.term_info if standing.started else {}
        terms = standing.terms()
        judged = health_lines.judged(standing.examined, standing.healthy_since)
        for line in [*health_lines.lost(terms), *judged, *loss_interpretation.losses(term_info, terms)]:
            self._say(f"health: {formatting.clean(line)}" if line in judged else formatting.clean(line))
        self._say(formatting.outcome(event, standing.measured()))

    def _evaluation(self, event: Evaluated) -> None:
        values = ", ".join(
            f"{formatting.clean(key)} {formatting.number(value)}" + self._ideal(key) for key, value in event.values.items()
        )
        self._say(f"evaluation at {formatting.count(event.iteration)}: {values} ({event.seconds:.1f} s)")

    def _ideal(self, key: str) -> str:
        measure = self._standing.scores[key].measure
        return "" if measure.ideal is None else f" (ideal {formatting.number(measure.ideal)})"

    def _say_messages(self) -> None:
        while self._messages:
            self._say(formatting.clean(self._messages.popleft()))

    def _say(self, line: str) -> None:
        with suppress(OSError):  # the log's reader has gone, or its disk is full: no reason to stop training
            self._file.write(line + "\n")
            self._file.flush()
