"""The parts of the live view, each a list of lines: heading, progress, losses, metrics, health."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from textwrap import wrap

from rich.segment import Segment
from rich.style import Style

from ganforge.core import formatting, loss_interpretation
from ganforge.core import health_lines as diagnosis
from ganforge.core.events import Started
from ganforge.core.findings import Finding, advice, headline
from ganforge.core.metric_goal import in_words
from ganforge.figures.history import Floats
from ganforge.terminal import rows
from ganforge.terminal.braille import Line, sparkline
from ganforge.terminal.progress_ui import Heading
from ganforge.terminal.rows import BETTER, BOLD, DIM, FAKE, PLAIN, WORSE, cell
from ganforge.terminal.run_state import Score, Standing

_NUMBER = 9
"""Columns of a number, the blank before it included."""
_EQUILIBRIUM = 12
"""The same for the value at equilibrium, whose heading is longer."""
_ROOMY = 60
"""Columns from which trends are longer and arrows carry a word."""
_WORDS = 24
"""Least columns that are worth giving to words beside the numbers."""
_OUTCOMES = {"finished": BETTER, "stopped": rows.MESSAGE, "diverged": WORSE}
_STYLES = {"warn": rows.MESSAGE, "fail": WORSE}


def heading(about: Heading, started: Started, width: int) -> list[Line]:
    """The title, and what runs where."""
    facts = [
        f"seed {about.seed}",
        started.device,
        formatting.data(started.data),
        formatting.plural(sum(started.parameters.values()), "parameter"),
    ]
    return [
        [cell(about.title, width, BOLD)],
        [cell(str(about.folder), width, DIM)],
        [cell(" · ".join(facts), width, DIM)],
    ]


def progress(standing: Standing, started: Started, width: int) -> Line:
    """A bar with share, iterations, speed and time left; how it ended, once it has."""
    per_second, left = standing.pace()
    ended = standing.finished
    done = standing.iteration / max(started.iterations, 1)
    last = f"{formatting.duration(left)} left" if left is not None else "– left"
    facts = [
        formatting.share(standing.iteration, started.iterations),
        f"{formatting.count(standing.iteration)}/{formatting.count(started.iterations)}",
        formatting.speed(per_second) if ended is None else formatting.speed(_mean_speed(started, standing)),
        last if ended is None else f"{ended.outcome} in {formatting.duration(ended.seconds)}",
    ]
    text = "  ".join(facts)
    length = max(width - len(text) - 2, 0)
    filled = min(length, int(length * done))
    style = FAKE[0] if ended is None else _OUTCOMES[ended.outcome]
    return rows.fitted([Segment("━" * filled, style), Segment("━" * (length - filled), DIM), Segment("  "), Segment(text)], width)


def losses(
    started: Started, terms: Mapping[str, float], trends: Mapping[str, Floats], width: int, *, explained: bool
) -> list[Line]:
    """Each network's total and its terms: trend, value, value at equilibrium, and in words what it means.

    Args:
        started: how the run began.
        terms: value of each term.
        trends: each term over the run.
        width: columns.
        explained: whether the words may take lines of their own where they do not fit beside the numbers.
    """
    keys = _by_network({**started.term_info, **terms})
    bars = 8 if width < _ROOMY else 12
    room = width - _NUMBER - _EQUILIBRIUM - bars - 1
    beside = room - 22 if room - 22 >= _WORDS else 0
    name_width = room - beside - (2 if beside else 0)

    lines: list[Line] = [[cell("loss", name_width + bars + 1, DIM), _number("now", DIM), _number("equilibrium", DIM, _EQUILIBRIUM)]]
    for key in keys:
        network, _, term = key.partition("/")
        is_total = term == "total"
        reading = started.term_info.get(key)
        equilibrium = reading.equilibrium if reading else None
        value = terms.get(key, math.nan)
        label = reading.label if reading else ""
        line = [
            cell(network if is_total else f"  {term or network}", name_width, BOLD if is_total else PLAIN),
            Segment(" "),
            cell(sparkline(trends[key], bars) if key in trends else "", bars, FAKE[0]),
            _number(formatting.fixed(value) if key in terms else "–", _alarm(value) if key in terms else PLAIN),
            _number(formatting.fixed(equilibrium) if equilibrium is not None else "–", DIM, _EQUILIBRIUM),
        ]
        lines.append([*line, Segment("  "), cell(label, beside, DIM)] if beside else line)
        if label and explained and not beside:
            lines.append([cell(f"    {label}", width, DIM)])
    return lines


def metrics(scores: Mapping[str, Score], width: int, *, explained: bool) -> list[Line]:
    """Each metric: newest value, whether it got better, the ideal, the best so far, and in words what it means."""
    if not scores:
        return []
    movement = 9 if width >= _ROOMY else 3
    name_width = max(width - 3 * _NUMBER - movement, 8)
    heads = [_number("now", DIM), Segment(" " * movement), _number("ideal", DIM), _number("best", DIM)]
    lines: list[Line] = [[cell("metric", name_width, DIM), *heads]]
    for key, score in scores.items():
        arrow, style = _movement(score, with_word=movement > 3)
        ideal, known = score.measure.ideal, score.times and not score.missing
        lines.append(
            [
                cell(key, name_width),
                _number(formatting.number(score.value) if known else "–", BOLD if math.isfinite(score.value) else WORSE),
                cell(f" {arrow}"[:movement], movement, style),
                _number(formatting.number(ideal) if ideal is not None else "–", DIM),
                _number(formatting.number(score.best) if math.isfinite(score.best) else "–"),
            ]
        )
        if explained and score.measure.label:
            label = f"{formatting.clean(score.measure.label)}; {in_words(score.measure.better, score.aim)}"
            lines += [[cell(f"    {part}", width, DIM)] for part in wrap(label, max(width - 4, 12))]
    return lines


def health(standing: Standing, started: Started, terms: Mapping[str, float], width: int, height: int) -> list[Line]:
    """The watch's verdict, and what the losses mean; findings the worst first, as many as fit.

    Args:
        standing: what the watch has seen.
        started: how the run began.
        terms: value of each term.
        width: columns.
        height: lines there are at most; what is no longer finite, a verdict and the losses get one each even so.
    """
    lines: list[Line] = [[cell(text, width, WORSE)] for text in diagnosis.lost(terms)[:2]]
    examined = standing.examined
    if examined is None or not examined.findings:
        lines += [[cell(text, width, BETTER)] for text in diagnosis.judged(examined, standing.healthy_since)]
        return [*lines, *_meanings(started, terms, width, height - len(lines))]
    meanings = _meanings(started, terms, width, 0)
    return [*lines, *_findings(examined.findings, width, max(height - len(lines) - len(meanings), 1)), *meanings]


def _meanings(started: Started, terms: Mapping[str, float], width: int, room: int) -> list[Line]:
    """What both totals mean, in full where there is room, else in one line each."""
    wrapped = [
        wrap(text, max(width, 12), subsequent_indent="  ") for text in loss_interpretation.losses(started.term_info, terms)[:2]
    ]
    if sum(map(len, wrapped)) > room:
        wrapped = [[text] for text in loss_interpretation.losses(started.term_info, terms, brief=True)[:2]]
    return [[cell(line, width, DIM)] for lines in wrapped for line in lines]


def _findings(findings: Sequence[Finding], width: int, room: int) -> list[Line]:
    """Each with what was seen and what helps; where that does not fit, the worst in full, others in a line, the rest counted."""
    room = max(room, min(len(findings), 2))
    full = [_finding(finding, width) for finding in findings]
    if sum(map(len, full)) <= room:
        return [line for block in full for line in block]
    lines = _squeezed(findings[0], full[0], width, room - 1 if len(findings) > 1 else room)
    for number, (finding, block) in enumerate(zip(findings[1:], full[1:], strict=True), 1):
        after = len(findings) - number - 1
        free = room - len(lines)
        if free < 1:
            break
        if free == 1 and after:
            return [*lines, [cell(_left_out(findings[number:]), width, _STYLES[finding.level])]]
        fits = len(block) + min(after, 1) <= free
        lines += block if fits else [[cell(headline(finding), width, _STYLES[finding.level])]]
    return lines


def _squeezed(finding: Finding, block: list[Line], width: int, room: int) -> list[Line]:
    """In full, or else the trouble in one line and what helps in those that are left, as far as it goes."""
    if len(block) <= room:
        return block
    lines = [[cell(headline(finding), width, _STYLES[finding.level])]]
    if room < 2:
        return lines
    helps = wrap(finding.remedy + (f" ({finding.key})" if finding.key else ""), max(width - 2, 12))
    kept = [*helps[: room - 2], " ".join(helps[room - 2 :])]
    return lines + [[cell(f"  {formatting.clean(text)}", width)] for text in kept if text]


def _finding(finding: Finding, width: int) -> list[Line]:
    style = _STYLES[finding.level]
    seen = wrap(formatting.clean(headline(finding)), max(width, 12), subsequent_indent="  ")
    helps = wrap(formatting.clean(advice(finding)), max(width - 2, 12), initial_indent="  ", subsequent_indent="  ")
    return [[cell(text, width, style)] for text in seen] + [[cell(text, width)] for text in helps]


def _left_out(findings: Sequence[Finding]) -> str:
    return f"and {len(findings)} more: " + ", ".join(f"{finding.trouble} ({finding.level})" for finding in findings)


def messages(texts: Sequence[str], width: int) -> list[Line]:
    """The newest messages."""
    return [[cell(text, width, rows.MESSAGE)] for text in texts]


def _by_network(keys: Mapping[str, object]) -> list[str]:
    """Keys with each network's total first and its terms behind, networks in the order they came."""
    networks = list(dict.fromkeys(key.partition("/")[0] for key in keys))
    return sorted(keys, key=lambda key: (networks.index(key.partition("/")[0]), not key.endswith("/total")))


def _number(text: str, style: Style = PLAIN, width: int = _NUMBER) -> Segment:
    return cell(text, width, style, right=True)


def _alarm(value: float) -> Style:
    return PLAIN if math.isfinite(value) else WORSE


def _movement(score: Score, *, with_word: bool) -> tuple[str, Style]:
    if score.progress == 0:
        return "", PLAIN
    arrow = "↑" if score.value > score.before else "↓"
    word, style = ("better", BETTER) if score.progress > 0 else ("worse", WORSE)
    return (f"{arrow} {word}" if with_word else arrow), style


def _mean_speed(started: Started, standing: Standing) -> float:
    ended = standing.finished
    return (ended.iteration - started.iteration) / ended.seconds if ended and ended.seconds > 0 else 0.0
