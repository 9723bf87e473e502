"""Data for figures: samples projected onto a plane, logits over the plane, groups, and densities on a line."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ganforge.core.records import LogitGrid, Samples
from ganforge.core.specs import DataSpec, GaussianMixture
from ganforge.figures import Floats

_MARGIN = 0.15  # space left free on each side, as a share of the real samples' extent
_TAIL = 0.02


@dataclass(frozen=True, slots=True)
class Projection:
    """A fixed two-dimensional view of ``d``-dimensional points."""

    centre: Floats  # (d,) point that is subtracted first
    axes: Floats  # (d, 2) directions of the two axes
    limits: Floats  # (2, 2) lower and upper end of each axis
    names: tuple[str, str]

    def project(self, points: Floats) -> Floats:
        """``(n, d)`` points → ``(n, 2)`` coordinates."""
        return (points - self.centre) @ self.axes


def flatten(samples: Samples) -> Floats:
    """The values as ``(n, d)`` doubles."""
    return samples.values.detach().flatten(1).double().numpy()


def fit_projection(real: Samples) -> Projection:
    """Two-dimensional data as they are; for more dimensions, the real samples' two principal components (PCA).

    With fewer than two samples, the second direction is arbitrary.
    """
    points = flatten(real)
    points = points if len(points) else np.zeros((1, points.shape[1]))
    width = points.shape[1]
    if width == 2:
        return Projection(np.zeros(2), np.eye(2), axis_limits(points), ("x₀", "x₁"))
    centre = points.mean(0)
    centred = np.pad(points - centre, ((0, max(0, 2 - len(points))), (0, 0)))  # a single row has only one direction
    directions = np.linalg.svd(centred, full_matrices=False)[2][:2].T  # (d, 2)
    names = ("first principal component of the data", "second principal component")
    return Projection(centre, directions, axis_limits((points - centre) @ directions), names)


def axis_limits(points: Floats) -> Floats:
    """``(d, 2)`` ends of each axis around ``(n, d)`` points, with a margin."""
    low, high = points.min(0), points.max(0)
    margin = _MARGIN * np.where(high > low, high - low, 1.0)
    limits: Floats = np.stack([low - margin, high + margin], axis=1)
    return limits


def grid_logits(field: LogitGrid) -> tuple[Floats, ...]:
    """A logit grid as its axes and its logits: ``(nx,)``, ``(ny,)`` and ``(ny, nx)``, or on the line ``(m,)`` and ``(m,)``."""
    points, sides = field.points.double().numpy(), field.sides
    axes = [points[:: math.prod(sides[at + 1 :]), at][:side] for at, side in enumerate(sides)]
    return *axes, field.logits.double().numpy().reshape(sides).T


@dataclass(frozen=True, slots=True)
class Groups:
    """The group of each of ``(n,)`` samples, its label or else its first categorical code, and the names of all groups."""

    indices: np.ndarray[tuple[int], np.dtype[np.int64]]
    names: tuple[str, ...]


def find_groups(samples: Samples, data: DataSpec) -> Groups | None:
    """Group samples by label, else by the first categorical code; ``None`` if they have neither."""
    if samples.labels is not None:
        return Groups(samples.labels.numpy(), class_names(data, data.classes or 0))
    codes = samples.latent.codes if samples.latent else None
    if codes is None or not codes.categorical.numel():
        return None
    values = codes.categorical[:, 0]
    return Groups(values.numpy(), code_names((int(values.max()) + 1,)))


def class_names(data: DataSpec, classes: int) -> tuple[str, ...]:
    """The names of the labels."""
    return data.class_names or tuple(f"class {label}" for label in range(classes))


def code_names(categorical: tuple[int, ...]) -> tuple[str, ...]:
    """Names for the values of the first categorical code."""
    return tuple(f"code 0 = {value}" for value in range(categorical[0]))


def mixture_density(mixture: GaussianMixture, points: Floats) -> Floats:
    """The density of a one-dimensional mixture at ``(m,)`` points."""
    means = np.array([mean[0] for mean in mixture.means])
    weights = np.array(mixture.shares) / (mixture.std * np.sqrt(2 * np.pi))
    distances = (points[:, None] - means) / mixture.std  # (m, modes)
    density: Floats = np.exp(-0.5 * distances**2) @ weights
    return density


def data_density(data: DataSpec, real: Floats, points: Floats) -> Floats:
    """The density of one-dimensional data at ``(m,)`` points: the declared one, else an estimate from ``(n,)`` real values."""
    return mixture_density(data.density, points) if data.density else estimate_density(real, points)


def estimate_density(values: Floats, points: Floats) -> Floats:
    """A Gaussian kernel estimate at ``(m,)`` points from ``(n,)`` values; bandwidth by Silverman's rule of thumb (1986, eq. 3.31).

    Non-finite values are ignored. The bandwidth is at least half the distance between two points, so that a generator that
    produces a single value is visible as a spike.
    """
    values = values[np.isfinite(values)]
    if not len(values):
        return np.zeros(len(points))
    quartiles = np.percentile(values, [25, 75])
    spread = min(float(values.std()), float(quartiles[1] - quartiles[0]) / 1.34) or float(values.std())
    finest = abs(float(points[-1] - points[0])) / max(len(points) - 1, 1) / 2
    width = max(0.9 * spread * len(values) ** -0.2, finest, 1e-12)
    distances = (points[:, None] - values) / width  # (m, n)
    density: Floats = np.exp(-0.5 * distances**2).sum(1) / (len(values) * width * np.sqrt(2 * np.pi))
    return density


def optimal_discriminator(data: Floats, generated: Floats) -> Floats:
    """D*(x) = p_data(x) / (p_data(x) + p_g(x)) (Goodfellow et al. 2014, Proposition 1).

    NaN where the sum of both densities is below 2 % of its peak: estimates from a few hundred samples are meaningless there.
    """
    both = data + generated
    least = _TAIL * max(float(both.max(initial=0.0)), 1e-300)
    best: Floats = np.divide(data, both, out=np.full(len(both), np.nan), where=both > least)
    return best


def probability(logits: Floats) -> Floats:
    """D = σ(logit), without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * logits))
