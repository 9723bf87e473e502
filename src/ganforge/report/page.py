"""The HTML page about a run or a sweep. It is self-contained, runs no script, and forbids scripts and network by its CSP."""

from __future__ import annotations

import base64
import hashlib
import re
import time
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from ganforge import __version__
from ganforge.core import formatting
from ganforge.core.redaction import mask_text
from ganforge.figures.chart_renderers import chart_svg
from ganforge.figures.charts import Chart, loss_charts, metric_charts
from ganforge.report import report_tables
from ganforge.report.report_data import ReportData, read_report_data
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
    html = render(read_report_data(folder), page, now=time.time())
    # JSON may contain lone surrogates, which UTF-8 cannot encode.
    atomic_files.write_bytes(page, html.encode("utf-8", errors="replace"), durable=False)
    return page


def render(data: ReportData, page: Path, *, now: float) -> str:
    """The page about a run or a sweep.

    Args:
        data: the contents of its folder.
        page: the file of the page, for its links.
        now: unix seconds, shown on the page.
    """
    values = _sweep_values(data, page) if data.is_sweep else _run_values(data, page)
    template = _environment().get_template("sweep.html.jinja" if data.is_sweep else "run.html.jinja")
    return template.render(
        title=data.title,
        word=data.word,
        description=_description(data),
        recipe=_highlight(data.recipe),
        resolved=_highlight(data.resolved),
        overrides=report_tables.list_overrides(data),
        changes=report_tables.list_changes(data),
        components=report_tables.list_components(data),
        distributions=report_tables.list_distributions(data),
        files=report_tables.list_files(data),
        environment=report_tables.list_environment(data),
        commands=report_tables.list_commands(data),
        problems=data.problems,
        made=report_tables.format_time(now),
        version=__version__,
        **_style(),
        **values,
    )


def _run_values(data: ReportData, page: Path) -> dict[str, Any]:
    reached = float(data.status.iteration) if data.status else 0.0
    until = max([reached, *(at for points in data.history.metrics.values() for at in points)])
    return {
        "outcome": report_tables.describe_outcome(data),
        "health": report_tables.summarize_health(data),
        "images": collect_images(data, ImageEmbedder(page)),
        "losses": _draw(loss_charts(data.history.terms, data.value_info.terms), until),
        "has_term_info": bool(data.value_info.terms),
        "metrics": _draw(metric_charts(data.history.metrics, data.value_info.metrics), until),
        "metric_rows": report_tables.list_metrics(data),
        "evaluations": report_tables.list_evaluations(data),
        "crash": escape(mask_text(data.crash)) if data.crash else None,
    }


def _sweep_values(data: ReportData, page: Path) -> dict[str, Any]:
    sweep = summarize_sweep(data, page)
    return {"outcome": sweep.outcome, "sweep": sweep, "charts": _draw(sweep.charts, sweep.until)}


def _draw(charts: Sequence[Chart], until: float) -> list[tuple[Chart, Markup]]:
    return [(chart, chart_svg(chart, until)) for chart in charts]


def _description(data: ReportData) -> list[str]:
    """The paragraphs of the recipe's description."""
    import tomllib

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
def _style() -> dict[str, Any]:
    """The style sheet, and its digest: the only style that the page's CSP allows."""
    text = files(__package__).joinpath("style.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return {"style": Markup(text), "style_digest": digest}  # noqa: S704 - our own file


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
    return mask_text(formatting.clean(value))
