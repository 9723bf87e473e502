"""How a run ended, for the caller and for ``--json``."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ganforge.core.findings import NOT_WATCHED, by_severity


@dataclass(frozen=True, slots=True)
class Result:
    """One run's end.

    Attributes:
        run: name of the run.
        folder: its folder.
        status: ``finished``, ``stopped`` or ``diverged``.
        iterations: iterations done.
        seconds: wall time of this process's training.
        iterations_per_second: over this process's training, evaluations and pictures included; iterations that were given up when
            it went back count, since they took their time.
        metrics: last value of each metric.
        health: ``verdict``, which is ``healthy``, ``warn``, ``fail`` or ``not watched``, and ``findings``, the worst first.
        mlflow: ``tracking_uri``, ``run_id`` and what is not delivered yet.
        exit_code: what the command ends with.
        seed: the run's seed.
        reason: in words, unless finished.
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
        """The result that :meth:`to_plain` gave, back from JSON; a ``null`` metric is a value that was not finite."""
        metrics = {key: float("nan") if value is None else float(value) for key, value in plain["metrics"].items()}
        return cls(**{**plain, "folder": Path(plain["folder"]), "metrics": metrics})


@dataclass(frozen=True, slots=True)
class SweepResult:
    """Many seeds' end.

    Attributes:
        run: name of the sweep.
        folder: its folder.
        seeds: one result for each seed that gave one, in order.
        seconds: wall time of the whole.
        exit_code: 0 when every seed finished, else the first other one.
        mlflow: as in :class:`Result`, for the parent run.
    """

    run: str
    folder: Path
    seeds: Sequence[Result]
    seconds: float
    exit_code: int
    mlflow: Mapping[str, Any] = field(default_factory=dict)

    @property
    def spread(self) -> dict[str, dict[str, float]]:
        """Median, least and greatest last value of each metric over the seeds."""
        names = dict.fromkeys(name for result in self.seeds for name in result.metrics)
        return {name: _spread([result.metrics[name] for result in self.seeds if name in result.metrics]) for name in names}

    @property
    def verdicts(self) -> dict[str, int]:
        """How many seeds have which verdict on their health, the worst first."""
        found = Counter(str(result.health["verdict"]) for result in self.seeds)
        return {verdict: found[verdict] for verdict in by_severity(found)}

    @property
    def verdict(self) -> str:
        """The worst verdict of all seeds."""
        return next(iter(self.verdicts), NOT_WATCHED)

    def to_plain(self) -> dict[str, Any]:
        """JSON-able, with the keys of one run's result and ``seeds`` and ``spread`` beside them."""
        statuses = {result.status for result in self.seeds}
        return {
            "run": self.run,
            "folder": str(self.folder),
            "status": statuses.pop() if len(statuses) == 1 else "mixed",
            "iterations": sum(result.iterations for result in self.seeds),
            "seconds": self.seconds,
            "iterations_per_second": sum(result.iterations_per_second * result.seconds for result in self.seeds)
            / max(self.seconds, 1e-9),
            "metrics": {name: spread["median"] for name, spread in self.spread.items()},
            "health": {"verdict": self.verdict, "findings": [], "seeds": self.verdicts},
            "mlflow": dict(self.mlflow),
            "seeds": [result.to_plain() for result in self.seeds],
            "spread": self.spread,
            "exit_code": self.exit_code,
        }


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}
