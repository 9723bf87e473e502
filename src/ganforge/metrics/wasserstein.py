"""Wasserstein distances between two sets of samples: exact, by optimal transport, and sliced, along lines."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ganforge.core.errors import IncompatiblePartsError
from ganforge.metrics.pairwise_distances import all_finite, require_alike

TRANSPORT_PAIRS = 400_000_000
"""Limit of pairs for exact transport, 20,000 samples of each kind: one matrix of distances takes 3.2 GB, and five are held."""
_PRESOLVE_FROM = 500
"""Fewer samples are matched quickly without a presolve."""
_SWEEPS = 8
_LAST_TEMPERATURE = 0.01
_CHUNK = 1 << 22


def wasserstein1(real: Tensor, fake: Tensor) -> float:
    """Exact W₁ between two empirical distributions: the mean distance that the cheapest matching moves a sample.

    Args:
        real: ``(n, *shape)``.
        fake: ``(m, *shape)``; m ≠ n needs POT.

    Returns:
        W₁ in the samples' units, or NaN when a value is not finite. Two draws of one distribution do not give 0.

    Raises:
        IncompatiblePartsError: different shapes, no samples, n ≠ m without POT, or n · m above 400 million (equal numbers of
            one-dimensional samples excepted).
    """
    return _mean_cost(real, fake, 1)


def wasserstein2(real: Tensor, fake: Tensor) -> float:
    """Exact W₂ between two empirical distributions: the root mean square distance that the cheapest matching moves a sample.

    For n = m the optimal plan is a matching (Birkhoff), which scipy's assignment finds exactly, in a second or two for n = 2,000.
    Two draws of one distribution do not give 0: for two moons with noise 0.05 and n = 2,000 the floor is about 0.03.
    Arguments, result and errors as for :func:`wasserstein1`.
    """
    return math.sqrt(_mean_cost(real, fake, 2))


def sliced_wasserstein(real: Tensor, fake: Tensor, directions: Tensor, order: int = 2) -> float:
    """Sliced Wasserstein distance: p-th root of the mean over directions of W_pᵖ between projections (Bonneel et al. 2015).

    On a line the optimal plan pairs quantiles, so sorting is enough, for unequal counts too.

    Args:
        real: ``(n, *shape)``.
        fake: ``(m, *shape)``.
        directions: ``(d, k)`` unit columns, as of :func:`random_directions`.
        order: p, usually 1 or 2.

    Returns:
        In the samples' units, at most the exact distance; NaN where a value is not finite. Two draws of one distribution do not
        give 0.

    Raises:
        IncompatiblePartsError: no samples, no directions, an order below 1, or shapes that do not fit.
    """
    require_alike("a Wasserstein distance", 1, real, fake)
    here, there = (samples.detach().flatten(1).double() for samples in (real, fake))
    if directions.dim() != 2 or directions.shape[:1] != here.shape[1:] or not directions.shape[1]:
        shapes = f"{tuple(real.shape)} along directions {tuple(directions.shape)}"
        raise IncompatiblePartsError(f"cannot compare samples of shape {shapes}")
    if order < 1:
        raise IncompatiblePartsError(f"the order of a Wasserstein distance must be 1 or more, got {order}")
    if not all_finite(here, there):
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
    """``(dimensions, count)`` unit columns, uniform on the sphere, on the generator's device."""
    columns = torch.randn(dimensions, count, dtype=torch.float64, generator=generator, device=generator.device)
    unit: Tensor = columns / torch.linalg.vector_norm(columns, dim=0)
    return unit


def _mean_cost(real: Tensor, fake: Tensor, power: int) -> float:
    """Mean of the distances to that power under the optimal plan."""
    require_alike("a Wasserstein distance", 1, real, fake)
    a, b = (samples.detach().cpu().double().flatten(1) for samples in (real, fake))
    if a.shape[1] == 1 and len(a) == len(b):  # on a line, the optimal plan is the order
        found = float((a.sort(0).values - b.sort(0).values).abs().pow(power).mean())
        return found if math.isfinite(found) else math.nan
    if len(a) * len(b) > TRANSPORT_PAIRS:
        raise IncompatiblePartsError(
            f"the exact Wasserstein distance needs all distances of {len(a):,} real and {len(b):,} generated samples at once, "
            f"{8e-9 * len(a) * len(b):,.0f} GB; the limit is {TRANSPORT_PAIRS:,} pairs",
            remedy=f"compare at most {math.isqrt(TRANSPORT_PAIRS):,} samples, or use 'sliced-wasserstein', which has no limit",
        )
    # differences, not matrix products: no cancellation
    return _transport_cost(torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist").pow(power))


def _transport_cost(costs: Tensor) -> float:
    """Mean cost of the optimal plan between two uniform distributions; ``costs`` is ``(n, m)``."""
    if not all_finite(costs):
        return math.nan
    if costs.shape[0] != costs.shape[1]:
        return _unbalanced_cost(costs)

    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(_sinkhorn_presolve(costs).numpy())
    return float(costs[rows, columns].mean())


def _sinkhorn_presolve(costs: Tensor) -> Tensor:
    """Costs with the same optimal matching, which is found up to ten times sooner where samples lie far apart.

    Subtracting a number from a whole row or column changes the cost of every matching alike. The numbers subtracted are
    potentials of entropic transport (Sinkhorn; Cuturi 2013) at a falling temperature: approximate duals, which leave little to
    the exact search.
    """
    if len(costs) < _PRESOLVE_FROM:
        return costs
    centred = costs - costs.mean(1, keepdim=True)
    centred = centred - centred.mean(0)
    scale = centred.std().clamp_min(torch.finfo(costs.dtype).tiny)
    if not bool(scale.isfinite()):  # the squares of the costs overflow; the costs themselves do not
        return costs

    rough = (centred / scale).float()
    columns = torch.zeros(len(costs))
    for sweep in range(1, _SWEEPS + 1):
        temperature = _LAST_TEMPERATURE ** (sweep / _SWEEPS)
        rows = -temperature * torch.logsumexp((columns - rough) / temperature, dim=1, keepdim=True)
        columns = -temperature * torch.logsumexp((rows - rough) / temperature, dim=0)

    reduced = centred - columns.double() * scale
    reduced = reduced - reduced.min(1, keepdim=True).values
    return reduced - reduced.min(0).values


def _unbalanced_cost(costs: Tensor) -> float:
    try:
        import ot
    except ImportError as error:
        raise IncompatiblePartsError(
            f"the exact Wasserstein distance of {costs.shape[0]} real and {costs.shape[1]} generated samples needs POT",
            remedy="compare equal numbers, or: pip install POT",
        ) from error
    return float(ot.emd2([], [], costs.numpy()))
