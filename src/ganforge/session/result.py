"""How runs ended, for the caller and for ``--json``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from ganforge.core.findings import NOT_MONITORED, VERDICTS

if TYPE_CHECKING:
    from ganforge.tracking.supervisor import UploadSummary


@dataclass(frozen=True, slots=True)
class Result:
    """The end of one run: ``finished``, ``stopped``, ``diverged``, or in a sweep also ``failed``; unless finished, with a reason.

    ``seconds`` and ``iterations_per_second`` are of this process's training, with evaluations, pictures, and iterations that a
    rollback discarded. ``health`` is a report of :mod:`ganforge.core.findings`, ``mlflow`` what :func:`mlflow_facts` gives.
    """

    run: str
    folder: Path
    status: str
    iterations: int
    seconds: float
    iterations_per_second: float
    metrics: Mapping[str, float]
    health: Mapping[str, Any]
    mlflow: Mapping[str, Any]
    exit_code: int
    seed: int
    reason: str | None = None

    def to_plain(self) -> dict[str, Any]:
        """JSON-able, with stable keys."""
        return {**asdict(self), "folder": str(self.folder)}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Result:
        """The result that :meth:`to_plain` gave, read back from JSON; a ``null`` metric becomes NaN."""
        metrics = {key: float("nan") if value is None else float(value) for key, value in plain["metrics"].items()}
        known = {field.name: plain[field.name] for field in fields(cls)}
        return cls(**{**known, "folder": Path(plain["folder"]), "metrics": metrics})


@dataclass(frozen=True, slots=True)
class SweepResult:
    """The end of a sweep over seeds; its exit code is 0 if every seed finished, else the first other one."""

    run: str
    folder: Path
    seeds: Sequence[Result]
    seconds: float
    exit_code: int
    mlflow: Mapping[str, Any] = field(default_factory=dict)

    @property
    def values(self) -> dict[str, list[float]]:
        """By metric, the last values of the seeds that have one."""
        found: dict[str, list[float]] = {}
        for result in self.seeds:
            for name, value in result.metrics.items():
                found.setdefault(name, []).append(value)
        return found

    @property
    def spread(self) -> dict[str, dict[str, float]]:
        """By metric, the median, least and greatest of :attr:`values`."""
        return {name: {"median": median(found), "min": min(found), "max": max(found)} for name, found in self.values.items()}

    @property
    def verdicts(self) -> dict[str, int]:
        """How many seeds have each health verdict, the worst first."""
        counts = Counter(str(result.health["verdict"]) for result in self.seeds)
        return {verdict: counts[verdict] for verdict in sorted(counts, key=VERDICTS.index)}

    @property
    def verdict(self) -> str:
        """The worst verdict of all seeds."""
        return next(iter(self.verdicts), NOT_MONITORED)

    def to_plain(self) -> dict[str, Any]:
        """JSON-able, with the keys of one run's result and ``seeds`` and ``spread`` beside them."""
        spread = self.spread
        statuses = {result.status for result in self.seeds}
        trained = sum(result.iterations_per_second * result.seconds for result in self.seeds)
        return {
            "run": self.run,
            "folder": str(self.folder),
            "status": statuses.pop() if len(statuses) == 1 else "mixed",
            "iterations": sum(result.iterations for result in self.seeds),
            "seconds": self.seconds,
            "iterations_per_second": trained / max(self.seconds, 1e-9),
            "metrics": {name: found["median"] for name, found in spread.items()},
            "health": {"verdict": self.verdict, "findings": [], "seeds": self.verdicts},
            "mlflow": dict(self.mlflow),
            "seeds": [result.to_plain() for result in self.seeds],
            "spread": spread,
            "exit_code": self.exit_code,
        }


def mlflow_facts(summary: UploadSummary, *, wanted: bool = True) -> dict[str, Any]:
    """What ``--json`` contains about MLflow; ``wanted`` is whether the recipe has records delivered at all."""
    return {
        "wanted": wanted,
        "tracking_uri": summary.store.shown,
        "run_id": summary.accepted.run_id,
        "experiment_id": summary.accepted.experiment_id,
        "link": summary.link,
        "points": summary.accepted.points,
        "images": summary.accepted.pictures,
        "undelivered": bool(summary.pending),
        "message": summary.message,
    }
