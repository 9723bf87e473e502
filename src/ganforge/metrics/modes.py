"""Mode coverage of mixtures of Gaussians: captured modes, sample quality and shares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ganforge.core.errors import IncompatiblePartsError
from ganforge.core.specs import GaussianMixture

HIGH_QUALITY = 3.0
"""A sample is of high quality if it lies within this many standard deviations of its nearest mode."""
_APART = 8.0
"""Modes at least this many standard deviations apart share less than a millionth of their samples."""
_DRAWS = 200_000
_CHUNK = 1 << 20


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
    """Result of :func:`perfect_modes`.

    Attributes:
        high_quality: share of high-quality samples.
        shares: share of these nearest to each mode; differs from the mixture's shares where modes overlap.
    """

    high_quality: float
    shares: tuple[float, ...]


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
    for drawn in torch.split(modes, max(1, _CHUNK // len(means))):
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
