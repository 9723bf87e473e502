"""A run's end and health, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from ganforge.core import formatting
from ganforge.report.report_data import Facts, table, tables

Tone = Literal["good", "warn", "bad", "plain"]

_TONES: dict[str, Tone] = {
    "finished": "good", "running": "plain", "starting": "plain", "stopped": "warn", "unstarted": "warn", "unknown": "warn",
    "diverged": "bad", "failed": "bad", "killed": "bad", "healthy": "good", "warn": "warn", "fail": "bad",
}  # fmt: skip
_VERDICTS = {
    "healthy": "Healthy: the watch saw nothing wrong.",
    "warn": "Something to look at.",
    "fail": "Training does not do what it should.",
    "diverged": "Diverged.",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One trouble that the health watch saw.

    Attributes:
        trouble: what it is.
        tone: how bad.
        seen: what was seen.
        since: iterations from and to which it was seen, in words.
        remedy: what usually helps.
        key: the recipe key to change; "" where there is none.
    """

    trouble: str
    tone: Tone
    seen: str
    since: str
    remedy: str
    key: str


@dataclass(frozen=True, slots=True)
class Health:
    """What the health watch says.

    Attributes:
        verdict: in words.
        tone: how bad.
        findings: the worst first.
    """

    verdict: str
    tone: Tone
    findings: Sequence[Finding]


def tone(word: str) -> Tone:
    """How good the news is."""
    return _TONES.get(word, "plain")


def outcome(facts: Facts) -> str:
    """How the run stands or ended, in one line."""
    status = facts.status
    if status is None:
        told = {"starting": "has just begun", "unstarted": "never came to its first iteration"}.get(facts.word)
        return f"The run {told or 'cannot tell how it stands'}{_because(facts.remark)}"
    of = f" of {status.iterations:,}" if status.iterations else ""
    match facts.word:
        case "finished":
            return f"All {status.iteration:,} iterations are done{_pace(facts)}."
        case "running":
            share = f" ({formatting.share(status.iteration, status.iterations)})" if status.iterations else ""
            return f"Still running: at iteration {status.iteration:,}{of}{share} when this page was made."
        case "failed":
            return f"Failed at iteration {status.iteration:,}{of}{_because(status.error or facts.remark)}"
    return f"{facts.word.capitalize()} at iteration {status.iteration:,}{of}{_because(facts.remark)}"


def health(facts: Facts) -> Health:
    """The verdict of the health watch with its findings; of a run that was not watched, that."""
    told = facts.status.health if facts.status else None
    verdict = formatting.clean(str(table({"health": told}, "health").get("verdict") or "not watched"))
    found = [_finding(one) for one in tables(told, "findings")]
    spoken = _VERDICTS.get(verdict, "Not watched: this run has no health findings." if verdict == "not watched" else verdict)
    return Health(spoken, tone("fail" if verdict == "diverged" else verdict), found)


def moment(seconds: object) -> str:
    """Unix seconds as a moment, in UTC: a page travels between clocks."""
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        return "–"
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, OSError, ValueError):
        return "–"


def _finding(one: Mapping[str, Any]) -> Finding:
    since, until = one.get("since"), one.get("iteration")
    spans = isinstance(since, int) and isinstance(until, int)
    span = f"iteration {since:,}" if spans and since == until else f"iterations {since:,} to {until:,}" if spans else ""
    return Finding(
        trouble=formatting.clean(str(one.get("trouble") or one.get("check") or "a trouble without a name")),
        tone=tone(str(one.get("level"))),
        seen=formatting.clean(str(one.get("seen") or "")),
        since=span,
        remedy=formatting.clean(str(one.get("remedy") or "")),
        key=formatting.clean(str(one.get("key") or "")),
    )


def _because(reason: str | None) -> str:
    return f": {formatting.clean(reason).rstrip('.')}." if reason else "."


def _pace(facts: Facts) -> str:
    status = facts.status
    if status is None or not status.seconds:
        return ""
    again = facts.history.resumed[-1] if facts.history.resumed else 0
    went_on = f" since iteration {again:,}" if again else ""
    done = status.iteration - again + facts.history.redone
    return f", in {formatting.duration(status.seconds)} of training{went_on} ({formatting.speed(done / status.seconds)})"
