"""Charts over iterations: curves, bands, reference values and axes. The report draws them as SVG, :func:`draw_charts` as PNG."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from ganforge.core import formatting
from ganforge.core.contracts import TermInfo, describe_goal, goal_cost, is_ranked
from ganforge.core.findings import Finding
from ganforge.core.loss_interpretation import interpret
from ganforge.figures import Floats, Pixels, mpl_style
from ganforge.figures.run_history import BinnedCurve
from ganforge.storage.value_info import StoredMetricInfo

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLOURS = (mpl_style.INK, *mpl_style.GROUPS)  # the first is that of a network's total
_LOG_FACTOR = 20.0  # positive values that span more than this factor get a logarithmic axis
_MANTISSAS = (1.0, 2.0, 5.0)
_MAX_BANDS = 4  # more bands would hide each other
_SMOOTHING = 40  # the running mean spans one fortieth of a curve
_MAX_METRICS = 60
_MAX_DOTS = 80  # with more dots, the curve looks like a thick line
_MAX_MARKERS = 8
_FLAT = 0.05  # share of an axis below which a curve looks flat
_SMALL = ", small terms"
_EMPTY: Floats = np.zeros(0)
_WRAP = 28  # letters per line beside a panel

Points = Mapping[int, float]
"""Values by iteration."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Maps values to positions; ``low`` and ``high`` are the lowest and highest value shown."""

    low: float
    high: float
    log: bool = False

    def place(self, values: Floats) -> Floats:
        """Positions of ``(p,)`` values: 0 at ``low``, 1 at ``high``; values outside are clipped to the edge."""
        clipped = np.clip(values, self.low, self.high)
        placed: Floats = (clipped - self.low) / (self.high - self.low)
        return np.log(clipped / self.low) / math.log(self.high / self.low) if self.log else placed

    def ticks(self, most: int) -> list[float]:
        """About ``most`` round values."""
        return _log_ticks(self.low, self.high, most) if self.log else _linear_ticks(self.low, self.high, most)


@dataclass(frozen=True, slots=True)
class Curve:
    """One curve and its entry in the chart's legend."""

    name: str
    at: Floats  # iterations, (p,)
    values: Floats  # (p,); a non-finite value is a gap
    colour: int
    low: Floats = field(default_factory=lambda: _EMPTY)  # lower edge of the band around it, (p,) or empty
    high: Floats = field(default_factory=lambda: _EMPTY)
    dotted: bool = False  # whether its points are marked
    meaning: str = ""  # what the value means; "" if unknown
    summary: str = ""  # its last value beside the one at equilibrium, or beside its best


@dataclass(frozen=True, slots=True)
class Level:
    """A reference value, drawn as a dashed line."""

    value: float
    name: str  # what it is; its first word, such as "equilibrium", says what kind of reference
    colour: int | None = None  # number of the colour that it shares with a curve


@dataclass(frozen=True, slots=True)
class Chart:
    """Curves over iterations on one pair of axes."""

    name: str
    curves: Sequence[Curve]
    levels: Sequence[Level] = ()  # those far from all curves are not drawn
    meaning: str = ""  # what all its curves show; "" if each curve has its own meaning
    remark: str = ""  # what the present values mean together; "" if they do not tell

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
    """An axis on which ``(p,)`` curves are readable: a few spikes do not stretch it, and it includes the levels near the curves."""
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
    """A chart for each network: its terms (by ``discriminator/real``) and their total, each with its value at equilibrium.

    Terms that would be flat beside much larger ones have a chart of their own.
    """
    networks: dict[str, dict[str, BinnedCurve]] = {}
    for key, term in terms.items():
        networks.setdefault(key.partition("/")[0], {})[key] = term
    return [part for network, own in networks.items() for part in _split_by_size(_loss_chart(network, own, term_info))]


def metric_charts(metrics: Mapping[str, Points], meanings: Mapping[str, StoredMetricInfo]) -> list[Chart]:
    """A chart for each metric, with its ideal and its floor: what a perfect generator reaches at this sample size."""
    charts = []
    for index, (name, points) in enumerate(list(metrics.items())[:_MAX_METRICS]):
        info = meanings.get(name, StoredMetricInfo())
        curve = _metric_curve(formatting.clean(name), [points], index, _summarize_metric(points, info), _meaning_of(info))
        curve = replace(curve, dotted=len(points) <= _MAX_DOTS)
        charts.append(Chart(curve.name, [curve], _reference_levels(info), curve.meaning))
    return charts


def seed_charts(metrics: Mapping[str, Mapping[str, Points]], meanings: Mapping[str, StoredMetricInfo]) -> list[Chart]:
    """A chart for each metric with one curve per seed; ``metrics`` has the values by metric, seed and iteration."""
    return [
        Chart(
            formatting.clean(name),
            [_metric_curve(f"seed {seed}", [own], at, f"last {_last(own)}") for at, (seed, own) in enumerate(seeds.items())],
            _reference_levels(meanings.get(name, StoredMetricInfo())),
        )
        for name, seeds in list(metrics.items())[:_MAX_METRICS]
    ]


def comparison_charts(
    metrics: Mapping[str, Mapping[str, Sequence[Points]]], value_info: Mapping[str, Mapping[str, Any]]
) -> list[Chart]:
    """A chart for each metric with one curve per group of runs: the median over the seeds, and a band from minimum to maximum.

    ``metrics`` has by metric and group one curve per seed, ``value_info`` by metric what the journal's record ``protocols`` has.
    """
    groups = list(dict.fromkeys(group for own in metrics.values() for group in own))
    charts = []
    for metric, own in metrics.items():
        info = {key: value for key, value in value_info.get(metric, {}).items() if value is not None}
        meaning = StoredMetricInfo(info.get("label", ""), info.get("better", ""), info.get("ideal"), info.get("floor"))
        labels = {name: f"{formatting.clean(name)}, {formatting.plural(len(seeds), 'seed')}" for name, seeds in own.items()}
        curves = [replace(_metric_curve(labels[name], own[name], groups.index(name)), dotted=True) for name in own]
        charts.append(Chart(formatting.clean(metric), curves, _reference_levels(meaning), _meaning_of(meaning)))
    return charts


def spread_over_seeds(curves: Sequence[Points]) -> tuple[list[int], Floats]:
    """Iterations ``(p,)`` at which any seed was measured, and ``(3, p)`` minimum, median and maximum of the finite values."""
    at = sorted({iteration for curve in curves for iteration in curve})
    rows = []
    for iteration in at:
        finite = [value for curve in curves if math.isfinite(value := curve.get(iteration, math.nan))]
        rows.append((min(finite), float(np.median(finite)), max(finite)) if finite else (np.nan,) * 3)
    return at, np.array(rows, dtype=np.float64).reshape(-1, 3).T


def best_value(points: Points, meaning: StoredMetricInfo) -> tuple[int, float] | None:
    """Iteration and value of the best measurement; ``None`` if it is unknown which values are better."""
    finite = {at: value for at, value in points.items() if math.isfinite(value)}
    if not finite or not is_ranked(meaning.better, meaning.aim):
        return None
    at = min(sorted(finite), key=lambda at: goal_cost(finite[at], meaning.better, meaning.aim))
    return at, finite[at]


def draw_charts(
    charts: Sequence[Chart], title: str, *, note: str = "", findings: Sequence[Finding] = (), shared_legend: bool = False
) -> Pixels:
    """The charts as panels below each other, with a common horizontal axis: ``(H, W, 3)`` bytes.

    The kinds of reference values are added to the ``note`` beside the title. A vertical line marks where each finding began. A
    ``shared_legend`` above the first panel is for charts with the same curves; each chart's meaning is then beside it.
    """
    described = shared_legend or all(chart.meaning for chart in charts)
    height = (1.0 if shared_legend else 0.7) + (2.2 if described else 2.7) * len(charts)  # inches
    page, grid = mpl_style.figure(8.0, height, nrows=len(charts), sharex=True, squeeze=False)
    panels = list(grid[:, 0])
    kinds: dict[str, None] = {}
    for panel, chart in zip(panels, charts, strict=True):
        kinds |= dict.fromkeys(level.name.partition(" ")[0] for level in _draw_panel(panel, chart))
        if shared_legend or chart.meaning:
            _describe(panel, chart)
        else:
            panel.set_ylabel(chart.name)
            mpl_style.add_legend(panel, loc="upper left", bbox_to_anchor=(1.005, 1.02), labelspacing=0.8)
    if shared_legend:
        mpl_style.add_legend(panels[0], loc="lower left", bbox_to_anchor=(-0.015, 1.0), ncols=3, columnspacing=1.4)
    _mark_findings(panels, findings)
    panels[-1].set_xlabel("iteration")
    panels[-1].xaxis.get_major_locator().set_params(integer=True)
    panels[-1].xaxis.set_major_formatter(lambda value, _: format_tick(value))
    top = (0.65 if shared_legend else 0.42) / height
    page.subplots_adjust(left=0.1, right=0.73, top=1 - top, bottom=0.45 / height, hspace=0.16)
    note = "; ".join(part for part in (note, f"dashed: {', '.join(kinds)}" if kinds else "") if part)
    mpl_style.add_title(page, formatting.clean(title), left=0.1, right=0.98, top=1 - 0.2 / height, note=note)
    page.align_ylabels()
    return mpl_style.render(page)


def _loss_chart(network: str, terms: Mapping[str, BinnedCurve], term_info: Mapping[str, TermInfo]) -> Chart:
    shown = _distinct_terms(network, terms)
    curves, levels = [], {}
    for index, (key, term) in enumerate(shown.items()):
        colour = 0 if key.endswith("/total") and len(shown) > 1 else 1 + index % len(mpl_style.GROUPS)
        info = term_info.get(key, TermInfo(""))
        curves.append(_loss_curve(key.removeprefix(f"{network}/"), term, colour, info, with_band=len(shown) <= _MAX_BANDS))
        if info.equilibrium is not None:
            name = f"equilibrium {formatting.level(info.equilibrium)}"
            levels[info.equilibrium] = Level(info.equilibrium, name, None if info.equilibrium in levels else colour)
    recent = {key: value for key, term in terms.items() if (value := _recent_mean(term)) is not None}
    remark = formatting.clean(interpret(network, recent, term_info))
    return Chart(formatting.clean(network), curves, list(levels.values()), remark=remark)


def _split_by_size(chart: Chart) -> list[Chart]:
    """The chart, and one below it for the curves that would lie flat on its zero line."""
    axis = chart.axis
    small = [] if axis.log else [curve for curve in chart.curves if _size(curve) < _FLAT * (axis.high - axis.low)]
    large = [curve for curve in chart.curves if not any(curve is one for one in small)]
    if not small or not large:
        return [chart]
    kept, apart = (
        [one for one in chart.levels if one.colour is None or one.colour in {curve.colour for curve in curves}]
        for curves in (large, small)
    )
    below = Chart(f"{chart.name.removesuffix(_SMALL)}{_SMALL}", small, apart)
    return [replace(chart, curves=large, levels=kept), *_split_by_size(below)]


def _size(curve: Curve) -> float:
    """The greatest distance of a curve from zero, single spikes aside."""
    finite = np.abs(curve.values[np.isfinite(curve.values)])
    return float(np.percentile(finite, 99.5)) if len(finite) else 0.0


def _distinct_terms(network: str, terms: Mapping[str, BinnedCurve]) -> dict[str, BinnedCurve]:
    """The terms, then the total unless it equals a single term: the curves would hide each other, and the term says more."""
    total = terms.get(f"{network}/total")
    parts = {key: term for key, term in terms.items() if term is not total}
    if total is None or any(all(map(np.array_equal, term.series(), total.series())) for term in parts.values()):
        return parts
    return {**parts, f"{network}/total": total}


def _loss_curve(name: str, term: BinnedCurve, colour: int, info: TermInfo, *, with_band: bool) -> Curve:
    """The running mean; the band spans the extremes of the same neighbours."""
    at, low, mean, high = term.series()
    points = len(mean) // _SMOOTHING
    band = (_rolling(low, points, np.min), _rolling(high, points, np.max)) if with_band else (_EMPTY, _EMPTY)
    label, summary = formatting.clean(info.label), _summarize_term(term, info.equilibrium)
    return Curve(formatting.clean(name), at, smooth(mean, points), colour, *band, meaning=label, summary=summary)


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


def _metric_curve(name: str, seeds: Sequence[Points], index: int, summary: str = "", meaning: str = "") -> Curve:
    """The median over the seeds, and of several a band from minimum to maximum."""
    at, (least, median, greatest) = spread_over_seeds(seeds)
    low, high = (least, greatest) if len(seeds) > 1 else (_EMPTY, _EMPTY)
    colour = 1 + index % len(mpl_style.GROUPS)
    return Curve(name, np.array(at, dtype=np.float64), median, colour, low, high, meaning=meaning, summary=summary)


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


def _draw_panel(panel: Axes, chart: Chart) -> list[Level]:
    """Draw curves and reference values; the reference values drawn are returned."""
    axis = chart.axis
    for curve in chart.curves:
        colour: Any = _COLOURS[curve.colour]
        if len(curve.low):
            panel.fill_between(curve.at, curve.low, curve.high, color=colour, alpha=0.16, linewidth=0)
        label = fill(": ".join(part for part in (curve.name, "" if chart.meaning else curve.meaning) if part), _WRAP)
        marker = "o" if curve.dotted or len(curve.at) == 1 else None
        panel.plot(
            curve.at, curve.values, color=colour, linewidth=1.6, marker=marker, markersize=3.5, label=mpl_style.escape_math(label)
        )
    levels = chart.shown_levels(axis)
    for level in levels:
        colour = mpl_style.HALF if level.colour is None else _COLOURS[level.colour]
        panel.axhline(level.value, color=colour, linewidth=0.9, linestyle=(0, (4, 3)), alpha=0.8)
    panel.set_yscale("log" if axis.log else "linear")
    panel.set_ylim(axis.low, axis.high)
    panel.set_yticks(ticks := axis.ticks(5), [format_tick(tick) for tick in ticks])
    panel.tick_params(which="minor", left=False, labelleft=False)
    panel.grid(axis="y", color=mpl_style.GRID, linewidth=0.8)
    return levels


def _describe(panel: Axes, chart: Chart) -> None:
    text: dict[str, Any] = {"transform": panel.transAxes, "va": "top"}
    panel.text(1.01, 0.98, mpl_style.escape_math(chart.name), size=8, weight="bold", color=mpl_style.INK, **text)
    meaning = fill(chart.meaning, _WRAP)
    panel.text(1.01, 0.86, mpl_style.escape_math(meaning), size=7.5, color=mpl_style.MUTED, **text)


def _mark_findings(panels: Sequence[Axes], findings: Sequence[Finding]) -> None:
    """A vertical line where findings began, at most 8 findings, failures first; the text is in the first panel."""
    marked: dict[int, list[Finding]] = {}
    for finding in sorted(findings, key=lambda one: (one.level != "fail", one.since))[:_MAX_MARKERS]:
        marked.setdefault(finding.since, []).append(finding)
    for since, found in marked.items():
        colour = mpl_style.FAIL if any(finding.level == "fail" for finding in found) else mpl_style.WARN
        for panel in panels:
            panel.axvline(since, color=colour, linewidth=0.8, alpha=0.9, zorder=1)
        text = mpl_style.escape_math(formatting.clean(", ".join(dict.fromkeys(finding.problem for finding in found))))
        panels[0].text(
            since, 0.98, text, transform=panels[0].get_xaxis_transform(), rotation=90, va="top", ha="right", size=7, color=colour,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8}, zorder=1.5,
        )  # fmt: skip
