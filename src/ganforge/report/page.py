"""The HTML page about a run or a sweep. It is self-contained, runs no script, and forbids scripts and network by its CSP.

Charts are SVG: one drawing serves light and dark mode. Text is positioned in pixels and keeps its size; curves lie in a nested view
box that stretches to the available width.
"""

from __future__ import annotations

import base64
import hashlib
import re
import time
import tomllib
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup, escape

from ganforge import __version__
from ganforge.core import formatting
from ganforge.core.redaction import mask_text, public_url
from ganforge.figures import Floats
from ganforge.figures.charts import Axis, Chart, Curve, Level, format_tick, loss_charts, metric_charts
from ganforge.report import report_tables
from ganforge.report.report_data import ReportData, get_tables, read_report_data
from ganforge.report.report_images import ImageEmbedder, collect_images
from ganforge.storage import atomic_files
from ganforge.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from jinja2 import Environment

WIDTH, HEIGHT, TOP = 1000, 214, 10
"""Size of the view box of the curves, and the pixels above it; ``parts.html.jinja`` has the same numbers."""
_LINE_HEIGHT = 14  # pixels


def write_report(folder: RunFolder, target: Path | None = None) -> Path:
    """Write the page about a run in any state, or about a sweep, by default to ``report.html`` in its folder.

    Raises:
        StorageError: the disk or folder refused.
    """
    page = target or folder.report
    html = _render(read_report_data(folder), page)
    # JSON may contain lone surrogates, which UTF-8 cannot encode.
    atomic_files.write_bytes(page, html.encode("utf-8", errors="replace"), durable=False)
    return page


def _render(data: ReportData, page: Path) -> str:
    values = _sweep_values(data, page) if data.is_sweep else _run_values(data, page)
    template = _environment().get_template("sweep.html.jinja" if data.is_sweep else "run.html.jinja")
    style, digest = _style()
    return template.render(
        title=data.title,
        word=data.word,
        description=_description(data),
        recipe=_highlight(data.recipe),
        resolved=_highlight(data.resolved),
        overrides=report_tables.list_overrides(data),
        changes=report_tables.list_changes(data),
        components=get_tables(data.lock, "components"),
        distributions=get_tables(data.lock, "distributions"),
        files=[*get_tables(data.lock, "plugin_files"), *get_tables(data.lock, "data_files")],
        environment=report_tables.list_environment(data),
        commands=report_tables.list_commands(data),
        problems=data.problems,
        made=report_tables.format_time(time.time()),
        version=__version__,
        style=style,
        style_digest=digest,
        **values,
    )


def _run_values(data: ReportData, page: Path) -> dict[str, Any]:
    reached = float(data.status.iteration) if data.status else 0.0
    until = max([reached, *(at for points in data.history.metrics.values() for at in points)])
    return {
        "outcome": report_tables.describe_outcome(data),
        **report_tables.summarize_health(data),
        "images": collect_images(data, ImageEmbedder(page)),
        "losses": _lay_out(loss_charts(data.history.terms, data.value_info.terms), until),
        "has_term_info": bool(data.value_info.terms),
        "metrics": _lay_out(metric_charts(data.history.metrics, data.value_info.metrics), until),
        "metric_rows": report_tables.list_metrics(data),
        "evaluations": [report_tables.describe_evaluation(one) for one in data.evaluations],
        "crash": escape(mask_text(data.crash)) if data.crash else None,
    }


def _sweep_values(data: ReportData, page: Path) -> dict[str, Any]:
    sweep = report_tables.summarize_sweep(data, page)
    return {**sweep, "charts": _lay_out(sweep["charts"], sweep["until"])}


def _lay_out(charts: Sequence[Chart], until: float) -> list[tuple[Chart, dict[str, Any]]]:
    return [(chart, lay_out_chart(chart, until)) for chart in charts]


def _description(data: ReportData) -> list[str]:
    """The paragraphs of the recipe's description."""
    try:
        description = tomllib.loads(data.resolved or "").get("description")
    except (ValueError, RecursionError):  # ValueError also for numbers of thousands of digits
        return []
    paragraphs = re.split(r"\n\s*\n", description) if isinstance(description, str) else []
    return [one.strip() for one in paragraphs if one.strip()]


def _highlight(text: str | None) -> Markup | None:
    """TOML with syntax highlighting and without secrets."""
    if text is None:
        return None
    from pygments import highlight
    from pygments.formatters.html import HtmlFormatter
    from pygments.lexers.configs import TOMLLexer

    # Pygments escapes the text.
    return Markup(highlight(mask_text(text), TOMLLexer(), HtmlFormatter(nowrap=True)))  # noqa: S704


@cache
def _style() -> tuple[Markup, str]:
    """The style sheet, and its digest: the only style that the page's CSP allows."""
    text = files(__package__).joinpath("style.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Markup(text), digest  # noqa: S704 - our own file


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader(__package__, "."),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_format,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.globals["tone_of"] = report_tables.tone_of
    environment.filters["public_url"] = public_url
    return environment


def _format(value: Any) -> str:
    """Format a value of a template: texts of run files lose line breaks, control characters and secrets; markup stays as it is."""
    match value:
        case Markup():
            return value
        case None:
            return "–"
        case float():
            return formatting.number(value)
        case int():
            return f"{value:,}"
    return mask_text(formatting.clean(str(value)))


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
