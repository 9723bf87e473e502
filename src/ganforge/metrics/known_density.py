"""Metrics for data of known density: the optimal discriminator, and divergences of generated samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ganforge.core.errors import IncompatiblePartsError
from ganforge.core.specs import GaussianMixture

LEAST_MASS = 1e-30
"""Lower bound of a cell's mass inside logarithms: data that is missed altogether costs at most 69 nats."""
_REACH = 5.0
_MARGIN = 0.25
_CHUNK = 4096


@dataclass(frozen=True, slots=True)
class Divergences:
    """Divergences of two distributions p and q, in nats; NaN where a value is not finite.

    Attributes:
        kl: KL(p ‖ q): large where q misses parts of p.
        reverse_kl: KL(q ‖ p): large where q lies outside p.
        js: Jensen–Shannon divergence, at most log 2.
        total_variation: half the sum of absolute differences, at most 1.
    """

    kl: float
    reverse_kl: float
    js: float
    total_variation: float


@dataclass(frozen=True, slots=True)
class SmoothedGrid:
    """The data's density and that of generated samples, smoothed alike and integrated over the cells of a grid.

    Attributes:
        points: ``(c, d)`` centres of the cells.
        true: ``(c,)`` masses of the data.
        generated: ``(c,)`` masses of the samples.
        outside: masses of both outside the grid.
        width: σ of the Gaussian that both are smoothed with.
    """

    points: Tensor
    true: Tensor
    generated: Tensor
    outside: tuple[float, float]
    width: float

    @property
    def optimal(self) -> Tensor:
        """``(c,)`` output p / (p + q) of the optimal discriminator (Goodfellow et al. 2014, Prop. 1)."""
        both = self.true + self.generated
        return torch.where(both == 0, 0.5, self.true / both)

    def gap(self, logits: Tensor) -> float:
        """Mean absolute difference of a discriminator's and the optimal probability, weighted by (p + q) / 2 over the grid.

        Args:
            logits: ``(c,)``, of the discriminator at the points; the sigmoid turns them into probabilities.
        """
        weights = self.true + self.generated
        apart = (torch.sigmoid(logits.detach().to(weights)) - self.optimal).abs()
        return float((weights * apart).sum() / weights.sum())

    def divergences(self) -> Divergences:
        """Divergences of the data p and the samples q; everything outside the grid is one more cell."""
        everything = zip((self.true, self.generated), self.outside, strict=True)
        return divergences(*(torch.cat([masses, masses.new_tensor([outside])]) for masses, outside in everything))


def smoothed_grid(samples: Tensor, mixture: GaussianMixture, cells: int = 256) -> SmoothedGrid:
    """Both densities on a grid around the modes, with a kernel density estimate for the samples.

    Samples are smoothed with a Gaussian whose σ is Scott's rule for one mode, std · (n / modes)^(-1 / (d + 4)), and the known
    density with the same, so that the estimate is unbiased for a perfect generator. Smoothing and cells only lower divergences.

    Args:
        samples: ``(n, d)`` with d of 1 or 2.
        mixture: the data's density.
        cells: cells along each axis; the grid extends a quarter of the modes' range beyond them, at least five standard deviations.

    Raises:
        IncompatiblePartsError: no samples, more than 2 dimensions, or shapes that do not fit.
    """
    dimensions = len(mixture.means[0])
    if dimensions > 2 or samples.dim() != 2 or samples.shape[1] != dimensions or not len(samples):
        raise IncompatiblePartsError(f"a density grid needs samples (n, 1) or (n, 2) like the modes, got {tuple(samples.shape)}")

    points = samples.detach().cpu().double()
    points = torch.where(points.isfinite(), points, math.nan)
    means = torch.tensor(mixture.means, dtype=torch.float64)
    width = mixture.std * (len(points) / len(means)) ** (-1 / (dimensions + 4))
    spread = math.hypot(mixture.std, width)
    margin = (_MARGIN * (means.amax(0) - means.amin(0))).clamp_min(_REACH * spread)
    sides = zip((means.amin(0) - margin).tolist(), (means.amax(0) + margin).tolist(), strict=True)
    edges = [torch.linspace(low, high, cells + 1, dtype=torch.float64) for low, high in sides]

    centres = torch.cartesian_prod(*[(edge[1:] + edge[:-1]) / 2 for edge in edges]).reshape(-1, dimensions)
    shares = torch.tensor(mixture.shares, dtype=torch.float64)
    outside = (_outside(means, spread, edges, shares), _outside(points, width, edges))
    true, generated = cell_masses(means, spread, edges, shares), cell_masses(points, width, edges)
    return SmoothedGrid(centres, true, generated, outside, width)


def cell_masses(means: Tensor, std: float, edges: Sequence[Tensor], shares: Tensor | None = None) -> Tensor:
    """``(c,)`` exact masses of a mixture of isotropic Gaussians in the cells of a grid; all NaN where a mean is not finite.

    Args:
        means: ``(n, d)`` doubles.
        std: standard deviation along every axis.
        edges: one or two axes, each ``(g + 1,)`` rising.
        shares: ``(n,)``; equal unless given.
    """
    weights = torch.full((len(means),), 1 / len(means), dtype=means.dtype) if shares is None else shares
    total = means.new_zeros([len(edge) - 1 for edge in edges])
    for part, share in zip(torch.split(means, _CHUNK), torch.split(weights, _CHUNK), strict=True):
        first, *second = [_interval_masses(part[:, axis], std, edge) for axis, edge in enumerate(edges)]  # (n, g) each
        total += (first * share[:, None]).T @ second[0] if second else share @ first
    return total.flatten()


def divergences(p: Tensor, q: Tensor) -> Divergences:
    """Divergences of two distributions given as masses ``(c,)`` of the same cells, each summing to 1.

    Raises:
        IncompatiblePartsError: shapes that differ.
    """
    if p.shape != q.shape or p.dim() != 1:
        raise IncompatiblePartsError(f"cannot compare masses of shapes {tuple(p.shape)} and {tuple(q.shape)}")
    one, other = p.detach().double().clamp_min(0), q.detach().double().clamp_min(0)
    middle = (one + other) / 2
    js = (_kl(one, middle) + _kl(other, middle)) / 2
    return Divergences(_kl(one, other), _kl(other, one), js, float((one - other).abs().sum()) / 2)


def _kl(p: Tensor, q: Tensor) -> float:
    return float((p * (p.clamp_min(LEAST_MASS).log() - q.clamp_min(LEAST_MASS).log())).sum())


def _interval_masses(centres: Tensor, std: float, edges: Tensor) -> Tensor:
    """``(n, g)`` masses of one-dimensional Gaussians between adjacent edges, exact in both tails."""
    places = (edges - centres[:, None]) / std
    left, right = places[:, :-1], places[:, 1:]
    mirrored = left > 0  # beyond the mean, use the other tail, which does not cancel against 1
    lower, upper = torch.where(mirrored, -right, left), torch.where(mirrored, -left, right)
    return _below(upper) - _below(lower)


def _outside(means: Tensor, std: float, edges: Sequence[Tensor], shares: Tensor | None = None) -> float:
    """Mass of a mixture outside the grid, without the cancellation of 1 - inside."""
    outside = torch.zeros(len(means), dtype=means.dtype)
    for axis, edge in enumerate(edges):
        centres = means[:, axis]
        beyond = _below((edge[0] - centres) / std) + _below((centres - edge[-1]) / std)
        outside = outside + beyond - outside * beyond
    return float(outside.mean() if shares is None else outside @ shares)


def _below(places: Tensor) -> Tensor:
    """The normal's distribution function; unlike ``torch.special.ndtr`` it stays exact in the left tail."""
    share: Tensor = torch.special.erfc(-places / math.sqrt(2)) / 2
    return share
