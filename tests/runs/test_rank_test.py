"""The rank test against scipy's own distributions and against counting by hand."""

from __future__ import annotations

import itertools
import math

import pytest
from scipy.stats import mannwhitneyu, rankdata

from ganforge.runs.rank_test import holm, rank_test


def counted(first, second):
    """Two-sided p, twice the smaller tail, by trying every arrangement of the pooled values, ties and all."""
    pooled = rankdata([*first, *second])
    seen = sum(pooled[: len(first)])
    sums = [sum(chosen) for chosen in itertools.combinations(pooled, len(first))]
    tails = [sum(one <= seen + 1e-9 for one in sums), sum(one >= seen - 1e-9 for one in sums)]
    return min(1.0, 2 * min(tails) / len(sums))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([1.0, 2.0, 3.0], [4.0, 5.0, 6.0]),
        ([0.0637, 0.0595, 0.0768, 0.0944, 0.0636], [0.0615, 0.0658, 0.0761, 0.0631, 0.0584, 0.0597]),
        ([25.0, 25.0, 24.0, 25.0], [25.0, 22.0, 23.0, 22.0]),
        ([1.0, 1.0], [1.0, 2.0, 3.0, math.inf]),
        ([8.0, 8.0, 7.0], [8.0]),
        ([1.0], [2.0, 2.0]),
    ],
)
def test_p_is_that_of_all_arrangements(first, second):
    assert rank_test(first, second).p == pytest.approx(counted(first, second), abs=1e-9)


def test_without_ties_p_is_scipys_exact_one():
    first, second = [0.1 * i for i in range(10)], [0.1 * i + 0.37 for i in range(10)]
    assert rank_test(first, second).p == pytest.approx(mannwhitneyu(first, second, method="exact").pvalue, rel=1e-12)


def test_ten_against_ten_with_ties_name_no_false_winner():
    assert rank_test([8.0] * 10, [8.0] * 6 + [7.0] * 4).p == pytest.approx(2 * math.comb(16, 6) / math.comb(20, 10))


def test_twenty_against_twenty_are_counted_exactly():
    first, second = [0.1 * i for i in range(20)], [0.1 * i + 0.57 for i in range(20)]
    assert rank_test(first, second).p == pytest.approx(mannwhitneyu(first, second, method="exact").pvalue, rel=1e-9)


def test_above_forty_values_the_normal_approximation_is_close():
    first, second = [float(i) for i in range(21)], [i + 5.5 for i in range(21)]
    assert rank_test(first, second).p == pytest.approx(mannwhitneyu(first, second, method="exact").pvalue, rel=0.15)


def test_three_against_three_cannot_be_told_apart():
    found = rank_test([1.0, 2.0, 3.0], [4.0, 5.0, 6.0])
    assert (found.p, found.least_p, found.greater) == (pytest.approx(0.1), pytest.approx(0.1), 1.0)
    assert rank_test([1.0] * 4, [2.0] * 4).least_p == pytest.approx(2 / 70)


def test_the_effect_is_the_share_of_pairs_with_ties_counted_half():
    assert rank_test([1.0, 2.0], [2.0, 0.0]).greater == (1 + 0 + 0.5 + 0) / 4


def test_values_that_are_all_equal_show_nothing():
    assert rank_test([8.0] * 10, [8.0] * 10).p == 1.0


@pytest.mark.parametrize("first", [[], [math.nan]])
def test_what_cannot_be_ranked_is_refused(first):
    with pytest.raises(ValueError, match="two sets"):
        rank_test(first, [1.0])


def test_holm_raises_p_by_the_number_of_tests_that_are_left():
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []
