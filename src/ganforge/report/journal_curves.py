"""The journal of a run as curves: thinned as it is read, so that memory and page stay small however long the run was."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import compress
from typing import Any

import numpy as np

from ganforge.core.errors import StorageError
from ganforge.figures.history import Floats
from ganforge.storage import journal
from ganforge.storage.run_folder import RunFolder

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
        at, taken = np.asarray(list(iterations), dtype=np.int64), np.asarray(list(values), dtype=np.float64)
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
        changed: what a resume changed of the recipe: from which iteration on, the key, the value as it began, the value from there.
        rolled_back: iterations that had been reached, and that training went back to.
        redone: iterations given up since the run was begun or resumed last.
        trouble: why it could not be read to its end, or ``None``.
    """

    terms: dict[str, Binned] = field(default_factory=dict)
    metrics: dict[str, dict[int, float]] = field(default_factory=dict)
    protocols: dict[str, Any] = field(default_factory=dict)
    start: Mapping[str, Any] = field(default_factory=dict)
    resumed: list[int] = field(default_factory=list)
    changed: list[tuple[int, str, str, str]] = field(default_factory=list)
    rolled_back: list[tuple[int, int]] = field(default_factory=list)
    redone: int = 0
    trouble: str | None = None


def read_history(folder: RunFolder) -> History:
    """Read the journal; what is no record of a kind known here is passed over.

    Of iterations that came again, after a resume or a roll-back, only the last time counts.
    """
    history = History()
    try:
        lasting = journal.surviving_iterations(folder.journal)
        for _, record in journal.read(folder.journal):
            try:
                _take(history, record, lasting)
            except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
                history.trouble = "the journal holds records that cannot be read"
    except (StorageError, ValueError, KeyError) as error:
        history.trouble = f"the journal cannot be read to its end: {error}"
    return history


def _take(history: History, record: Mapping[str, Any], lasting: deque[float]) -> None:
    match record["kind"]:
        case "metrics":
            kept = [at <= lasting[0] for at in record["iterations"]]
            for key, values in record["values"].items():
                if key.startswith("loss/"):
                    term = history.terms.setdefault(key.removeprefix("loss/"), Binned())
                    term.add(compress(record["iterations"], kept), compress(values, kept))
        case "eval" if int(record["iteration"]) <= lasting[0]:
            for key, value in record["values"].items():
                name = key.removeprefix("eval/")
                history.metrics.setdefault(name, {})[int(record["iteration"])] = float(value)
        case "start":
            history.start = record
        case "resume" | "rollback" as turn:
            lasting.popleft()
            _turn(history, turn, record)
        case "changed":
            at = int(record["iteration"])
            history.changed += [(at, key, str(before), str(now)) for key, (before, now) in record["values"].items()]
    if isinstance(told := record.get("protocols"), Mapping):
        history.protocols.update(told)


def _turn(history: History, kind: str, record: Mapping[str, Any]) -> None:
    """From here on iterations come again."""
    iteration = int(record["iteration"])
    if kind == "resume":
        history.resumed.append(iteration)
        history.redone = 0
        return
    reached = int(record["reached"])
    history.rolled_back.append((reached, iteration))
    history.redone += reached - iteration
