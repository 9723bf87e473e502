"""Fewer points for MLflow, whose charts show 320 of them: the mean or newest of each window of iterations, at its last iteration.

Windows are fixed by iteration, never by arrival, and their width is a function of the iteration alone. So a batch that is sent
again after a crash holds the same rows, which MLflow's primary key then drops.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

FULL = 0
"""The width that stands for "every point"."""

_POINTS_AT_FIRST_WIDTH = 2000
_WIDEST = 2**20


@dataclass(frozen=True, slots=True)
class Point:
    """One point of one metric, as MLflow gets it.

    Attributes:
        key: name of the metric.
        iteration: the iteration it stands for.
        ms: when it was measured, in unix milliseconds.
        value: the value; never infinite.
        since: byte of the journal from which the point can be made again.
    """

    key: str
    iteration: int
    ms: int
    value: float
    since: int


def width_at(iteration: int, base: int) -> int:
    """Width of the window that ``iteration`` (from 1) lies in.

    The first 2000 windows are ``base`` wide; the width doubles after them, and again after every further 1000, so that the number
    of points grows with the logarithm of the run's length.
    """
    stretch = base * _POINTS_AT_FIRST_WIDTH
    width = base
    while iteration > stretch:
        stretch *= 2
        width *= 2
    return width


def base_width(milliseconds: Sequence[int]) -> int:
    """About half a second of iterations, rounded up to a power of two.

    Args:
        milliseconds: when consecutive iterations were done; the slowest tenth of the gaps is left out, since warming up and
            evaluating are not the speed of training.
    """
    gaps = sorted(later - earlier for earlier, later in pairwise(milliseconds))
    steady = gaps[: max(1, math.ceil(len(gaps) * 0.9))]
    mean = sum(steady) / len(steady) if steady else 500.0
    wanted = 500.0 / mean if mean > 0 else float(_WIDEST)
    return min(_WIDEST, 1 << max(0, math.ceil(math.log2(wanted))))


def finite(value: float) -> float:
    """The value, or NaN for an infinite one: MLflow would keep 1.797e308 and ruin the chart."""
    return value if math.isfinite(value) else math.nan


@dataclass(slots=True)
class _Window:
    last: int  # the window's last iteration
    since: int
    total: float = 0.0
    count: int = 0
    iteration: int = 0  # the newest iteration inside
    ms: int = 0


@dataclass(slots=True)
class Windows:
    """The windows still open, one per key.

    Attributes:
        base: width of the first windows, or :data:`FULL` for none at all.
    """

    base: int
    _open: dict[str, _Window] = field(default_factory=dict)

    def add(self, key: str, iteration: int, ms: int, value: float, since: int, *, newest: bool = False) -> list[Point]:
        """Take one value; give the points that are now complete (none, one or two).

        Args:
            key: name of the metric.
            iteration: when it was measured.
            ms: the same, in unix milliseconds.
            value: the value.
            since: byte of the journal that it stands at.
            newest: the window's point is its newest value, not the mean.
        """
        if self.base == FULL:
            return [Point(key, iteration, ms, finite(value), since)]

        done: list[Point] = []
        window = self._open.get(key)
        if window is not None and iteration > window.last:
            done.append(self._close(key))
            window = None
        if window is None:
            width = width_at(iteration, self.base)
            window = self._open[key] = _Window(last=math.ceil(iteration / width) * width, since=since)

        window.total = finite(value) + (0.0 if newest else window.total)
        window.count = 1 if newest else window.count + 1
        window.iteration, window.ms = iteration, ms
        if iteration == window.last:
            done.append(self._close(key))
        return done

    def close(self) -> list[Point]:
        """Give the points of all open windows, as far as they got."""
        return [self._close(key) for key in list(self._open)]

    @property
    def since(self) -> int | None:
        """Byte of the journal that the oldest open window begins at."""
        return min((window.since for window in self._open.values()), default=None)

    def _close(self, key: str) -> Point:
        window = self._open.pop(key)
        return Point(key, window.iteration, window.ms, window.total / window.count, window.since)
