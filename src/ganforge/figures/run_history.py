"""What a run's journal says: loss terms as binned curves, metric values, findings, resumes and roll-backs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import TypeAdapter

from ganforge.core.errors import StorageError
from ganforge.core.findings import Finding
from ganforge.figures import Floats
from ganforge.storage import journal
from ganforge.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from torch import Tensor

BINS = 480  # largest number of points of a curve; even

_COLUMNS: tuple[tuple[np.ufunc, float], ...] = ((np.add, 0.0), (np.add, 0.0), (np.minimum, np.inf), (np.maximum, -np.inf))
"""Sums, counts, minima and maxima: how two values or bins are joined, and the value of an empty bin."""


class BinnedCurve:
    """One value over the iterations, as minimum, mean and maximum per bin. When the bins are full, their width doubles."""

    def __init__(self, bins: int = BINS) -> None:
        self.width = 1
        self.non_finite_at: int | None = None  # first iteration whose value was not finite
        self.last: float | None = None  # the newest finite value
        self._bins = bins
        self._columns: list[Floats] = [np.full(bins, empty) for _, empty in _COLUMNS]

    def add(self, iterations: Iterable[int], values: Iterable[float]) -> None:
        """Add values ``(n,)`` at iterations ``(n,)``, counted from 1."""
        at, added = np.asarray(list(iterations), dtype=np.int64), np.asarray(list(values), dtype=np.float64)
        finite = np.isfinite(added)
        if not finite.all() and self.non_finite_at is None:
            self.non_finite_at = int(at[~finite].min())
        at, added = at[finite & (at > 0)], added[finite & (at > 0)]
        if not len(at):
            return
        while (int(at.max()) - 1) // self.width >= self._bins:
            self._widen()
        bins = (at - 1) // self.width
        for column, (join, _), one in zip(self._columns, _COLUMNS, (added, np.ones(len(added)), added, added), strict=True):
            join.at(column, bins, one)
        self.last = float(added[-1])

    def series(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Iterations in the middle of the bins, and minimum, mean and maximum of each bin, ``(p,)`` each."""
        (kept,) = np.nonzero(self._columns[1])
        sums, counts, lows, highs = (column[kept] for column in self._columns)
        return kept.astype(np.float64) * self.width + (self.width + 1) / 2, lows, sums / counts, highs

    def drop_after(self, iteration: int) -> None:
        """Forget the bins that begin after ``iteration``."""
        for column, (_, empty) in zip(self._columns, _COLUMNS, strict=True):
            column[-(-iteration // self.width) :] = empty

    def _widen(self) -> None:
        for column, (join, empty) in zip(self._columns, _COLUMNS, strict=True):
            column[: self._bins // 2] = join(column[0::2], column[1::2])
            column[self._bins // 2 :] = empty
        self.width *= 2


@dataclass(slots=True)
class RunHistory:
    """The contents of a journal."""

    terms: dict[str, BinnedCurve] = field(default_factory=dict)  # loss terms, such as discriminator/real
    metrics: dict[str, dict[int, float]] = field(default_factory=dict)  # by name and iteration
    protocols: dict[str, Any] = field(default_factory=dict)  # how each metric was measured, as far as the journal says
    findings: list[Finding] = field(default_factory=list)  # all of the health monitor, each as it was reported last
    start: Mapping[str, Any] = field(default_factory=dict)
    resumed: list[int] = field(default_factory=list)  # iterations
    changed: list[tuple[int, str, str, str]] = field(default_factory=list)  # by a resume: first iteration, key, old and new value
    rolled_back: list[tuple[int, int]] = field(default_factory=list)  # iterations reached and returned to
    redone: int = 0  # iterations discarded by roll-backs since the run was started or last resumed
    read_error: str | None = None  # why the journal could not be read completely


def terms_to_floats(rows: Sequence[Mapping[str, Tensor]]) -> list[dict[str, float]]:
    """The terms of several iterations as floats; all tensors are fetched from the device at once."""
    values = iter(journal.to_floats([value for row in rows for value in row.values()]))
    return [{key: next(values) for key in row} for row in rows]


def read_history(folder: RunFolder) -> RunHistory:
    """Read the journal; records of unknown kinds are skipped, and unreadable ones reported.

    After a resume or a roll-back iterations are repeated; only the last repetition counts.
    """
    history = RunHistory()
    try:
        for limit, record in journal.read_with_limits(folder.journal):
            _add_record(history, record, limit)
            if isinstance(protocols := record.get("protocols"), Mapping):
                history.protocols.update(protocols)
    except StorageError as error:
        history.read_error = f"the journal cannot be read completely: {error}"
    return history


def _add_record(history: RunHistory, record: Mapping[str, Any], limit: float) -> None:
    match record["kind"]:
        case "metrics":
            _add_terms(history, record, limit)
        case "unreadable":
            history.read_error = "the journal contains records that cannot be read"
        case "eval" if record["iteration"] <= limit:
            for key, value in record["values"].items():
                history.metrics.setdefault(key.removeprefix("eval/"), {})[record["iteration"]] = float(value)
        case "health":
            _add_findings(history, TypeAdapter(list[Finding]).validate_python(record["findings"]))
        case "start":
            history.start = record
        case "resume":
            history.resumed.append(record["iteration"])
            history.redone = 0
        case "rollback":
            history.rolled_back.append((record["reached"], record["iteration"]))
            history.redone += record["reached"] - record["iteration"]
        case "changed":
            history.changed += [(record["iteration"], key, before, now) for key, (before, now) in record["values"].items()]


def _add_findings(history: RunHistory, new: list[Finding]) -> None:
    seen = {(finding.problem, finding.since) for finding in new}
    history.findings = [one for one in history.findings if (one.problem, one.since) not in seen] + new


def _add_terms(history: RunHistory, record: Mapping[str, Any], limit: float) -> None:
    kept = [at <= limit for at in record["iterations"]]
    for key, values in record["values"].items():
        if key.startswith("loss/"):
            term = history.terms.setdefault(key.removeprefix("loss/"), BinnedCurve())
            term.add(compress(record["iterations"], kept), compress(values, kept))
