"""A bounded memory of the loss terms: evenly spaced over the run, floats only when asked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ganforge.storage import journal_format

if TYPE_CHECKING:
    from torch import Tensor

Floats = NDArray[np.float64]
Rows = list[tuple[int, dict[str, float]]]

_PENDING = 256
"""Iterations whose terms wait on the device before they are read together."""


def floats(rows: Sequence[Mapping[str, Tensor]]) -> list[dict[str, float]]:
    """The terms of several iterations as floats; all tensors are read from the device at once."""
    values = iter(journal_format.to_floats([value for row in rows for value in row.values()]))
    return [{key: next(values) for key in row} for row in rows]


class History:
    """At most ``limit`` points of each term, evenly spaced in iterations however long the run is.

    Every ``stride``-th iteration is kept; when the memory is full, every other point goes and the stride doubles. Terms are kept as
    they come, as tensors, and become floats together.

    Attributes:
        stride: iterations between two points.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.stride = 1
        self._rows: Rows = []
        self._pending: list[tuple[int, Mapping[str, Tensor]]] = []
        self._newest = -1

    def __len__(self) -> int:
        return len(self._rows) + len(self._pending)

    def add(self, iteration: int, terms: Mapping[str, Tensor]) -> None:
        """Keep the terms of ``iteration``, if its turn has come; of an iteration that comes again the newer ones count.

        Training that was rolled back counts iterations again: points beyond ``iteration`` are of a part that was given up.
        """
        if iteration <= self._newest:
            self._pending = [row for row in self._pending if row[0] < iteration]
            self._rows = [row for row in self._rows if row[0] < iteration]
        self._newest = iteration
        if iteration % self.stride:
            return
        self._pending.append((iteration, terms))
        if len(self._pending) >= _PENDING:
            self._read()

    def restore(self, points: Iterable[tuple[int, Mapping[str, float]]]) -> None:
        """Points of an earlier part of the run, in any order; two of one iteration are joined."""
        joined: dict[int, dict[str, float]] = {}
        for iteration, terms in points:
            joined.setdefault(iteration, {}).update(terms)
        self._rows = sorted([*joined.items(), *self._rows], key=lambda row: row[0])
        self._thin()

    def series(self) -> tuple[Floats, dict[str, Floats]]:
        """Iterations ``(p,)`` and, for each term, its values ``(p,)``; NaN where a term was absent."""
        self._read()
        keys = dict.fromkeys(key for _, row in self._rows for key in row)
        iterations = np.array([iteration for iteration, _ in self._rows], dtype=np.float64)
        return iterations, {key: np.array([row.get(key, math.nan) for _, row in self._rows]) for key in keys}

    def _read(self) -> None:
        if not self._pending:
            return
        iterations = [iteration for iteration, _ in self._pending]
        self._rows += zip(iterations, floats([terms for _, terms in self._pending]), strict=True)
        self._pending.clear()
        self._thin()

    def _thin(self) -> None:
        while len(self._rows) > self.limit:
            self.stride *= 2
            self._rows = [row for row in self._rows if row[0] % self.stride == 0]


def smoothed(values: Floats, points: int) -> Floats:
    """The centred running mean of ``(p,)`` values over ``points`` neighbours, fewer at the ends; NaN counts as absent."""
    if points <= 1 or len(values) < 2:
        return values
    present = np.isfinite(values)
    window = np.ones(min(points, len(values)))
    sums = np.convolve(np.where(present, values, 0.0), window, mode="same")
    counts = np.convolve(present.astype(np.float64), window, mode="same")
    means: Floats = np.divide(sums, counts, out=np.full(len(values), math.nan), where=counts > 0.5)
    return means
