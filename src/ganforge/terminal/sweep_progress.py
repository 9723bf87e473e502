"""The progress of a sweep: how far each seed is, according to the log of its process, and how long the rest will take."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from ganforge.core import formatting
from ganforge.terminal.run_state import Clock
from ganforge.terminal.text_layout import print_text

_INTERVAL = 10.0  # least seconds between two lines where there is no terminal
_LONGEST_INTERVAL = 60.0  # most seconds, unless a twentieth of the work is done sooner
_LINES = 20
_KNOWN_SHARE = 0.05  # of the work, from which its speed is known
_TAIL = 4096  # bytes at the end of a log that are read
_PARTS = re.compile(r" {2,}")
_PROGRESS = re.compile(r"^([\d,]+)/[\d,]+ .*", re.MULTILINE)  # a line of PlainLines


def log_file(folder: Path, seed: int) -> Path:
    """The log of a seed in the folder of its sweep."""
    return folder / f"seed-{seed}.log"


class SweepProgress:
    """Shows the seeds that are running: on a terminal a line for each, which are replaced; else a line now and then."""

    def __init__(self, console: Console, seeds: range, folder: Path, iterations: int, clock: Clock = time.monotonic) -> None:
        self.seeds = seeds
        self._console, self._folder, self._iterations, self._clock = console, folder, iterations, clock
        self._live: Live | None = None
        self._started_at = self._written_at = clock()
        self._written = 0.0

    @contextmanager
    def shown(self) -> Iterator[None]:
        """Show the progress while the block runs; nothing of it remains on a terminal."""
        if not self._console.is_terminal or self._console.is_dumb_terminal:
            print_text(self._console, f"{formatting.plural(len(self.seeds), 'seed')} to run; logs in {self._folder}")
            yield
            return
        with Live(console=self._console, auto_refresh=False, transient=True, redirect_stdout=False) as self._live:
            yield

    def update(self, finished: Iterable[int]) -> None:
        """Look at the logs, and show what has changed, given the seeds that have ended."""
        done = set(finished)
        states = {seed: self._read(seed) for seed in self.seeds if seed not in done and log_file(self._folder, seed).exists()}
        share = (len(done) + sum(iteration for iteration, _ in states.values()) / max(self._iterations, 1)) / len(self.seeds)
        now = self._clock()
        total = f"{len(done)} of {formatting.plural(len(self.seeds), 'seed')} done  {100 * share:.0f} %  {self._left(now, share)}"
        if self._live is not None:
            lines = [_fitted(f"seed {seed}  {line}", self._console.width) for seed, (_, line) in states.items()]
            self._live.update(Group(*(Text(line, no_wrap=True, overflow="ellipsis") for line in (*lines, total))), refresh=True)
            return

        waited = now - self._written_at
        if waited >= _LONGEST_INTERVAL or (waited >= _INTERVAL and share - self._written >= 1 / _LINES):
            self._written_at, self._written = now, share
            print_text(self._console, "; ".join([total, *(f"seed {seed}: {line}" for seed, (_, line) in states.items())]))

    def _left(self, now: float, share: float) -> str:
        """The time left at the speed since the first iterations, so without the start; unknown until some work is done."""
        if share == 0:
            self._started_at = now
        passed = now - self._started_at
        if share >= _KNOWN_SHARE or (share > 0 and passed >= _LONGEST_INTERVAL):
            return f"about {formatting.duration(passed * (1 - share) / share)} left"
        return "– left"

    def _read(self, seed: int) -> tuple[int, str]:
        """The last iteration that a running seed has reported, and that line."""
        text = ""
        with suppress(OSError), log_file(self._folder, seed).open("rb") as log:
            log.seek(-min(_TAIL, log.seek(0, os.SEEK_END)), os.SEEK_END)
            text = log.read().decode(errors="replace")
        lines = list(_PROGRESS.finditer(text))
        if not lines:
            return 0, "starting"
        return int(lines[-1][1].replace(",", "")), "  ".join(map(formatting.clean, _PARTS.split(lines[-1][0].strip())))


def _fitted(line: str, width: int) -> str:
    """As many parts of the line as fit, at least one."""
    first, *parts = _PARTS.split(line)
    for part in parts:
        if len(first) + 2 + len(part) > width:
            break
        first += f"  {part}"
    return first
