"""Densities on a line: the true one where it is known, estimates elsewhere, and the best possible discriminator."""

from __future__ import annotations

import numpy as np

from ganforge.core.specs import GaussianMixture
from ganforge.figures.history import Floats

_TAIL = 0.02


def mixture_density(mixture: GaussianMixture, points: Floats) -> Floats:
    """The density of a one-dimensional mixture at ``(m,)`` points."""
    means = np.array([mean[0] for mean in mixture.means])
    weights = np.array(mixture.shares) / (mixture.std * np.sqrt(2 * np.pi))
    distances = (points[:, None] - means) / mixture.std  # (m, modes)
    density: Floats = np.exp(-0.5 * distances**2) @ weights
    return density


def estimated_density(values: Floats, points: Floats) -> Floats:
    """A Gaussian kernel estimate at ``(m,)`` points from ``(n,)`` values; Silverman's rule of thumb for the width (1986, eq. 3.31).

    Values that are not finite are left out; the width is at least half the distance between two points, so that a generator that
    gives one value only still shows, as a spike.
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

    NaN where both densities are next to nothing, below 2 % of their peak: an estimate from some hundred samples says nothing there.
    """
    both = data + generated
    least = _TAIL * max(float(both.max(initial=0.0)), 1e-300)
    best: Floats = np.divide(data, both, out=np.full(len(both), np.nan), where=both > least)
    return best


def probability(logits: Floats) -> Floats:
    """D = σ(logit), without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * logits))
