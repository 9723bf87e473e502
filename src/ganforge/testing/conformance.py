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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganforge.core.errors import DataMissingError, UsageError, describe_error, did_you_mean, isolated
from ganforge.registry.component import Component
from ganforge.registry.discovery import PluginRecord
from ganforge.registry.plugin_loader import load_plugins
from ganforge.registry.registry import Registry
from ganforge.registry.selection import normalize_name
from ganforge.testing.conformance_checks import CheckFailedError, CheckState, NotApplicableError, Outcome, Report
from ganforge.testing.local_plugins import open_plugin

if TYPE_CHECKING:
    from ganforge.testing.conformance_checks import Check

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
    subject: Any
    expected: str | None = None

    def __str__(self) -> str:
        # A check for several kinds needs the kind in its name: a generator and a discriminator may have the same name.
        kind, _, name = self.subject.name.partition(" ")
        return f"{self.check.id}:{name}" if len(self.check.kinds) == 1 else f"{self.check.id}:{kind}/{name}"

    def outcome(self) -> Outcome:
        """Run the check; any exception of the check or component becomes part of the outcome."""
        from ganforge.testing.component_case import preserve_random_state

        state, message, text = CheckState.PASSED, "", None
        try:
            with preserve_random_state(), isolated():
                _require_prerequisites(self.check, self.subject)
                self.check.function(self.subject)
        except (NotApplicableError, DataMissingError) as reason:
            state, message = CheckState.SKIPPED, str(reason)
        except CheckFailedError as failure:
            state, message, text = CheckState.FAILED, str(failure), failure.traceback
        except Exception as error:  # noqa: BLE001 - a third-party component may raise anything
            state, message = CheckState.FAILED, describe_error(error, self.subject.folder)
            text = "".join(traceback.format_exception(error))

        if self.expected and state is CheckState.FAILED:
            state, message = CheckState.EXPECTED, f"{self.expected} ({message})"
        elif self.expected and state is CheckState.PASSED:
            state, message = CheckState.FAILED, f"expected to fail ({self.expected}), but it passes: remove the expected failure"
        return Outcome(self.check.id, self.check.title, self.subject.name, state, message, text)

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
    return _cases(_named(distribution, registry), registry, expected_failures)


def check_plugin(
    distribution: str, *, expected_failures: Mapping[str, str] | None = None, registry: Registry | None = None
) -> Report:
    """Check an installed plugin and everything it registers.

    Args:
        distribution: name of an installed distribution, or of its entry point.
        expected_failures: reasons by check and component, such as ``{"G06:swirl": "…"}``.
        registry: the installed plugins. Default: load them.

    Raises:
        UsageError: no such plugin is installed, or an expected failure names no check.
    """
    registry = load_plugins() if registry is None else registry
    return check_records(_named(distribution, registry), registry, expected_failures=expected_failures)


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
    """Check the plugins of one distribution, or one that is a file.

    Args:
        records: their loading results; at least one.
        registry: the registry they belong to.
        expected_failures: reasons by check and component, such as ``{"G06:swirl": "…"}``.

    Raises:
        UsageError: an expected failure names no check.
    """
    from ganforge.testing.component_case import single_thread

    started = time.perf_counter()
    with single_thread():
        outcomes = tuple(case.outcome() for case in _cases(records, registry, expected_failures))
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


def conformance_cases(
    distribution: str, *, expected_failures: Mapping[str, str] | None = None
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Make a pytest function with an argument ``case`` run once for each check of a plugin; see this module's example."""
    import pytest

    found = cases(distribution, expected_failures=expected_failures)
    mark: Callable[[Callable[..., None]], Callable[..., None]] = pytest.mark.parametrize("case", found, ids=str)
    return mark


def all_checks() -> tuple[Check, ...]:
    """Every check, by id; importing their modules, which import torch, defines them."""
    for name in ("data", "equilibrium", "losses", "metrics", "networks", "plugin", "training"):
        importlib.import_module(f"ganforge.testing.checks_{name}")
    from ganforge.testing.conformance_checks import CHECKS

    return tuple(CHECKS[identity] for identity in sorted(CHECKS, key=lambda one: (_LETTERS.index(one[0]), one)))


def _named(distribution: str, registry: Registry) -> list[PluginRecord]:
    wanted = normalize_name(distribution)
    records = [record for record in registry.plugins if wanted in (record.distribution, normalize_name(record.name))]
    if records:
        return records
    known = [record.handle for record in registry.plugins]
    hint = did_you_mean(wanted, known)
    listed = f"installed: {', '.join(dict.fromkeys(known))}; a file or folder is named by its path"
    raise UsageError(f"no plugin named '{distribution}' is installed", remedy=f"{hint} {listed}" if hint else listed)


def _cases(records: Sequence[PluginRecord], registry: Registry, reasons: Mapping[str, str] | None) -> tuple[Case, ...]:
    """Every check that fits, on the plugins and on what they register."""
    from ganforge.testing.checks_plugin import PluginCase

    found = [Case(one, PluginCase(record)) for record, one in _pairs(records)]
    refs = [record.ref for record in records]
    for component in registry.components():
        if component.plugin in refs:
            found += _cases_of(component, registry)
    return _with_reasons(found, reasons or {})


def _pairs(records: Sequence[PluginRecord]) -> Iterator[tuple[PluginRecord, Check]]:
    for record in records:
        for one in all_checks():
            if not one.kinds:
                yield record, one


def _failed_prerequisite(check: Check, subject: Any) -> str | None:
    """The first prerequisite of this check that fails, if any; each runs once per component."""
    from ganforge.testing.conformance_checks import CHECKS

    for name in check.after:
        other = CHECKS[name]
        if subject.component.kind not in other.kinds:
            continue
        if name not in subject.passed:
            subject.passed[name] = _failed_prerequisite(other, subject) is None and _passes(other, subject)
        if not subject.passed[name]:
            return name
    return None


def _require_prerequisites(check: Check, subject: Any) -> None:
    if failed := _failed_prerequisite(check, subject):
        raise NotApplicableError(f"{failed} fails")


def _passes(check: Check, subject: Any) -> bool:
    from ganforge.testing.component_case import preserve_random_state

    try:
        with preserve_random_state(), isolated():
            check.function(subject)
    except (NotApplicableError, DataMissingError):
        return True
    except Exception:  # noqa: BLE001 - its own case reports the error
        return False
    return True


def _cases_of(component: Component, registry: Registry) -> list[Case]:
    from ganforge.testing.component_case import ComponentCase
    from ganforge.testing.conformance_checks import Check

    subject = ComponentCase(component, registry)
    mine = [one for one in all_checks() if component.kind in one.kinds]
    if component.missing:
        # A check that cannot run counts as skipped.
        def unavailable(_: ComponentCase) -> None:
            raise NotApplicableError(f"needs {', '.join(component.missing)}")

        mine = [Check(one.id, one.kinds, (), unavailable) for one in mine]
    excused = {} if component.missing else component.expected_failures
    return [Case(one, subject, excused.get(one.id)) for one in mine]


def _with_reasons(found: list[Case], reasons: Mapping[str, str]) -> tuple[Case, ...]:
    names = [str(case) for case in found]
    for name in reasons:
        if name not in names:
            raise UsageError(f"expected_failures names '{name}', which is not a check", remedy=did_you_mean(name, names))
    return tuple(Case(case.check, case.subject, reasons.get(str(case), case.expected)) for case in found)
