"""Curves as SVG inside a page: no script, no fixed colour, letters that keep their size on any screen.

Letters stand in units of the screen, curves in a box of their own that is stretched to the width there is. Colours are classes, so
that one drawing serves the light and the dark scheme.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from markupsafe import Markup, escape

from ganforge.figures.axes import Axis, fitted, label
from ganforge.figures.history import Floats

HEIGHT = 214
"""Of the plot itself, in pixels."""
_TOP, _FOOT = 10, 26  # pixels above and below the plot
_ACROSS = 1000  # units of the stretched box
_UPRIGHT, _LEVELWAYS = 5, 4  # marks at most
_STRETCHED = Markup(f'viewBox="0 0 {_ACROSS} {HEIGHT}" preserveAspectRatio="none"')  # noqa: S704 - two numbers of ours
_NAME = Markup('<text class="name" x="100%" y="{y:.1f}" text-anchor="end">{name}</text>')
_LETTERS = 14  # pixels that a line of letters takes
_EMPTY = np.zeros(0)


@dataclass(frozen=True, slots=True)
class Curve:
    """One curve.

    Attributes:
        at: iterations, ``(p,)``.
        values: ``(p,)``; not finite is a gap.
        colour: number of its colour.
        low: lower edge of the band that its values fill, ``(p,)`` or empty.
        high: upper edge.
        dotted: whether its points are marked.
    """

    at: Floats
    values: Floats
    colour: int
    low: Floats = field(default_factory=lambda: _EMPTY)
    high: Floats = field(default_factory=lambda: _EMPTY)
    dotted: bool = False


@dataclass(frozen=True, slots=True)
class Level:
    """A value of reference, drawn as a dashed line with its name.

    Attributes:
        value: the value.
        name: what it is.
        colour: number of the colour that it shares with a curve, or ``None``.
    """

    value: float
    name: str
    colour: int | None = None


def chart(curves: Sequence[Curve], levels: Sequence[Level], *, told: str, until: float) -> Markup:
    """A chart over iterations.

    Args:
        curves: what is drawn.
        levels: values of reference; those far from all curves are left out.
        told: what a reader who sees no picture is told.
        until: the last iteration of the axis.

    Returns:
        An HTML element with SVG inside.
    """
    upright = fitted([each for curve in curves for each in (curve.values, curve.low, curve.high)], [one.value for one in levels])
    levelways = Axis(0.0, max(until, 1.0))
    shown = [level for level in levels if upright.low <= level.value <= upright.high]
    return Markup('<div class="chart" role="img" aria-label="{told}">{scale}{plot}</div>').format(
        told=told, scale=_scale(upright), plot=_plot(curves, shown, upright, levelways)
    )


def _scale(upright: Axis) -> Markup:
    marks = [
        Markup('<text x="100%" y="{y:.1f}" dy="0.32em" text-anchor="end">{text}</text>').format(y=y, text=label(value))
        for value, y in _marked(upright)
    ]
    return Markup('<svg class="scale" height="{height}" aria-hidden="true">{marks}</svg>').format(
        height=_TOP + HEIGHT + _FOOT, marks=_joined(marks)
    )


def _plot(curves: Sequence[Curve], levels: Sequence[Level], upright: Axis, levelways: Axis) -> Markup:
    drawn = [
        Markup('<svg class="curves" y="{top}" width="100%" height="{height}" {stretched}>').format(
            top=_TOP, height=HEIGHT, stretched=_STRETCHED
        ),
        *(_band(curve, upright, levelways) for curve in curves if len(curve.low)),
        *(_dashes(level, upright) for level in levels),
        *(_line(curve, upright, levelways) for curve in curves),
        Markup("</svg>"),
    ]
    parts = [*_grid(upright), *_feet(levelways), *drawn, *_names(levels, curves, upright)]
    return Markup('<svg class="plot" height="{height}" aria-hidden="true">{parts}</svg>').format(
        height=_TOP + HEIGHT + _FOOT, parts=_joined(parts)
    )


def _grid(upright: Axis) -> list[Markup]:
    return [
        Markup('<line class="grid" x1="0" x2="100%" y1="{y:.1f}" y2="{y:.1f}"></line>').format(y=y) for _, y in _marked(upright)
    ]


def _feet(levelways: Axis) -> list[Markup]:
    """The iterations below; the first and last letters stay inside."""
    shown = []
    for value in levelways.ticks(_LEVELWAYS):
        place = float(levelways.place(np.array([value]))[0])
        anchor = "start" if place < 0.02 else "end" if place > 0.96 else "middle"
        shown.append(
            Markup('<text x="{x:.2f}%" y="{y}" text-anchor="{anchor}">{text}</text>').format(
                x=100 * place, y=_TOP + HEIGHT + 19, anchor=anchor, text=label(value)
            )
        )
    return shown


def _band(curve: Curve, upright: Axis, levelways: Axis) -> Markup:
    x = levelways.place(curve.at) * _ACROSS
    low, high = (_down(upright.place(edge)) for edge in (curve.low, curve.high))
    there = np.isfinite(low) & np.isfinite(high)
    if there.sum() < 2:
        return Markup()
    outline = [*zip(x[there], high[there], strict=True), *zip(x[there][::-1], low[there][::-1], strict=True)]
    points = " ".join(f"{across:.1f},{down:.1f}" for across, down in outline)
    return Markup('<polygon class="band c{colour}" points="{points}"></polygon>').format(colour=curve.colour, points=points)


def _line(curve: Curve, upright: Axis, levelways: Axis) -> Markup:
    x, y = levelways.place(curve.at) * _ACROSS, _down(upright.place(curve.values))
    path = path_of(x, y)
    dots = [f"M{across:.1f} {down:.1f}h0" for across, down in zip(x, y, strict=True) if np.isfinite(down)]
    marks = Markup('<path class="dots c{colour}" d="{path}"></path>').format(colour=curve.colour, path="".join(dots))
    line = Markup('<path class="line c{colour}" d="{path}"></path>').format(colour=curve.colour, path=path)
    return line + (marks if curve.dotted or len(dots) == 1 else "")


def path_of(x: Floats, y: Floats) -> str:
    """Points ``(p,)`` as an SVG path; where one is not finite the line breaks off."""
    drawn, pen_down = [], False
    for across, down in zip(x.tolist(), y.tolist(), strict=True):
        if not (np.isfinite(across) and np.isfinite(down)):
            pen_down = False
            continue
        drawn.append(f"{'L' if pen_down else 'M'}{across:.1f} {down:.1f}")
        pen_down = True
    return "".join(drawn)


def _dashes(level: Level, upright: Axis) -> Markup:
    y = _height(level, upright)
    return Markup('<path class="level{colour}" d="M0 {y:.1f}H{across}"></path>').format(
        colour="" if level.colour is None else f" c{level.colour}", y=y, across=_ACROSS
    )


def _names(levels: Sequence[Level], curves: Sequence[Curve], upright: Axis) -> list[Markup]:
    """Each at the right end of its line, on the side with more room; where two names would cover each other, only the first."""
    written: list[float] = []
    names = []
    for level in levels:
        line = _height(level, upright)
        y = _TOP + (line + 14 if _crowded_above(line, curves, upright) else line - 5)
        if all(abs(y - other) > _LETTERS for other in written):
            written.append(y)
            names.append(_NAME.format(y=y, name=level.name))
    return names


def _crowded_above(line: float, curves: Sequence[Curve], upright: Axis) -> bool:
    """Whether a name is better below its line: there is an edge above, or the nearest curve ends there."""
    if line < _LETTERS + 4 or line > HEIGHT - _LETTERS - 4:
        return line < _LETTERS + 4
    tails = [_down(upright.place(curve.values[-(-2 * len(curve.values) // 3) :])) - line for curve in curves]
    offsets = np.concatenate([np.zeros(0), *(tail[np.isfinite(tail) & (np.abs(tail) < 2 * _LETTERS)] for tail in tails)])
    return bool(len(offsets) and offsets.mean() < 0)


def _marked(upright: Axis) -> list[tuple[float, float]]:
    values = upright.ticks(_UPRIGHT)
    return [(value, _TOP + float(y)) for value, y in zip(values, _down(upright.place(np.array(values, dtype=float))), strict=True)]


def _height(level: Level, upright: Axis) -> float:
    return float(_down(upright.place(np.array([level.value])))[0])


def _down(places: Floats) -> Floats:
    """Axes count upward, SVG downward."""
    turned: Floats = (1.0 - places) * HEIGHT
    return turned


def _joined(parts: Sequence[Markup]) -> Markup:
    return Markup().join(escape(part) for part in parts)
