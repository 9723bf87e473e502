"""What the built-in metrics share: a metric made of a function, and simulated values of a perfect generator."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, partial

import torch

from ganforge.builtin.datasets.points import draw_mixture
from ganforge.plugin import Evaluation, GaussianMixture, IncompatiblePartsError, Latent, MetricInfo, Samples

_PAIRS = 32_000_000
"""Pairs of samples that a simulation compares: a second or two, except that large counts take two measurements in any case."""
_LEAST, _MOST = 2, 16

Measure = Callable[[Evaluation], Mapping[str, float]]
Floor = Callable[[int], float]
"""Number of samples → mean value of a perfect generator."""


@dataclass(slots=True, eq=False)
class FunctionMetric:
    """A metric that is a function.

    Attributes:
        function: evaluation → values, keyed as in ``value_info``.
        value_info: the meaning of each value.
        protocol: what the values depend on besides params and the number of samples.
        min_samples: minimum number of real, and as many generated, samples.
        needs_distinct_real: whether real samples must be distinct, because repeats would be their own neighbours.
        uses_training_data: whether it reads training or validation samples.
    """

    function: Measure
    value_info: Mapping[str, MetricInfo]
    protocol: Mapping[str, str] = field(default_factory=dict)
    min_samples: int = 1
    needs_distinct_real: bool = False
    uses_training_data: bool = False

    def __repr__(self) -> str:
        return f"FunctionMetric({list(self.value_info)}, {dict(self.protocol)})"

    def measure(self, evaluation: Evaluation) -> Mapping[str, float]:
        """The values of the function.

        Raises:
            IncompatiblePartsError: fewer samples than it needs, or whatever the function raises.
        """
        count = min(len(evaluation.real), len(evaluation.fake))
        if count < self.min_samples:
            raise IncompatiblePartsError(
                f"the metric needs at least {self.min_samples:,} real and generated samples, got {count:,}",
                remedy=f"set `samples = {self.min_samples}` or more in its [[metric]] table",
            )
        return self.function(evaluation)


def simulated_floors(density: GaussianMixture | None, measure: Measure, *, pairs: int = _PAIRS) -> Callable[[str], Floor | None]:
    """For each key of a metric its floor: the mean value of draws from the density compared with other draws, the same every time.

    Args:
        density: of the data; without it there are no floors.
        measure: the metric.
        pairs: approximate number of pairs of samples to compare; use fewer if each is expensive.
    """
    if density is None:
        return lambda _key: None

    @cache
    def simulate(count: int) -> Mapping[str, float]:
        stream = torch.Generator().manual_seed(0)
        runs = [
            measure(Evaluation(draw_mixture(density, True, count, stream), _perfect(density, count, stream), stream))  # noqa: FBT003
            for _ in range(max(_LEAST, min(_MOST, pairs // count**2)))
        ]
        return {key: sum(run[key] for run in runs) / len(runs) for key in runs[0]}

    return lambda key: partial(_value_of, simulate, key)


def _perfect(density: GaussianMixture, count: int, stream: torch.Generator) -> Samples:
    """Generated samples that lie on the modes that their latents ask for."""
    made = draw_mixture(density, True, count, stream)  # noqa: FBT003
    return Samples(made.values, made.labels, Latent(torch.zeros(count, 1), made.labels))


def _value_of(simulate: Callable[[int], Mapping[str, float]], key: str, count: int) -> float:
    return simulate(count)[key]
