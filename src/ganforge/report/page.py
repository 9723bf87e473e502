"""The HTML page about a run or a sweep. It is self-contained, runs no script, and forbids scripts and network by its CSP."""

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

from markupsafe import Markup, escape

from ganforge import __version__
from ganforge.core import formatting
from ganforge.core.redaction import mask_text, public_url
from ganforge.figures.charts import Chart, loss_charts, metric_charts
from ganforge.report import report_tables
from ganforge.report.chart_svg import lay_out_chart
from ganforge.report.report_data import ReportData, get_tables, read_report_data
from ganforge.report.report_images import ImageEmbedder, collect_images
from ganforge.report.sweep_data import summarize_sweep
from ganforge.storage import atomic_files
from ganforge.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from jinja2 import Environment


def write_report(folder: RunFolder, target: Path | None = None) -> Path:
    """Write the page about a run in any state, or about a sweep.

    Args:
        folder: the run's folder.
        target: the file to write, ``report.html`` in the run folder by default; it is replaced atomically.

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
        "evaluations": report_tables.list_evaluations(data),
        "crash": escape(mask_text(data.crash)) if data.crash else None,
    }


def _sweep_values(data: ReportData, page: Path) -> dict[str, Any]:
    sweep = summarize_sweep(data, page)
    return {"outcome": sweep.outcome, "seeds": sweep.seeds, "spreads": sweep.spreads, "charts": _lay_out(sweep.charts, sweep.until)}


def _lay_out(charts: Sequence[Chart], until: float) -> list[tuple[Chart, dict[str, Any]]]:
    return [(chart, lay_out_chart(chart, until)) for chart in charts]


def _description(data: ReportData) -> list[str]:
    """The paragraphs of the recipe's description."""
    try:
        description = tomllib.loads(data.resolved or "").get("description")
    except (tomllib.TOMLDecodeError, RecursionError):
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
            return formatting.count(value)
    return mask_text(formatting.clean(str(value)))
