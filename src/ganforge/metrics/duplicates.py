"""Near duplicates among generated samples (the birthday test), and copies of training data (memorisation)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ganforge.metrics.pairwise_distances import all_finite, blocks, comparable, distinct_pairs, own_blocks

NEAR = 1e-3
"""Pairs count as near duplicates when they are as near as this share of the pairs of real samples."""
CLOSE = 0.01
"""Samples count as close to the training data when they are as near as this share of the held-out samples."""
_EXACT = 1e-6


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """Result of :func:`near_duplicates`; NaN where a value is not finite.

    Attributes:
        pairs: pairs of generated samples that are no farther apart than the nearest thousandth of the pairs of real ones.
        expected_pairs: how many there would be if the generated samples were as diverse as the real ones.
        exact: pairs that are equal, up to a millionth of the usual distance of two real samples.
        support: all pairs divided by near pairs: about the number of different samples that the generator makes, infinite if no
            pair is near. Real samples have 1,000 by this definition, and fewer where more of their pairs tie.
        expected_exact: how many pairs would be equal if they were as diverse as the real ones; above 0 for data with repeats.
        near: share of pairs that are near; on average the nearest thousandth for samples as diverse as real ones. Where more real
            pairs than that tie, as in data with repeats, the share is taken in proportion.
    """

    pairs: float
    expected_pairs: float
    exact: float
    support: float
    expected_exact: float
    near: float


@dataclass(frozen=True, slots=True)
class MemorisationScores:
    """Result of :func:`memorisation`; NaN where a value is not finite.

    Attributes:
        copying: test statistic like C_T of Meehan et al. (2020), in standard deviations: 0 where generated samples are as far
            from the training data as held-out ones, below -3 where they are significantly nearer (copies), above 3 where they are
            farther (a bad fit).
        close: share of generated samples that are nearer to a training sample than the nearest hundredth of the held-out ones.
            Ties with the last of these count with the probability of coming before it in random order.
        ratio: median distance of generated samples to the training data, divided by that of held-out ones; 0 for copies. Also NaN
            if half of the held-out samples are in the training data, where medians are meaningless.
    """

    copying: float
    close: float
    ratio: float


def near_duplicates(real: Tensor, fake: Tensor) -> NearDuplicates:
    """The birthday test of Arora & Zhang (2017), with real samples in place of a human judge.

    If s random samples contain a duplicate, the distribution has about s² members or fewer. In the paper a person decides what
    looks like a duplicate; here two samples are near if they are no farther apart than the nearest thousandth of the pairs of
    real samples. A few hundred of each kind suffice.

    Args:
        real: ``(n, *shape)`` samples or features.
        fake: ``(m, *shape)``.

    Raises:
        IncompatiblePartsError: fewer than 2 of either kind, or shapes that differ.
    """
    here, there = comparable("a search for duplicates", 2, real, fake)
    if not all_finite(here, there):
        return NearDuplicates(*[math.nan] * 6)
    scale = math.sqrt(2 * float(here.var(0).sum()))  # root of the mean squared distance of two real samples
    real_pairs, fake_pairs = math.comb(len(here), 2), math.comb(len(there), 2)

    rank = math.ceil(NEAR * real_pairs)
    limit = _smallest(here, rank)
    (expected, expected_exact), (pairs, exact) = (_count(samples, (limit, _EXACT * scale)) for samples in (here, there))
    share, support = fake_pairs / real_pairs, fake_pairs / pairs if pairs else math.inf
    return NearDuplicates(pairs, expected * share, exact, support, expected_exact * share, near=rank / expected / support)


def memorisation(training: Tensor, held_out: Tensor, fake: Tensor) -> MemorisationScores:
    """How near generated samples are to the training data, compared with held-out samples (Meehan et al. 2020).

    The distance of a sample to its nearest training sample is divided by the distance of that one to its own nearest neighbour
    that differs, as in authenticity (Alaa et al. 2022). Otherwise a generator of samples from dense regions would seem to copy;
    Meehan et al. divide space into cells for that. Both sets are then compared by the Mann–Whitney test, ties as halves.
    A generator of noise has a high value: read it together with a measure of quality.

    Args:
        training: ``(t, *shape)``; copies of training samples that are not among these go unnoticed.
        held_out: ``(n, *shape)`` real samples that were not trained on.
        fake: ``(m, *shape)``.

    Raises:
        IncompatiblePartsError: fewer than 2 of a kind, or shapes that differ.
    """
    known, real, made = comparable("a search for copies", 2, training, held_out, fake)
    if not all_finite(known, real, made):
        return MemorisationScores(math.nan, math.nan, math.nan)

    usual, found = (_relative_distances(samples, known) for samples in (real, made))
    middle = float(usual.quantile(0.5))
    ratio = float(found.quantile(0.5)) / middle if middle else math.nan
    return MemorisationScores(_mann_whitney(found, usual), _close_share(found, usual), ratio)


def expected_close(held_out: int) -> float:
    """Mean :attr:`MemorisationScores.close` of a perfect generator: all n + 1 ranks are equally likely."""
    return math.ceil(CLOSE * held_out) / (held_out + 1)


def _smallest(samples: Tensor, rank: int) -> float:
    """The distance of that rank among the distances of all pairs."""
    kept = samples.new_zeros(0, dtype=torch.float32)
    for rows, distances in own_blocks(samples):
        kept = torch.cat([kept, distinct_pairs(rows, distances)])
        kept = kept.topk(min(rank, len(kept)), largest=False).values
    return float(kept.max())


def _count(samples: Tensor, limits: tuple[float, float]) -> tuple[int, int]:
    """How many pairs are no farther apart than each limit."""
    first = second = 0
    for rows, distances in own_blocks(samples):
        pairs = distinct_pairs(rows, distances)
        first, second = first + int((pairs <= limits[0]).sum()), second + int((pairs <= limits[1]).sum())
    return first, second


def _relative_distances(samples: Tensor, training: Tensor) -> Tensor:
    """``(n,)`` distance to the nearest training sample over the distance of that one to the nearest that differs; 0 for copies."""
    found = []
    for _, distances in blocks(samples, training):
        nearest, at = distances.min(dim=1)
        spacing = torch.empty_like(nearest)
        for rows, around in blocks(training[at], training):
            spacing[rows] = torch.where(around == 0, torch.inf, around).amin(1)  # duplicates do not measure how dense the data are
        found.append(torch.where(nearest == 0, 0.0, nearest / spacing))
    return torch.cat(found).double().cpu()


def _close_share(found: Tensor, usual: Tensor) -> float:
    """Share of ``found`` below the nearest hundredth of ``usual``; ties do not change its mean for equal distributions."""
    rank = math.ceil(CLOSE * len(usual))
    limit = usual.kthvalue(rank).values
    before, ties = int((usual < limit).sum()), int((usual == limit).sum())
    chance = (rank - before) / (ties + 1)  # one more among the ties has so many places, of which these come before the end
    return float(((found < limit).double() + chance * (found == limit).double()).mean())


def _mann_whitney(one: Tensor, other: Tensor) -> float:
    """By how many standard deviations ``one`` is larger than a sample of the distribution of ``other`` would be."""
    n, m = len(one), len(other)
    ranked = other.sort().values
    below, upto = (torch.searchsorted(ranked, one, right=right).double().sum() for right in (False, True))
    won = float(below + upto) / 2
    return (won - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)
