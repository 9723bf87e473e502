"""Findings of the health checks, the verdict on a run, and both as lines of text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from ganforge.core import formatting

if TYPE_CHECKING:
    from ganforge.core.events import HealthChecked

Level = Literal["warn", "fail"]
Verdict = Literal["healthy", "warn", "fail"]
"""The verdict on a monitored run: no findings, only warnings, or failures."""
NOT_MONITORED = "not monitored"
"""The verdict on a run without health checks."""
UNAVAILABLE = "check unavailable"
"""The problem of a check that cannot be measured."""
_SEVERITY = ("fail", "warn", NOT_MONITORED, "healthy")


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem of a run.

    Attributes:
        check: the check that found it, such as ``dominance``; also its name in ``[health]`` and in ``health/…``.
        problem: what is wrong, in the field's words: mode collapse, vanishing gradient, memorisation ….
        level: how bad it is.
        evidence: what was measured, in words and numbers.
        since: iteration since which the problem lasts without a break, at this level or worse.
        iteration: iteration at which it was last observed.
        remedy: what usually helps.
        key: the recipe key to change, or ``None``.
    """

    check: str
    problem: str
    level: Level
    evidence: str
    since: int
    iteration: int
    remedy: str
    key: str | None = None

    def to_plain(self) -> dict[str, Any]:
        """The finding as JSON-able data."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Finding:
        """The finding that :meth:`to_plain` returned."""
        return cls(**plain)


NON_FINITE = "non-finite values"
"""The problem that ends a run."""
NON_FINITE_REMEDY = ("lower the learning rates; add a gradient penalty such as r1", "generator.optimizer.lr")
"""What usually helps against it, and the recipe key."""


def non_finite(iteration: int, reason: str | None) -> Finding:
    """The finding of a run that diverged."""
    evidence = reason or "a value is no longer finite"
    return Finding("finite", NON_FINITE, "fail", evidence, iteration, iteration, *NON_FINITE_REMEDY)


def verdict(findings: Sequence[Finding]) -> Verdict:
    """The worst level among the findings."""
    levels = {finding.level for finding in findings}
    return "fail" if "fail" in levels else "warn" if "warn" in levels else "healthy"


def by_severity(verdicts: Iterable[str]) -> list[str]:
    """The verdicts of several runs, the worst first; not monitored is worse than healthy, and better than any finding."""
    return sorted(verdicts, key=_SEVERITY.index)


def report(findings: Sequence[Finding], *, conclusive: bool = True) -> dict[str, Any]:
    """The health of a run as JSON-able data: ``verdict`` and ``findings``.

    Args:
        findings: the present findings.
        conclusive: whether a run without findings counts as healthy.
    """
    if not (conclusive or findings):
        return unchecked_report()
    return {"verdict": verdict(findings), "findings": [finding.to_plain() for finding in findings]}


def unchecked_report() -> dict[str, Any]:
    """The report on a run without health checks."""
    return {"verdict": NOT_MONITORED, "findings": []}


def headline(finding: Finding) -> str:
    """``fail: mode collapse since iteration 400: all samples are nearly the same …``."""
    return f"{finding.level}: {finding.problem} since iteration {finding.since:,}: {finding.evidence}"


def advice(finding: Finding) -> str:
    """``what usually helps: a lower learning rate (discriminator.optimizer.lr)``."""
    return f"what usually helps: {finding.remedy}" + (f" ({finding.key})" if finding.key else "")


def describe_health(checked: HealthChecked | None, healthy_since: int | None) -> list[str]:
    """``healthy since iteration n``, or each finding with its remedy; nothing for a run that is not monitored."""
    if checked is None:
        return []
    if not (checked.findings or checked.conclusive):
        return ["health: no verdict yet"]
    if not checked.findings:
        return [formatting.healthy(healthy_since if healthy_since is not None else checked.iteration)]
    return [f"{headline(finding)}; {advice(finding)}" for finding in checked.findings]


def describe_changes(before: Sequence[Finding], now: HealthChecked) -> Iterator[str]:
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


def same_findings(before: Sequence[Finding], now: Sequence[Finding]) -> bool:
    """Whether both are the same findings at the same levels without a break; their evidence may differ."""
    return _identity(before) == _identity(now)


def _identity(findings: Sequence[Finding]) -> set[tuple[str, str, str, int]]:
    return {(finding.check, finding.problem, finding.level, finding.since) for finding in findings}
