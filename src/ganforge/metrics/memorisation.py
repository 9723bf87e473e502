"""Does a generator repeat its training data? Held-out samples say how near to it new ones should lie."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ganforge.metrics.pairwise_distances import blocks, comparable

CLOSE = 0.01
"""Nearer to a training sample than this share of the held-out samples is as near as new samples hardly are."""


@dataclass(frozen=True, slots=True)
class Memorisation:
    """What :func:`memorisation` finds; each is NaN where a value is not finite.

    Attributes:
        copying: a test like C_T of Meehan et al. (2020), in standard deviations: 0 where generated samples are as far from the
            training data as held-out ones, below -3 where they are certainly nearer (copies), above 3 where they are farther (a bad
            fit).
        close: share of generated samples that are nearer to a training sample than the nearest hundredth of the held-out ones.
            Where held-out samples are as near as the last of these, by ranks: one as near counts for the chance that it comes
            before that one if chance orders those that tie.
        ratio: median distance of generated samples to the training data, by that of held-out ones; 0 for copies. NaN too where
            half of the held-out samples are themselves in the training data: nothing can be told by medians then.
    """

    copying: float
    close: float
    ratio: float


def memorisation(training: Tensor, held_out: Tensor, fake: Tensor) -> Memorisation:
    """How near generated samples are to the training data, against held-out samples (Meehan et al. 2020).

    The distance of a sample to its nearest training sample is told in units of that one's distance to its own nearest neighbour
    that differs, as authenticity compares the two (Alaa et al. 2022). Otherwise a generator that keeps to where data are dense
    would seem to copy; Meehan et al. divide space into cells for that. Both sets are then compared by the Mann–Whitney test,
    with ties as halves. A generator of noise has a high value: read it beside a measure of quality.

    Args:
        training: ``(t, *shape)``; of copies of training samples that are not among these, nothing is seen.
        held_out: ``(n, *shape)`` real samples that were not trained on.
        fake: ``(m, *shape)``.

    Raises:
        IncompatiblePartsError: fewer than 2 of a kind, or shapes that differ.
    """
    known, real, made = comparable("a search for copies", 2, training, held_out, fake)
    if not bool(known.isfinite().all() and real.isfinite().all() and made.isfinite().all()):
        return Memorisation(math.nan, math.nan, math.nan)

    usual, found = (_spacings(samples, known) for samples in (real, made))
    middle = float(usual.quantile(0.5))
    ratio = float(found.quantile(0.5)) / middle if middle else math.nan
    return Memorisation(_mann_whitney(found, usual), _close(found, usual), ratio)


def expected_close(held_out: int) -> float:
    """Share of :attr:`Memorisation.close` of a perfect generator, on average: all n + 1 ranks are equally likely."""
    return math.ceil(CLOSE * held_out) / (held_out + 1)


def _spacings(samples: Tensor, training: Tensor) -> Tensor:
    """``(n,)`` distance to the nearest training sample, by the distance of that one to the nearest that differs; 0 for copies."""
    found = []
    for _, distances in blocks(samples, training):
        nearest, at = distances.min(dim=1)
        spacing = torch.empty_like(nearest)
        for places, around in blocks(training[at], training):
            spacing[places] = torch.where(around == 0, torch.inf, around).amin(1)  # a twin says nothing of how dense the data are
        found.append(torch.where(nearest == 0, 0.0, nearest / spacing))
    return torch.cat(found).double().cpu()


def _close(found: Tensor, usual: Tensor) -> float:
    """Share of ``found`` before the nearest hundredth of ``usual`` ends; its mean for equal distributions is the same with ties."""
    rank = math.ceil(CLOSE * len(usual))
    limit = usual.kthvalue(rank).values
    before, ties = int((usual < limit).sum()), int((usual == limit).sum())
    chance = (rank - before) / (ties + 1)  # one more among them has so many places, of which these come before the end
    return float(((found < limit).double() + chance * (found == limit).double()).mean())


def _mann_whitney(one: Tensor, other: Tensor) -> float:
    """By how many standard deviations ``one`` is larger than ``other`` of the same distribution would be."""
    n, m = len(one), len(other)
    ranked = other.sort().values
    below, upto = (torch.searchsorted(ranked, one, right=right).double().sum() for right in (False, True))
    won = float(below + upto) / 2
    return (won - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)
