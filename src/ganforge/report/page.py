"""The page itself: facts in, HTML out. It needs no network, runs no script, and forbids both to whatever it might hold."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from ganforge import __version__
from ganforge.core import formatting
from ganforge.core.redaction import mask_text
from ganforge.figures.chart_renderers import chart_svg
from ganforge.figures.charts import Chart, loss_charts, metric_charts
from ganforge.report import report_tables
from ganforge.report.inline_images import Album
from ganforge.report.outcome_text import health, moment, outcome, tone
from ganforge.report.report_data import Facts
from ganforge.report.run_images import shown
from ganforge.report.sweep_data import swept

if TYPE_CHECKING:
    from jinja2 import Environment


def render(facts: Facts, page: Path, *, now: float) -> str:
    """The page about a run or a sweep.

    Args:
        facts: what its folder tells.
        page: where it will lie, for its links.
        now: unix seconds, which it tells.
    """
    values = _of_sweep(facts, page) if facts.is_sweep else _of_run(facts, page)
    template = _environment().get_template("sweep.html.jinja" if facts.is_sweep else "run.html.jinja")
    return template.render(
        title=formatting.clean(facts.title),
        word=facts.word,
        tone=tone(facts.word),
        description=_description(facts),
        recipe=_highlighted(facts.recipe),
        resolved=_highlighted(facts.resolved),
        overrides=report_tables.overrides(facts),
        changed=report_tables.resumed_with(facts),
        components=report_tables.locked(facts),
        sources=report_tables.sources(facts),
        sums=report_tables.sums(facts),
        surroundings=report_tables.surroundings(facts),
        onward=report_tables.onward(facts),
        troubles=facts.troubles,
        made=moment(now),
        version=__version__,
        **_style(),
        **values,
    )


def _of_run(facts: Facts, page: Path) -> dict[str, Any]:
    reached = float(facts.status.iteration) if facts.status else 0.0
    until = max([reached, *(at for points in facts.history.metrics.values() for at in points)])
    return {
        "outcome": outcome(facts),
        "health": health(facts),
        "shown": shown(facts, Album(page)),
        "losses": _draw(loss_charts(facts.history.terms, facts.meanings.terms), until),
        "explained": bool(facts.meanings.terms),
        "metrics": _draw(metric_charts(facts.history.metrics, facts.meanings.metrics), until),
        "measured": report_tables.measured(facts),
        "later": report_tables.later(facts),
        "crash": facts.crash,
    }


def _of_sweep(facts: Facts, page: Path) -> dict[str, Any]:
    sweep = swept(facts, page)
    return {"outcome": sweep.outcome, "sweep": sweep, "charts": _draw(sweep.charts, sweep.until)}


def _draw(charts: Sequence[Chart], until: float) -> list[tuple[Chart, Markup]]:
    """The charts with their drawings."""
    return [(chart, chart_svg(chart, until)) for chart in charts]


def _description(facts: Facts) -> list[str]:
    """What the recipe says of itself, by paragraphs."""
    import tomllib

    try:
        told = tomllib.loads(facts.resolved or "").get("description")
    except (tomllib.TOMLDecodeError, RecursionError):
        return []
    paragraphs = re.split(r"\n\s*\n", told) if isinstance(told, str) else []
    return [formatting.clean(one).strip() for one in paragraphs if one.strip()]


def _highlighted(text: str | None) -> Markup | None:
    """TOML with its comments, tables and keys told apart; without secrets."""
    if text is None:
        return None
    from pygments import highlight
    from pygments.formatters.html import HtmlFormatter
    from pygments.lexers.configs import TOMLLexer

    # Pygments escapes what it marks up.
    return Markup(highlight(mask_text(text), TOMLLexer(), HtmlFormatter(nowrap=True)))  # noqa: S704


@cache
def _style() -> dict[str, Any]:
    """The style sheet, and its sum: the one style that the page's policy allows."""
    text = files(__package__).joinpath("style.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return {"style": Markup(text), "style_sum": digest}  # noqa: S704 - our own


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader(__package__, "."),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_without_secrets,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _without_secrets(value: Any) -> Any:
    """Texts of run files may hold secrets; what is markup was made here, and is long where it is a picture."""
    return mask_text(value) if isinstance(value, str) and not isinstance(value, Markup) else value
