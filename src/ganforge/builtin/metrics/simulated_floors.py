"""What a perfect generator gets where the data's density is known: draws of it, measured against other draws."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial

import torch

from ganforge.builtin.datasets.points import draw_mixture
from ganforge.plugin import Evaluation, GaussianMixture, Latent, Samples

_PAIRS = 32_000_000
"""Pairs of samples that a simulation looks at, about: a second or two, but for large counts two measurements in any case."""
_LEAST, _MOST = 2, 16

Floor = Callable[[int], float]


def simulated_floors(
    density: GaussianMixture | None, measure: Callable[[Evaluation], Mapping[str, float]], *, pairs: int = _PAIRS
) -> Callable[[str], Floor | None]:
    """For each key of a metric's values the floor: the mean over draws from the density, the same at every call.

    Args:
        density: of the data; where it is ``None``, so are the floors.
        measure: the metric's own.
        pairs: pairs of samples to look at, about: fewer where each is dear.
    """
    if density is None:
        return _unknown

    @cache
    def found(count: int) -> Mapping[str, float]:
        stream = torch.Generator().manual_seed(0)
        runs = [
            measure(Evaluation(draw_mixture(density, True, count, stream), _perfect(density, count, stream), stream))  # noqa: FBT003
            for _ in range(max(_LEAST, min(_MOST, pairs // count**2)))
        ]
        return {key: sum(run[key] for run in runs) / len(runs) for key in runs[0]}

    return lambda key: partial(_of, found, key)


def _perfect(density: GaussianMixture, count: int, stream: torch.Generator) -> Samples:
    """Generated samples of whom the modes were asked that they lie on."""
    made = draw_mixture(density, True, count, stream)  # noqa: FBT003
    return Samples(made.values, made.labels, Latent(torch.zeros(count, 1), made.labels))


def _of(found: Callable[[int], Mapping[str, float]], key: str, count: int) -> float:
    return found(count)[key]


def _unknown(_key: str) -> None:
    return None
