"""Kernel distance: maximum mean discrepancy of features without bias (Bińkowski et al. 2018, https://arxiv.org/abs/1801.01401)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ganforge.core.errors import IncompatiblePartsError
from ganforge.metrics.pairwise_distances import insist_on_rows

_CHUNK = 1 << 23
"""Values of the kernel that are held together, as 8 bytes each."""


@dataclass(frozen=True, slots=True)
class KernelDistance:
    """The kernel distance over random subsets.

    Attributes:
        mean: mean of the subsets' distances.
        deviation: their standard deviation (with the number of subsets, as torchmetrics has it).
    """

    mean: float
    deviation: float


def kernel_distance(real_features: Tensor, fake_features: Tensor) -> float:
    """Unbiased estimate of the squared MMD with the kernel ``(x·y / d + 1)³``; of Inception features it is known as KID.

    Two draws of one distribution give 0 on average whatever their number, so that it may be negative, and a few hundred samples
    are enough to see a difference. All pairs are used; memory stays at 64 MB beside the features.

    Args:
        real_features: ``(n, d)`` or ``(n, *shape)``, n of 2 or more.
        fake_features: ``(m, d)``, likewise.

    Returns:
        The estimate; NaN when a feature is not finite.

    Raises:
        IncompatiblePartsError: unequal numbers of features, or fewer than two samples.
    """
    real, fake = _pair(real_features, fake_features)
    return _unbiased(real, fake)


def kernel_distance_of_subsets(
    real_features: Tensor, fake_features: Tensor, *, generator: Generator, subsets: int = 100, size: int = 1000
) -> KernelDistance:
    """Mean and deviation of :func:`kernel_distance` over random subsets: the protocol by which KID is published.

    Args:
        real_features: ``(n, d)`` or ``(n, *shape)``.
        fake_features: ``(m, d)``, likewise.
        generator: CPU stream that the subsets are drawn from, each without replacement.
        subsets: number of subsets.
        size: samples of each kind in a subset.

    Raises:
        IncompatiblePartsError: unequal numbers of features, or fewer samples than a subset has.
    """
    real, fake = _pair(real_features, fake_features)
    if min(len(real), len(fake)) < size or size < 2 or subsets < 1:
        raise IncompatiblePartsError(
            f"{subsets} subsets of {size} samples cannot be drawn from {len(real)} real and {len(fake)} generated ones",
            remedy="measure more samples, or make the subsets smaller",
        )
    found = torch.tensor([_unbiased(_some(real, size, generator), _some(fake, size, generator)) for _ in range(subsets)])
    return KernelDistance(float(found.mean()), float(found.std(correction=0)))


def _unbiased(real: Tensor, fake: Tensor) -> float:
    n, m = len(real), len(fake)
    within_real, within_fake = _sum(real, real) - _own(real), _sum(fake, fake) - _own(fake)
    found = within_real / (n * (n - 1)) + within_fake / (m * (m - 1)) - 2 * _sum(real, fake) / (n * m)
    return float(found) if math.isfinite(found) else math.nan


def _sum(one: Tensor, other: Tensor) -> float:
    """Sum of the kernel over all pairs of rows."""
    chunks = torch.split(one, max(1, _CHUNK // len(other)))
    return sum(float(_cubed(chunk @ other.T, one.shape[1]).sum()) for chunk in chunks)


def _own(rows: Tensor) -> float:
    """Sum of the kernel of each row with itself."""
    return float(_cubed(rows.square().sum(1), rows.shape[1]).sum())


def _cubed(products: Tensor, width: int) -> Tensor:
    return (products / width + 1) ** 3


def _some(rows: Tensor, size: int, generator: Generator) -> Tensor:
    return rows[torch.randperm(len(rows), generator=generator)[:size]]


def _pair(real_features: Tensor, fake_features: Tensor) -> tuple[Tensor, Tensor]:
    """Both as ``(n, d)`` float64 on the CPU."""
    insist_on_rows(real_features, fake_features)
    if min(len(real_features), len(fake_features)) < 2:
        raise IncompatiblePartsError(
            f"pairs need two samples; there are {len(real_features)} real and {len(fake_features)} generated ones"
        )
    real, fake = (features.detach().flatten(1).cpu().double() for features in (real_features, fake_features))
    if real.shape[1] != fake.shape[1]:
        raise IncompatiblePartsError(f"cannot compare {real.shape[1]} real with {fake.shape[1]} generated features per sample")
    return real, fake
