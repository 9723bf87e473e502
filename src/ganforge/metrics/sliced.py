"""Optimal transport along lines: cheap where the exact matching is dear."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ganforge.core.errors import IncompatiblePartsError
from ganforge.metrics.pairwise_distances import insist_on_rows

_CHUNK = 1 << 22


def sliced_wasserstein(real: Tensor, fake: Tensor, directions: Tensor, order: int = 2) -> float:
    """Sliced Wasserstein distance: p-th root of the mean over directions of W_pᵖ between projections (Bonneel et al. 2015).

    Between points on a line the cheapest plan pairs quantiles, so that sorting is enough, for unequal counts too.

    Args:
        real: ``(n, *shape)``.
        fake: ``(m, *shape)``.
        directions: ``(d, k)`` unit columns, as of :func:`random_directions`.
        order: p, 1 or 2 as a rule.

    Returns:
        In the samples' units, at most the exact distance; NaN where a value is not finite. Two draws of one distribution do not
        give 0.

    Raises:
        IncompatiblePartsError: no samples, no directions, an order below 1, or shapes that do not fit.
    """
    insist_on_rows(real, fake)
    here, there = (samples.detach().flatten(1).double() for samples in (real, fake))
    if (
        directions.dim() != 2
        or not directions.shape[1]
        or not len(here)
        or not len(there)
        or real.shape[1:] != fake.shape[1:]
        or directions.shape[:1] != here.shape[1:]
    ):
        forms = f"{tuple(real.shape)} and {tuple(fake.shape)}"
        raise IncompatiblePartsError(f"cannot compare samples of shapes {forms} along directions {tuple(directions.shape)}")
    if order < 1:
        raise IncompatiblePartsError(f"a Wasserstein distance has an order of 1 or more, and not {order}")
    if not bool(here.isfinite().all() and there.isfinite().all()):
        return math.nan

    n, m = len(here), len(there)
    every = torch.cat([torch.arange(1, count + 1).double() / count for count in (n, m)])
    levels = torch.unique_consecutive(every.sort().values)
    weights = torch.diff(levels, prepend=levels.new_zeros(1))
    middles = levels - weights / 2
    rows, others = ((middles * count).long().clamp_max(count - 1) for count in (n, m))

    total = 0.0
    for lines in torch.split(directions.double(), max(1, _CHUNK // (n + m)), dim=1):
        one, other = ((samples @ lines.to(samples)).sort(dim=0).values for samples in (here, there))
        costs = (one[rows.to(one.device)] - other[others.to(one.device)].to(one)).abs() ** order  # (levels, lines)
        total += float((weights.to(costs) @ costs).sum())
    return float((total / directions.shape[1]) ** (1 / order))


def random_directions(dimensions: int, count: int, generator: torch.Generator) -> Tensor:
    """``(dimensions, count)`` unit columns, evenly distributed over the sphere, on the generator's device."""
    columns = torch.randn(dimensions, count, dtype=torch.float64, generator=generator, device=generator.device)
    unit: Tensor = columns / torch.linalg.vector_norm(columns, dim=0)
    return unit
