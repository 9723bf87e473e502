"""What a run's numbers mean: ``meanings.json``, so that a reader needs neither the recipe's plugins nor torch."""

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
class MetricMeaning:
    """What the value of a metric means.

    Attributes:
        label: in plain words, with the unit.
        better: ``lower``, ``higher``, ``nearer`` or ``none``; "" where nobody said.
        ideal: the value of a perfect generator, or ``None``.
        floor: what a perfect generator has on average at the run's sample size, or ``None``.
    """

    label: str = ""
    better: str = ""
    ideal: float | None = None
    floor: float | None = None

    @property
    def aim(self) -> float | None:
        """What "nearer" is near to."""
        return metric_goal.aim(self.ideal, self.floor)


@dataclass(frozen=True, slots=True)
class Meanings:
    """What a run's numbers mean.

    Attributes:
        terms: by ``discriminator/real``.
        metrics: by ``wasserstein`` or ``modes/captured``.
    """

    terms: Mapping[str, TermInfo] = field(default_factory=dict)
    metrics: Mapping[str, MetricMeaning] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        term_info: Mapping[str, TermInfo],
        value_info: Mapping[str, MetricInfo],
        samples: Mapping[str, int],
        *,
        floors: bool = True,
    ) -> Self:
        """What losses and metrics declare.

        Args:
            term_info: by ``discriminator/real``.
            value_info: by ``wasserstein`` or ``modes/captured``.
            samples: how many samples each metric takes, by its name.
            floors: whether to tell those too that no value is judged by; some are simulated, which takes seconds.
        """
        told = {key: measure for key, measure in value_info.items() if floors or measure.better == "nearer"}
        counts = {key: samples.get(key.partition("/")[0]) for key in told}
        return cls(term_info, {key: _declared(measure, counts.get(key)) for key, measure in value_info.items()})


def write(folder: RunFolder, meanings: Meanings) -> None:
    """Write them down.

    Raises:
        StorageError: the disk or folder refused.
    """
    terms, metrics = ({key: dataclasses.asdict(one) for key, one in each.items()} for each in (meanings.terms, meanings.metrics))
    atomic_files.write_json(folder.meanings, {"terms": terms, "metrics": metrics}, durable=False)


def read(folder: RunFolder) -> Meanings:
    """What was written down; nothing of a run that did not, and what is no meaning is passed over.

    Raises:
        StorageError: the file cannot be read, or is damaged.
    """
    found = folder.read_json(folder.meanings)
    return Meanings(
        {key: _reading(one) for key, one in _tables(found, "terms")},
        {
            key: MetricMeaning(
                _text(one.get("label")), _text(one.get("better")), _number(one.get("ideal")), _number(one.get("floor"))
            )
            for key, one in _tables(found, "metrics")
        },
    )


def _declared(measure: MetricInfo, samples: int | None) -> MetricMeaning:
    return MetricMeaning(measure.label, measure.better, measure.ideal, measure.floor_at(samples))


def _reading(one: Mapping[str, Any]) -> TermInfo:
    told = one.get("divergence")
    name, greatest = (told.get("name"), _bound(told.get("greatest"))) if isinstance(told, Mapping) else (None, None)
    divergence = Divergence(name, greatest) if isinstance(name, str) and greatest is not None else None
    return TermInfo(_text(one.get("label")), _number(one.get("equilibrium")), _bound(one.get("best")), divergence)


def _tables(found: Any, name: str) -> list[tuple[str, Mapping[str, Any]]]:
    tables = found.get(name) if isinstance(found, Mapping) else None
    return [(key, one) for key, one in tables.items() if isinstance(one, Mapping)] if isinstance(tables, Mapping) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(value) if is_number else None  # type: ignore[arg-type]  # it is a number


def _bound(value: object) -> float | None:
    """A number, infinite ones among them."""
    return value if isinstance(value, float) and math.isinf(value) else _number(value)
