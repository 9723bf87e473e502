"""The parts of the live view: heading, progress, losses, metrics, health."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from textwrap import wrap

import numpy as np
from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.style import Style
from rich.table import Table
from rich.text import Text

from ganforge.core import formatting, loss_interpretation
from ganforge.core.contracts import describe_goal
from ganforge.core.events import Started
from ganforge.core.findings import Finding, advice, describe_health, headline
from ganforge.figures import Floats
from ganforge.terminal.run_state import MetricHistory, RunHeading, RunState

PLAIN = Style()
BOLD = Style(bold=True)
DIM = Style(dim=True)
ACCENT = Style(color="bright_cyan", bold=True)
BETTER = Style(color="green")
WORSE = Style(color="red")
MESSAGE = Style(color="yellow")

_NUMBER_WIDTH = 8
_WIDE = 60
"""Columns from which trends are longer and arrows have a word."""
_LABEL_WIDTH = 24
"""Least columns for labels beside the numbers."""
_OUTCOMES = {"finished": BETTER, "stopped": MESSAGE, "diverged": WORSE}
_LEVELS = {"warn": MESSAGE, "fail": WORSE}
_BARS = "▁▂▃▄▅▆▇█"


def one_line(text: Text) -> Text:
    """The text on one line, with an ellipsis if it is too long."""
    text.no_wrap, text.overflow = True, "ellipsis"
    return text


def heading(about: RunHeading, started: Started) -> RenderableType:
    """The title, and what runs where."""
    facts = [
        f"seed {about.seed}",
        started.device,
        formatting.data(started.data),
        formatting.plural(sum(started.parameters.values()), "parameter"),
    ]
    return Group(_cell(about.title, BOLD), _cell(str(about.folder), DIM), _cell(" · ".join(facts), DIM))


def progress(state: RunState, started: Started) -> RenderableType:
    """A bar with share, iterations, speed and remaining time; once the run has ended, with its outcome."""
    per_second, left = state.pace()
    ended = state.finished
    remaining = f"{formatting.duration(left)} left" if left is not None else "– left"
    facts = [
        formatting.share(state.iteration, started.iterations),
        f"{formatting.count(state.iteration)}/{formatting.count(started.iterations)}",
        formatting.speed(per_second if ended is None else _mean_speed(started, state)),
        remaining if ended is None else f"{ended.outcome} in {formatting.duration(ended.seconds)}",
    ]
    style = ACCENT if ended is None else _OUTCOMES[ended.outcome]
    bar = ProgressBar(max(started.iterations, 1), state.iteration, style=DIM, complete_style=style, finished_style=style)
    grid = Table.grid(expand=True, padding=(0, 2, 0, 0))
    grid.add_column(ratio=1)
    grid.add_column(no_wrap=True, overflow="ellipsis")
    grid.add_row(bar, "  ".join(facts))
    return grid


def losses(started: Started, terms: Mapping[str, float], trends: Mapping[str, Floats], width: int) -> tuple[Table, list[list[str]]]:
    """A table of each network's total and its terms: trend, value, value at equilibrium and, in a wide view, what it means.

    Args:
        started: how the run started.
        terms: value of each term.
        trends: each term over the run.
        width: columns.

    Returns:
        The table, and for each row the lines that explain it where the table does not.
    """
    bars = 8 if width < _WIDE else 12
    labelled = width - _NUMBER_WIDTH - 14 - bars - 22 >= _LABEL_WIDTH
    table = _table()
    table.add_column("loss", ratio=None if labelled else 1, width=20 if labelled else None)
    table.add_column(width=bars)
    table.add_column("now", justify="right", width=_NUMBER_WIDTH)
    table.add_column("equilibrium", justify="right", width=11)
    if labelled:
        table.add_column(ratio=1)
    notes = []
    for key in _by_network({**started.term_info, **terms}):
        network, _, term = key.partition("/")
        info = started.term_info.get(key)
        value, equilibrium, label = terms.get(key), info.equilibrium if info else None, info.label if info else ""
        row = [
            _cell(network, BOLD) if term == "total" else _cell(f"  {term or network}"),
            _cell(sparkline(trends[key], bars) if key in trends else "", ACCENT),
            _cell("–") if value is None else _cell(formatting.fixed(value), PLAIN if math.isfinite(value) else WORSE),
            _cell("–" if equilibrium is None else formatting.fixed(equilibrium), DIM),
        ]
        table.add_row(*row, *([_cell(f" {label}", DIM)] if labelled else []))
        notes.append([label] if label and not labelled else [])
    return table, notes


def metrics(scores: Mapping[str, MetricHistory], width: int) -> tuple[Table, list[list[str]]]:
    """A table of each metric: newest value, whether it improved, the ideal and the best so far; and for each row what it means."""
    arrows = 8 if width >= _WIDE else 2
    table = _table()
    table.add_column("metric", ratio=1)
    table.add_column("now", justify="right", width=_NUMBER_WIDTH)
    table.add_column(width=arrows)
    table.add_column("ideal", justify="right", width=_NUMBER_WIDTH)
    table.add_column("best", justify="right", width=_NUMBER_WIDTH)
    notes = []
    for key, score in scores.items():
        value, ideal, best = score.value, score.info.ideal, score.best
        table.add_row(
            _cell(key),
            _cell("–") if value is None else _cell(formatting.number(value), BOLD if math.isfinite(value) else WORSE),
            _movement(score, with_word=arrows > 2),
            _cell(formatting.number(ideal) if ideal is not None else "–", DIM),
            _cell(formatting.number(best) if math.isfinite(best) else "–"),
        )
        label = f"{formatting.clean(score.info.label)}; {describe_goal(score.info.better, score.aim)}"
        notes.append(wrap(label, max(width - 4, 12)) if score.info.label else [])
    return table, notes


def health(state: RunState, started: Started, terms: Mapping[str, float], width: int, height: int) -> list[Text]:
    """The verdict of the health monitor and what the losses mean; findings sorted by severity, as many as fit.

    Args:
        state: with the newest health check.
        started: how the run started.
        terms: value of each term.
        width: columns.
        height: largest number of lines; non-finite terms, a verdict and the losses get one line each in any case.
    """
    lines = [Text(text, WORSE) for text in loss_interpretation.describe_non_finite(terms)[:2]]
    if state.health is None or not state.health.findings:
        lines += [Text(text, BETTER) for text in describe_health(state.health, state.healthy_since)]
        return [*lines, *_interpretations(started, terms, width, height - len(lines))]
    meanings = _interpretations(started, terms, width, 0)
    return [*lines, *fit_findings(state.health.findings, width, max(height - len(lines) - len(meanings), 1)), *meanings]


def fit_findings(findings: Sequence[Finding], width: int, room: int) -> list[Text]:
    """Each finding with what usually helps. Without enough room: the worst in full, others on one line, the rest counted."""
    room = max(room, min(len(findings), 2))
    lines: list[Text] = []
    for number, finding in enumerate(findings):
        after, free = len(findings) - number - 1, room - len(lines)
        if free == 1 and after:
            return [*lines, Text(_omitted(findings[number:]), _LEVELS[finding.level])]
        if free < 1:
            break
        block = _finding(finding, width)
        if number == 0:
            lines += _shorten(finding, block, width, free - min(after, 1))
        else:
            lines += block if len(block) + min(after, 1) <= free else [_headline(finding)]
    return lines


def sparkline(values: Floats, width: int) -> str:
    """The trend of ``(p,)`` values in at most ``width`` bars."""
    values = values[np.isfinite(values)]
    if not len(values) or width < 1:
        return ""
    starts = np.linspace(0, len(values), min(width, len(values)), endpoint=False).astype(np.int64)
    means = np.add.reduceat(values, starts) / np.diff(starts, append=len(values))
    # The first few iterations are often far from all that follows; they must not flatten the rest.
    ordered = np.sort(values)
    low, high = (float(ordered[round(share * (len(ordered) - 1))]) for share in (0.03, 0.97))
    steps = np.clip((means - low) / (high - low), 0, 1) if high > low else np.full(len(means), 0.5)
    return "".join(_BARS[round(step * (len(_BARS) - 1))] for step in steps.tolist())


def _interpretations(started: Started, terms: Mapping[str, float], width: int, room: int) -> list[Text]:
    """What both totals mean: in full if there is room, else on one line each."""
    full = [
        line
        for text in loss_interpretation.describe_losses(started.term_info, terms)[:2]
        for line in wrap(text, max(width, 12), subsequent_indent="  ")
    ]
    if len(full) > room:
        full = loss_interpretation.describe_losses(started.term_info, terms, brief=True)[:2]
    return [Text(line, DIM) for line in full]


def _shorten(finding: Finding, block: list[Text], width: int, room: int) -> list[Text]:
    """The finding in full, or its first line and as much of the remedy as fits."""
    if len(block) <= room:
        return block
    lines = [_headline(finding)]
    if room < 2:
        return lines
    remedy = wrap(finding.remedy + (f" ({finding.key})" if finding.key else ""), max(width - 2, 12))
    kept = [*remedy[: room - 2], " ".join(remedy[room - 2 :])]
    return lines + [Text(f"  {formatting.clean(text)}") for text in kept if text]


def _finding(finding: Finding, width: int) -> list[Text]:
    seen = wrap(formatting.clean(headline(finding)), max(width, 12), subsequent_indent="  ")
    remedy = wrap(formatting.clean(advice(finding)), max(width - 2, 12), initial_indent="  ", subsequent_indent="  ")
    return [Text(text, _LEVELS[finding.level]) for text in seen] + [Text(text) for text in remedy]


def _headline(finding: Finding) -> Text:
    return Text(formatting.clean(headline(finding)), _LEVELS[finding.level])


def _omitted(findings: Sequence[Finding]) -> str:
    return f"and {len(findings)} more: " + ", ".join(f"{finding.problem} ({finding.level})" for finding in findings)


def _table() -> Table:
    return Table(box=None, show_edge=False, expand=True, padding=(0, 1, 0, 0), pad_edge=False, header_style=DIM)


def _cell(text: str, style: Style = PLAIN) -> Text:
    return one_line(Text(formatting.clean(text), style))


def _by_network(keys: Mapping[str, object]) -> list[str]:
    """The keys by network in order of appearance, each network's total first."""
    networks = list(dict.fromkeys(key.partition("/")[0] for key in keys))
    return sorted(keys, key=lambda key: (networks.index(key.partition("/")[0]), not key.endswith("/total")))


def _movement(score: MetricHistory, *, with_word: bool) -> Text:
    if score.progress == 0:
        return Text()
    before, now = score.values[-2:]
    arrow = "↑" if now > before else "↓"
    word, style = ("better", BETTER) if score.progress > 0 else ("worse", WORSE)
    return Text(f"{arrow} {word}" if with_word else arrow, style)


def _mean_speed(started: Started, state: RunState) -> float:
    ended = state.finished
    return (ended.iteration - started.iteration) / ended.seconds if ended and ended.seconds > 0 else 0.0
