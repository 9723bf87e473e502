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
import unittest
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ganforge.core.errors import UsageError, did_you_mean
from ganforge.registry.component import Component
from ganforge.registry.discovery import PluginRecord
from ganforge.registry.plugin_loader import load_plugins
from ganforge.registry.registry import Registry
from ganforge.testing.conformance_checks import CHECKS, Check, CheckFailedError, CheckState, Outcome, Report, Subject
from ganforge.testing.local_plugins import open_plugin

_LETTERS = "PGDLSTME"
"""First letters of check ids, in the order in which they run."""


@dataclass(frozen=True, slots=True)
class Case:
    """One check on one subject.

    Attributes:
        check: the check to run.
        subject: the component or plugin under test.
        expected: reason why it may fail, or ``None``.
    """

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
    registry = load_plugins() if registry is None else registry
    return _cases(registry.find_plugins(distribution), registry, expected_failures or {})


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
    registry = load_plugins() if registry is None else registry
    return check_records(registry.find_plugins(distribution), registry, expected_failures=expected_failures)


def check_path(path: Path, *, expected_failures: Mapping[str, str] | None = None) -> Report:
    """Check a plugin that is not installed: a Python file, or the folder of a project with a ``pyproject.toml``.

    Args:
        path: the file or folder.
        expected_failures: reasons by check and component, such as ``{"G06:swirl": "…"}``.

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
        outcomes = tuple(case.outcome() for case in _cases(records, registry, expected_failures or {}))
    return Report(records[0].title, records[0].version, outcomes, time.perf_counter() - started)


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
    for name in ("data", "losses", "metrics", "networks", "plugin", "training"):
        importlib.import_module(f"ganforge.testing.checks_{name}")
    return tuple(CHECKS[identity] for identity in sorted(CHECKS, key=lambda one: (_LETTERS.index(one[0]), one)))


def _cases(records: Sequence[PluginRecord], registry: Registry, reasons: Mapping[str, str]) -> tuple[Case, ...]:
    """Every check that fits, on the plugins and on what they register."""
    from ganforge.testing.checks_plugin import PluginCase

    found = [Case(check, subject) for subject in map(PluginCase, records) for check in all_checks() if not check.kinds]
    refs = [record.ref for record in records]
    for component in registry.components():
        if component.plugin in refs:
            found += _cases_of(component, registry)
    names = [str(case) for case in found]
    for name in reasons:
        if name not in names:
            raise UsageError(f"expected_failures names '{name}', which is not a check", remedy=did_you_mean(name, names))
    return tuple(replace(case, expected=reasons.get(str(case), case.expected)) for case in found)


def _cases_of(component: Component, registry: Registry) -> list[Case]:
    from ganforge.testing.component_case import ComponentCase

    subject = ComponentCase(component, registry)
    checks = [check for check in all_checks() if component.kind in check.kinds]
    return [Case(check, subject, component.expected_failures.get(check.id)) for check in checks]
