"""The journal of a run as curves: thinned as it is read, so that memory and page stay small however long the run was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ganforge.core.errors import StorageError
from ganforge.observers.history import Floats
from ganforge.storage import journal
from ganforge.storage.folder import RunFolder

BINS = 480
"""Most points of a curve."""


class Binned:
    """One number over the iterations: of each bin the least, mean and greatest value. Bins double in width as the run grows.

    Attributes:
        width: iterations of a bin.
        lost_at: first iteration whose value was not finite, or ``None``.
        last: the newest finite value, or ``None``.
    """

    def __init__(self) -> None:
        self.width = 1
        self.lost_at: int | None = None
        self.last: float | None = None
        self._sums: Floats = np.zeros(BINS)
        self._counts: Floats = np.zeros(BINS)
        self._lows: Floats = np.full(BINS, np.inf)
        self._highs: Floats = np.full(BINS, -np.inf)

    def add(self, iterations: Iterable[int], values: Iterable[float]) -> None:
        """Take values ``(n,)`` at iterations ``(n,)``, counted from 1."""
        at, taken = np.asarray(iterations, dtype=np.int64), np.asarray(values, dtype=np.float64)
        finite = np.isfinite(taken)
        if not finite.all() and self.lost_at is None:
            self.lost_at = int(at[~finite].min())
        at, taken = at[finite & (at > 0)], taken[finite & (at > 0)]
        if not len(at):
            return
        while (int(at.max()) - 1) // self.width >= BINS:
            self._widen()
        bins = (at - 1) // self.width
        np.add.at(self._sums, bins, taken)
        np.add.at(self._counts, bins, 1.0)
        np.minimum.at(self._lows, bins, taken)
        np.maximum.at(self._highs, bins, taken)
        self.last = float(taken[-1])

    def forget(self, after: int) -> None:
        """Drop what came after an iteration: the run went on from there, and does it again."""
        first = -(-after // self.width)
        self._sums[first:], self._counts[first:] = 0.0, 0.0
        self._lows[first:], self._highs[first:] = np.inf, -np.inf
        if self.lost_at is not None and self.lost_at > after:
            self.lost_at = None

    def series(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Iterations in the middle of the bins, least, mean and greatest values, ``(p,)`` each."""
        (kept,) = np.nonzero(self._counts)
        middle = kept.astype(np.float64) * self.width + (self.width + 1) / 2
        return middle, self._lows[kept], self._sums[kept] / self._counts[kept], self._highs[kept]

    def _widen(self) -> None:
        """Two bins become one."""
        rest = BINS // 2
        for kept, joined, empty in (
            (self._sums, np.add, 0.0),
            (self._counts, np.add, 0.0),
            (self._lows, np.minimum, np.inf),
            (self._highs, np.maximum, -np.inf),
        ):
            kept[:rest] = joined(kept[0::2], kept[1::2])
            kept[rest:] = empty
        self.width *= 2


@dataclass(slots=True)
class History:
    """What a journal tells of a run.

    Attributes:
        terms: loss terms by ``discriminator/real``.
        metrics: measured values by name, each by iteration.
        protocols: how each metric was measured, by its name; empty where nobody wrote that down.
        start: the record ``start``.
        resumed: iterations that the run went on from.
        trouble: why it could not be read to its end, or ``None``.
    """

    terms: dict[str, Binned] = field(default_factory=dict)
    metrics: dict[str, dict[int, float]] = field(default_factory=dict)
    protocols: dict[str, Any] = field(default_factory=dict)
    start: Mapping[str, Any] = field(default_factory=dict)
    resumed: list[int] = field(default_factory=list)
    trouble: str | None = None


def read_history(folder: RunFolder) -> History:
    """Read the journal; what is no record of a kind known here is passed over."""
    history = History()
    try:
        for _, record in journal.read(folder.journal):
            try:
                _take(history, record)
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
                history.trouble = "the journal holds records that cannot be read"
    except (StorageError, ValueError, KeyError) as error:
        history.trouble = f"the journal cannot be read to its end: {error}"
    return history


def _take(history: History, record: Mapping[str, Any]) -> None:
    match record["k"]:
        case "m":
            for key, values in record["values"].items():
                if key.startswith("loss/"):
                    history.terms.setdefault(key.removeprefix("loss/"), Binned()).add(record["iterations"], values)
        case "eval":
            for key, value in record["values"].items():
                name = key.removeprefix("eval/")
                history.metrics.setdefault(name, {})[int(record["iteration"])] = float(value)
        case "start":
            history.start = record
        case "resume":
            _go_back(history, int(record["iteration"]))
    if isinstance(told := record.get("protocols"), Mapping):
        history.protocols.update(told)


def _go_back(history: History, iteration: int) -> None:
    history.resumed.append(iteration)
    for term in history.terms.values():
        term.forget(iteration)
    for points in history.metrics.values():
        for later in [at for at in points if at > iteration]:
            del points[later]
