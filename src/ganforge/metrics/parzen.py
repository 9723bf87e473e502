"""Parzen-window estimate of the log-likelihood of test data, as reported by the GAN papers of 2014."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ganforge.core.errors import IncompatiblePartsError
from ganforge.metrics.pairwise_distances import FEW, require_alike

PARZEN_WIDTHS = tuple(10 ** (step / 9 - 1) for step in range(10))
"""The ten values of σ that the 2014 code chooses from: 0.1 to 1, evenly spaced on a log axis."""

LEAST_WIDTH, GREATEST_WIDTH = 1e-50, 1e50
"""Limits of σ: beyond them, squared distances in units of σ overflow."""
_CHUNK = 500
_ROUNDING = 5e-3
"""Rounding error allowed in the log-density of one point, in nats; their mean changes by far less."""


@dataclass(frozen=True, slots=True)
class ParzenLikelihood:
    """One row of Table 1 of Goodfellow et al. 2014; NaN where a value is not finite."""

    mean: float  # mean log-likelihood of the test data, in nats
    standard_error: float  # of the mean, over the test data
    width: float  # the σ chosen on the validation data


def parzen_log_likelihood(
    samples: Tensor, validation: Tensor, test: Tensor, widths: Sequence[float] = PARZEN_WIDTHS
) -> ParzenLikelihood:
    """Mean log-likelihood of ``test`` under Gaussian windows on ``samples``, whose σ is the best of ``widths`` on ``validation``.

    The protocol of the 2014 paper's code on MNIST: 10,000 samples and all 10,000 test images with pixels in [0, 1], and the first
    1,000 validation images. The number of samples alone moves the result by 100 nats, so compare equal numbers only. Real training
    images as samples give 242.7; blurred ones can give more (Theis et al. 2016): it reproduces the table, but measures no quality.

    Args:
        samples: ``(n, *shape)`` generated samples.
        validation: ``(v, *shape)`` real samples that choose σ.
        test: ``(m, *shape)`` real samples, m ≥ 2.
        widths: the values of σ to choose from, in the data's units.

    Raises:
        IncompatiblePartsError: too few samples, shapes that differ, no σ, or one outside [1e-50, 1e50].
    """
    require_alike("a likelihood estimate", 1, samples, validation, test)
    require_alike("the error of a likelihood", 2, test)

    scores = log_densities(samples, validation, widths).mean(1)  # (widths,)
    if not bool(scores.isfinite().any()):
        return ParzenLikelihood(math.nan, math.nan, math.nan)
    best = widths[int(scores.nan_to_num(nan=-math.inf).argmax())]
    (found,) = log_densities(samples, test, [best])  # (m,)
    return ParzenLikelihood(float(found.mean()), float(found.std(correction=0)) / math.sqrt(len(found)), best)


def log_densities(samples: Tensor, points: Tensor, widths: Sequence[float]) -> Tensor:
    """Log-density of each point under the mean of isotropic Gaussians on the samples; NaN where a value is not finite.

    Args:
        samples: ``(n, *shape)`` centres.
        points: ``(m, *shape)``.
        widths: values of σ; all share one matrix of distances.

    Returns:
        ``(widths, m)`` in float64, on the CPU, exact to 0.005 nats or better. Memory stays at 500 × n distances. Above 32
        dimensions, windows that are narrow compared with the data (0.03 for MNIST) take up to twice as long, and very narrow ones
        (1e-6) far longer.

    Raises:
        IncompatiblePartsError: no σ, or one outside [1e-50, 1e50].
    """
    _check_widths(widths)
    centres, queries = samples.detach().flatten(1).double(), points.detach().to(samples.device).flatten(1).double()
    count, dimensions = centres.shape
    middle = centres.mean(0)
    centres, queries = centres - middle, queries - middle  # (n, d) and (m, d), near the origin
    precision = _precision(centres, queries, min(widths)) if dimensions > FEW else None
    if precision is not None:
        centres, queries = centres.to(precision), queries.to(precision)
    squares = centres.square().sum(1)
    columns = []
    for rows in torch.split(queries, _CHUNK):
        if precision is None:
            distances = torch.cdist(rows, centres, compute_mode="donot_use_mm_for_euclid_dist").square()  # (rows, n)
        else:
            distances = (rows.square().sum(1, keepdim=True) + squares - 2 * rows @ centres.T).clamp_min(0)
        columns.append(torch.stack([torch.logsumexp(-distances / (2 * width**2), dim=1) for width in widths]))
    found = torch.cat(columns, dim=1).double().cpu()  # (widths, m)
    scale = torch.tensor([math.log(width * math.sqrt(2 * math.pi)) for width in widths], dtype=torch.float64)
    return found - math.log(count) - dimensions * scale[:, None]


def _precision(centres: Tensor, queries: Tensor, width: float) -> torch.dtype | None:
    """The cheapest dtype whose matrix products are exact enough for this width; ``None`` if only differences are."""
    most = 0.0
    for samples in (centres, queries):
        squares = samples.square().sum(1)
        most += float(squares[squares.isfinite()].max()) if bool(squares.isfinite().any()) else 0.0
    fit = (kind for kind in (torch.float32, torch.float64) if torch.finfo(kind).eps * most <= _ROUNDING * 2 * width**2)
    return next(fit, None)


def _check_widths(widths: Sequence[float]) -> None:
    wrong = [width for width in widths if not LEAST_WIDTH <= width <= GREATEST_WIDTH]
    if wrong or not widths:
        raise IncompatiblePartsError(f"σ of a window must be from {LEAST_WIDTH:g} to {GREATEST_WIDTH:g}, got {wrong}")
