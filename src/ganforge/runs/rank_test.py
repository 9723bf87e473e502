"""Whether one set of seeds does better than another: a rank test, with the least p that so few seeds can give."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEVEL = 0.05
"""p from which on a difference counts as shown."""

_EXACT = 40
"""Values in all up to which the exact distribution of ranks is taken; of more, the normal approximation is close."""


@dataclass(frozen=True, slots=True)
class RankTest:
    """The Mann–Whitney U test, two-sided.

    Attributes:
        p: probability of ranks at least so uneven if both sets came from one distribution.
        least_p: the smallest p that sets of these sizes can have.
        greater: share of pairs in which the second set's value is the greater one, ties counted half: the effect, 0.5 for none.
    """

    p: float
    least_p: float
    greater: float


def rank_test(first: Sequence[float], second: Sequence[float]) -> RankTest:
    """Compare two sets of values of independent runs.

    Args:
        first: ``n`` values; infinite ones are ranked as such.
        second: ``m`` values.

    Raises:
        ValueError: a set is empty, or holds NaN.

    References:
        Mann & Whitney 1947, "On a test of whether one of two random variables is stochastically larger than the other".
    """
    if not first or not second or any(math.isnan(value) for value in (*first, *second)):
        raise ValueError("two sets of numbers are needed, and none of them may be empty")
    pairs = [(one, other) for one in first for other in second]
    greater = sum(1.0 if other > one else 0.5 if other == one else 0.0 for one, other in pairs) / len(pairs)
    return RankTest(_p(first, second), min(1.0, 2 / math.comb(len(first) + len(second), len(first))), greater)


def holm(values: Sequence[float]) -> list[float]:
    """The p of several tests of one question, each raised so that all together keep their level (Holm 1979)."""
    order = sorted(range(len(values)), key=lambda index: values[index])
    adjusted = [0.0] * len(values)
    highest = 0.0
    for place, index in enumerate(order):
        highest = max(highest, min(1.0, values[index] * (len(values) - place)))
        adjusted[index] = highest
    return adjusted


def _p(first: Sequence[float], second: Sequence[float]) -> float:
    from scipy.stats import mannwhitneyu

    if len({*first, *second}) == 1:
        return 1.0
    if len(first) + len(second) > _EXACT:
        return float(mannwhitneyu(first, second, method="asymptotic").pvalue)
    return _exact_p(first, second)


def _exact_p(first: Sequence[float], second: Sequence[float]) -> float:
    """Twice the smaller tail of the sum of the first set's ranks, over all ways to deal the pooled ranks, ties and all.

    The sums are counted value by value: ``ways[k, s]`` is how many sets of ``k`` of the values so far have ranks that sum to ``s``.
    """
    from scipy.stats import rankdata

    doubled = (2 * rankdata([*first, *second])).astype(int)  # tied values share a rank that may end in a half
    ways = np.zeros((len(first) + 1, int(doubled.sum()) + 1), dtype=np.int64)
    ways[0, 0] = 1
    for rank in doubled:
        ways[1:, rank:] += ways[:-1, :-rank].copy()
    counts, seen = ways[-1], int(doubled[: len(first)].sum())
    smaller_tail = min(int(counts[: seen + 1].sum()), int(counts[seen:].sum()))
    return min(1.0, 2 * smaller_tail / math.comb(len(doubled), len(first)))
