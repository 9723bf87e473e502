"""Conformance checks: small functions with an id, and the results of running them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ganforge.registry.component import Kind


class CheckFailedError(AssertionError):
    """A component violates its contract; the message says how.

    Attributes:
        traceback: of the underlying error, if any.
    """

    def __init__(self, message: str, traceback: str | None = None) -> None:
        super().__init__(message)
        self.traceback = traceback


class NotApplicableError(Exception):
    """A check does not apply; the message says why."""


class CheckState(StrEnum):
    """Result of one check."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    EXPECTED = "expected failure"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of one check on one subject.

    Attributes:
        check: the check's id, such as ``G04``.
        title: the requirement.
        subject: what was checked, such as ``generator mlp``, or ``plugin``.
        state: the result.
        message: why it failed or was skipped; empty when it passed.
        traceback: of an exception that the component raised, as text.
    """

    check: str
    title: str
    subject: str
    state: CheckState
    message: str = ""
    traceback: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """Results of all checks on one distribution.

    Attributes:
        distribution: what was checked.
        version: its version.
        outcomes: one per check and subject, in the order they ran.
        seconds: duration.
    """

    distribution: str
    version: str
    outcomes: tuple[Outcome, ...]
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether at least one check passed and none failed."""
        return self.count(CheckState.PASSED) > 0 and not self.count(CheckState.FAILED)

    def count(self, state: CheckState) -> int:
        """Number of checks with this result."""
        return sum(outcome.state is state for outcome in self.outcomes)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.distribution} {self.version}"
        for subject in dict.fromkeys(outcome.subject for outcome in self.outcomes):
            mine = [outcome for outcome in self.outcomes if outcome.subject == subject]
            counts = [(sum(outcome.state is state for outcome in mine), state) for state in CheckState]
            yield f"  {subject:<28} {', '.join(f'{count} {state}' for count, state in counts if count)}"
            for outcome in mine:
                if outcome.state is not CheckState.PASSED:
                    yield f"    {outcome.check} {outcome.state}: {outcome.title}: {' '.join(outcome.message.split())}"
        totals = ", ".join(f"{self.count(state)} {state}" for state in (CheckState.FAILED, CheckState.EXPECTED, CheckState.SKIPPED))
        ran = len(self.outcomes) > self.count(CheckState.SKIPPED)
        nothing = "" if ran else " No check ran."
        yield f"{self.count(CheckState.PASSED)} of {len(self.outcomes)} checks passed, {totals}. {self.seconds:.1f} s{nothing}"


@dataclass(frozen=True, slots=True)
class Check:
    """One requirement on a plugin or component.

    Attributes:
        id: such as ``G04``; the letter stands for the kind, P for the plugin and its params models.
        kinds: the kinds of component it applies to; empty if it applies to the plugin as a whole.
        after: checks that must pass first, so that one fault is reported only once.
        function: takes the subject; raises :class:`~ganforge.testing.conformance_checks.CheckFailedError` or
            :class:`~ganforge.testing.conformance_checks.NotApplicableError`.
    """

    id: str
    kinds: frozenset[Kind]
    after: tuple[str, ...]
    function: Callable[[Any], None]

    @property
    def title(self) -> str:
        """The requirement: the first line of the function's docstring."""
        return (self.function.__doc__ or "").strip().partition("\n")[0].rstrip(".")

    @property
    def details(self) -> str:
        """Details, if any: the rest of the docstring, as one paragraph."""
        return " ".join((self.function.__doc__ or "").strip().partition("\n")[2].split())


CHECKS: dict[str, Check] = {}
"""All checks by id, in the order of their definition."""

LOADS = ("P05", "P06")
"""Checks that must pass before a component's params can be checked."""
BUILDS = (*LOADS, "P08", "P11")
"""Checks that must pass before a component can be built."""


def check(
    identity: str, *kinds: Kind, after: tuple[str, ...] | None = None
) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Register a function as the check of that id for components of these kinds, or for the whole plugin if none is given.

    Args:
        identity: its id.
        kinds: what it applies to.
        after: checks that must pass first. Default: :data:`BUILDS`, or none for the whole plugin.
    """
    prerequisites = (BUILDS if kinds else ()) if after is None else after

    def define(function: Callable[[Any], None]) -> Callable[[Any], None]:
        CHECKS[identity] = Check(identity, frozenset(kinds), prerequisites, function)
        return function

    return define
