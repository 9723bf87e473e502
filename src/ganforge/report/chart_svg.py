"""Charts as SVG: the coordinates that ``parts.html.jinja`` writes. One drawing serves light and dark mode, and needs no script.

Text is positioned in pixels and keeps its size; curves lie in a nested view box that stretches to the available width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from ganforge.figures import Floats
from ganforge.figures.charts import Axis, Chart, Curve, Level, format_tick

WIDTH, HEIGHT, TOP = 1000, 214, 10
"""Size of the view box of the curves, and the pixels above it; the template has the same numbers."""

_LINE_HEIGHT = 14  # pixels


def lay_out_chart(chart: Chart, until: float) -> dict[str, Any]:
    """What the template's macro ``chart`` draws; ``until`` is the last iteration on the axis."""
    y_axis, x_axis = chart.axis, Axis(0.0, max(until, 1.0))
    ticks, levels = y_axis.ticks(5), chart.shown_levels(y_axis)
    heights = _down([level.value for level in levels], y_axis).tolist()
    return {
        "label": chart.description,
        "y_ticks": [(f"{TOP + y:.1f}", format_tick(value)) for value, y in zip(ticks, _down(ticks, y_axis), strict=True)],
        "x_ticks": [_x_tick(value, x_axis) for value in x_axis.ticks(4)],
        "bands": [(curve.colour, points) for curve in chart.curves if (points := _band(curve, y_axis, x_axis))],
        "levels": [
            ("" if level.colour is None else f" c{level.colour}", f"{y:.1f}") for level, y in zip(levels, heights, strict=True)
        ],
        "lines": [_line(curve, y_axis, x_axis) for curve in chart.curves],
        "names": _names(levels, heights, chart.curves, y_axis),
    }


def _x_tick(value: float, x_axis: Axis) -> tuple[str, str, str]:
    """Position, anchor and text; the first and last one stay inside the plot."""
    place = float(x_axis.place(np.array(value)))
    anchor = "start" if place < 0.02 else "end" if place > 0.96 else "middle"
    return f"{100 * place:.2f}", anchor, format_tick(value)


def _band(curve: Curve, y_axis: Axis, x_axis: Axis) -> Markup:
    if not len(curve.low):
        return Markup()
    edges = np.stack([curve.low, curve.high])
    x = x_axis.place(curve.at[np.isfinite(edges).all(axis=0)]) * WIDTH
    low, high = _down(edges[:, np.isfinite(edges).all(axis=0)], y_axis)
    outline = zip([*x, *x[::-1]], [*high, *low[::-1]], strict=True)
    return Markup(" ").join(f"{across:.1f},{down:.1f}" for across, down in outline) if len(x) > 1 else Markup()


def _line(curve: Curve, y_axis: Axis, x_axis: Axis) -> tuple[int, Markup, Markup]:
    """Colour, path and dots."""
    x, y = x_axis.place(curve.at) * WIDTH, _down(curve.values, y_axis)
    dots = [f"M{across:.1f} {down:.1f}h0" for across, down in zip(x, y, strict=True) if np.isfinite(down)]
    return curve.colour, svg_path(x, y), Markup().join(dots if curve.dotted or len(dots) == 1 else ())


def svg_path(x: Floats, y: Floats) -> Markup:
    """Points ``(p,)`` as an SVG path; the line is interrupted where a point is not finite."""
    steps, pen_down = [], False
    for across, down in zip(x.tolist(), y.tolist(), strict=True):
        finite = bool(np.isfinite([across, down]).all())
        if finite:
            steps.append(f"{'L' if pen_down else 'M'}{across:.1f} {down:.1f}")
        pen_down = finite
    return Markup().join(steps)


def _names(levels: Sequence[Level], heights: Sequence[float], curves: Sequence[Curve], y_axis: Axis) -> list[tuple[str, str]]:
    """The names at the right end of their lines, above or below; a name that would cover another one is omitted."""
    used: list[float] = []
    names = []
    for level, line in zip(levels, heights, strict=True):
        y = TOP + (line + 14 if _is_crowded_above(line, curves, y_axis) else line - 5)
        if all(abs(y - other) > _LINE_HEIGHT for other in used):
            used.append(y)
            names.append((f"{y:.1f}", level.name))
    return names


def _is_crowded_above(line: float, curves: Sequence[Curve], y_axis: Axis) -> bool:
    """Whether a name fits better below its line: the edge of the plot or the end of the nearest curve is above."""
    edge = _LINE_HEIGHT + 4
    if not edge <= line <= HEIGHT - edge:
        return line < edge
    tails = np.concatenate([curve.values[-(-2 * len(curve.values) // 3) :] for curve in curves] or [np.zeros(0)])
    offsets = _down(tails, y_axis) - line
    near = offsets[np.abs(offsets) < 2 * _LINE_HEIGHT]
    return bool(len(near) and near.mean() < 0)


def _down(values: Floats | Sequence[float], axis: Axis) -> Floats:
    """Positions on the vertical axis as SVG coordinates, which count downwards."""
    down: Floats = (1.0 - axis.place(np.asarray(values, dtype=float))) * HEIGHT
    return down
