"""Kernel distances between two sets of samples."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ganforge.core.errors import IncompatiblePartsError
from ganforge.metrics.pairwise_distances import blocks, comparable, own_blocks

MMD_SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)
"""Standard deviations of the Gaussian kernels, in medians of the distance between two real samples."""
_MEDIAN_OF = 1000


def mmd(real: Tensor, fake: Tensor, scales: tuple[float, ...] = MMD_SCALES) -> float:
    """Unbiased estimate of the squared maximum mean discrepancy (Gretton et al. 2012, eq. 3), with a mean of Gaussian kernels.

    Each kernel is ``exp(-d² / 2σ²)`` with σ a multiple of :func:`median_distance` of the real samples. The mean over draws of one
    distribution is 0 at every sample size, and a single value may be a little below.

    Args:
        real: ``(n, *shape)`` samples or features.
        fake: ``(m, *shape)``.
        scales: multiples of the median distance.

    Returns:
        From about 0 to 2; NaN where a value is not finite.

    Raises:
        IncompatiblePartsError: fewer than 2 of a kind, shapes that differ, a scale that is not above 0, or real samples nearly all
            the same.
    """
    if not scales or not all(0 < scale < math.inf for scale in scales):
        raise IncompatiblePartsError(f"a kernel's scale is above 0, and these are not: {list(scales)}")
    here, there = comparable("a kernel distance", 2, real, fake)
    if not bool(here.isfinite().all() and there.isfinite().all()):
        return math.nan
    median = median_distance(here)
    if not median:
        raise IncompatiblePartsError("a kernel distance needs real samples that differ, and most of these are the same")

    widths = [scale * median for scale in scales]
    n, m = len(here), len(there)
    within = sum(_kernel_sum(block, widths) for _, block in own_blocks(here)) / (n * (n - 1))
    among = sum(_kernel_sum(block, widths) for _, block in own_blocks(there)) / (m * (m - 1))
    across = sum(_kernel_sum(block, widths) for _, block in blocks(here, there)) / (n * m)
    return within + among - 2 * across


def median_distance(samples: Tensor) -> float:
    """Median distance of two of the samples ``(n, *shape)``, of up to 1,000 of them, evenly taken.

    Raises:
        IncompatiblePartsError: fewer than 2.
    """
    (points,) = comparable("a median distance", 2, samples)
    rows = torch.arange(min(len(points), _MEDIAN_OF)) * len(points) // min(len(points), _MEDIAN_OF)
    chosen = points[rows]
    pairs = torch.cat([block[torch.ones_like(block).triu(at.start + 1).bool()] for at, block in own_blocks(chosen)])
    return float(pairs.median())


def _kernel_sum(distances: Tensor, widths: list[float]) -> float:
    """Sum over ``(r, m)`` pairs of the mean of the kernels; infinite distances count nothing."""
    squares = distances.square()
    return sum(float((squares / (-2 * width**2)).exp().sum(dtype=torch.float64)) for width in widths) / len(widths)
