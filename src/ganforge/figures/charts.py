"""Charts over iterations, described independently of how they are drawn: curves, bands, reference values, axes.

:mod:`ganforge.figures.chart_renderers` draws them as PNG and as SVG.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ganforge.core import formatting
from ganforge.core.contracts import TermInfo
from ganforge.core.findings import Finding
from ganforge.core.loss_interpretation import interpret
from ganforge.core.metric_goal import cost, describe_goal, is_ranked
from ganforge.figures import Floats
from ganforge.figures.run_history import BinnedCurve
from ganforge.storage.value_info import StoredMetricInfo

COLOURS = 10
"""Number of curve colours; they count from 1, and 0 is the colour of a network's total."""

_LOG_FACTOR = 20.0  # positive values that span more than this factor get a logarithmic axis
_MANTISSAS = (1.0, 2.0, 5.0)
_MAX_BANDS = 4  # more bands would hide each other
_SMOOTHING = 40  # the running mean spans one fortieth of a curve
_MAX_METRICS = 60
_MAX_DOTS = 80  # with more dots, the curve looks like a thick line
_MAX_MARKERS = 8

Points = Mapping[int, float]
"""Values by iteration."""


def _no_values() -> Floats:
    return np.zeros(0)


@dataclass(frozen=True, slots=True)
class Axis:
    """Maps values to positions.

    Attributes:
        low: the lowest value shown.
        high: the highest value shown.
        log: whether the axis is logarithmic.
    """

    low: float
    high: float
    log: bool = False

    def place(self, values: Floats) -> Floats:
        """Positions of ``(p,)`` values: 0 at ``low``, 1 at ``high``; values outside are clipped to the edge."""
        clipped = np.clip(values, self.low, self.high)
        if self.log:
            placed: Floats = np.log(clipped / self.low) / math.log(self.high / self.low)
        else:
            placed = (clipped - self.low) / (self.high - self.low)
        return placed

    def ticks(self, most: int) -> list[float]:
        """About ``most`` round values."""
        return _log_ticks(self.low, self.high, most) if self.log else _linear_ticks(self.low, self.high, most)


@dataclass(frozen=True, slots=True)
class Curve:
    """One curve and its entry in the chart's legend.

    Attributes:
        name: its name.
        at: iterations, ``(p,)``.
        values: ``(p,)``; a non-finite value is a gap.
        colour: number of its colour.
        low: lower edge of the band around it, ``(p,)`` or empty.
        high: upper edge.
        dotted: whether its points are marked.
        meaning: what the value means; "" if unknown.
        summary: its last value beside the one at equilibrium, or beside its best.
    """

    name: str
    at: Floats
    values: Floats
    colour: int
    low: Floats = field(default_factory=_no_values)
    high: Floats = field(default_factory=_no_values)
    dotted: bool = False
    meaning: str = ""
    summary: str = ""


@dataclass(frozen=True, slots=True)
class Level:
    """A reference value, drawn as a dashed line.

    Attributes:
        value: the value.
        name: what it is; its first word, such as ``equilibrium``, says what kind of reference.
        colour: number of the colour that it shares with a curve, or ``None``.
    """

    value: float
    name: str
    colour: int | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """Curves over iterations on one pair of axes.

    Attributes:
        name: heading.
        curves: what is drawn.
        levels: reference values; those far from all curves are not drawn.
        meaning: what all its curves show; "" if each curve has its own meaning.
        remark: what the present values mean together; "" if they do not tell.
    """

    name: str
    curves: Sequence[Curve]
    levels: Sequence[Level] = ()
    meaning: str = ""
    remark: str = ""

    @property
    def axis(self) -> Axis:
        """The vertical axis."""
        return fit_axis(
            [values for curve in self.curves for values in (curve.values, curve.low, curve.high)],
            [level.value for level in self.levels],
        )

    @property
    def description(self) -> str:
        """The chart in words, for readers who do not see it."""
        parts = [f"{curve.name}: {curve.summary}." for curve in self.curves]
        return " ".join([f"Chart of {self.name}{f' ({self.meaning})' if self.meaning else ''}.", *parts])

    def shown_levels(self, axis: Axis) -> list[Level]:
        """The reference values that lie on the axis."""
        return [level for level in self.levels if axis.low <= level.value <= axis.high]


def fit_axis(values: Sequence[Floats], levels: Sequence[float] = ()) -> Axis:
    """An axis on which curves are readable: a few spikes do not stretch it, and it includes the levels near the curves.

    Args:
        values: the curves, ``(p,)`` each.
        levels: reference values.
    """
    finite = np.concatenate([np.zeros(0), *(each[np.isfinite(each)] for each in values)])
    if not len(finite):
        return Axis(0.0, 1.0)
    low, high = (float(value) for value in np.percentile(finite, [0.5, 99.5], method="nearest"))
    size = max(abs(high), abs(low))
    reach = 2 * max(high - low, size / 2)
    near = [level for level in levels if low - reach <= level <= high + reach]
    low, high = min([low, *near]), max([high, *near])
    if finite.min() > 0 and low > 0 and high > _LOG_FACTOR * low:
        return Axis(low / 1.15, high * 1.15, log=True)
    margin = 0.07 * max(high - low, 0.02 * size, 1e-12)
    floor = 0.0 if finite.min() >= 0 and min([0.0, *near]) >= 0 and low < 0.6 * high else low - margin
    return Axis(floor, high + margin)


def format_tick(value: float) -> str:
    """``0.05``, ``12,000``, ``1e+09``."""
    size = abs(value)
    if size and (size < 1e-4 or size >= 1e7):
        return f"{value:.0e}"
    return f"{value:,.6g}".replace("-", "−") if size < 1e6 else f"{value:,.0f}"


def smooth(values: Floats, points: int) -> Floats:
    """Centred running mean of ``(p,)`` values over ``points`` neighbours, fewer at the ends; NaN counts as absent."""
    if points <= 1 or len(values) < 2:
        return values
    present = np.isfinite(values)
    window = np.ones(min(points, len(values)))
    sums = np.convolve(np.where(present, values, 0.0), window, mode="same")
    counts = np.convolve(present.astype(np.float64), window, mode="same")
    means: Floats = np.divide(sums, counts, out=np.full(len(values), math.nan), where=counts > 0.5)
    return means


def loss_charts(terms: Mapping[str, BinnedCurve], term_info: Mapping[str, TermInfo]) -> list[Chart]:
    """A chart for each network: its terms and their total, each with its value at equilibrium.

    Args:
        terms: by ``discriminator/real``.
        term_info: what the terms mean, by the same keys.
    """
    networks: dict[str, dict[str, BinnedCurve]] = {}
    for key, term in terms.items():
        networks.setdefault(key.partition("/")[0], {})[key] = term
    return [_loss_chart(network, own, term_info) for network, own in networks.items()]


def metric_charts(metrics: Mapping[str, Points], meanings: Mapping[str, StoredMetricInfo]) -> list[Chart]:
    """A chart for each metric, with its ideal and its floor: what a perfect generator reaches at this sample size."""
    charts = []
    for index, (name, points) in enumerate(list(metrics.items())[:_MAX_METRICS]):
        meaning = meanings.get(name, StoredMetricInfo())
        dotted = len(points) <= _MAX_DOTS
        curve = _metric_curve(
            name,
            points,
            1 + index % COLOURS,
            dotted=dotted,
            meaning=_meaning_of(meaning),
            summary=_summarize_metric(points, meaning),
        )
        charts.append(Chart(curve.name, [curve], _reference_levels(meaning), curve.meaning))
    return charts


def seed_charts(metrics: Mapping[str, Mapping[str, Points]], meanings: Mapping[str, StoredMetricInfo]) -> list[Chart]:
    """A chart for each metric with one curve per seed; ``metrics`` has the values by metric, seed and iteration."""
    return [
        Chart(
            formatting.clean(name),
            [
                _metric_curve(f"seed {seed}", points, 1 + index % COLOURS, summary=f"last {_last(points)}")
                for index, (seed, points) in enumerate(seeds.items())
            ],
            _reference_levels(meanings.get(name, StoredMetricInfo())),
        )
        for name, seeds in list(metrics.items())[:_MAX_METRICS]
    ]


def comparison_charts(
    metrics: Mapping[str, Mapping[str, Sequence[Points]]], value_info: Mapping[str, Mapping[str, Any]]
) -> list[Chart]:
    """A chart for each metric with one curve per group of runs: the median over the seeds, and a band from minimum to maximum.

    Args:
        metrics: by metric and group, one curve per seed.
        value_info: by metric: ``label``, ``better``, ``ideal`` and ``floor``.
    """
    groups = list(dict.fromkeys(group for own in metrics.values() for group in own))
    charts = []
    for metric, own in metrics.items():
        info = value_info.get(metric, {})
        meaning = StoredMetricInfo(str(info.get("label", "")), str(info.get("better", "")), info.get("ideal"), info.get("floor"))
        curves = [_spread_curve(name, seeds, 1 + groups.index(name) % COLOURS) for name, seeds in own.items()]
        charts.append(Chart(formatting.clean(metric), curves, _reference_levels(meaning), _meaning_of(meaning)))
    return charts


def spread_over_seeds(curves: Sequence[Points]) -> tuple[list[int], Floats]:
    """Iterations ``(p,)`` at which any seed was measured, and ``(3, p)`` minimum, median and maximum.

    Non-finite values count as absent.
    """
    at = sorted({iteration for curve in curves for iteration in curve})
    rows: list[tuple[float, float, float]] = []
    for iteration in at:
        finite = [curve[iteration] for curve in curves if iteration in curve and np.isfinite(curve[iteration])]
        rows.append((min(finite), float(np.median(finite)), max(finite)) if finite else (np.nan,) * 3)
    return at, np.array(rows, dtype=np.float64).reshape(-1, 3).T


def best_value(points: Points, meaning: StoredMetricInfo) -> tuple[int, float] | None:
    """Iteration and value of the best measurement; ``None`` if it is unknown which values are better."""
    finite = {at: value for at, value in points.items() if math.isfinite(value)}
    if not finite or not is_ranked(meaning.better, meaning.aim):
        return None
    at = min(sorted(finite), key=lambda at: cost(finite[at], meaning.better, meaning.aim))
    return at, finite[at]


def select_markers(findings: Sequence[Finding]) -> dict[int, list[Finding]]:
    """The findings to mark in a chart by the iteration at which they began: at most 8, failures first."""
    marked: dict[int, list[Finding]] = {}
    for finding in sorted(findings, key=lambda one: (one.level != "fail", one.since))[:_MAX_MARKERS]:
        marked.setdefault(finding.since, []).append(finding)
    return marked


def _loss_chart(network: str, terms: Mapping[str, BinnedCurve], term_info: Mapping[str, TermInfo]) -> Chart:
    shown = _distinct_terms(network, terms)
    curves, levels = [], {}
    for index, (key, term) in enumerate(shown.items()):
        colour = 0 if key.endswith("/total") and len(shown) > 1 else 1 + index % COLOURS
        info = term_info.get(key, TermInfo(""))
        curves.append(_loss_curve(key.removeprefix(f"{network}/"), term, colour, info, with_band=len(shown) <= _MAX_BANDS))
        if info.equilibrium is not None:
            name = f"equilibrium {formatting.level(info.equilibrium)}"
            levels[info.equilibrium] = Level(info.equilibrium, name, None if info.equilibrium in levels else colour)
    recent = {key: value for key, term in terms.items() if (value := _recent_mean(term)) is not None}
    remark = formatting.clean(interpret(network, recent, term_info))
    return Chart(formatting.clean(network), curves, list(levels.values()), remark=remark)


def _distinct_terms(network: str, terms: Mapping[str, BinnedCurve]) -> dict[str, BinnedCurve]:
    """The terms, then the total unless it equals a single term: the curves would hide each other, and the term says more."""
    total = terms.get(f"{network}/total")
    parts = {key: term for key, term in terms.items() if term is not total}
    if total is None or any(_equal(term, total) for term in parts.values()):
        return parts
    return {**parts, f"{network}/total": total}


def _equal(one: BinnedCurve, other: BinnedCurve) -> bool:
    return all(np.array_equal(mine, others) for mine, others in zip(one.series(), other.series(), strict=True))


def _loss_curve(name: str, term: BinnedCurve, colour: int, info: TermInfo, *, with_band: bool) -> Curve:
    """The running mean; the band spans the extremes of the same neighbours."""
    at, low, mean, high = term.series()
    points = len(mean) // _SMOOTHING
    band = (_rolling(low, points, np.min), _rolling(high, points, np.max)) if with_band else (_no_values(), _no_values())
    meaning = formatting.clean(info.label)
    return Curve(
        formatting.clean(name),
        at,
        smooth(mean, points),
        colour,
        *band,
        meaning=meaning,
        summary=_summarize_term(term, info.equilibrium),
    )


def _rolling(values: Floats, points: int, reduce: Callable[..., Floats]) -> Floats:
    if points <= 1:
        return values
    padded = np.pad(values, (points // 2, points - 1 - points // 2), mode="edge")
    return reduce(np.lib.stride_tricks.sliding_window_view(padded, points), axis=1)


def _summarize_term(term: BinnedCurve, equilibrium: float | None) -> str:
    if term.non_finite_at is not None:
        return f"not finite since iteration {term.non_finite_at:,}"
    recent = _recent_mean(term)
    if recent is None:
        return "no values"
    reference = f"; at equilibrium {formatting.level(equilibrium)}" if equilibrium is not None else ""
    return f"recently {formatting.number(recent)}{reference}"


def _recent_mean(term: BinnedCurve) -> float | None:
    """The mean of the last twentieth; ``None`` without values, or if a value was not finite."""
    if term.non_finite_at is not None or term.last is None:
        return None
    *_, mean, _ = term.series()
    return float(np.mean(mean[-max(1, len(mean) // 20) :]))


def _metric_curve(name: str, points: Points, colour: int, *, dotted: bool = False, meaning: str = "", summary: str = "") -> Curve:
    at = sorted(points)
    values = np.array([points[one] for one in at], dtype=np.float64)
    return Curve(
        formatting.clean(name), np.array(at, dtype=np.float64), values, colour, dotted=dotted, meaning=meaning, summary=summary
    )


def _spread_curve(name: str, seeds: Sequence[Points], colour: int) -> Curve:
    at, (least, median, greatest) = spread_over_seeds(seeds)
    low, high = (least, greatest) if len(seeds) > 1 else (_no_values(), _no_values())
    label = f"{formatting.clean(name)}, {formatting.plural(len(seeds), 'seed')}"
    return Curve(label, np.array(at, dtype=np.float64), median, colour, low, high, dotted=True)


def _reference_levels(meaning: StoredMetricInfo) -> list[Level]:
    known = [("ideal", meaning.ideal), ("floor", meaning.floor)]
    return [Level(float(value), f"{name} {formatting.number(value)}") for name, value in known if value is not None]


def _meaning_of(meaning: StoredMetricInfo) -> str:
    return "; ".join(part for part in (formatting.clean(meaning.label), describe_goal(meaning.better, meaning.aim)) if part)


def _summarize_metric(points: Points, meaning: StoredMetricInfo) -> str:
    best = best_value(points, meaning)
    if best is None or len(points) < 2:
        return f"last {_last(points)}"
    return f"last {_last(points)}, best {formatting.number(best[1])} at iteration {best[0]:,}"


def _last(points: Points) -> str:
    return formatting.number(points[max(points)]) if points else "no values"


def _linear_ticks(low: float, high: float, most: int) -> list[float]:
    rough = (high - low) / max(most, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((mantissa * power for mantissa in (*_MANTISSAS, 10.0) if mantissa * power >= rough * 0.999), 10 * power)
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 12) + 0.0 for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _log_ticks(low: float, high: float, most: int) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.floor(math.log10(high)) + 1)
    fine = [mantissa * 10.0**power for power in decades for mantissa in _MANTISSAS]
    shown = [float(f"{value:.6g}") for value in fine if low <= value <= high]
    if len(shown) <= most + 1:
        return shown
    tens = [float(f"{10.0**power:.6g}") for power in decades if low <= 10.0**power <= high]
    return tens[:: max(1, math.ceil(len(tens) / most))]
