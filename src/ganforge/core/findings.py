"""Findings of the health checks, the verdict on a run, and both as lines of text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from ganforge.core.events import HealthChecked

Level = Literal["warn", "fail"]
NOT_MONITORED = "not monitored"
"""The verdict on a run without health checks."""
UNAVAILABLE = "check unavailable"
"""The problem of a check that cannot be measured."""
VERDICTS = ("fail", "warn", NOT_MONITORED, "healthy")
"""The verdicts on a run, the worst first."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem of a run.

    Attributes:
        check: the check that found it, such as ``dominance``; also its name in ``[health]`` and in ``health/…``.
        problem: what is wrong, such as mode collapse, vanishing gradient or memorisation.
        evidence: what was measured, in words and numbers.
        since: iteration of its first observation without interruption, at this level or worse.
        iteration: iteration at which it was last observed.
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


NON_FINITE = "non-finite values"
"""The problem that ends a run."""
NON_FINITE_REMEDY = ("lower the learning rates; add a gradient penalty such as r1", "generator.optimizer.lr")


def non_finite(iteration: int, reason: str | None) -> Finding:
    """The finding of a run that diverged."""
    evidence = reason or "a value is no longer finite"
    return Finding("finite", NON_FINITE, "fail", evidence, iteration, iteration, *NON_FINITE_REMEDY)


def report(findings: Sequence[Finding], *, conclusive: bool = True) -> dict[str, Any]:
    """The health of a run as JSON data: ``verdict`` and ``findings``.

    Without findings, a run counts as healthy only if the checks are ``conclusive``.
    """
    levels = {finding.level for finding in findings}
    found = "fail" if "fail" in levels else "warn" if findings else "healthy" if conclusive else NOT_MONITORED
    return {"verdict": found, "findings": [asdict(finding) for finding in findings]}


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
        return [f"healthy since iteration {checked.iteration if healthy_since is None else healthy_since:,}"]
    return [f"{headline(finding)}; {advice(finding)}" for finding in checked.findings]


def describe_changes(before: Sequence[Finding], now: HealthChecked) -> Iterator[str]:
    """What is new, has another level, or is over, compared with the findings ``before``."""
    known = {(finding.check, finding.problem): finding for finding in before}
    for finding in now.findings:
        earlier = known.pop((finding.check, finding.problem), None)
        if earlier is None or earlier.level != finding.level:
            yield f"{headline(finding)}; {advice(finding)}"
    for finding in known.values():  # another check may still find a problem of this name
        yield f"{finding.problem} is over for the check {finding.check} (it began at iteration {finding.since:,})"
    if before and not now.findings and now.conclusive:
        yield f"healthy since iteration {now.iteration:,}"


def same_findings(before: Sequence[Finding], now: Sequence[Finding]) -> bool:
    """Whether both are the same findings at the same levels without interruption; their evidence may differ."""
    first, second = ({(one.check, one.problem, one.level, one.since) for one in findings} for findings in (before, now))
    return first == second
