"""Does a generator repeat its training data? Held-out samples say how near to it new ones should lie."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ganforge.core.errors import Disagreement
from ganforge.metrics.neighbours import nearest_neighbours

CLOSE = 0.01
"""Nearer to a training sample than this share of the held-out samples is as near as new samples hardly are."""


@dataclass(frozen=True, slots=True)
class Memorisation:
    """What :func:`memorisation` finds; each is NaN where a generated value is not finite.

    Attributes:
        copying: C_T of Meehan et al. (2020), in standard deviations: 0 where generated samples are as far from the training data as
            held-out ones, below -3 where they are certainly nearer (copies), above 3 where they are farther (a bad fit).
        close: share of generated samples that are nearer to a training sample than the nearest hundredth of the held-out ones.
        ratio: median distance of generated samples to the training data, by that of held-out ones; 0 for copies.
    """

    copying: float
    close: float
    ratio: float


def memorisation(training: Tensor, held_out: Tensor, fake: Tensor) -> Memorisation:
    """Distances of generated and of held-out samples to their nearest training samples, compared (Meehan et al. 2020).

    C_T is the Mann–Whitney test of the two sets of distances, here over the whole space as one cell. Ties count half and lessen no
    variance. A generator whose samples are no better than noise has a high C_T: read it beside a measure of quality.

    Args:
        training: ``(t, *shape)``; the more of the training data, the fewer copies are missed.
        held_out: ``(n, *shape)`` real samples that were not trained on.
        fake: ``(m, *shape)``.

    Raises:
        Disagreement: no samples of a kind, or shapes that differ.
    """
    if not (len(training) and len(held_out) and len(fake)) or len({part.shape[1:] for part in (training, held_out, fake)}) > 1:
        forms = ", ".join(str(tuple(part.shape)) for part in (training, held_out, fake))
        raise Disagreement(f"cannot look for copies with training, held-out and generated samples of the shapes {forms}")

    real, made = (nearest_neighbours(samples, training).distances.cpu() for samples in (held_out, fake))
    if not bool(made.isfinite().all()):
        return Memorisation(math.nan, math.nan, math.nan)

    limit = real.kthvalue(math.ceil(CLOSE * len(real))).values
    usual = float(real.quantile(0.5))
    ratio = float(made.quantile(0.5)) / usual if usual else math.nan
    return Memorisation(_mann_whitney(made, real), float((made < limit).double().mean()), ratio)


def expected_close(held_out: int) -> float:
    """Share of :attr:`Memorisation.close` of a perfect generator, on average: all n + 1 ranks are equally likely."""
    return math.ceil(CLOSE * held_out) / (held_out + 1)


def _mann_whitney(one: Tensor, other: Tensor) -> float:
    """By how many standard deviations ``one`` is larger than ``other`` of the same distribution would be."""
    n, m = len(one), len(other)
    ranked = other.sort().values
    below, upto = (torch.searchsorted(ranked, one, right=right).double().sum() for right in (False, True))
    won = float(below + upto) / 2
    return (won - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)
