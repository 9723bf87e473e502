"""What came of checking a plugin: what ran, what was skipped and why, and what failed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class CheckFailed(AssertionError):  # noqa: N818 - a finding about a component, no error of this program
    """A component does not do what its contract says; the text says what it does instead.

    Attributes:
        traceback: of the error behind it, where there was one.
    """

    def __init__(self, message: str, traceback: str | None = None) -> None:
        super().__init__(message)
        self.traceback = traceback


class NotApplicable(Exception):  # noqa: N818 - no error: it says why a check has nothing to look at
    """A check has nothing to look at here; the text says why."""


class State(StrEnum):
    """What came of one check."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    EXPECTED = "expected failure"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one check on one subject.

    Attributes:
        check: the check's id, such as ``G04``.
        title: what the check asks.
        subject: what was checked, such as ``generator mlp``, or ``plugin``.
        state: what came of it.
        message: why it failed or was skipped; empty when it passed.
        traceback: of an exception that the component raised, as text.
    """

    check: str
    title: str
    subject: str
    state: State
    message: str = ""
    traceback: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What came of checking one distribution.

    Attributes:
        distribution: what was checked.
        version: its version.
        outcomes: one for each check and subject, in the order they ran.
        seconds: what it took.
    """

    distribution: str
    version: str
    outcomes: tuple[Outcome, ...]
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether something ran and nothing failed: a battery that ran nothing proves nothing."""
        return self.count(State.PASSED) > 0 and not self.count(State.FAILED)

    def count(self, state: State) -> int:
        """How many checks ended so."""
        return sum(outcome.state is state for outcome in self.outcomes)

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"{self.distribution} {self.version}"
        for subject in dict.fromkeys(outcome.subject for outcome in self.outcomes):
            mine = [outcome for outcome in self.outcomes if outcome.subject == subject]
            counts = [(sum(outcome.state is state for outcome in mine), state) for state in State]
            yield f"  {subject:<28} {', '.join(f'{count} {state}' for count, state in counts if count)}"
            for outcome in mine:
                if outcome.state is not State.PASSED:
                    yield f"    {outcome.check} {outcome.state}: {outcome.title}: {' '.join(outcome.message.split())}"
        totals = ", ".join(f"{self.count(state)} {state}" for state in (State.FAILED, State.EXPECTED, State.SKIPPED))
        ran = len(self.outcomes) > self.count(State.SKIPPED)
        nothing = "" if ran else " Nothing ran, so nothing is proved."
        yield f"{self.count(State.PASSED)} of {len(self.outcomes)} checks passed, {totals}. {self.seconds:.1f} s{nothing}"
