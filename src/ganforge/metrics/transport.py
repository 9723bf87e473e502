"""Exact optimal transport between two sets of samples."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ganforge.core.errors import IncompatiblePartsError
from ganforge.metrics.pairwise_distances import insist_on_rows

TRANSPORT_PAIRS = 400_000_000
"""Pairs of samples that exact transport takes at most, 20,000 of each kind: their distances are 3.2 GB, and it holds about five
copies of them."""
_EASE_FROM = 500
"""Matchings of fewer samples take no time anyway."""
_SWEEPS = 8
_LAST_TEMPERATURE = 0.01


def wasserstein1(real: Tensor, fake: Tensor) -> float:
    """Exact W₁ between two empirical distributions: the mean distance that the cheapest matching moves a sample.

    Args:
        real: ``(n, *shape)``.
        fake: ``(m, *shape)``; other than n only where POT is installed.

    Returns:
        W₁ in the samples' units, or NaN when a value is not finite. Two draws of one distribution do not give 0.

    Raises:
        IncompatiblePartsError: different shapes, no samples, n ≠ m without POT, or n · m above 400 million with n ≠ m
            numbers.
    """
    return _cheapest(real, fake, 1)


def wasserstein2(real: Tensor, fake: Tensor) -> float:
    """Exact W₂ between two empirical distributions: the root mean square distance that the cheapest matching moves a sample.

    For n = m the optimal plan is a matching (Birkhoff), which scipy's assignment finds exactly, in a second or two for n = 2,000.

    Args:
        real: ``(n, *shape)``.
        fake: ``(m, *shape)``; other than n only where POT is installed.

    Returns:
        W₂ in the samples' units, or NaN when a value is not finite. Two draws of one distribution do not give 0: for two moons with
        noise 0.05 and n = 2,000 the floor is about 0.03.

    Raises:
        IncompatiblePartsError: different shapes, no samples, n ≠ m without POT, or n · m above 400 million with n ≠ m
            numbers.
    """
    return math.sqrt(_cheapest(real, fake, 2))


def _cheapest(real: Tensor, fake: Tensor, power: int) -> float:
    """The mean of the distances to that power under the plan that makes it least."""
    insist_on_rows(real, fake)
    if real.shape[1:] != fake.shape[1:] or not len(real) or not len(fake):
        raise IncompatiblePartsError(f"cannot compare samples of shapes {tuple(real.shape)} and {tuple(fake.shape)}")
    a, b = (samples.detach().cpu().double().flatten(1) for samples in (real, fake))
    if a.shape[1] == 1 and len(a) == len(b):  # on a line, the plan is the order
        found = float((a.sort(0).values - b.sort(0).values).abs().pow(power).mean())
        return found if math.isfinite(found) else math.nan
    if len(a) * len(b) > TRANSPORT_PAIRS:
        raise IncompatiblePartsError(
            f"exact Wasserstein distance holds all distances of {len(a):,} real and {len(b):,} generated samples at once, "
            f"{8e-9 * len(a) * len(b):,.0f} GB, and takes {TRANSPORT_PAIRS:,} of them at most",
            remedy=f"compare {math.isqrt(TRANSPORT_PAIRS):,} samples or fewer, or use 'sliced-wasserstein' without such a limit",
        )
    # without the cancellation of the matrix-product form
    return _transport_cost(torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist").pow(power))


def _transport_cost(costs: Tensor) -> float:
    """The cost of the cheapest plan between two uniform distributions; ``costs`` is ``(n, m)``."""
    if not costs.isfinite().all():
        return math.nan
    if costs.shape[0] != costs.shape[1]:
        return _unbalanced_cost(costs)

    from scipy.optimize import linear_sum_assignment

    rows, columns = linear_sum_assignment(_eased(costs).numpy())
    return float(costs[rows, columns].mean())


def _eased(costs: Tensor) -> Tensor:
    """Costs of which the same matching is best, but is found up to ten times sooner, where samples lie far from each other.

    A number taken off a whole row or column changes every matching's cost alike. The numbers taken off are potentials of entropic
    transport (Sinkhorn; Cuturi 2013) at a falling temperature: rough duals, with which the exact search has little left to do.
    """
    if len(costs) < _EASE_FROM:
        return costs
    centred = costs - costs.mean(1, keepdim=True)
    centred = centred - centred.mean(0)
    scale = centred.std().clamp_min(torch.finfo(costs.dtype).tiny)
    if not bool(scale.isfinite()):  # the squares of costs overflow; the costs themselves do not
        return costs

    rough = (centred / scale).float()
    columns = torch.zeros(len(costs))
    for sweep in range(1, _SWEEPS + 1):
        temperature = _LAST_TEMPERATURE ** (sweep / _SWEEPS)
        rows = -temperature * torch.logsumexp((columns - rough) / temperature, dim=1, keepdim=True)
        columns = -temperature * torch.logsumexp((rows - rough) / temperature, dim=0)

    eased = centred - columns.double() * scale
    eased = eased - eased.min(1, keepdim=True).values
    return eased - eased.min(0).values


def _unbalanced_cost(costs: Tensor) -> float:
    try:
        import ot
    except ImportError as error:
        raise IncompatiblePartsError(
            f"exact Wasserstein distance of {costs.shape[0]} real and {costs.shape[1]} generated samples needs POT",
            remedy="compare equally many, or: pip install POT",
        ) from error
    return float(ot.emd2([], [], costs.numpy()))
