"""The framework of conformance checks: small functions with an id, and the results of running them."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from ganforge.core.errors import DataMissingError, describe_error, isolated
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
        subject: what was checked, such as ``generator mlp``, or ``plugin acme``.
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
    """Results of all checks on one distribution, in the order they ran.

    Attributes:
        distribution: what was checked.
        version: its version.
        outcomes: one per check and subject.
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
        nothing = "" if len(self.outcomes) > self.count(CheckState.SKIPPED) else " No check ran."
        yield f"{self.count(CheckState.PASSED)} of {len(self.outcomes)} checks passed, {totals}. {self.seconds:.1f} s{nothing}"


class Subject(Protocol):
    """What checks run on: a plugin, or one component of it."""

    @property
    def name(self) -> str:
        """Name in reports."""

    @property
    def kind(self) -> Kind | None:
        """The component's kind; ``None`` for a plugin."""

    @property
    def folder(self) -> Path | None:
        """Folder of its source, for locations in error messages."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Modules that it needs and that are not installed."""

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """Outcomes of the checks that have run, by id."""


@dataclass(frozen=True, slots=True)
class Check:
    """One requirement on a plugin or component.

    Attributes:
        id: such as ``G04``; the letter stands for the kind, P for the plugin and its params models.
        kinds: the kinds of component it applies to; empty if it applies to the plugin as a whole.
        after: checks that must pass first, so that one fault is reported only once.
        function: takes the subject; raises :class:`CheckFailedError` or :class:`NotApplicableError`.
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

    def outcome(self, subject: Subject) -> Outcome:
        """Run the check, once per subject; any exception of the check or component becomes part of the outcome."""
        if self.id not in subject.outcomes:
            subject.outcomes[self.id] = Outcome(self.id, self.title, subject.name, *self._run(subject))
        return subject.outcomes[self.id]

    def _run(self, subject: Subject) -> tuple[CheckState, str, str | None]:
        from ganforge.testing.component_case import preserve_random_state

        if subject.missing:
            return CheckState.SKIPPED, f"needs {', '.join(subject.missing)}", None
        for other in (CHECKS[name] for name in self.after):
            if subject.kind in other.kinds and other.outcome(subject).state is CheckState.FAILED:
                return CheckState.SKIPPED, f"{other.id} fails", None
        try:
            with preserve_random_state(), isolated():
                self.function(subject)
        except (NotApplicableError, DataMissingError) as reason:
            return CheckState.SKIPPED, str(reason), None
        except CheckFailedError as failure:
            return CheckState.FAILED, str(failure), failure.traceback
        except Exception as error:  # noqa: BLE001 - a third-party component may raise anything
            return CheckState.FAILED, describe_error(error, subject.folder), "".join(traceback.format_exception(error))
        return CheckState.PASSED, "", None


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

    ``after`` defaults to :data:`BUILDS`, or to nothing for the whole plugin.
    """
    prerequisites = (BUILDS if kinds else ()) if after is None else after

    def define(function: Callable[[Any], None]) -> Callable[[Any], None]:
        CHECKS[identity] = Check(identity, frozenset(kinds), prerequisites, function)
        return function

    return define


def require(condition: object, message: str) -> None:
    """Fail the check unless the condition holds.

    Raises:
        CheckFailedError: with the message.
    """
    if not condition:
        raise CheckFailedError(message)
