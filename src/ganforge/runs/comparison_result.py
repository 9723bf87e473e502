"""What comes of a comparison. No torch."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ganforge.runs.rank_test import RankTest

BETTER = " is better"
"""How a verdict ends that names a winner."""


@dataclass(frozen=True, slots=True)
class Side:
    """One metric of one group.

    Attributes:
        group: the group's name.
        values: by run, in the order of seeds.
        aims: what each of them is to be near to where the nearer is the better, at its own number of samples; ``None`` if unknown.
        runs: the runs that have a value, in the same order.
        missing: runs of the group without one.
        early: values of weights that were not trained to the end.
        worst: what a value that is not finite stands for in the median.
        costs: what is ranked, the smaller the better: values, their negatives, or how far they are from what is ideal.
    """

    group: str
    values: tuple[float, ...]
    aims: tuple[float | None, ...]
    runs: tuple[str, ...]
    missing: int
    early: int
    worst: float
    costs: tuple[float, ...]

    @property
    def median(self) -> float:
        """NaN where the middle is not finite."""
        middle = statistics.median(value if math.isfinite(value) else self.worst for value in self.values)
        return middle if math.isfinite(middle) else math.nan

    @property
    def least(self) -> float:
        """Smallest finite value."""
        return min((value for value in self.values if math.isfinite(value)), default=math.nan)

    @property
    def greatest(self) -> float:
        """Greatest finite value."""
        return max((value for value in self.values if math.isfinite(value)), default=math.nan)

    @property
    def not_finite(self) -> int:
        """How many values are not finite."""
        return sum(not math.isfinite(value) for value in self.values)


@dataclass(frozen=True, slots=True)
class Trial:
    """A group held against the first one.

    Attributes:
        group: the group.
        against: the first group.
        test: the rank test, of values or, where the nearer is the better, of their distances from what is ideal.
        p: its p, raised where several groups are held against the first one (Holm).
        better: share of pairs of runs in which the group is better than the first one, ties counted half.
        verdict: in words; names a winner only where the test does.
        p_of_all: the test's p, corrected for all groups and all metrics that are compared (Holm).
    """

    group: str
    against: str
    test: RankTest
    p: float
    better: float
    verdict: str
    p_of_all: float = math.nan

    @property
    def names_a_winner(self) -> bool:
        """Whether a difference is shown, by this metric alone."""
        return self.verdict.endswith(BETTER)


@dataclass(frozen=True, slots=True)
class Compared:
    """One metric, compared.

    Attributes:
        metric: ``wasserstein`` or ``modes/captured``.
        measure: what it means: ``label``, ``better``, ``ideal``, ``floor``; ``None`` for what differs.
        protocol: what all values share.
        origins: where the values come from: ``training``, ``evaluation 1``.
        sides: one for each group.
        trials: one for each group but the first; none where values are not judged.
        ignored: differences of the protocols that the user ignores, with what each says.
    """

    metric: str
    measure: Mapping[str, Any]
    protocol: Mapping[str, Any]
    origins: tuple[str, ...]
    sides: tuple[Side, ...]
    trials: tuple[Trial, ...]
    ignored: Mapping[str, tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A metric that is not compared.

    Attributes:
        metric: which.
        reason: why, in words.
        differences: what its protocols differ in, if that is why.
    """

    metric: str
    reason: str
    differences: Mapping[str, tuple[object, object]]
