"""Distances between two sets of samples or features: Fréchet (FID), and maximum mean discrepancy without bias (MMD, KID)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ganforge.core.errors import IncompatiblePartsError
from ganforge.metrics.pairwise_distances import (
    all_finite,
    blocks,
    comparable,
    distinct_pairs,
    own_blocks,
    require_alike,
    require_rows,
)

MMD_SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Standard deviations of the Gaussian kernels, in multiples of the median distance of two real samples."""
_MEDIAN_OF = 1000
_CHUNK = 1 << 23
"""Values of the cubic kernel held at a time, 8 bytes each."""


@dataclass(frozen=True, slots=True)
class KernelDistance:
    """The kernel distance over random subsets."""

    mean: float
    deviation: float  # standard deviation, divided by the number of subsets, as in torchmetrics


def frechet_distance(real_features: Tensor, fake_features: Tensor) -> float:
    """Squared Fréchet distance of the Gaussians with the means and covariances of two sets of features.

    ``‖μ₁ − μ₂‖² + tr Σ₁ + tr Σ₂ − 2 tr (Σ₁Σ₂)^½``, covariances with n − 1. With the pooled features of the Inception network
    of 2015 it is known as FID. Two draws of one distribution do not give 0: the bias falls as 1/n and is large unless n is ten
    times the number of features, so compare values of equal n only. :func:`kernel_distance` has no such bias.

    The eigenvalues of Σ₁Σ₂ are computed as squared singular values of a product of roots of the two, so singular covariances (too
    few samples) lose no accuracy.

    Args:
        real_features: ``(n, d)`` or ``(n, *shape)``, n ≥ 2.
        fake_features: ``(m, d)`` or ``(m, *shape)``, m ≥ 2.

    Returns:
        The distance in squared units of the features; NaN when a feature is not finite.

    Raises:
        IncompatiblePartsError: unequal numbers of features, fewer than two samples, or a tensor of fewer than two dimensions.
    """
    real, fake = _feature_pair(real_features, fake_features)
    real_root, fake_root = _covariance_root(real), _covariance_root(fake)  # Σ = RᵀR
    if not all_finite(real_root, fake_root):
        return math.nan
    # the nonzero eigenvalues of Σ₁Σ₂ = R₁ᵀR₁R₂ᵀR₂ are those of (R₁R₂ᵀ)(R₁R₂ᵀ)ᵀ
    together = torch.linalg.svdvals(real_root @ fake_root.T).sum()
    means = (real.mean(0) - fake.mean(0)).square().sum()
    found = means + real_root.square().sum() + fake_root.square().sum() - 2 * together
    return max(0.0, float(found))


def mmd(real: Tensor, fake: Tensor, scales: tuple[float, ...] = MMD_SCALES) -> float:
    """Unbiased estimate of the squared maximum mean discrepancy (Gretton et al. 2012, eq. 3), with a mean of Gaussian kernels.

    Each kernel is ``exp(-d² / 2σ²)`` with σ a multiple of :func:`median_distance` of the real samples. The mean over draws of one
    distribution is 0 for every sample size; single values may be slightly negative.

    Args:
        real: ``(n, *shape)`` samples or features.
        fake: ``(m, *shape)``.
        scales: multiples of the median distance.

    Returns:
        From about 0 to 2; NaN where a value is not finite.

    Raises:
        IncompatiblePartsError: fewer than 2 of a kind, shapes that differ, a scale that is not positive, or real samples that are
            nearly all equal.
    """
    if not scales or not all(0 < scale < math.inf for scale in scales):
        raise IncompatiblePartsError(f"kernel scales must be positive and finite, got {list(scales)}")
    here, there = comparable("a kernel distance", 2, real, fake)
    if not all_finite(here, there):
        return math.nan
    median = median_distance(here)
    if not median:
        raise IncompatiblePartsError("a kernel distance needs real samples that differ, but most of these are equal")

    widths = [scale * median for scale in scales]
    n, m = len(here), len(there)
    within = sum(_gaussian_sum(block, widths) for _, block in own_blocks(here)) / (n * (n - 1))
    among = sum(_gaussian_sum(block, widths) for _, block in own_blocks(there)) / (m * (m - 1))
    across = sum(_gaussian_sum(block, widths) for _, block in blocks(here, there)) / (n * m)
    return within + among - 2 * across


def median_distance(samples: Tensor) -> float:
    """Median distance of two of the samples ``(n, *shape)``, computed on up to 1,000 of them at equal steps."""
    (points,) = comparable("a median distance", 2, samples)
    rows = torch.arange(min(len(points), _MEDIAN_OF)) * len(points) // min(len(points), _MEDIAN_OF)
    return float(torch.cat([distinct_pairs(at, block) for at, block in own_blocks(points[rows])]).median())


def kernel_distance(real_features: Tensor, fake_features: Tensor) -> float:
    """Unbiased squared MMD with the kernel ``(x·y / d + 1)³`` (Bińkowski et al. 2018); known as KID for Inception features.

    Two draws of one distribution give 0 on average for any number of samples, so the value may be negative, and a few hundred
    samples suffice to see a difference. All pairs are used; memory stays at 64 MB beside the features.

    Args:
        real_features: ``(n, d)`` or ``(n, *shape)``, n ≥ 2.
        fake_features: ``(m, d)`` or ``(m, *shape)``, m ≥ 2.

    Returns:
        The estimate; NaN when a feature is not finite.

    Raises:
        IncompatiblePartsError: unequal numbers of features, or fewer than two samples.
    """
    return _unbiased(*_feature_pair(real_features, fake_features))


def kernel_distance_of_subsets(
    real_features: Tensor, fake_features: Tensor, *, generator: Generator, subsets: int = 100, size: int = 1000
) -> KernelDistance:
    """Mean and deviation of :func:`kernel_distance` over random subsets: the protocol by which KID is published.

    Args:
        real_features: ``(n, d)`` or ``(n, *shape)``.
        fake_features: ``(m, d)`` or ``(m, *shape)``.
        generator: CPU stream that the subsets are drawn from, each without replacement.
        subsets: number of subsets.
        size: samples of each kind in a subset.

    Raises:
        IncompatiblePartsError: unequal numbers of features, or fewer samples than a subset has.
    """
    real, fake = _feature_pair(real_features, fake_features)
    if min(len(real), len(fake)) < size or size < 2 or subsets < 1:
        raise IncompatiblePartsError(
            f"{subsets} subsets of {size} samples cannot be drawn from {len(real)} real and {len(fake)} generated ones",
            remedy="measure more samples, or make the subsets smaller",
        )
    found = torch.tensor([_unbiased(_subset(real, size, generator), _subset(fake, size, generator)) for _ in range(subsets)])
    return KernelDistance(float(found.mean()), float(found.std(correction=0)))


def _covariance_root(rows: Tensor) -> Tensor:
    """A root of the samples' covariance with min(n, d) rows."""
    root = (rows - rows.mean(0)) / math.sqrt(len(rows) - 1)
    if len(root) <= root.shape[1] or not all_finite(root):
        return root
    _, triangle = torch.linalg.qr(root, mode="r")
    return torch.as_tensor(triangle)


def _gaussian_sum(distances: Tensor, widths: list[float]) -> float:
    """Sum over ``(r, m)`` pairs of the mean of the Gaussian kernels; infinite distances add 0."""
    squares = distances.square()
    return sum(float((squares / (-2 * width**2)).exp().sum(dtype=torch.float64)) for width in widths) / len(widths)


def _unbiased(real: Tensor, fake: Tensor) -> float:
    n, m = len(real), len(fake)
    within_real, within_fake = _cubic_sum(real, real) - _diagonal(real), _cubic_sum(fake, fake) - _diagonal(fake)
    found = within_real / (n * (n - 1)) + within_fake / (m * (m - 1)) - 2 * _cubic_sum(real, fake) / (n * m)
    return float(found) if math.isfinite(found) else math.nan


def _cubic_sum(one: Tensor, other: Tensor) -> float:
    """Sum of the kernel over all pairs of rows."""
    chunks = torch.split(one, max(1, _CHUNK // len(other)))
    return sum(float(_cubic(chunk @ other.T, one.shape[1]).sum()) for chunk in chunks)


def _diagonal(rows: Tensor) -> float:
    """Sum of the kernel of each row with itself."""
    return float(_cubic(rows.square().sum(1), rows.shape[1]).sum())


def _cubic(products: Tensor, width: int) -> Tensor:
    return (products / width + 1) ** 3


def _subset(rows: Tensor, size: int, generator: Generator) -> Tensor:
    return rows[torch.randperm(len(rows), generator=generator)[:size]]


def _feature_pair(real_features: Tensor, fake_features: Tensor) -> tuple[Tensor, Tensor]:
    """Both as ``(n, d)`` float64 on the CPU."""
    require_rows(real_features, fake_features)
    real, fake = (features.detach().flatten(1).cpu().double() for features in (real_features, fake_features))
    require_alike("a distance of features", 2, real, fake)
    return real, fake
