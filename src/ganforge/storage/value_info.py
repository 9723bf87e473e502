"""What the values of a run's losses and metrics mean: ``value_info.json``, so that a reader needs neither its plugins nor torch."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from ganforge.core import metric_goal
from ganforge.core.contracts import Divergence, MetricInfo, TermInfo
from ganforge.storage import atomic_files
from ganforge.storage.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class StoredMetricInfo:
    """What the values of a metric mean, at the run's sample size.

    Attributes:
        label: plain words, with the unit.
        better: ``lower``, ``higher``, ``nearer`` or ``none``; "" if unknown.
        ideal: the value of a perfect generator, or ``None``.
        floor: the mean value of a perfect generator at the run's sample size, or ``None``.
    """

    label: str = ""
    better: str = ""
    ideal: float | None = None
    floor: float | None = None

    @property
    def aim(self) -> float | None:
        """The value that "nearer" refers to."""
        return metric_goal.aim(self.ideal, self.floor)


@dataclass(frozen=True, slots=True)
class ValueInfo:
    """What the values of a run's losses and metrics mean.

    Attributes:
        terms: by key, such as ``discriminator/real``.
        metrics: by key, such as ``wasserstein`` or ``modes/captured``.
    """

    terms: Mapping[str, TermInfo] = field(default_factory=dict)
    metrics: Mapping[str, StoredMetricInfo] = field(default_factory=dict)

    @classmethod
    def resolve(
        cls,
        term_info: Mapping[str, TermInfo],
        metric_info: Mapping[str, MetricInfo],
        samples: Mapping[str, int],
        *,
        floors: bool = True,
    ) -> Self:
        """Resolve what losses and metrics declare.

        Args:
            term_info: by key, such as ``discriminator/real``.
            metric_info: by key, such as ``wasserstein`` or ``modes/captured``.
            samples: number of samples that each metric takes, by its name.
            floors: whether to compute all floors. Some are simulated, which takes seconds; ``False`` computes only those of metrics
                whose goal is ``nearer``.
        """

        def count(key: str, info: MetricInfo) -> int | None:
            return samples.get(key.partition("/")[0]) if floors or info.better == "nearer" else None

        resolved = {
            key: StoredMetricInfo(info.label, info.better, info.ideal, info.floor_at(count(key, info)))
            for key, info in metric_info.items()
        }
        return cls(term_info, resolved)


def write(folder: RunFolder, info: ValueInfo) -> None:
    """Write the file.

    Raises:
        StorageError: the disk or folder refused.
    """
    terms, metrics = ({key: dataclasses.asdict(one) for key, one in each.items()} for each in (info.terms, info.metrics))
    atomic_files.write_json(folder.value_info, {"terms": terms, "metrics": metrics}, durable=False)


def read(folder: RunFolder) -> ValueInfo:
    """Read the file; a missing one is empty, and entries of another form are ignored.

    Raises:
        StorageError: the file cannot be read, or is damaged.
    """
    stored = folder.read_json(folder.value_info)
    return ValueInfo(
        {key: _parse_term(entry) for key, entry in _entries(stored, "terms")},
        {key: _parse_metric(entry) for key, entry in _entries(stored, "metrics")},
    )


def _entries(stored: Any, name: str) -> list[tuple[str, Mapping[str, Any]]]:
    table = stored.get(name) if isinstance(stored, Mapping) else None
    return [(key, entry) for key, entry in table.items() if isinstance(entry, Mapping)] if isinstance(table, Mapping) else []


def _parse_term(entry: Mapping[str, Any]) -> TermInfo:
    stored = entry.get("divergence")
    name, greatest = (stored.get("name"), _bound(stored.get("greatest"))) if isinstance(stored, Mapping) else (None, None)
    divergence = Divergence(name, greatest) if isinstance(name, str) and greatest is not None else None
    return TermInfo(_text(entry.get("label")), _number(entry.get("equilibrium")), _bound(entry.get("best")), divergence)


def _parse_metric(entry: Mapping[str, Any]) -> StoredMetricInfo:
    return StoredMetricInfo(
        _text(entry.get("label")), _text(entry.get("better")), _number(entry.get("ideal")), _number(entry.get("floor"))
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> float | None:
    bound = _bound(value)
    return None if bound is None or math.isinf(bound) else bound


def _bound(value: object) -> float | None:
    """A number, possibly infinite."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)
    return float(value) if is_number else None  # type: ignore[arg-type]  # it is a number
