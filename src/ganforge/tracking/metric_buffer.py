"""Metrics on their way from the journal to MLflow: downsampled, each iteration once, evaluations first.

MLflow's charts show 320 points. So the metrics of training become one point per window of iterations: the mean, at the window's
last iteration. Windows are fixed by iteration, never by arrival, and their width is a function of the iteration alone. So a batch
that is sent again after a crash holds the same rows, and MLflow's primary key drops them.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from ganforge.storage import journal

FULL = 0  # the width that means "every point"
_MAX_WIDTH = 2**20
_ENOUGH_ROWS = 256
_ENOUGH_MS = 1000
_HEALTH = "health/"  # metrics that are compared with thresholds: a window gives its newest value, not the mean


@dataclass(frozen=True, slots=True)
class Point:
    """One point of one metric, as MLflow gets it."""

    key: str
    iteration: int
    ms: int  # when it was measured, in unix milliseconds
    value: float  # never infinite
    since: int  # byte of the journal from which the point can be made again


class MetricBuffer:
    """Turns the journal's metrics into points that wait to be sent.

    Without a ``width`` of the first windows, it is chosen from the speed that the journal shows. ``highest`` is the highest
    iteration sent of each metric: what a resumed run logs again is left out.
    """

    def __init__(self, width: int | None, highest: Mapping[str, int]) -> None:
        self.waiting: deque[Point] = deque()  # in the order of sending
        self.last_iteration = 0
        self._windows = None if width is None else Windows(width)
        self._held: list[tuple[int, dict[str, Any]]] = []  # records read before the width is known
        self._newest = dict(highest)  # by metric: highest iteration sent, waiting or inside a window

    @property
    def width(self) -> int | None:
        """Width of the first windows, once it is known."""
        return None if self._windows is None else self._windows.base

    def add_metrics(self, since: int, record: dict[str, Any]) -> None:
        """Add a ``metrics`` record that begins at byte ``since``."""
        self.last_iteration = max(self.last_iteration, *record["iterations"], 0)
        if self._windows is None:
            self._held.append((since, record))
            return
        for key, values in record["values"].items():
            newest = self._newest.get(key, -1)
            for iteration, ms, value in zip(record["iterations"], record["ms"], values, strict=True):
                if iteration > newest:
                    newest = iteration
                    self.waiting.extend(self._windows.add(key, iteration, ms, value, since))
            self._newest[key] = newest

    def add_evaluation(self, since: int, record: dict[str, Any]) -> None:
        """Add an ``eval`` record. Evaluations are few and matter most: they are never downsampled and go first.

        An ``evaluated`` record, of ``ganforge evaluate``, gets its own metric names. Its step is its number, not the iteration:
        there may be several for one iteration, and MLflow must show the last one as the latest.
        """
        later = record.get("kind") == "evaluated"
        prefix, iteration, ms = "evaluated/" if later else "eval/", record["number" if later else "iteration"], record["ms"]
        for name, value in record["values"].items():
            key = _prefixed_key(prefix, name)
            if iteration > self._newest.get(key, -1):
                self._newest[key] = iteration
                self.waiting.appendleft(Point(key, iteration, ms, finite_or_nan(float(value)), since))

    def choose_width(self, *, full: bool, final: bool) -> None:
        """Choose the width as soon as the speed is known, or now if ``final``; ``full`` turns downsampling off."""
        if self._windows is not None or not (self._held or full):
            return
        # Health checks add rows beside those of their iterations, which say nothing about the speed.
        losses = [record for _, record in self._held if not all(key.startswith(_HEALTH) for key in record["values"])]
        times = sorted(ms for record in losses for ms in record["ms"])
        enough = len(times) >= _ENOUGH_ROWS or (len(times) > 1 and times[-1] - times[0] >= _ENOUGH_MS)
        if not (full or enough or final):
            return
        self._windows = Windows(FULL if full else base_width(sorted(set(times)) if len(times) < _ENOUGH_ROWS else times))
        held, self._held = self._held, []
        for since, record in held:
            self.add_metrics(since, record)

    def close_windows(self) -> None:
        """Close the open windows early."""
        if self._windows is not None:
            self.waiting.extend(self._windows.close())

    def needed_from(self, position: int) -> int:
        """Byte of the journal from which everything that was not sent can be made again; ``position`` is where reading is."""
        waiting = [point.since for point in self.waiting]
        held = [since for since, _ in self._held[:1]]
        return min([position, *waiting, *held, *(self._windows.since() if self._windows is not None else [])])


@dataclass(slots=True)
class _Window:
    last: int  # the window's last iteration
    since: int
    total: float = 0.0
    count: int = 0
    iteration: int = 0  # the latest iteration inside
    ms: int = 0


@dataclass(slots=True)
class Windows:
    """The open windows, one per key."""

    base: int  # width of the first windows, or FULL for none
    _open: dict[str, _Window] = field(default_factory=dict)

    def add(self, key: str, iteration: int, ms: int, value: float, since: int) -> list[Point]:
        """Add one value and return the points that are now complete (none, one or two)."""
        if self.base == FULL:
            return [Point(key, iteration, ms, finite_or_nan(value), since)]

        done: list[Point] = []
        window = self._open.get(key)
        if window is not None and iteration > window.last:
            done.append(self._close(key))
            window = None
        if window is None:
            width = width_at(iteration, self.base)
            window = self._open[key] = _Window(last=math.ceil(iteration / width) * width, since=since)

        if key.startswith(_HEALTH):
            window.total, window.count = 0.0, 0
        window.total, window.count = finite_or_nan(value) + window.total, window.count + 1
        window.iteration, window.ms = iteration, ms
        if iteration == window.last:
            done.append(self._close(key))
        return done

    def close(self) -> list[Point]:
        """Close all open windows and return their points."""
        return [self._close(key) for key in list(self._open)]

    def since(self) -> list[int]:
        """For each open window, the byte of the journal where it begins."""
        return [window.since for window in self._open.values()]

    def _close(self, key: str) -> Point:
        window = self._open.pop(key)
        return Point(key, window.iteration, window.ms, window.total / window.count, window.since)


def width_at(iteration: int, base: int) -> int:
    """Width of the window that holds ``iteration`` (from 1).

    The first 2000 windows are ``base`` wide. The width doubles after them, and again after every further 1000, so that the number
    of points grows with the logarithm of the run's length.
    """
    stretch, width = base * 2000, base
    while iteration > stretch:
        stretch *= 2
        width *= 2
    return width


def base_width(milliseconds: Sequence[int]) -> int:
    """About half a second of iterations, rounded up to a power of two; ``milliseconds`` is when consecutive ones were done.

    The slowest tenth of the gaps is ignored, since warm-up and evaluations are not the speed of training.
    """
    gaps = sorted(later - earlier for earlier, later in pairwise(milliseconds))
    steady = gaps[: max(1, math.ceil(len(gaps) * 0.9))]
    mean = sum(steady) / len(steady) if steady else 500.0
    iterations = 500.0 / mean if mean > 0 else float(_MAX_WIDTH)
    return min(_MAX_WIDTH, 1 << max(0, math.ceil(math.log2(iterations))))


def finite_or_nan(value: float) -> float:
    """The value, or NaN if it is infinite: MLflow would store 1.797e308 and ruin the chart."""
    return value if math.isfinite(value) else math.nan


def surviving_values(path: Path) -> dict[str, tuple[int, float]]:
    """By metric, iteration and value of the latest point that no return to an earlier iteration discards."""
    found: dict[str, tuple[int, float]] = {}
    for limit, record in journal.read_with_limits(path):
        if record["kind"] == "eval" and record["iteration"] <= limit:
            found |= {_prefixed_key("eval/", key): (record["iteration"], float(value)) for key, value in record["values"].items()}
        elif record["kind"] == "metrics":
            rows = [row for row, at in enumerate(record["iterations"]) if at <= limit]
            if rows:
                found |= {key: (record["iterations"][rows[-1]], values[rows[-1]]) for key, values in record["values"].items()}
    return found


def _prefixed_key(prefix: str, name: str) -> str:
    """The key of a value; those of a sweep, ``seeds/…``, have a section of their own: their steps are seeds, not iterations."""
    return name if name.startswith((prefix, "seeds/")) else f"{prefix}{name}"
