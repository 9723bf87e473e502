"""Health findings as lines of text: in full for views, and as changes for logs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from ganforge.core import formatting
from ganforge.core.events import HealthChecked
from ganforge.core.findings import Finding, advice, headline


def lost(terms: Mapping[str, float]) -> list[str]:
    """A line for each term that is not finite."""
    return [f"{formatting.term(key)} is no longer finite" for key, value in terms.items() if not math.isfinite(value)]


def health_status(checked: HealthChecked | None, healthy_since: int | None) -> list[str]:
    """``healthy since iteration n``, or each finding with its remedy; nothing for a run that is not monitored."""
    if checked is None:
        return []
    if not (checked.findings or checked.conclusive):
        return ["health: no verdict yet"]
    if not checked.findings:
        return [formatting.healthy(healthy_since if healthy_since is not None else checked.iteration)]
    return [f"{headline(finding)}; {advice(finding)}" for finding in checked.findings]


def changes(before: Sequence[Finding], now: HealthChecked) -> Iterator[str]:
    """What is new, has another level, or is over, compared with the findings ``before``."""
    known = {(finding.check, finding.problem): finding for finding in before}
    present = {(finding.check, finding.problem) for finding in now.findings}
    for finding in now.findings:
        earlier = known.get((finding.check, finding.problem))
        if earlier is None or earlier.level != finding.level:
            yield f"{headline(finding)}; {advice(finding)}"
    for key, finding in known.items():
        if key not in present:
            # Another check may still find a problem of this name.
            yield f"{finding.problem} is over for the check {finding.check} (it began at iteration {finding.since:,})"
    if before and not now.findings and now.conclusive:
        yield formatting.healthy(now.iteration)


def unchanged(before: Sequence[Finding], now: Sequence[Finding]) -> bool:
    """Whether both are the same findings at the same levels without a break; their evidence may differ."""
    return _identity(before) == _identity(now)


def _identity(findings: Sequence[Finding]) -> set[tuple[str, str, str, int]]:
    return {(finding.check, finding.problem, finding.level, finding.since) for finding in findings}
