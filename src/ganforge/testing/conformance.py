"""Conformance testing: every applicable check on everything a plugin registers.

In a plugin's tests, one test per component and check::

    from ganforge.testing import conformance_cases


    @conformance_cases("acme-gan")
    def test_conformance(case):
        case.run()

A check may fail only for a stated reason, given where the component is registered
(``expected_failures={"G06": "batch statistics are the point"}``) or here for the whole plugin
(``expected_failures={"G06:swirl": "…"}``). An expected failure that passes counts as a failure, so that outdated reasons are
noticed.
Without pytest, :func:`check_plugin` returns a report; :func:`check_path`
does so for a plugin that is not installed.
"""

from __future__ import annotations

import importlib
import time
import traceback
import unittest
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from ganforge.core.errors import DataMissingError, UsageError, describe_error, did_you_mean, isolated
from ganforge.registry.component import Component, Kind
from ganforge.registry.discovery import PluginRecord
from ganforge.registry.plugin_loader import load_plugins
from ganforge.registry.registry import Registry
from ganforge.testing.local_plugins import open_plugin

if TYPE_CHECKING:
    from ganforge.testing.checks_plugin import PluginCase
    from ganforge.testing.component_case import ComponentCase

Subject: TypeAlias = "PluginCase | ComponentCase"
"""What checks run on: a plugin, or one component of it."""

_LETTERS = "PGDLSTMEA"
"""First letters of check ids, in the order in which they run."""


class CheckFailedError(AssertionError):
    """A component violates its contract; the message says how, and ``traceback`` is that of the underlying error, if any."""

    def __init__(self, message: str, traceback: str | None = None) -> None:
        super().__init__(message)
        self.traceback = traceback


class NotApplicableError(Exception):
    """A check does not apply; the message says why."""


class CheckState(StrEnum):
    """Result of one check."""

    PASSED = "passed"
    FAILED = "failed"
    EXPECTED = "expected failure"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of one check on one subject.

    Attributes:
        check: the check's id, such as ``G04``.
        title: the requirement.
        subject: such as ``generator mlp``, or ``plugin acme``.
        message: why it failed or was skipped; empty when it passed.
        traceback: of an exception that the component raised.
    """

    check: str
    title: str
    subject: str
    state: CheckState
    message: str = ""
    traceback: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """Results of all checks on one distribution, in the order they ran: one per check and subject."""

    distribution: str
    version: str
    outcomes: tuple[Outcome, ...]
    seconds: float = 0.0
    file: str = ""  # the plugin's module that was checked; "" if it was not found

    @property
    def ok(self) -> bool:
        """Whether at least one check passed and none failed."""
        return self.count(CheckState.PASSED) > 0 and not self.count(CheckState.FAILED)

    def count(self, state: CheckState) -> int:
        """Number of checks with this result."""
        return sum(outcome.state is state for outcome in self.outcomes)

    def __str__(self) -> str:
        lines = [f"{self.distribution} {self.version}{f' from {self.file}' if self.file else ''}"]
        for subject, outcomes in groupby(self.outcomes, key=lambda outcome: outcome.subject):
            mine = list(outcomes)
            counts = [(sum(one.state is state for one in mine), state) for state in CheckState]
            lines.append(f"  {subject:<28} {', '.join(f'{count} {state}' for count, state in counts if count)}")
            others = [one for one in mine if one.state is not CheckState.PASSED]
            lines += [f"    {one.check} {one.state}: {one.title}: {' '.join(one.message.split())}" for one in others]
        passed, *states = CheckState
        totals = ", ".join(f"{self.count(state)} {state}" for state in states)
        nothing = "" if len(self.outcomes) > self.count(CheckState.SKIPPED) else " No check ran."
        lines.append(f"{self.count(passed)} of {len(self.outcomes)} checks passed, {totals}. {self.seconds:.1f} s{nothing}")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Check:
    """One requirement on components of some kinds, or on the plugin as a whole if there are none.

    Attributes:
        id: such as ``G04``; the letter stands for the kind, P for the plugin and its params models.
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


@dataclass(frozen=True, slots=True)
class Case:
    """One check on one subject, and the reason why it may fail, or ``None``."""

    check: Check
    subject: Subject
    expected: str | None = None

    def __str__(self) -> str:
        # A check for several kinds needs the kind in its name: a generator and a discriminator may have the same name.
        kind, _, name = self.subject.name.partition(" ")
        return f"{self.check.id}:{name}" if len(self.check.kinds) == 1 else f"{self.check.id}:{kind}/{name}"

    def outcome(self) -> Outcome:
        """Run the check; an expected failure that passes counts as a failure."""
        outcome = self.check.outcome(self.subject)
        if self.expected and outcome.state is CheckState.FAILED:
            return replace(outcome, state=CheckState.EXPECTED, message=f"{self.expected} ({outcome.message})")
        if self.expected and outcome.state is CheckState.PASSED:
            message = f"expected to fail ({self.expected}), but it passes: remove the expected failure"
            return replace(outcome, state=CheckState.FAILED, message=message)
        return outcome

    def run(self) -> None:
        """Run the check as a test.

        Raises:
            AssertionError: it failed.
            unittest.SkipTest: it does not apply, or failed as expected; pytest shows the reason.
        """
        outcome = self.outcome()
        if outcome.state is CheckState.FAILED:
            raise CheckFailedError(f"{outcome.check}: {outcome.title}: {outcome.message}\n{outcome.traceback or ''}".rstrip())
        if outcome.state in (CheckState.SKIPPED, CheckState.EXPECTED):
            raise unittest.SkipTest(f"{outcome.state}: {outcome.message}")


def cases(
    distribution: str, *, expected_failures: Mapping[str, str] | None = None, registry: Registry | None = None
) -> tuple[Case, ...]:
    """Every applicable check on the plugin and on each component it registers.

    Args:
        distribution: name of an installed distribution, or of its entry point.
        expected_failures: reasons by check and component, such as ``{"G06:swirl": "…"}``.
        registry: the installed plugins. Default: load them.

    Raises:
        UsageError: no such plugin is installed, or an expected failure names no check.
    """
    registry = registry or load_plugins()
    return _cases(registry.find_plugins(distribution), registry, expected_failures)


def conformance_cases(
    distribution: str, *, expected_failures: Mapping[str, str] | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a pytest function with an argument ``case`` run once for each of :func:`cases`; see this module's example."""
    import pytest

    found = cases(distribution, expected_failures=expected_failures)
    mark: Callable[[Callable[..., None]], Callable[..., None]] = pytest.mark.parametrize("case", found, ids=str)
    return mark


def check_plugin(
    distribution: str, *, expected_failures: Mapping[str, str] | None = None, registry: Registry | None = None
) -> Report:
    """Check an installed plugin and everything it registers; arguments and errors as for :func:`cases`."""
    registry = registry or load_plugins()
    return check_records(registry.find_plugins(distribution), registry, expected_failures=expected_failures)


def check_path(path: Path, *, expected_failures: Mapping[str, str] | None = None) -> Report:
    """Check a plugin that is not installed: a Python file, or the folder of a project with a ``pyproject.toml``.

    Raises:
        UsageError: the path does not exist or is not a plugin, or an expected failure names no check.
    """
    with open_plugin(path) as (registry, records):
        return check_records(records, registry, expected_failures=expected_failures)


def check_records(
    records: Sequence[PluginRecord], registry: Registry, *, expected_failures: Mapping[str, str] | None = None
) -> Report:
    """Check the plugins of one distribution, or one that is a file; ``records`` are their loading results, at least one."""
    from ganforge.testing.component_case import single_thread

    started = time.perf_counter()
    with single_thread():
        outcomes = tuple(case.outcome() for case in _cases(records, registry, expected_failures))
    first = records[0]
    return Report(first.title, first.version, outcomes, time.perf_counter() - started, str(first.file or first.origin or ""))


def check_component(component: Component, *, registry: Registry | None = None, only: Iterable[str] = ()) -> tuple[Outcome, ...]:
    """Check one component, installed or not.

    Args:
        component: the component under test.
        registry: where to look for partners, such as a discriminator with the head that a loss reads. Default: empty.
        only: ids of the checks to run. Default: all.
    """
    chosen = set(only)
    found = _cases_of(component, registry or Registry((), ()))
    return tuple(case.outcome() for case in found if not chosen or case.check.id in chosen)


def all_checks() -> tuple[Check, ...]:
    """Every check, by id; importing their modules, which import torch, defines them."""
    for name in ("data", "games", "losses", "metrics", "networks", "plugin", "training"):
        importlib.import_module(f"ganforge.testing.checks_{name}")
    return tuple(CHECKS[identity] for identity in sorted(CHECKS, key=lambda one: (_LETTERS.index(one[0]), one)))


def _cases(records: Sequence[PluginRecord], registry: Registry, expected: Mapping[str, str] | None) -> tuple[Case, ...]:
    """Every check that fits, on the plugins and on what they register."""
    from ganforge.testing.checks_plugin import PluginCase

    found = [Case(check, subject) for subject in map(PluginCase, records) for check in all_checks() if not check.kinds]
    refs = [record.ref for record in records]
    for component in registry.components():
        if component.plugin in refs:
            found += _cases_of(component, registry)
    reasons, names = expected or {}, [str(case) for case in found]
    for name in reasons:
        if name not in names:
            raise UsageError(f"expected_failures names '{name}', which is not a check", remedy=did_you_mean(name, names))
    return tuple(replace(case, expected=reasons.get(str(case), case.expected)) for case in found)


def _cases_of(component: Component, registry: Registry) -> list[Case]:
    from ganforge.testing.component_case import ComponentCase

    subject = ComponentCase(component, registry)
    checks = [check for check in all_checks() if component.kind in check.kinds]
    return [Case(check, subject, component.expected_failures.get(check.id)) for check in checks]
