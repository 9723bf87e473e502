"""Groups of runs side by side: each metric with its spread over seeds and a rank test, where the protocols are equal. No torch."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ganforge.build.protocols import protocol_differences
from ganforge.core.errors import UsageError, did_you_mean
from ganforge.core.metric_goal import aim, cost
from ganforge.runs.comparison_result import BETTER, Compared, LeftOut, Side, Trial
from ganforge.runs.groups import Gathered, Group
from ganforge.runs.measurements import Measurement
from ganforge.runs.rank_test import LEVEL, RankTest, holm, rank_test


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
    measure = _meaning(list(chosen.values()))
    sides = tuple(_side(group, chosen, measure["better"]) for group in groups)
    first = next(iter(chosen.values())).protocol or {}
    return Compared(
        metric=metric,
        measure=measure,
        protocol={key: value for key, value in first.items() if key not in ("seed", *ignore)},
        origins=tuple(dict.fromkeys(one.origin for one in chosen.values())),
        sides=sides,
        trials=_trials(sides, measure["better"]) if _judged(sides) else (),
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
    if not any(key.partition(".")[0] == "data" and key != "data.code" for key in apart):  # of other data no measurement is alike
        ways = f"`ganforge evaluate{_options(metric, apart)}` measures them alike, and {ways}"
    return LeftOut(metric, f"it was measured by different protocols: {told}; {ways}", apart)


def _options(metric: str, apart: Collection[str]) -> str:
    """Without which two recipes would be measured by their own words again."""
    told = {"samples": " -n COUNT", "generator": " --weights raw", "params": f" --metric {metric.partition('/')[0]}:KEY=VALUE"}
    return "".join(option for key, option in told.items() if key in apart)


def _stated(run: Gathered, metric: str) -> list[Measurement]:
    return [one for one in run.measurements[metric] if one.protocol is not None]


def _by(wanted: Measurement, run: Gathered, metric: str, ignore: Collection[str]) -> Measurement | None:
    return next((one for one in _stated(run, metric) if not _apart(wanted, one, ignore)), None)


def _apart(one: Measurement, other: Measurement, ignore: Collection[str]) -> dict[str, tuple[object, object]]:
    found = protocol_differences(one.protocol or {}, other.protocol or {})
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


def _meaning(chosen: Sequence[Measurement]) -> dict[str, Any]:
    """What the values mean in common: a floor that differs, as it does at other numbers of samples, is none that all share."""
    first, *others = [one.measure for one in chosen]
    shared = {key: value if all(other.get(key) == value for other in others) else None for key, value in first.items()}
    ways = {_better(one.measure) for one in chosen}
    label = {"label": first["label"]} if "label" in first else {}
    return {**shared, **label, "better": ways.pop() if len(ways) == 1 else "none"}


def _better(measure: Mapping[str, Any]) -> str:
    return str(measure.get("better", "lower"))


def _side(group: Group, chosen: Mapping[str, Measurement], better: str) -> Side:
    having = [run.run for run in group.runs if run.run in chosen]
    values = tuple(chosen[run].value for run in having)
    aims = tuple(aim(chosen[run].measure.get("ideal"), chosen[run].measure.get("floor")) for run in having)
    return Side(
        group=group.name,
        values=values,
        aims=aims,
        runs=tuple(having),
        missing=len(group.runs) - len(having),
        early=sum(chosen[run].iteration < int(group.keys["train.iterations"]) for run in having),
        worst=-math.inf if better == "higher" else math.inf,
        costs=tuple(cost(value, better, target) for value, target in zip(values, aims, strict=True)),
    )


def _judged(sides: Sequence[Side]) -> bool:
    return not any(math.isnan(each) for side in sides for each in side.costs)


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
    return f"{side.group if better > 0.5 else first.group}{BETTER}"


def _joined(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
