"""Fréchet distance between two sets of features, each treated as a Gaussian (Heusel et al. 2017)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ganforge.core.errors import IncompatiblePartsError
from ganforge.metrics.pairwise_distances import all_finite, require_rows


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
    real, fake = _rows(real_features), _rows(fake_features)
    if real.shape[1] != fake.shape[1]:
        raise IncompatiblePartsError(f"cannot compare {real.shape[1]} real with {fake.shape[1]} generated features per sample")
    return _distance(real.mean(0), _root_of_samples(real), fake.mean(0), _root_of_samples(fake))


def frechet_distance_of_moments(real_mean: Tensor, real_covariance: Tensor, fake_mean: Tensor, fake_covariance: Tensor) -> float:
    """:func:`frechet_distance` from means ``(d,)`` and covariances ``(d, d)``, as statistics files hold them.

    Raises:
        IncompatiblePartsError: shapes that do not fit each other.
    """
    d = real_mean.numel()
    if not real_mean.shape == fake_mean.shape == (d,) or not real_covariance.shape == fake_covariance.shape == (d, d):
        shapes = [tuple(part.shape) for part in (real_mean, real_covariance, fake_mean, fake_covariance)]
        raise IncompatiblePartsError(f"means and covariances of shapes {shapes} do not fit each other")
    real, fake = _root(real_covariance), _root(fake_covariance)
    return _distance(real_mean.detach().cpu().double(), real, fake_mean.detach().cpu().double(), fake)


def _distance(real_mean: Tensor, real_root: Tensor, fake_mean: Tensor, fake_root: Tensor) -> float:
    """Distance from means ``(d,)`` and roots ``(r, d)`` of the covariances, Σ = RᵀR."""
    if not all_finite(real_mean, real_root, fake_mean, fake_root):
        return math.nan
    # the nonzero eigenvalues of Σ₁Σ₂ = R₁ᵀR₁R₂ᵀR₂ are those of (R₁R₂ᵀ)(R₁R₂ᵀ)ᵀ
    together = torch.linalg.svdvals(real_root @ fake_root.T).sum()
    found = (real_mean - fake_mean).square().sum() + real_root.square().sum() + fake_root.square().sum() - 2 * together
    return max(0.0, float(found))


def _rows(features: Tensor) -> Tensor:
    """``(n, d)`` float64 on the CPU."""
    require_rows(features)
    if len(features) < 2:
        raise IncompatiblePartsError(
            f"a covariance needs at least 2 samples, got {len(features)}", remedy="give many more samples than features"
        )
    return features.detach().flatten(1).cpu().double()


def _root_of_samples(rows: Tensor) -> Tensor:
    """A root of the samples' covariance with min(n, d) rows."""
    root = (rows - rows.mean(0)) / math.sqrt(len(rows) - 1)
    if len(root) <= root.shape[1] or not all_finite(root):
        return root
    _, triangle = torch.linalg.qr(root, mode="r")
    return torch.as_tensor(triangle)


def _root(covariance: Tensor) -> Tensor:
    """A root of a covariance; eigenvalues that rounding made negative count as 0."""
    symmetric = covariance.detach().cpu().double()
    if not all_finite(symmetric):
        return symmetric
    values, vectors = torch.linalg.eigh((symmetric + symmetric.T) / 2)
    return torch.as_tensor(vectors * values.clamp_min(0).sqrt()).T
