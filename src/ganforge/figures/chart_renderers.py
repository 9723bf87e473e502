"""Charts drawn: as one PNG with a panel for each, and as SVG for a web page.

The SVG needs no script. Its colours are CSS classes, so that one drawing serves light and dark style sheets. Text is positioned in
screen units and keeps its size; curves lie in a nested view box that stretches to the available width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup, escape

from ganforge.core import formatting
from ganforge.core.findings import Finding
from ganforge.figures import Floats, Pixels, mpl_style
from ganforge.figures.charts import Axis, Chart, Curve, Level, format_tick, select_markers

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SVG_HEIGHT = 214
"""Height of the plot area in pixels."""

_COLOURS = (mpl_style.INK, *mpl_style.GROUPS)
_WRAP = 28  # letters per line beside a panel
_DASHES = (0, (4, 3))

_TOP, _BOTTOM = 10, 26  # pixels above and below the plot area
_WIDTH = 1000  # width of the stretched view box
_Y_TICKS, _X_TICKS = 5, 4
_LINE_HEIGHT = 14  # pixels
_VIEW_BOX = Markup(f'viewBox="0 0 {_WIDTH} {SVG_HEIGHT}" preserveAspectRatio="none"')  # noqa: S704 - two numbers of ours
_NAME = Markup('<text class="name" x="100%" y="{y:.1f}" text-anchor="end">{name}</text>')


def draw_charts(
    charts: Sequence[Chart], title: str, *, note: str = "", findings: Sequence[Finding] = (), shared_legend: bool = False
) -> Pixels:
    """The charts as panels below each other, with a common horizontal axis: ``(H, W, 3)`` bytes.

    Args:
        charts: at least one.
        title: above the panels.
        note: on the right of the title; the kinds of reference values are added.
        findings: a vertical line marks where each of them began.
        shared_legend: one legend above the first panel, for charts with the same curves; each chart's meaning is beside it.
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
    _mark_findings(panels, select_markers(findings))
    panels[-1].set_xlabel("iteration")
    panels[-1].xaxis.get_major_locator().set_params(integer=True)
    panels[-1].xaxis.set_major_formatter(lambda value, _: format_tick(value))
    top = (0.65 if shared_legend else 0.42) / height
    page.subplots_adjust(left=0.1, right=0.73, top=1 - top, bottom=0.45 / height, hspace=0.16)
    note = "; ".join(part for part in (note, f"dashed: {', '.join(kinds)}" if kinds else "") if part)
    mpl_style.add_title(page, formatting.clean(title), left=0.1, right=0.98, top=1 - 0.2 / height, note=note)
    page.align_ylabels()
    return mpl_style.render(page)


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
        panel.axhline(level.value, color=colour, linewidth=0.9, linestyle=_DASHES, alpha=0.8)
    panel.set_yscale("log" if axis.log else "linear")
    panel.set_ylim(axis.low, axis.high)
    panel.set_yticks(ticks := axis.ticks(_Y_TICKS), [format_tick(tick) for tick in ticks])
    panel.tick_params(which="minor", left=False, labelleft=False)
    panel.grid(axis="y", color=mpl_style.GRID, linewidth=0.8)
    return levels


def _describe(panel: Axes, chart: Chart) -> None:
    text: dict[str, Any] = {"transform": panel.transAxes, "va": "top"}
    panel.text(1.01, 0.98, mpl_style.escape_math(chart.name), size=8, weight="bold", color=mpl_style.INK, **text)
    meaning = fill(chart.meaning, _WRAP)
    panel.text(1.01, 0.86, mpl_style.escape_math(meaning), size=7.5, color=mpl_style.MUTED, **text)


def _mark_findings(panels: Sequence[Axes], findings: Mapping[int, Sequence[Finding]]) -> None:
    """A vertical line for each iteration; the text is in the first panel."""
    for since, found in findings.items():
        colour = mpl_style.FAIL if any(finding.level == "fail" for finding in found) else mpl_style.WARN
        for panel in panels:
            panel.axvline(since, color=colour, linewidth=0.8, alpha=0.9, zorder=1)
        text = mpl_style.escape_math(formatting.clean(", ".join(dict.fromkeys(finding.problem for finding in found))))
        panels[0].text(
            since, 0.98, text, transform=panels[0].get_xaxis_transform(), rotation=90, va="top", ha="right", size=7, color=colour,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8}, zorder=1.5,
        )  # fmt: skip


def chart_svg(chart: Chart, until: float) -> Markup:
    """A chart as an HTML element with SVG inside.

    Args:
        chart: what to draw.
        until: the last iteration on the axis.
    """
    y_axis, x_axis = chart.axis, Axis(0.0, max(until, 1.0))
    return Markup('<div class="chart" role="img" aria-label="{text}">{scale}{plot}</div>').format(
        text=chart.description, scale=_scale_svg(y_axis), plot=_plot_svg(chart, y_axis, x_axis)
    )


def _scale_svg(y_axis: Axis) -> Markup:
    labels = [
        Markup('<text x="100%" y="{y:.1f}" dy="0.32em" text-anchor="end">{text}</text>').format(y=y, text=format_tick(value))
        for value, y in _tick_positions(y_axis)
    ]
    return Markup('<svg class="scale" height="{height}" aria-hidden="true">{labels}</svg>').format(
        height=_TOP + SVG_HEIGHT + _BOTTOM, labels=_join(labels)
    )


def _plot_svg(chart: Chart, y_axis: Axis, x_axis: Axis) -> Markup:
    levels = chart.shown_levels(y_axis)
    parts = [
        *_grid_svg(y_axis),
        *_iterations_svg(x_axis),
        Markup('<svg class="curves" y="{top}" width="100%" height="{height}" {view_box}>').format(
            top=_TOP, height=SVG_HEIGHT, view_box=_VIEW_BOX
        ),
        *(_band_svg(curve, y_axis, x_axis) for curve in chart.curves if len(curve.low)),
        *(_level_svg(level, y_axis) for level in levels),
        *(_curve_svg(curve, y_axis, x_axis) for curve in chart.curves),
        Markup("</svg>"),
        *_names_svg(levels, chart.curves, y_axis),
    ]
    return Markup('<svg class="plot" height="{height}" aria-hidden="true">{parts}</svg>').format(
        height=_TOP + SVG_HEIGHT + _BOTTOM, parts=_join(parts)
    )


def _grid_svg(y_axis: Axis) -> list[Markup]:
    line = Markup('<line class="grid" x1="0" x2="100%" y1="{y:.1f}" y2="{y:.1f}"></line>')
    return [line.format(y=y) for _, y in _tick_positions(y_axis)]


def _iterations_svg(x_axis: Axis) -> list[Markup]:
    """The labels of the horizontal axis; the first and last one stay inside the plot."""
    labels = []
    for value in x_axis.ticks(_X_TICKS):
        place = float(x_axis.place(np.array([value]))[0])
        anchor = "start" if place < 0.02 else "end" if place > 0.96 else "middle"
        labels.append(
            Markup('<text x="{x:.2f}%" y="{y}" text-anchor="{anchor}">{text}</text>').format(
                x=100 * place, y=_TOP + SVG_HEIGHT + 19, anchor=anchor, text=format_tick(value)
            )
        )
    return labels


def _band_svg(curve: Curve, y_axis: Axis, x_axis: Axis) -> Markup:
    x = x_axis.place(curve.at) * _WIDTH
    low, high = (_y(y_axis.place(edge)) for edge in (curve.low, curve.high))
    known = np.isfinite(low) & np.isfinite(high)
    if known.sum() < 2:
        return Markup()
    outline = [*zip(x[known], high[known], strict=True), *zip(x[known][::-1], low[known][::-1], strict=True)]
    points = " ".join(f"{across:.1f},{down:.1f}" for across, down in outline)
    return Markup('<polygon class="band c{colour}" points="{points}"></polygon>').format(colour=curve.colour, points=points)


def _curve_svg(curve: Curve, y_axis: Axis, x_axis: Axis) -> Markup:
    x, y = x_axis.place(curve.at) * _WIDTH, _y(y_axis.place(curve.values))
    dots = [f"M{across:.1f} {down:.1f}h0" for across, down in zip(x, y, strict=True) if np.isfinite(down)]
    marks = Markup('<path class="dots c{colour}" d="{path}"></path>').format(colour=curve.colour, path="".join(dots))
    line = Markup('<path class="line c{colour}" d="{path}"></path>').format(colour=curve.colour, path=svg_path(x, y))
    return line + (marks if curve.dotted or len(dots) == 1 else "")


def svg_path(x: Floats, y: Floats) -> str:
    """Points ``(p,)`` as an SVG path; the line is interrupted where a point is not finite."""
    steps, pen_down = [], False
    for across, down in zip(x.tolist(), y.tolist(), strict=True):
        if not (np.isfinite(across) and np.isfinite(down)):
            pen_down = False
            continue
        steps.append(f"{'L' if pen_down else 'M'}{across:.1f} {down:.1f}")
        pen_down = True
    return "".join(steps)


def _level_svg(level: Level, y_axis: Axis) -> Markup:
    return Markup('<path class="level{colour}" d="M0 {y:.1f}H{width}"></path>').format(
        colour="" if level.colour is None else f" c{level.colour}", y=_level_y(level, y_axis), width=_WIDTH
    )


def _names_svg(levels: Sequence[Level], curves: Sequence[Curve], y_axis: Axis) -> list[Markup]:
    """The names at the right end of their lines, above or below; a name that would cover another one is omitted."""
    used: list[float] = []
    names = []
    for level in levels:
        line = _level_y(level, y_axis)
        y = _TOP + (line + 14 if _is_crowded_above(line, curves, y_axis) else line - 5)
        if all(abs(y - other) > _LINE_HEIGHT for other in used):
            used.append(y)
            names.append(_NAME.format(y=y, name=level.name))
    return names


def _is_crowded_above(line: float, curves: Sequence[Curve], y_axis: Axis) -> bool:
    """Whether a name fits better below its line: the edge of the plot or the end of the nearest curve is above."""
    if line < _LINE_HEIGHT + 4 or line > SVG_HEIGHT - _LINE_HEIGHT - 4:
        return line < _LINE_HEIGHT + 4
    tails = [_y(y_axis.place(curve.values[-(-2 * len(curve.values) // 3) :])) - line for curve in curves]
    offsets = np.concatenate([np.zeros(0), *(tail[np.isfinite(tail) & (np.abs(tail) < 2 * _LINE_HEIGHT)] for tail in tails)])
    return bool(len(offsets) and offsets.mean() < 0)


def _tick_positions(y_axis: Axis) -> list[tuple[float, float]]:
    values = y_axis.ticks(_Y_TICKS)
    return [(value, _TOP + float(y)) for value, y in zip(values, _y(y_axis.place(np.array(values, dtype=float))), strict=True)]


def _level_y(level: Level, y_axis: Axis) -> float:
    return float(_y(y_axis.place(np.array([level.value])))[0])


def _y(places: Floats) -> Floats:
    """Positions on an axis as SVG coordinates, which count downwards."""
    down: Floats = (1.0 - places) * SVG_HEIGHT
    return down


def _join(parts: Sequence[Markup]) -> Markup:
    return Markup().join(escape(part) for part in parts)
