"""Groups of runs side by side: each metric with its spread over seeds and a rank test, where the protocols are equal. No torch."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ganforge.assembly.protocols import differences
from ganforge.core.direction import aim, cost, judges
from ganforge.core.errors import UsageError, did_you_mean
from ganforge.runs.gathering import Gathered, Group, Measurement
from ganforge.runs.ranking import LEVEL, RankTest, holm, rank_test

_BETTER = " is better"
"""How a verdict ends that names a winner."""


@dataclass(frozen=True, slots=True)
class Side:
    """One metric of one group.

    Attributes:
        group: the group's name.
        values: by run, in the order of seeds.
        runs: the runs that have a value, in the same order.
        missing: runs of the group without one.
        early: values of weights that were not trained to the end.
        worst: what a value that is not finite stands for in the median.
        costs: what is ranked, the smaller the better: values, their negatives, or how far they are from what is ideal.
    """

    group: str
    values: tuple[float, ...]
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
        return self.verdict.endswith(_BETTER)


@dataclass(frozen=True, slots=True)
class Compared:
    """One metric, compared.

    Attributes:
        metric: ``wasserstein`` or ``modes/captured``.
        measure: what it means: ``label``, ``better``, ``ideal``, ``floor``.
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


def compare(
    groups: Sequence[Group], *, metrics: Collection[str] = (), ignore: Collection[str] = ()
) -> tuple[list[Compared], list[LeftOut]]:
    """Compare all metrics that the groups share.

    Args:
        groups: at least one.
        metrics: only these: ``modes`` means all values of that metric.
        ignore: keys of protocols that may differ.

    Returns:
        What is compared, and what is left out and why.

    Raises:
        UsageError: a key that no protocol has.
    """
    _insist_on_keys(groups, ignore)
    compared: list[Compared] = []
    left_out: list[LeftOut] = []
    for metric in _metrics(groups, metrics):
        found = _compared(metric, groups, ignore)
        if isinstance(found, Compared):
            compared.append(found)
        else:
            left_out.append(found)
    return _together(compared), left_out


def _insist_on_keys(groups: Sequence[Group], ignore: Collection[str]) -> None:
    every = [one for group in groups for run in group.runs for each in run.measurements.values() for one in each]
    known = sorted({key for one in every for key in one.protocol or {}})
    for key in ignore:
        if key not in known:
            hint = did_you_mean(key, known) or f"they have {', '.join(known) or 'no keys at all'}"
            raise UsageError(f"--ignore {key}: no protocol of these runs has such a key", remedy=hint)


def _together(compared: Sequence[Compared]) -> list[Compared]:
    """With each p corrected for the tests of all metrics too."""
    corrected = iter(holm([trial.test.p for one in compared for trial in one.trials]))
    return [replace(one, trials=tuple(replace(trial, p_of_all=next(corrected)) for trial in one.trials)) for one in compared]


def _metrics(groups: Sequence[Group], wanted: Collection[str]) -> Iterator[str]:
    known = dict.fromkeys(metric for group in groups for run in group.runs for metric in run.measurements)
    if not wanted:
        yield from known
        return
    for name in wanted:
        yield from [metric for metric in known if name in (metric, metric.partition("/")[0])] or [name]


def _compared(metric: str, groups: Sequence[Group], ignore: Collection[str]) -> Compared | LeftOut:
    lacking = [group.name for group in groups if not any(run.measurements.get(metric) for run in group.runs)]
    if lacking:
        return LeftOut(metric, f"{_joined(lacking)} {'has' if len(lacking) == 1 else 'have'} no value of it", {})
    runs = [run for group in groups for run in group.runs if run.measurements.get(metric)]
    unstated = [run.run for run in runs if not _stated(run, metric)]
    if unstated:
        names = " ".join(unstated)
        return LeftOut(
            metric, f"{_joined(unstated)} never said how it was measured; `ganforge evaluate {names}` measures again", {}
        )
    chosen = _agreeing(metric, runs, ignore)
    if isinstance(chosen, LeftOut):
        return chosen
    measure = next((run.measures[metric] for run in runs if metric in run.measures), {})
    better, target = str(measure.get("better", "lower")), aim(measure.get("ideal"), measure.get("floor"))
    sides = tuple(_side(group, chosen, better, target) for group in groups)
    first = next(iter(chosen.values())).protocol or {}
    return Compared(
        metric=metric,
        measure=measure,
        protocol={key: value for key, value in first.items() if key not in ("seed", *ignore)},
        origins=tuple(dict.fromkeys(one.origin for one in chosen.values())),
        sides=sides,
        trials=_trials(sides, better) if judges(better, target) else (),
        ignored=_ignored(list(chosen.values()), ignore),
    )


def _agreeing(metric: str, runs: Sequence[Gathered], ignore: Collection[str]) -> dict[str, Measurement] | LeftOut:
    """For each run the newest measurement by a protocol that all of them have, or what keeps them apart."""
    first = runs[0]
    for wanted in _stated(first, metric):
        chosen = {run.run: _by(wanted, run, metric, ignore) for run in runs}
        if all(chosen.values()):
            return {name: found for name, found in chosen.items() if found is not None}
    newest = _stated(first, metric)[0]
    other = next(run for run in runs if _by(newest, run, metric, ignore) is None)
    apart = _apart(newest, _stated(other, metric)[0], ignore)
    told = "; ".join(f"{key}: {one!r} of {first.run}, {two!r} of {other.run}" for key, (one, two) in apart.items())
    ways = f"{' '.join(f'--ignore {key}' for key in apart)} lets it pass"
    if not any(key.partition(".")[0] == "data" for key in apart):  # of other data no measurement is alike
        ways = f"`ganforge evaluate` measures them alike, and {ways}"
    return LeftOut(metric, f"it was measured by different protocols: {told}; {ways}", apart)


def _stated(run: Gathered, metric: str) -> list[Measurement]:
    return [one for one in run.measurements[metric] if one.protocol is not None]


def _by(wanted: Measurement, run: Gathered, metric: str, ignore: Collection[str]) -> Measurement | None:
    return next((one for one in _stated(run, metric) if not _apart(wanted, one, ignore)), None)


def _apart(one: Measurement, other: Measurement, ignore: Collection[str]) -> dict[str, tuple[object, object]]:
    found = differences(one.protocol or {}, other.protocol or {})
    return {key: values for key, values in found.items() if key not in ignore}


def _ignored(chosen: Sequence[Measurement], ignore: Collection[str]) -> dict[str, tuple[object, ...]]:
    """Ignored keys that do differ, with all that the protocols say."""
    said: dict[str, list[object]] = {}
    for key in ignore:
        for one in chosen:
            value = (one.protocol or {}).get(key)
            if value not in said.setdefault(key, []):
                said[key].append(value)
    return {key: tuple(values) for key, values in said.items() if len(values) > 1}


def _side(group: Group, chosen: Mapping[str, Measurement], better: str, target: float | None) -> Side:
    having = [run.run for run in group.runs if run.run in chosen]
    values = tuple(chosen[run].value for run in having)
    return Side(
        group=group.name,
        values=values,
        runs=tuple(having),
        missing=len(group.runs) - len(having),
        early=sum(chosen[run].iteration < int(group.keys["train.iterations"]) for run in having),
        worst=-math.inf if better == "higher" else math.inf,
        costs=tuple(cost(value, better, target) for value in values),
    )


def _trials(sides: Sequence[Side], better: str) -> tuple[Trial, ...]:
    first, *others = sides
    tests = [_test(first, side, better) for side in others]
    trials = []
    for side, test, p in zip(others, tests, holm([test.p for test in tests]), strict=True):
        share = test.greater if better == "higher" else 1 - test.greater
        verdict = _verdict(first, side, p, share, least=min(1.0, test.least_p * len(tests)))
        trials.append(Trial(side.group, first.group, test, p, share, verdict))
    return tuple(trials)


def _test(first: Side, side: Side, better: str) -> RankTest:
    sign = -1 if better == "higher" else 1
    return rank_test([sign * one for one in first.costs], [sign * one for one in side.costs])


def _verdict(first: Side, side: Side, p: float, better: float, *, least: float) -> str:
    if least > LEVEL:
        return f"too few seeds to tell: {len(first.values)} against {len(side.values)} cannot give a p below {least:.2g}"
    if p > LEVEL:
        return "no difference is shown"
    return f"{side.group if better > 0.5 else first.group}{_BETTER}"


def _joined(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
