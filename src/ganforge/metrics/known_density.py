"""Metrics for mixtures of Gaussians: captured modes and sample quality, the optimal discriminator, and divergences."""

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
HIGH_QUALITY = 3.0
"""A sample is of high quality if it lies within this many standard deviations of its nearest mode."""
_APART = 8.0
"""Modes at least this many standard deviations apart share less than a millionth of their samples."""
_DRAWS = 200_000
_DISTANCES = 1 << 20


@dataclass(frozen=True, slots=True)
class Divergences:
    """Divergences of two distributions p and q, in nats; NaN where a value is not finite."""

    kl: float  # KL(p ‖ q): large where q misses parts of p
    reverse_kl: float  # KL(q ‖ p): large where q lies outside p
    js: float  # Jensen–Shannon divergence, at most log 2
    total_variation: float  # half the sum of absolute differences, at most 1


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


@dataclass(frozen=True, slots=True)
class ModeCoverage:
    """Result of :func:`mode_coverage`.

    Attributes:
        captured: number of modes that are nearest to at least one high-quality sample.
        high_quality: share of high-quality samples, in [0, 1].
        reverse_kl: KL(generated ‖ true) in nats, over the modes' shares among high-quality samples. Without any such sample it
            takes its greatest value, as if all samples lay in the rarest mode.
    """

    captured: int
    high_quality: float
    reverse_kl: float


@dataclass(frozen=True, slots=True)
class PerfectModes:
    """Result of :func:`perfect_modes`."""

    high_quality: float  # share of high-quality samples
    shares: tuple[float, ...]  # share of these nearest to each mode; differs from the mixture's shares where modes overlap


def mode_coverage(samples: Tensor, centres: Tensor, std: float, shares: Sequence[float] | Tensor | None = None) -> ModeCoverage:
    """Captured modes, share of high-quality samples, and reverse KL, as VEEGAN and PacGAN count them.

    A sample is of high quality if it lies strictly within 3 standard deviations of its nearest mode; a mode is captured if it is
    nearest to at least one of these (Srivastava et al. 2017; Lin et al. 2018, ``pacgan/extensions.py``, which counts shares over
    high-quality samples only). Published figures use 2,500 samples.

    A perfect sampler does not reach 100 %: for separate modes in d dimensions it has the share P(χ²_d < 9), in the plane
    1 - exp(-4.5) = 98.89 %; more means that the modes are too narrow. Its reverse KL over m equal modes is about
    (m - 1)/2n: for n = 2,500, 0.0014 with 8 modes and 0.0048 with 25. For overlapping modes see :func:`perfect_modes`.

    Args:
        samples: ``(n, d)``; samples that are not finite are never of high quality.
        centres: ``(m, d)``.
        std: standard deviation of every mode along every axis.
        shares: ``(m,)`` true shares; equal unless given.

    Raises:
        IncompatiblePartsError: no samples, no modes, shapes that do not fit, or a standard deviation that is not positive.
    """
    if not samples.dim() == centres.dim() == 2 or not len(samples) or not len(centres) or samples.shape[1:] != centres.shape[1:]:
        raise IncompatiblePartsError(f"samples of shape {tuple(samples.shape)} do not fit modes of shape {tuple(centres.shape)}")
    if shares is not None and len(shares) != len(centres):
        raise IncompatiblePartsError(f"{len(shares)} shares do not fit {len(centres)} modes")
    if not 0 < std < math.inf:
        raise IncompatiblePartsError(f"the standard deviation of modes must be positive and finite, got {std}")

    points, means = samples.detach().cpu().double(), torch.as_tensor(centres).cpu().double()
    good = _high_quality(points, means, std)

    counts = good.bincount(minlength=len(means)).double()
    true = torch.full_like(counts, 1 / len(means)) if shares is None else torch.as_tensor(shares, dtype=torch.float64)
    return ModeCoverage(int((counts > 0).sum()), len(good) / len(points), _divergence(counts, true))


def perfect_high_quality(dimensions: int) -> float:
    """Share of high-quality samples of a perfect sampler whose modes do not overlap: P(χ²_d < 9)."""
    half = torch.tensor(dimensions / 2, dtype=torch.float64)
    return float(torch.special.gammainc(half, torch.tensor(HIGH_QUALITY**2 / 2).double()))


def perfect_modes(mixture: GaussianMixture) -> PerfectModes:
    """Share of high-quality samples, and shares of modes, of a perfect sampler of the mixture.

    For separate modes these are :func:`perfect_high_quality` and the mixture's shares. If two modes are nearer than 8 standard
    deviations, a sample of one mode may lie within 3σ of another; the values then come from 200,000 draws, the same every time,
    which give the high-quality share within about 0.0003.
    """
    means, shares = (torch.tensor(part, dtype=torch.float64) for part in (mixture.means, mixture.shares))
    if len(means) < 2 or float(torch.pdist(means).min()) >= _APART * mixture.std:
        return PerfectModes(perfect_high_quality(means.shape[1]), mixture.shares)

    stream, found = torch.Generator().manual_seed(0), torch.zeros_like(shares)
    modes = torch.multinomial(shares, _DRAWS, replacement=True, generator=stream)
    for drawn in torch.split(modes, max(1, _DISTANCES // len(means))):
        noise = torch.randn(len(drawn), means.shape[1], generator=stream, dtype=torch.float64)
        found += _high_quality(means[drawn] + mixture.std * noise, means, mixture.std).bincount(minlength=len(means))
    return PerfectModes(float(found.sum()) / _DRAWS, tuple((found / found.sum()).tolist()))


def gaussian_mixture_density(points: Tensor, mixture: GaussianMixture) -> Tensor:
    """``(n,)`` density of the mixture at ``(n, d)`` points, in the points' dtype."""
    means = points.new_tensor(mixture.means)  # (m, d)
    squares = torch.cdist(points, means, compute_mode="donot_use_mm_for_euclid_dist").square() / mixture.std**2
    constant = means.shape[1] * math.log(mixture.std * math.sqrt(2 * math.pi))
    return torch.logsumexp(points.new_tensor(mixture.shares).log() - squares / 2 - constant, dim=1).exp()


def _high_quality(points: Tensor, means: Tensor, std: float) -> Tensor:
    """The nearest mode of each point ``(n, d)`` that is of high quality."""
    distances = torch.cdist(points, means, compute_mode="donot_use_mm_for_euclid_dist")  # (n, m)
    nearest, mode = distances.nan_to_num(nan=math.inf).min(dim=1)
    return mode[nearest < HIGH_QUALITY * std]


def _divergence(counts: Tensor, true: Tensor) -> float:
    """KL(counted ‖ true) of the modes' shares, ``(m,)`` each."""
    if not counts.sum():
        return -math.log(float(true.min()))
    found = counts / counts.sum()
    present = found > 0
    return float((found[present] * (found[present] / true[present]).log()).sum())
