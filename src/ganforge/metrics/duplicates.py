"""How many different samples does a generator make? By the birthday paradox, few samples answer for millions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ganforge.metrics.pairwise_distances import comparable, own_blocks

NEAR = 1e-3
"""Of all pairs of real samples, this share is taken for duplicates: what is nearer is as near as real samples hardly are."""
_EXACT = 1e-6


@dataclass(frozen=True, slots=True)
class NearDuplicates:
    """What :func:`near_duplicates` finds; each is NaN where a value is not finite.

    Attributes:
        pairs: pairs of generated samples that are no farther from each other than the nearest thousandth of the pairs of real ones.
        expected_pairs: how many there would be if the generated samples were as different as the real ones.
        exact: pairs that are the same, up to a millionth of the usual distance of two real samples.
        support: pairs looked at by near pairs found: about the number of different samples that the generator makes, infinite where
            no pair is near. Real samples have 1,000 by this definition, and fewer where more of their pairs tie.
        expected_exact: how many would be the same if they were as different as the real ones; above 0 for data that repeat.
        near: share of pairs that are near, in the mean the nearest thousandth for samples as different as real ones. Where more
            real pairs than that tie, as they do in data that repeat, the share is taken in proportion.
    """

    pairs: float
    expected_pairs: float
    exact: float
    support: float
    expected_exact: float
    near: float


def near_duplicates(real: Tensor, fake: Tensor) -> NearDuplicates:
    """The birthday test of Arora & Zhang (2017), with real samples in the place of the human eye.

    If s samples drawn at random hold a duplicate, the distribution has about s² members or fewer. What looks like a duplicate is
    said there by a person; here two samples are near that are no farther apart than the nearest thousandth of the pairs of reals.
    A few hundred of each kind suffice.

    Args:
        real: ``(n, *shape)`` samples or features.
        fake: ``(m, *shape)``.

    Raises:
        IncompatiblePartsError: fewer than 2 of either kind, or shapes that differ.
    """
    here, there = comparable("a search for duplicates", 2, real, fake)
    if not bool(here.isfinite().all() and there.isfinite().all()):
        return NearDuplicates(*[math.nan] * 6)
    scale = math.sqrt(2 * float(here.var(0).sum()))  # root of the mean squared distance of two real samples
    real_pairs, fake_pairs = math.comb(len(here), 2), math.comb(len(there), 2)

    rank = math.ceil(NEAR * real_pairs)
    limit = _smallest(here, rank)
    (expected, expected_exact), (pairs, exact) = (_count(samples, (limit, _EXACT * scale)) for samples in (here, there))
    share, support = fake_pairs / real_pairs, fake_pairs / pairs if pairs else math.inf
    return NearDuplicates(pairs, expected * share, exact, support, expected_exact * share, near=rank / expected / support)


def _smallest(samples: Tensor, rank: int) -> float:
    """Of the distances of all pairs, the one of that rank."""
    kept = samples.new_zeros(0, dtype=torch.float32)
    for rows, distances in own_blocks(samples):
        kept = torch.cat([kept, distances[_later(rows, distances)]])
        kept = kept.topk(min(rank, len(kept)), largest=False).values
    return float(kept.max())


def _count(samples: Tensor, limits: tuple[float, float]) -> tuple[int, int]:
    """How many pairs are no farther from each other than each limit."""
    first = second = 0
    for rows, distances in own_blocks(samples):
        pairs = distances[_later(rows, distances)]
        first, second = first + int((pairs <= limits[0]).sum()), second + int((pairs <= limits[1]).sum())
    return first, second


def _later(rows: slice, distances: Tensor) -> Tensor:
    """Which of the ``(r, n)`` distances are of a row to a later one: each pair once."""
    return torch.ones_like(distances, dtype=torch.bool).triu(rows.start + 1)
