"""What the values of a run's losses and metrics mean: ``value_info.json``, so that a reader needs neither its plugins nor torch."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

from pydantic import TypeAdapter, ValidationError

from ganforge.core.contracts import MetricInfo, TermInfo, aim
from ganforge.storage import atomic_files
from ganforge.storage.run_folder import RunFolder


@dataclass(frozen=True, slots=True)
class StoredMetricInfo:
    """What the values of a metric mean, at the run's sample size."""

    label: str = ""  # plain words, with the unit
    better: str = ""  # ``lower``, ``higher``, ``nearer`` or ``none``; "" if unknown
    ideal: float | None = None  # the value of a perfect generator
    floor: float | None = None  # the mean value of a perfect generator at the run's sample size

    @property
    def aim(self) -> float | None:
        """The value that "nearer" refers to."""
        return aim(self.ideal, self.floor)


@dataclass(frozen=True, slots=True)
class ValueInfo:
    """What the values of a run's losses and metrics mean, by key, such as ``discriminator/real`` or ``modes/captured``."""

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
        """Resolve what losses and metrics declare, from the number of ``samples`` that each metric takes, by its name.

        Some floors are simulated, which takes seconds; without ``floors``, only those that the goal ``nearer`` needs.
        """

        def floor(key: str, info: MetricInfo) -> float | None:
            value = info.floor_at(samples.get(key.partition("/")[0])) if floors or info.better == "nearer" else None
            return value if value is not None and math.isfinite(value) else None

        resolved = {
            key: StoredMetricInfo(info.label, info.better, info.ideal, floor(key, info)) for key, info in metric_info.items()
        }
        return cls(term_info, resolved)


def write(folder: RunFolder, info: ValueInfo) -> None:
    """Write the file."""
    atomic_files.write_json(folder.value_info, dataclasses.asdict(info), durable=False)


def read(folder: RunFolder) -> ValueInfo:
    """Read the file; a missing one, or one of another form, is empty. Raises a StorageError if it is damaged."""
    try:
        return TypeAdapter(ValueInfo).validate_python(folder.read_json(folder.value_info) or {})
    except ValidationError:
        return ValueInfo()
