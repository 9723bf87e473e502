"""The charts of a page: one for each network's losses, one for each metric."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from ganforge.core import formatting
from ganforge.core.contracts import TermInfo
from ganforge.core.loss_interpretation import sentence
from ganforge.core.metric_goal import cost, in_words, judges
from ganforge.figures.svg_charts import Curve, Level, chart
from ganforge.report.journal_curves import Binned
from ganforge.storage.value_info import StoredMetricInfo

COLOURS = 10
"""Colours of curves; that of a network's total, which all others add up to, is 0 and comes besides."""

_MOST_BANDS = 3  # more of them would hide each other
_SMOOTH = 40  # the running mean spans this share of a curve: one fortieth
_MOST_METRICS = 60
_MOST_DOTS = 80  # more of them would be a thick line


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a chart's key.

    Attributes:
        name: the curve's.
        colour: number of its colour.
        meaning: in plain words; "" where nobody said.
        reading: its last value beside that at equilibrium, or its best beside its ideal.
    """

    name: str
    colour: int
    meaning: str
    reading: str


@dataclass(frozen=True, slots=True)
class Panel:
    """A chart with its key.

    Attributes:
        name: stands above.
        drawing: the chart.
        entries: the key.
        saying: what the present values mean together, in words; "" where they do not tell.
    """

    name: str
    drawing: Markup
    entries: Sequence[Entry]
    saying: str = ""


def loss_panels(terms: Mapping[str, Binned], term_info: Mapping[str, TermInfo], until: float) -> list[Panel]:
    """A chart for each network: its terms and their total, each beside its value at equilibrium."""
    networks = dict.fromkeys(key.partition("/")[0] for key in terms)
    return [
        _loss_panel(network, {key: one for key, one in terms.items() if key.partition("/")[0] == network}, term_info, until)
        for network in networks
    ]


def metric_panels(
    metrics: Mapping[str, Mapping[int, float]], meanings: Mapping[str, StoredMetricInfo], until: float
) -> list[Panel]:
    """A chart for each metric, beside its ideal and what a perfect generator reaches at this sample size."""
    return [
        _metric_panel(name, points, meanings.get(name, StoredMetricInfo()), until, 1 + index % COLOURS)
        for index, (name, points) in enumerate(list(metrics.items())[:_MOST_METRICS])
    ]


def seed_panels(
    metrics: Mapping[str, Mapping[str, Mapping[int, float]]], meanings: Mapping[str, StoredMetricInfo], until: float
) -> list[Panel]:
    """A chart for each metric with a curve for each seed.

    Args:
        metrics: by metric, by seed, the values by iteration.
        meanings: by metric.
        until: the last iteration.
    """
    return [
        _seeds_panel(name, seeds, meanings.get(name, StoredMetricInfo()), until)
        for name, seeds in list(metrics.items())[:_MOST_METRICS]
    ]


def _loss_panel(network: str, terms: Mapping[str, Binned], term_info: Mapping[str, TermInfo], until: float) -> Panel:
    own = _told_apart(network, terms)
    colours = {key: 0 if key.endswith("/total") and len(own) > 1 else 1 + index % COLOURS for index, key in enumerate(own)}
    curves = [_loss_curve(one, colours[key], banded=len(own) <= _MOST_BANDS) for key, one in own.items()]
    levels: dict[float, Level] = {}
    for key in own:
        if key in term_info and (value := term_info[key].equilibrium) is not None:
            colour = None if value in levels else colours[key]
            levels[value] = Level(value, f"equilibrium {formatting.level(value)}", colour)
    entries = [
        Entry(_term(network, key), colours[key], formatting.clean(reading.label), _read(one, reading.equilibrium))
        for key, one in own.items()
        for reading in [term_info.get(key, TermInfo(""))]
    ]
    told = f"Curves of the {formatting.clean(network)}'s losses. " + " ".join(f"{one.name}: {one.reading}." for one in entries)
    lately = {key: value for key, one in terms.items() if (value := _lately(one)) is not None}
    saying = formatting.clean(sentence(network, lately, term_info))
    return Panel(formatting.clean(network), chart(curves, list(levels.values()), told=told, until=until), entries, saying)


def _told_apart(network: str, terms: Mapping[str, Binned]) -> dict[str, Binned]:
    """Without the total where one term is all there is of it: one curve would hide the other, and the term says more."""
    total = terms.get(f"{network}/total")
    parts = {key: one for key, one in terms.items() if one is not total}
    if total is None or any(_equal(one, total) for one in parts.values()):
        return parts
    return {**parts, f"{network}/total": total}


def _equal(one: Binned, other: Binned) -> bool:
    return all(np.array_equal(mine, others) for mine, others in zip(one.series(), other.series(), strict=True))


def _term(network: str, key: str) -> str:
    return formatting.clean(key.removeprefix(f"{network}/"))


def _loss_curve(term: Binned, colour: int, *, banded: bool) -> Curve:
    from ganforge.figures.history import smoothed

    at, low, mean, high = term.series()
    line = smoothed(mean, len(mean) // _SMOOTH)
    return Curve(at, line, colour, low, high) if banded else Curve(at, line, colour)


def _read(term: Binned, equilibrium: float | None) -> str:
    """The last value, beside that at equilibrium."""
    if term.lost_at is not None:
        return f"not finite from iteration {term.lost_at:,} on"
    lately = _lately(term)
    if lately is None:
        return "no values"
    settled = f"; at equilibrium {formatting.level(equilibrium)}" if equilibrium is not None else ""
    return f"lately {formatting.number(lately)}{settled}"


def _lately(term: Binned) -> float | None:
    """The mean of the last twentieth; nothing of a term without values, or that was lost."""
    if term.lost_at is not None or term.last is None:
        return None
    *_, mean, _ = term.series()
    return float(np.mean(mean[-max(1, len(mean) // 20) :]))


def _metric_panel(name: str, points: Mapping[int, float], meaning: StoredMetricInfo, until: float, colour: int) -> Panel:
    shown = formatting.clean(name)
    curve = _metric_curve(points, colour, dotted=len(points) <= _MOST_DOTS)
    entry = Entry(shown, colour, _meant(meaning), _spoken(points, meaning))
    told = f"Curve of {shown}. {entry.meaning}: {entry.reading}."
    return Panel(shown, chart([curve], _levels(meaning), told=told, until=until), [entry])


def _seeds_panel(name: str, seeds: Mapping[str, Mapping[int, float]], meaning: StoredMetricInfo, until: float) -> Panel:
    coloured = {seed: 1 + index % COLOURS for index, seed in enumerate(seeds)}
    curves = [_metric_curve(points, coloured[seed], dotted=False) for seed, points in seeds.items()]
    entries = [Entry(f"seed {seed}", coloured[seed], "", f"last {_final(points)}") for seed, points in seeds.items()]
    told = f"Curves of {formatting.clean(name)}. " + " ".join(f"{one.name}: {one.reading}." for one in entries)
    return Panel(formatting.clean(name), chart(curves, _levels(meaning), told=told, until=until), entries)


def _metric_curve(points: Mapping[int, float], colour: int, *, dotted: bool) -> Curve:
    at = sorted(points)
    return Curve(np.array(at, dtype=np.float64), np.array([points[one] for one in at]), colour, dotted=dotted)


def _levels(meaning: StoredMetricInfo) -> list[Level]:
    """The ideal and the floor, where they are known."""
    known = [("ideal", meaning.ideal), ("floor", meaning.floor)]
    return [Level(value, f"{name} {formatting.number(value)}") for name, value in known if value is not None]


def best(points: Mapping[int, float], meaning: StoredMetricInfo) -> tuple[int, float] | None:
    """Iteration and value of the best one, where it is known which that is."""
    finite = {at: value for at, value in points.items() if math.isfinite(value)}
    if not finite or not judges(meaning.better, meaning.aim):
        return None
    at = min(sorted(finite), key=lambda at: cost(finite[at], meaning.better, meaning.aim))
    return at, finite[at]


def _meant(meaning: StoredMetricInfo) -> str:
    way = in_words(meaning.better, meaning.aim)
    return "; ".join(part for part in (formatting.clean(meaning.label), way) if part)


def _spoken(points: Mapping[int, float], meaning: StoredMetricInfo) -> str:
    told = [f"last {_final(points)}"]
    if (found := best(points, meaning)) is not None and len(points) > 1:
        told.append(f"best {formatting.number(found[1])} at iteration {found[0]:,}")
    return ", ".join(told)


def _final(points: Mapping[int, float]) -> str:
    return formatting.number(points[max(points)]) if points else "no values"
