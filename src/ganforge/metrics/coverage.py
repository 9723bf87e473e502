"""Are the samples like real ones, and are the real ones all there? Two questions that one distance mixes up."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ganforge.core.errors import IncompatiblePartsError
from ganforge.metrics.pairwise_distances import blocks, comparable, own_blocks


@dataclass(frozen=True, slots=True)
class PrecisionRecall:
    """What :func:`precision_recall` finds; each is NaN where a value is not finite.

    Attributes:
        precision: share of generated samples inside the ball of some real one.
        recall: share of real samples inside the ball of some generated one.
        density: balls of real samples that a generated one lies in, by k, in the mean; 1 for a perfect generator, and more is
            possible.
        coverage: share of real samples whose ball holds a generated one.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def precision_recall(real: Tensor, fake: Tensor, k: int = 5) -> PrecisionRecall:
    """Precision and recall (Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020).

    The ball of a sample reaches to its k-th neighbour among the samples of its own kind, without its surface. Precision praises
    a generator that has collapsed, and so does density; coverage tells, and forgives single real outliers. All four depend on k and
    on the counts; :func:`expected_coverage` is the coverage of a perfect generator.

    Args:
        real: ``(n, *shape)`` samples or features.
        fake: ``(m, *shape)``.
        k: neighbours.

    Raises:
        IncompatiblePartsError: k below 1, not more than k of either kind, or shapes that differ.
    """
    if k < 1:
        raise IncompatiblePartsError(
            f"precision and recall take a k-th neighbour, and k = {k}", remedy="make k 1 or more; 5 is usual"
        )
    here, there = comparable(f"precision and recall with k = {k}", k + 1, real, fake)
    if not bool(here.isfinite().all() and there.isfinite().all()):
        return PrecisionRecall(math.nan, math.nan, math.nan, math.nan)

    real_radii, fake_radii = _radii(here, k), _radii(there, k)
    precise = torch.zeros(len(there), dtype=torch.bool, device=here.device)
    balls = covered = recalled = 0
    for rows, distances in blocks(here, there):  # (r, m)
        inside = distances < real_radii[rows, None]
        precise |= inside.any(0)
        balls += int(inside.sum())
        covered += int(inside.any(1).sum())
        recalled += int((distances < fake_radii).any(1).sum())
    n, m = len(here), len(there)
    return PrecisionRecall(float(precise.double().mean()), recalled / n, balls / (k * m), covered / n)


def expected_coverage(real_count: int, fake_count: int, k: int = 5) -> float:
    """Coverage that a perfect generator has on average, whatever the distribution (Naeem et al. 2020, lemma 2).

    ``1 − Π (N − i) / (N + M − i)`` for i from 1 to k: nearly ``1 − 2⁻ᵏ`` with as many generated samples as real ones.

    Args:
        real_count: N, real samples.
        fake_count: M, generated samples.
        k: neighbours.

    Raises:
        IncompatiblePartsError: no k-th neighbour among the real samples, or no generated ones.
    """
    if not 1 <= k < real_count or fake_count < 1:
        raise IncompatiblePartsError(
            f"with k = {k} there is no coverage of {real_count} real by {fake_count} generated samples",
            remedy="make k 1 or more, with more real samples than that and some generated ones",
        )
    return 1 - math.prod((real_count - i) / (real_count + fake_count - i) for i in range(1, k + 1))


def _radii(samples: Tensor, k: int) -> Tensor:
    """``(n,)`` distances to the k-th neighbour."""
    return torch.cat([distances.kthvalue(k, dim=1).values for _, distances in own_blocks(samples)])
