"""Groups of runs compared: each metric with its spread over seeds and a rank test, where the protocols are equal. No torch."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ganforge.core.contracts import aim, goal_cost
from ganforge.core.errors import UsageError, did_you_mean
from ganforge.registry.selection import next_command
from ganforge.runs.run_groups import Measurement, RunGroup
from ganforge.storage.run_folder import RunFolder

LEVEL = 0.05  # a difference is shown where p is not greater
_EXACT = 40  # values in all up to which the exact distribution of ranks is used; for more, the normal approximation is close


@dataclass(frozen=True, slots=True)
class GroupStats:
    """One metric of one group."""

    group: str
    better: str
    values: tuple[float, ...]  # by run, in the order of seeds
    aims: tuple[float | None, ...]  # where the nearer is the better: the target at each value's number of samples, if known
    runs: tuple[str, ...]  # the runs that have a value, in the same order
    missing: int  # runs of the group without one
    early: int  # values of weights that were not trained to the end

    @property
    def costs(self) -> list[float]:
        """What is ranked, the smaller the better: values, their negatives, or distances to the target."""
        return [goal_cost(value, self.better, target) for value, target in zip(self.values, self.aims, strict=True)]

    @property
    def median(self) -> float:
        """The median, in which values that are not finite count as the worst; NaN where it is not finite itself."""
        worst = -math.inf if self.better == "higher" else math.inf
        middle = statistics.median(value if math.isfinite(value) else worst for value in self.values)
        return middle if math.isfinite(middle) else math.nan

    @property
    def finite(self) -> list[float]:
        """The values that are finite."""
        return [value for value in self.values if math.isfinite(value)]


@dataclass(frozen=True, slots=True)
class RankTest:
    """A two-sided Mann–Whitney U test."""

    p: float  # probability of ranks at least so uneven if both sets came from one distribution
    least_p: float  # the smallest p that sets of these sizes can have
    greater: float  # share of pairs in which the second set's value is greater, ties counted half: the effect size, 0.5 for none


@dataclass(frozen=True, slots=True)
class GroupTest:
    """The test of one group against the first one."""

    group: str
    against: str
    raw_p: float  # of the rank test of the costs
    least_p: float  # the smallest that groups of these sizes can have
    p: float  # raw_p, corrected for the number of groups (Holm)
    better: float  # share of pairs of runs in which the group is better than the first one, ties counted half
    winner: str | None  # the better group, where the test shows a difference
    verdict: str  # the same in words
    p_of_all: float = math.nan  # raw_p, corrected for all groups and all metrics (Holm)


@dataclass(frozen=True, slots=True)
class MetricComparison:
    """One metric, compared."""

    metric: str  # wasserstein or modes/captured
    info: Mapping[str, Any]  # what its values mean: label, better, ideal, floor; None for what differs
    protocol: Mapping[str, Any]  # what the protocols of all values share
    origins: tuple[str, ...]  # where the values come from: training, evaluation 1
    stats: tuple[GroupStats, ...]  # one for each group
    tests: tuple[GroupTest, ...]  # one for each group but the first; none where no value is better than another
    ignored: Mapping[str, list[object]]  # differences of the protocols that the user ignores, with all their values


@dataclass(frozen=True, slots=True)
class SkippedMetric:
    """A metric that is not compared, why, and the differences of its protocols if these are the reason."""

    metric: str
    reason: str
    differences: Mapping[str, tuple[object, object]] = field(default_factory=dict)


def compare(
    groups: Sequence[RunGroup], *, metrics: Collection[str] = (), ignore: Collection[str] = ()
) -> tuple[list[MetricComparison], list[SkippedMetric]]:
    """The comparisons of all metrics that the groups share, and the metrics that cannot be compared, with the reasons.

    Only ``metrics`` if given, where ``modes`` means all values of that metric. Keys in ``ignore`` may differ between protocols.
    """
    every = [one for group in groups for run in group.runs for each in run.measurements.values() for one in each]
    known = sorted({key for one in every for key in one.protocol or {}})
    for key in (key for key in ignore if key not in known):
        hint = did_you_mean(key, known) or f"their keys: {', '.join(known) or 'none'}"
        raise UsageError(f"--ignore {key}: no protocol of these runs has this key", remedy=hint)

    found = [_compare(metric, groups, ignore) for metric in _select(groups, metrics)]
    compared = [one for one in found if isinstance(one, MetricComparison)]
    corrected = iter(holm([test.raw_p for one in compared for test in one.tests]))
    compared = [replace(one, tests=tuple(replace(test, p_of_all=next(corrected)) for test in one.tests)) for one in compared]
    return compared, [one for one in found if isinstance(one, SkippedMetric)]


def _select(groups: Sequence[RunGroup], metrics: Collection[str]) -> Iterator[str]:
    known = dict.fromkeys(metric for group in groups for run in group.runs for metric in run.measurements)
    if not metrics:
        yield from known
        return
    for name in metrics:
        yield from [metric for metric in known if name in (metric, metric.partition("/")[0])] or [name]


def _compare(metric: str, groups: Sequence[RunGroup], ignore: Collection[str]) -> MetricComparison | SkippedMetric:
    lacking = [group.name for group in groups if not any(run.measurements.get(metric) for run in group.runs)]
    if lacking:
        return SkippedMetric(metric, f"{_listed(lacking)} {'has' if len(lacking) == 1 else 'have'} no value of it")
    runs = {run.run: run.measurements[metric] for group in groups for run in group.runs if run.measurements.get(metric)}
    known = {run: [one for one in found if one.protocol is not None] for run, found in runs.items()}
    if unknown := [run for run, found in known.items() if not found]:
        verb = "has" if len(unknown) == 1 else "have"
        remedy = f"`{_evaluate(groups, unknown)}` measures again"
        return SkippedMetric(metric, f"{_listed(unknown)} {verb} no recorded evaluation protocol; {remedy}")
    chosen = _with_equal_protocols(metric, known, ignore, groups)
    if isinstance(chosen, SkippedMetric):
        return chosen

    measured = list(chosen.values())
    info = _common_info([one.info for one in measured])
    stats = tuple(_stats(group, chosen, info["better"]) for group in groups)
    is_ranked = not any(math.isnan(each) for one in stats for each in one.costs)
    protocols = [one.protocol or {} for one in measured]
    differing = {key: [*dict.fromkeys(json.dumps(one.get(key)) for one in protocols)] for key in ignore}
    return MetricComparison(
        metric=metric,
        info=info,
        protocol={key: value for key, value in protocols[0].items() if key not in ("seed", *ignore)},
        origins=tuple(dict.fromkeys(one.origin for one in measured)),
        stats=stats,
        tests=tuple(_tests(*stats)) if is_ranked else (),
        ignored={key: [json.loads(value) for value in values] for key, values in differing.items() if len(values) > 1},
    )


def _with_equal_protocols(
    metric: str, measured: Mapping[str, Sequence[Measurement]], ignore: Collection[str], groups: Sequence[RunGroup]
) -> dict[str, Measurement] | SkippedMetric:
    """For each run the newest measurement by a protocol that all of them have, or how they differ."""

    def differences(one: Measurement, other: Measurement) -> dict[str, tuple[object, object]]:
        found = protocol_differences(one.protocol or {}, other.protocol or {})
        return {key: values for key, values in found.items() if key not in ignore}

    def measured_like(wanted: Measurement) -> dict[str, Measurement]:
        return {run: one for run, found in measured.items() for one in reversed(found) if not differences(wanted, one)}

    first, wanted = next(iter(measured.items()))
    for one in wanted:
        if len(chosen := measured_like(one)) == len(measured):
            return chosen
    other = next(run for run in measured if run not in measured_like(wanted[0]))
    apart = differences(wanted[0], measured[other][0])
    listed = "; ".join(f"{key}: {one!r} of {first}, {two!r} of {other}" for key, (one, two) in apart.items())
    remedy = f"{' '.join(f'--ignore {key}' for key in apart)} compares them all the same"
    if not any(key.partition(".")[0] == "data" and key != "data.code" for key in apart):  # other data cannot be measured alike
        # without these options, two recipes would again be measured as each of them says
        options = [
            ("samples", f" -n {max(map(_count, apart.get('samples', ())), default=0)}"),
            ("generator", " --weights raw"),
            ("params", f" --metric {metric.partition('/')[0]}:KEY=VALUE"),
        ]
        needed = "".join(option for key, option in options if key in apart)
        remedy = f"`{_evaluate(groups, measured)}{needed}` measures them alike, and {remedy}"
    return SkippedMetric(metric, f"it was measured by different protocols: {listed}; {remedy}", apart)


def _count(samples: object) -> int:
    return samples if isinstance(samples, int) else 0


def _evaluate(groups: Sequence[RunGroup], names: Collection[str]) -> str:
    """The command that measures the runs of these names."""
    folders = [run.folder for group in groups for run in group.runs if run.run in names]
    return next_command("evaluate", *(RunFolder(folder).reference for folder in folders))


def protocol_differences(one: Mapping[str, object], other: Mapping[str, object]) -> dict[str, tuple[object, object]]:
    """The keys in which two protocols differ, the seed excepted, so that their values are not comparable, with both entries."""
    keys = dict.fromkeys([*one, *other])
    return {key: (one.get(key), other.get(key)) for key in keys if key != "seed" and one.get(key) != other.get(key)}


def _common_info(infos: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the values mean in common; a floor that differs, as it does at other numbers of samples, is ``None``."""
    first, goals = infos[0], {str(info.get("better", "lower")) for info in infos}
    shared = {
        key: value if key == "label" or all(info.get(key) == value for info in infos) else None for key, value in first.items()
    }
    return {**shared, "better": goals.pop() if len(goals) == 1 else "none"}


def _stats(group: RunGroup, chosen: Mapping[str, Measurement], better: str) -> GroupStats:
    found = {run.run: chosen[run.run] for run in group.runs if run.run in chosen}
    return GroupStats(
        group=group.name,
        better=better,
        values=tuple(one.value for one in found.values()),
        aims=tuple(aim(one.info.get("ideal"), one.info.get("floor")) for one in found.values()),
        runs=tuple(found),
        missing=len(group.runs) - len(found),
        early=sum(one.iteration < int(group.keys["train.iterations"]) for one in found.values()),
    )


def _tests(first: GroupStats, *others: GroupStats) -> Iterator[GroupTest]:
    ranked = [rank_test(other.costs, first.costs) for other in others]  # lower costs are better
    for other, test, p in zip(others, ranked, holm([test.p for test in ranked]), strict=True):
        winner, verdict = _verdict(first, other, test, p, min(1.0, test.least_p * len(others)))
        yield GroupTest(other.group, first.group, test.p, test.least_p, p, test.greater, winner, verdict)


def _verdict(first: GroupStats, other: GroupStats, test: RankTest, p: float, least_p: float) -> tuple[str | None, str]:
    if least_p > LEVEL:
        return None, f"too few seeds: p is {least_p:.2g} at best"
    if p > LEVEL:
        return None, "no difference is shown"
    winner = other.group if test.greater > 0.5 else first.group
    return winner, f"{winner} is better"


def rank_test(first: Sequence[float], second: Sequence[float]) -> RankTest:
    """Compare two sets of values of independent runs (Mann & Whitney 1947); infinite values are ranked as such."""
    if not first or not second or any(math.isnan(value) for value in (*first, *second)):
        raise ValueError("two sets of numbers are needed, and none of them may be empty")
    greater = statistics.fmean(0.5 * ((other > one) + (other >= one)) for one in first for other in second)
    return RankTest(_p(first, second), min(1.0, 2 / math.comb(len(first) + len(second), len(first))), greater)


def holm(values: Sequence[float]) -> list[float]:
    """The p of several tests, each raised so that together they keep the level (Holm 1979)."""
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
    """Twice the smaller tail of the sum of the first set's ranks, over all assignments of the pooled ranks, ties included.

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


def _listed(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
