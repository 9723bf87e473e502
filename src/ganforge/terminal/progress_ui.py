"""Shows the progress of a run: the live view on a terminal, plain lines in logs and pipes."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from ganforge.core import findings, formatting, loss_interpretation
from ganforge.core.events import Evaluated, Event, Finished, HealthChecked, RolledBack, Started, Stepped
from ganforge.terminal.run_state import Clock, ProgressUI, RunHeading

if TYPE_CHECKING:
    from rich.console import Console

_INTERVAL = 2.0  # least seconds between two progress lines
_LINES = 20  # a progress line at each twentieth of the run, unless that is too soon
_LONGEST_INTERVAL = 60.0  # most seconds between two progress lines


def create_ui(console: Console, *, plain: bool, title: str, folder: Path, seed: int, clock: Clock = time.monotonic) -> ProgressUI:
    """The live view if ``console`` is a capable terminal and ``plain`` is false; else plain lines.

    The console should write to stderr, so that stdout is free for results.
    """
    heading = RunHeading(title, folder, seed)
    if plain or not console.is_terminal or console.is_dumb_terminal:
        return PlainLines(console.file, heading, clock, width=console.width if console.is_terminal else None)

    from ganforge.terminal.live_view import LiveView

    return LiveView(console, heading, clock)


class PlainLines(ProgressUI):
    """Few, self-contained lines without control codes: start, progress, evaluations, health, end.

    Progress lines come every 5 % of the run, at least 2 s and at most a minute apart. Health lines come when a finding appears,
    disappears or changes its level.
    """

    def __init__(self, file: IO[str], heading: RunHeading, clock: Clock = time.monotonic, *, width: int | None = None) -> None:
        super().__init__(heading, clock)
        self._file, self._width = file, width  # None: no terminal, whose lines may have any length
        self._written_at = -_LONGEST_INTERVAL
        self._written_iteration = 0

    def _handle(self, event: Event) -> None:
        before = self._state.health
        self._state.update(event)
        self._print_messages()
        match event:
            case Stepped():
                self._write_progress()
            case Started():
                self._write_start(event)
            case Evaluated() if event.values:
                self._write_evaluation(event)
            case HealthChecked():
                for change in findings.describe_changes(before.findings if before else (), event):
                    self._write(f"health at {event.iteration:,}: {change}")
            case RolledBack():
                self._write(f"rolled back from iteration {event.reached:,} to {event.iteration:,}")
                self._written_iteration = min(self._written_iteration, event.iteration)
            case Finished():
                self._write_end()

    def _write_start(self, event: Started) -> None:
        self._write(self._heading.title)
        self._write(f"run {self._heading.folder}, seed {self._heading.seed}, on {event.device}")
        self._write(f"{formatting.data(event.data)}; {formatting.parameters(event.parameters)}")
        if event.critic is None:
            self._write("the game has no discriminator, so that health checks of one do not apply")
        self._write(
            f"from iteration {event.iteration:,} to {event.iterations:,}"
            if event.iteration
            else f"{formatting.plural(event.iterations, 'iteration')}"
        )
        self._written_at, self._written_iteration = self._clock(), event.iteration

    def _write_progress(self) -> None:
        now = self._clock()
        started, iteration, waited = self._state.started, self._state.iteration, now - self._written_at
        if started is None or waited < _INTERVAL:
            return
        is_first = self._written_iteration == started.iteration
        is_soon = waited < _LONGEST_INTERVAL and _LINES * (iteration - self._written_iteration) < started.iterations
        if is_first or not is_soon:
            self._written_at, self._written_iteration = now, iteration
            self._write(self._progress_line(started))

    def _progress_line(self, started: Started) -> str:
        state = self._state
        per_second, left = state.pace()
        parts = [
            f"{state.iteration:,}/{started.iterations:,}",
            f"{formatting.share(state.iteration, started.iterations):>5}",
            formatting.speed(per_second),
            f"{formatting.duration(left)} left" if left is not None else "",
            formatting.brief_terms(state.terms(), started.term_info),
            "  ".join(f"{key} {formatting.number(value)}" for key, value in state.measured().items()),
        ]
        return "  ".join(part for part in parts if part)

    def _write_evaluation(self, event: Evaluated) -> None:
        values = ", ".join(f"{key} {formatting.number(value)}{self._ideal(key)}" for key, value in event.values.items())
        self._write(f"evaluation at {event.iteration:,}: {values} ({event.seconds:.1f} s)")

    def _ideal(self, key: str) -> str:
        ideal = self._state.scores[key].info.ideal
        return "" if ideal is None else f" (ideal {formatting.number(ideal)})"

    def _write_end(self) -> None:
        state = self._state
        terms = state.terms()
        for line in loss_interpretation.describe_non_finite(terms):
            self._write(line)
        if state.health and not state.health.findings:  # each finding was written when it appeared
            for line in findings.describe_health(state.health, state.healthy_since):
                self._write(f"health: {line}")
        for line in loss_interpretation.describe_losses(state.started.term_info if state.started else {}, terms):
            self._write(line)

    def _write(self, line: str) -> None:
        with suppress(OSError):  # the reader is gone, or the disk is full: no reason to stop training
            self._print(formatting.clean(line))

    def _print(self, line: str) -> None:
        from ganforge.terminal.text_layout import wrap_line

        for part in wrap_line(line, self._width, 2) if self._width else [line]:
            self._file.write(part + "\n")
        self._file.flush()
