"""Curves of several groups of runs over each other: the median of the seeds as a line, from the least to the greatest as a band."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from ganforge.core import formatting
from ganforge.core.metric_goal import aim, in_words
from ganforge.figures import mpl_style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Curve = Mapping[int, float]
"""Values by iteration."""

_WORDS = 28  # letters of a line beside a panel
_NARROW = 20.0  # positive curves that span more than this factor are drawn on a log axis


def overlaid(
    panels: Mapping[str, Mapping[str, Sequence[Curve]]], value_info: Mapping[str, Mapping[str, Any]], title: str
) -> mpl_style.Picture:
    """One panel for each metric, with a line and a band for each group.

    Args:
        panels: by metric, then by group, one curve for each seed.
        value_info: by metric: ``label``, ``better``, ``ideal``.
        title: stands above.
    """
    names = list(dict.fromkeys(group for groups in panels.values() for group in groups))
    colours = {name: mpl_style.GROUPS[number % len(mpl_style.GROUPS)] for number, name in enumerate(names)}
    height = 1.0 + 2.2 * len(panels)
    sheet, axes = mpl_style.figure(8.0, height, nrows=len(panels), sharex=True)
    all_axes = list(np.atleast_1d(axes))
    for panel, (metric, groups) in zip(all_axes, panels.items(), strict=True):
        for name, curves in groups.items():
            _draw(panel, curves, colours[name], name)
        _explain(panel, metric, value_info.get(metric, {}))
        _scale(panel, [value for curves in groups.values() for curve in curves for value in curve.values()])
        panel.grid(axis="y", color=mpl_style.GRID, linewidth=0.8)
    all_axes[-1].set_xlabel("iteration")
    all_axes[-1].xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    sheet.subplots_adjust(left=0.1, right=0.73, top=1 - 0.65 / height, bottom=0.45 / height, hspace=0.16)
    mpl_style.legend(all_axes[0], loc="lower left", bbox_to_anchor=(-0.015, 1.0), ncols=3, columnspacing=1.4)
    mpl_style.headed(
        sheet, formatting.clean(title), left=0.1, right=0.98, top=1 - 0.2 / height, note="line: median, band: all seeds"
    )
    return mpl_style.pixels_of(sheet)


def spread_over_seeds(curves: Sequence[Curve]) -> tuple[list[int], np.ndarray[Any, Any]]:
    """Iterations ``(p,)`` at which any seed was measured, and ``(3, p)`` least, median and greatest value.

    What is not finite counts as absent.
    """
    at = sorted({iteration for curve in curves for iteration in curve})
    rows: list[tuple[float, float, float]] = []
    for iteration in at:
        finite = [curve[iteration] for curve in curves if iteration in curve and np.isfinite(curve[iteration])]
        rows.append((min(finite), float(np.median(finite)), max(finite)) if finite else (np.nan,) * 3)
    return at, np.array(rows, dtype=np.float64).reshape(-1, 3).T


def _draw(panel: Axes, curves: Sequence[Curve], colour: str, name: str) -> None:
    at, (least, median, greatest) = spread_over_seeds(curves)
    label = f"{formatting.clean(name)}, {formatting.plural(len(curves), 'seed')}"
    panel.plot(at, median, color=colour, linewidth=1.6, marker="o", markersize=3.5, label=mpl_style.literal(label))
    if len(curves) > 1:
        panel.fill_between(at, least, greatest, color=colour, alpha=0.16, linewidth=0)


def _explain(panel: Axes, metric: str, measure: Mapping[str, Any]) -> None:
    panel.text(
        1.01, 0.98, formatting.clean(metric), transform=panel.transAxes, va="top", size=8, weight="bold", color=mpl_style.INK
    )
    if "label" in measure:
        way = in_words(str(measure.get("better")), aim(measure.get("ideal"), measure.get("floor")))
        meaning = fill("; ".join(part for part in (formatting.clean(str(measure["label"])), way) if part), _WORDS)
        panel.text(1.01, 0.86, mpl_style.literal(meaning), transform=panel.transAxes, va="top", size=7.5, color=mpl_style.MUTED)
    if measure.get("ideal") is not None:
        panel.axhline(float(measure["ideal"]), color=mpl_style.HALF, linewidth=1.0, linestyle=(0, (4, 3)))


def _scale(panel: Axes, values: Sequence[float]) -> None:
    finite = [value for value in values if np.isfinite(value)]
    if finite and min(finite) > 0 and max(finite) > _NARROW * min(finite):
        panel.set_yscale("log")
        panel.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        panel.tick_params(which="minor", left=False)
