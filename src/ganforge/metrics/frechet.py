"""Fréchet distance: two sets of features, each taken for a Gaussian (Heusel et al. 2017, https://arxiv.org/abs/1706.08500)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ganforge.core.errors import IncompatiblePartsError
from ganforge.metrics.pairwise_distances import insist_on_rows


def frechet_distance(real_features: Tensor, fake_features: Tensor) -> float:
    """Squared Fréchet distance of the Gaussians with the means and covariances of two sets of features.

    ``‖μ₁ − μ₂‖² + tr Σ₁ + tr Σ₂ − 2 tr (Σ₁Σ₂)^½``, covariances with n − 1. With the pooled features of the Inception network
    of 2015 it is known as FID. Two draws of one distribution do not give 0: what is left falls as 1/n, and is large where n is not
    ten times the number of features, so that only values of equal n compare. :func:`kernel_distance` has no such bias.

    The eigenvalues of Σ₁Σ₂ are found as squares of singular values of a product of roots of the two, so that covariances of too few
    samples, which are singular, cost no accuracy.

    Args:
        real_features: ``(n, d)`` or ``(n, *shape)``, n of 2 or more.
        fake_features: ``(m, d)``, likewise.

    Returns:
        The distance in squared units of the features; NaN when a feature is not finite.

    Raises:
        IncompatiblePartsError: unequal numbers of features, fewer than two samples, or no rows of features.
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
    if (
        real_mean.shape != (d,)
        or real_mean.shape != fake_mean.shape
        or not real_covariance.shape == fake_covariance.shape == (d, d)
    ):
        shapes = [tuple(part.shape) for part in (real_mean, real_covariance, fake_mean, fake_covariance)]
        raise IncompatiblePartsError(f"means and covariances of shapes {shapes} do not fit each other")
    real, fake = _root(real_covariance), _root(fake_covariance)
    return _distance(real_mean.detach().cpu().double(), real, fake_mean.detach().cpu().double(), fake)


def _distance(real_mean: Tensor, real_root: Tensor, fake_mean: Tensor, fake_root: Tensor) -> float:
    """Of means and of roots ``(r, d)``, whose transpose times themselves are the covariances."""
    parts = (real_mean, real_root, fake_mean, fake_root)
    if not all(bool(part.isfinite().all()) for part in parts):
        return math.nan
    # tr (Σ₁Σ₂)^½ for Σ = RᵀR: the eigenvalues of R₁ᵀR₁R₂ᵀR₂ that are not 0 are those of (R₁R₂ᵀ)(R₁R₂ᵀ)ᵀ
    together = torch.linalg.svdvals(real_root @ fake_root.T).sum()
    found = (real_mean - fake_mean).square().sum() + real_root.square().sum() + fake_root.square().sum() - 2 * together
    return max(0.0, float(found))


def _rows(features: Tensor) -> Tensor:
    """``(n, d)`` float64 on the CPU."""
    insist_on_rows(features)
    if len(features) < 2:
        raise IncompatiblePartsError(
            f"{len(features)} sample(s) have no covariance", remedy="give two or more, and many more than features"
        )
    return features.detach().flatten(1).cpu().double()


def _root_of_samples(rows: Tensor) -> Tensor:
    """A root of the samples' covariance, with as many rows as there are samples or features, whichever is less."""
    root = (rows - rows.mean(0)) / math.sqrt(len(rows) - 1)
    if len(root) <= root.shape[1] or not bool(root.isfinite().all()):
        return root
    _, triangle = torch.linalg.qr(root, mode="r")
    return torch.as_tensor(triangle)


def _root(covariance: Tensor) -> Tensor:
    """A root of a covariance; rounding may have left it eigenvalues below 0, which count as 0."""
    symmetric = covariance.detach().cpu().double()
    if not bool(symmetric.isfinite().all()):
        return symmetric
    values, vectors = torch.linalg.eigh((symmetric + symmetric.T) / 2)
    return torch.as_tensor(vectors * values.clamp_min(0).sqrt()).T
