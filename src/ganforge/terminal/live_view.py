"""The live view: progress, losses with their equilibrium, metrics, health, and the samples drawn in the terminal."""

from __future__ import annotations

import math
import sys
import textwrap
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial

import numpy as np
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.segment import Segment, SegmentLines
from rich.style import Style
from rich.table import Table
from rich.text import Text

from ganforge.core import formatting, loss_interpretation
from ganforge.core.contracts import describe_goal
from ganforge.core.events import Event, Finished, Started
from ganforge.core.findings import Finding, advice, describe_health, headline
from ganforge.figures import Floats
from ganforge.terminal import palette
from ganforge.terminal.run_state import STOPPING, Clock, MetricHistory, ProgressUI, RunHeading, RunState
from ganforge.terminal.sample_preview import Line, SamplePreview
from ganforge.terminal.text_layout import print_text

_INTERVAL = 0.25  # least seconds between two refreshes
_SHARE = 0.015  # share of the time that refreshing may take; slow refreshes are less frequent
_SIDE_BY_SIDE = 78  # columns from which the samples are beside the numbers, not below
_NUMBERS_WIDTH = 46  # least columns of the numbers
_NUMBER_WIDTH = 8
_WIDE = 60  # columns from which trends are longer and arrows have a word
_LABEL_WIDTH = 24  # least columns for labels beside the numbers
wrap = partial(textwrap.wrap, break_on_hyphens=False)
_BARS = "▁▂▃▄▅▆▇█"

_PLAIN, _BOLD, _DIM = Style(), Style(bold=True), Style(dim=True)
_ACCENT, _MESSAGE = Style(color=palette.ACCENT, bold=True), Style(color=palette.WARNING)
_BETTER, _WORSE = Style(color=palette.GOOD), Style(color=palette.BAD)
_OUTCOMES = {"finished": _BETTER, "stopped": _MESSAGE, "diverged": _WORSE}
_LEVELS = {"warn": _MESSAGE, "fail": _WORSE}


class LiveView(ProgressUI):
    """Draws the run's state into a terminal, at most four times a second; ``refreshes`` counts."""

    def __init__(self, console: Console, heading: RunHeading, clock: Clock = time.monotonic) -> None:
        super().__init__(heading, clock)
        self._console = console
        self._preview: SamplePreview | None = None
        self._live: Live | None = None
        self._size = console.size
        self._shown: deque[str] = deque(maxlen=2)
        self._due = 0.0
        self._cost = 0.0
        self.refreshes = 0

    @contextmanager
    def callback(self) -> Iterator[Callable[[Event], None]]:
        """The event handler; the last state remains on the screen, and the terminal is restored."""
        with super().callback() as handle:
            try:
                yield handle
            finally:
                if self._live is not None:
                    self._live.stop()

    def frame(self) -> list[Line]:
        """The whole view for the current size of the console."""
        state = self._state
        started = state.started
        if started is None:
            return []
        width, height = self._size.width, self._size.height - 1
        terms = state.terms()
        head = [*self._lines(Group(_heading(self._heading, started), _progress(state, started)), width), []]
        notes = [_cell(text, _MESSAGE) for text in self._shown if text != STOPPING or not state.finished]
        hint = [] if state.finished else [_cell("Ctrl-C saves and stops", _DIM)]
        least = 3 + (len(state.scores) + 2 if state.scores else 0)  # rows of both totals and all metrics, with their headings
        rest = height - len(head) - len(notes) - len(hint) - 1
        health = _health(state, started, terms, width, min(height // 3, rest - least))
        foot = [[], *(line for text in (*health, *notes, *hint) for line in self._lines(text, width))]
        body = self._body(started, terms, width, height - len(head) - len(foot))
        return [*head, *body, *foot][: max(height, 1)]

    def _handle(self, event: Event) -> None:
        self._state.update(event)
        if isinstance(event, Started):
            self._preview = SamplePreview(event)
        if self._messages or isinstance(event, Started | Finished) or self._clock() >= self._due:
            self._refresh()

    def _refresh(self) -> None:
        began = self._clock()
        while self._messages:
            self._shown.append(self._messages.popleft())
        self._open().update(SegmentLines(self.frame(), new_lines=True), refresh=True)
        self.refreshes += 1

        ended = self._clock()
        if self.refreshes > 1:  # the first one includes imports
            self._cost = 0.5 * (self._cost + ended - began) if self._cost else ended - began
        self._due = ended + max(_INTERVAL, self._cost / _SHARE)

    def _open(self) -> Live:
        """The live display; after a resize a new one on a clear screen, since old lines are elsewhere then."""
        size = self._console.size
        if self._live is not None and size != self._size:
            self._live.transient = True
            self._live.stop()
            self._console.clear()
            self._live = None
        self._size = size
        if self._live is None:
            redirect = sys.stdout.isatty()  # results on a piped stdout must not be drawn into the terminal
            self._live = Live(console=self._console, auto_refresh=False, redirect_stdout=redirect)
            self._live.start()
        return self._live

    def _print(self, line: str) -> None:
        print_text(self._console, line, style=palette.WARNING)

    def _lines(self, renderable: RenderableType, width: int) -> list[Line]:
        return self._console.render_lines(renderable, self._console.options.update(width=width, height=None), pad=False)

    def _body(self, started: Started, terms: dict[str, float], width: int, height: int) -> list[Line]:
        if width < _SIDE_BY_SIDE:
            numbers = self._numbers(started, terms, width, height)
            below = self._samples(width, height - len(numbers) - 1)
            return [*numbers, [], *below] if below else numbers
        left = max(_NUMBERS_WIDTH, min(width * 11 // 20, width - 40))
        right = width - left - 2
        grid = Table.grid(padding=0)  # versions of Rich differ in whether a column's width includes its padding
        for column in (left, 2, right):
            grid.add_column(width=column)
        numbers, samples = self._numbers(started, terms, left, height), self._samples(right, height)
        grid.add_row(SegmentLines(numbers, new_lines=True), "", SegmentLines(samples, new_lines=True))
        return self._lines(grid, width)

    def _numbers(self, started: Started, terms: dict[str, float], width: int, height: int) -> list[Line]:
        """Losses and metrics, with explanations as far as there is room; without room for all, no terms but the totals."""
        keys = _by_network({**started.term_info, **terms})
        totals = [key for key in keys if key.endswith("/total")]
        table, notes = _metrics(self._state.scores, width)
        metrics = self._lines(table, width) if notes else []
        explained, trends = _with_notes(metrics, notes, width), self._state.trends()
        lines: list[Line] = []
        losses: list[Line] = []
        for shown, explain, below in (
            (keys, True, explained),
            (keys, True, metrics),
            (keys, False, explained),
            (keys, False, metrics),
            (totals, False, metrics),
        ):
            loss_table, loss_notes = _losses(started, {key: terms.get(key) for key in shown}, trends, width, explain=explain)
            losses = _with_notes(self._lines(loss_table, width), loss_notes, width)
            lines = [*losses, *([[], *below] if below else [])]
            if len(lines) <= height:
                return lines
        missing = len(lines) - height + 1
        if missing < len(notes):
            return [*lines[:-missing], [Segment(f"and {missing} more", _DIM)]]
        return lines[: max(height, 0)]

    def _samples(self, width: int, height: int) -> list[Line]:
        picture = self._state.picture
        if picture is None or self._preview is None or height < 6:
            return []
        size = (width, min(height, self._preview.rows_wanted(width)))
        return self._lines(self._preview.panel(picture, size, coloured=not self._console.no_color), width)


def _with_notes(rows: list[Line], notes: list[list[str]], width: int) -> list[Line]:
    """A table's header and rows, each row followed by its notes."""
    lines = rows[:1]
    for row, texts in zip(rows[1:], notes, strict=False):
        lines += [row, *([Segment(f"    {text}"[:width], _DIM)] for text in texts)]
    return lines


def _heading(about: RunHeading, started: Started) -> RenderableType:
    """The title, and what runs where."""
    facts = [
        f"seed {about.seed}",
        started.device,
        formatting.data(started.data),
        formatting.plural(sum(started.parameters.values()), "parameter"),
    ]
    return Group(_cell(about.title, _BOLD), _cell(str(about.folder), _DIM), _cell(" · ".join(facts), _DIM))


def _progress(state: RunState, started: Started) -> RenderableType:
    """A bar with share, iterations, speed and remaining time; once the run has ended, with its outcome."""
    per_second, left = state.pace()
    ended = state.finished
    if ended is not None:
        per_second = (ended.iteration - started.iteration) / ended.seconds if ended.seconds > 0 else 0.0
    remaining = f"{formatting.duration(left)} left" if left is not None else "– left"
    facts = [
        formatting.share(state.iteration, started.iterations),
        f"{state.iteration:,}/{started.iterations:,}",
        formatting.speed(per_second),
        remaining if ended is None else f"{ended.outcome} in {formatting.duration(ended.seconds)}",
    ]
    style = _ACCENT if ended is None else _OUTCOMES[ended.outcome]
    bar = ProgressBar(max(started.iterations, 1), state.iteration, style=_DIM, complete_style=style, finished_style=style)
    grid = Table.grid(expand=True, padding=(0, 2, 0, 0))
    grid.add_column(ratio=1)
    grid.add_column(no_wrap=True, overflow="ellipsis")
    grid.add_row(bar, "  ".join(facts))
    return grid


def _losses(
    started: Started, terms: Mapping[str, float | None], trends: Mapping[str, Floats], width: int, *, explain: bool
) -> tuple[Table, list[list[str]]]:
    """A table of terms: trend, value, value at equilibrium and, in a wide view, what each means.

    With it, for each row the lines that explain it where the table does not. Unless the terms are explained, the table has one line
    for each and there are no others.
    """
    bars = 8 if width < _WIDE else 12
    labelled = width - _NUMBER_WIDTH - 14 - bars - 22 >= _LABEL_WIDTH
    table = _table()
    table.add_column("loss", ratio=None if labelled else 1, width=20 if labelled else None)
    table.add_column(width=bars)
    table.add_column("now", justify="right", width=_NUMBER_WIDTH)
    table.add_column("equilibrium", justify="right", width=11)
    if labelled:
        table.add_column(ratio=1)  # the table's own padding separates it
    notes = []
    for key, value in terms.items():
        network, _, term = key.partition("/")
        info = started.term_info.get(key)
        equilibrium, label = info.equilibrium if info else None, formatting.clean(info.label) if info else ""
        row = [
            _cell(network, _BOLD) if term == "total" else _cell(f"  {term or network}"),
            _cell(sparkline(trends[key], bars) if key in trends else "", _ACCENT),
            _cell("–") if value is None else _cell(formatting.fixed(value), _PLAIN if math.isfinite(value) else _WORSE),
            _cell("–" if equilibrium is None else formatting.fixed(equilibrium), _DIM),
        ]
        table.add_row(*row, *([Text(label, _DIM) if explain else _cell(label, _DIM)] if labelled else []))
        notes.append(wrap(label, max(width - 4, 12)) if explain and not labelled else [])
    return table, notes


def _metrics(scores: Mapping[str, MetricHistory], width: int) -> tuple[Table, list[list[str]]]:
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
            _cell("–") if value is None else _cell(formatting.number(value), _BOLD if math.isfinite(value) else _WORSE),
            _movement(score, with_word=arrows > 2),
            _cell(formatting.number(ideal) if ideal is not None else "–", _DIM),
            _cell(formatting.number(best) if math.isfinite(best) else "–"),
        )
        label = f"{formatting.clean(score.info.label)}; {describe_goal(score.info.better, score.info.aim)}"
        notes.append(wrap(label, max(width - 4, 12)) if score.info.label else [])
    return table, notes


def _health(state: RunState, started: Started, terms: Mapping[str, float], width: int, height: int) -> list[Text]:
    """The verdict of the health monitor and what the losses mean; findings sorted by severity, as many as fit.

    Non-finite terms, a verdict and the losses get one line each in any case.
    """
    lines = [_cell(text, _WORSE) for text in loss_interpretation.describe_non_finite(terms)[:2]]
    if state.health is None or not state.health.findings:
        lines += [_cell(text, _BETTER) for text in describe_health(state.health, state.healthy_since)]
        return [*lines, *_interpretations(started, terms, width, height - len(lines))]
    found = fit_findings(state.health.findings, width, max(height - len(lines) - 2, 1))
    return [*lines, *found, *_interpretations(started, terms, width, height - len(lines) - len(found))]


def fit_findings(findings: Sequence[Finding], width: int, room: int) -> list[Text]:
    """Each finding with what usually helps. Without enough room: the worst first, others on one line, the rest counted."""
    room = max(room, min(len(findings), 2))
    lines: list[Text] = []
    for number, finding in enumerate(findings):
        rest = findings[number:]
        free = room - len(lines) - (len(rest) > 1)  # those that follow need a line
        if number and free < 1:
            text = f"and {len(rest)} more: " + ", ".join(f"{one.problem} ({one.level})" for one in rest)
            return [*lines, _cell(text, _LEVELS[finding.level])]
        lines += _finding(finding, width, free, is_worst=number == 0)
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
    """What both totals mean: in full if there is room, else in brief, at least on one line each."""
    for brief in (False, True):
        texts = loss_interpretation.describe_losses(started.term_info, terms, brief=brief)[:2]
        lines = [line for text in texts for line in wrap(text, max(width, 12), subsequent_indent="  ")]
        if len(lines) <= room:
            return [_cell(line, _DIM) for line in lines]
    return [_shortened(text, width, _DIM) for text in texts]


def _finding(finding: Finding, width: int, room: int, *, is_worst: bool) -> list[Text]:
    """The finding in full if there is room, else its first line, and of the worst finding as much of the remedy as fits."""
    seen, helps = formatting.clean(headline(finding)), formatting.clean(advice(finding))
    style = _LEVELS[finding.level]
    block = [_cell(text, style) for text in wrap(seen, max(width, 12), subsequent_indent="  ")]
    block += [_cell(text) for text in wrap(helps, max(width - 2, 12), initial_indent="  ", subsequent_indent="  ")]
    if len(block) <= room:
        return block
    if room < 2 or not is_worst:
        return [_shortened(seen, width, style)]
    brief = wrap(formatting.clean(finding.remedy + (f" ({finding.key})" if finding.key else "")), max(width - 2, 12))
    kept = [*brief[: room - 2], " ".join(brief[room - 2 :])]
    return [_shortened(seen, width, style), *(_shortened(f"  {text}", width) for text in kept if text)]


def _table() -> Table:
    return Table(box=None, show_edge=False, expand=True, padding=(0, 1, 0, 0), pad_edge=False, header_style=_DIM)


def _cell(text: str, style: Style = _PLAIN) -> Text:
    """The text on one line, with an ellipsis if it is too long."""
    return Text(formatting.clean(text), style, no_wrap=True, overflow="ellipsis")


def _shortened(text: str, width: int, style: Style = _PLAIN) -> Text:
    """The text on one line; if it is too long, as many words as fit and an ellipsis."""
    first, *rest = wrap(text, max(width - 2, 12)) if len(text) > width else [text]
    return _cell(f"{first} …" if rest else first, style)


def _by_network(keys: Mapping[str, object]) -> list[str]:
    """The keys by network in order of appearance, each network's total first."""
    networks = list(dict.fromkeys(key.partition("/")[0] for key in keys))
    return sorted(keys, key=lambda key: (networks.index(key.partition("/")[0]), not key.endswith("/total")))


def _movement(score: MetricHistory, *, with_word: bool) -> Text:
    if score.progress == 0:
        return Text()
    before, now = score.values[-2:]
    arrow = "↑" if now > before else "↓"
    word, style = ("better", _BETTER) if score.progress > 0 else ("worse", _WORSE)
    return Text(f"{arrow} {word}" if with_word else arrow, style)
