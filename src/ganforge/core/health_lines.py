"""What a health watch has found, as lines: beside the losses' meaning in views, and as changes in a log."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from ganforge.core import formatting
from ganforge.core.events import HealthChecked
from ganforge.core.findings import Finding, advice, headline


def lost(terms: Mapping[str, float]) -> list[str]:
    """Terms that are not finite."""
    return [f"{formatting.term(key)} is no longer finite" for key, value in terms.items() if not math.isfinite(value)]


def judged(examined: HealthChecked | None, healthy_since: int | None) -> list[str]:
    """The verdict in full: ``healthy since iteration n``, or each finding with what usually helps; nothing where nobody watches."""
    if examined is None:
        return []
    if not (examined.findings or examined.judged):
        return ["nothing judged yet"]
    if not examined.findings:
        return [formatting.healthy(healthy_since if healthy_since is not None else examined.iteration)]
    return [f"{headline(finding)}; {advice(finding)}" for finding in examined.findings]


def changes(before: Sequence[Finding], now: HealthChecked) -> Iterator[str]:
    """What has appeared, got worse or better, or gone since the findings ``before``."""
    known = {(finding.check, finding.trouble): finding for finding in before}
    seen = {(finding.check, finding.trouble) for finding in now.findings}
    for finding in now.findings:
        earlier = known.get((finding.check, finding.trouble))
        if earlier is None or earlier.level != finding.level:
            yield f"{headline(finding)}; {advice(finding)}"
    for key, finding in known.items():
        if key not in seen:
            # Another check may still see a trouble of this name.
            yield f"{finding.trouble} is no longer seen by the check {finding.check} (since iteration {finding.since:,} it was)"
    if before and not now.findings and now.judged:
        yield formatting.healthy(now.iteration)


def unchanged(before: Sequence[Finding], now: Sequence[Finding]) -> bool:
    """Whether both tell of the same troubles, at the same levels and without a break; what was seen may be another number."""
    return _identity(before) == _identity(now)


def _identity(findings: Sequence[Finding]) -> set[tuple[str, str, str, int]]:
    return {(finding.check, finding.trouble, finding.level, finding.since) for finding in findings}
