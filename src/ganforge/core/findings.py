"""What a health watch says of a run: findings in words, and the worst of them as the verdict."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Level = Literal["warn", "fail"]
Verdict = Literal["healthy", "warn", "fail"]
"""Of a run that is watched: nothing seen, something to look at, or training that does not do what it should."""
NOT_WATCHED = "not watched"
"""What stands in the verdict's place where nobody has looked."""
_SEVERITY = ("fail", "warn", NOT_WATCHED, "healthy")


@dataclass(frozen=True, slots=True)
class Finding:
    """One trouble that is seen now.

    Attributes:
        check: which check saw it, such as ``dominance``; also its name in ``[health]`` and in ``health/…``.
        trouble: what it is, in the field's words: mode collapse, convergence failure, vanishing gradient, memorisation ….
        level: how bad.
        seen: what was seen, in words and numbers.
        since: iteration from which on this trouble has been seen without a break, at this level or worse.
        iteration: iteration at which it was last seen.
        remedy: what usually helps.
        key: the recipe key to change, or ``None``.
    """

    check: str
    trouble: str
    level: Level
    seen: str
    since: int
    iteration: int
    remedy: str
    key: str | None = None

    def to_plain(self) -> dict[str, Any]:
        """JSON-able, with stable keys."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Finding:
        """The finding that :meth:`to_plain` gave."""
        return cls(**plain)


NON_FINITE = "non-finite values"
"""The trouble that ends a run."""
NON_FINITE_REMEDY = ("lower the learning rates; add a gradient penalty such as r1", "generator.optimizer.lr")
"""What usually helps there, and the recipe key."""


def non_finite(iteration: int, reason: str | None) -> Finding:
    """The finding of a run that diverged."""
    seen = reason or "a value is no longer finite"
    return Finding("finite", NON_FINITE, "fail", seen, iteration, iteration, *NON_FINITE_REMEDY)


def verdict(findings: Sequence[Finding]) -> Verdict:
    """The worst level among the findings."""
    levels = {finding.level for finding in findings}
    return "fail" if "fail" in levels else "warn" if "warn" in levels else "healthy"


def by_severity(verdicts: Iterable[str]) -> list[str]:
    """Several runs' verdicts, the worst first; not to have been watched is worse than healthy, and better than any trouble."""
    return sorted(verdicts, key=_SEVERITY.index)


def report(findings: Sequence[Finding], *, judged: bool = True) -> dict[str, Any]:
    """What is kept of a look at the run: ``verdict`` and ``findings``, JSON-able.

    Args:
        findings: what is seen.
        judged: whether to see nothing means anything yet.
    """
    if not (judged or findings):
        return unchecked_report()
    return {"verdict": verdict(findings), "findings": [finding.to_plain() for finding in findings]}


def unchecked_report() -> dict[str, Any]:
    """What stands in a report's place where nobody has looked."""
    return {"verdict": NOT_WATCHED, "findings": []}


def headline(finding: Finding) -> str:
    """``fail: mode collapse since iteration 400: all samples are nearly the same …``."""
    return f"{finding.level}: {finding.trouble} since iteration {finding.since:,}: {finding.seen}"


def advice(finding: Finding) -> str:
    """``what usually helps: a lower learning rate (discriminator.optimizer.lr)``."""
    return f"what usually helps: {finding.remedy}" + (f" ({finding.key})" if finding.key else "")
