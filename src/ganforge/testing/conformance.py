"""The conformance kit: every check that fits, on everything a plugin registers.

In a plugin's tests, one test per component and check::

    from ganforge.testing import conformance_cases


    @conformance_cases("acme-gan")
    def test_conformance(case):
        case.run()

A check may fail only for a reason, given where the component is registered, ``expected_failures={"G06": "batch statistics are the
point"}``, or here for all of the plugin, ``expected_failures={"G06:swirl": "…"}``. One that passes after all is a failure, so that
reasons do not outlive their cause. Without pytest, :func:`check_plugin` gives a report, and :func:`check_path` one of a plugin that
is not installed.
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

from ganforge.core.errors import DataMissingError, UsageError, did_you_mean
from ganforge.core.isolation import describe_error, isolated
from ganforge.registry.component import Component
from ganforge.registry.plugin_loader import load_plugins
from ganforge.registry.registry import PluginRecord, Registry
from ganforge.registry.selection import normalize_name
from ganforge.testing.check_results import CheckFailed, NotApplicable, Outcome, Report, State
from ganforge.testing.local_plugins import opened

if TYPE_CHECKING:
    from ganforge.testing.check_registry import Check

_LETTERS = "PGDLSTME"
"""First letters of the checks' ids, in the order in which they run."""


@dataclass(frozen=True, slots=True)
class Case:
    """One check on one subject.

    Attributes:
        check: what is asked.
        bench: the subject, with what is needed to check it.
        expected: why it may fail, or ``None``.
    """

    check: Check
    bench: Any
    expected: str | None = None

    def __str__(self) -> str:
        # A generator and a discriminator of one name share some checks, so there the kind is part of the name.
        kind, _, name = self.bench.name.partition(" ")
        return f"{self.check.id}:{name}" if len(self.check.kinds) == 1 else f"{self.check.id}:{kind}/{name}"

    def judge(self) -> Outcome:
        """Run the check; whatever it or the component raises is part of the outcome."""
        from ganforge.testing.component_case import own_randomness

        state, message, text = State.PASSED, "", None
        try:
            with own_randomness(), isolated():
                _require_met(self.check, self.bench)
                self.check.function(self.bench)
        except (NotApplicable, DataMissingError) as reason:
            state, message = State.SKIPPED, str(reason)
        except CheckFailed as failure:
            state, message, text = State.FAILED, str(failure), failure.traceback
        except Exception as error:  # noqa: BLE001 - the boundary: a stranger's component may raise anything
            state, message = State.FAILED, describe_error(error, self.bench.folder)
            text = "".join(traceback.format_exception(error))

        if self.expected and state is State.FAILED:
            state, message = State.EXPECTED, f"{self.expected} ({message})"
        elif self.expected and state is State.PASSED:
            state, message = State.FAILED, f"expected to fail ({self.expected}), but it passes: take it off the list"
        return Outcome(self.check.id, self.check.title, self.bench.name, state, message, text)

    def run(self) -> None:
        """Run the check as a test.

        Raises:
            AssertionError: it failed.
            unittest.SkipTest: it has nothing to look at, or failed as expected; pytest shows the reason.
        """
        outcome = self.judge()
        if outcome.state is State.FAILED:
            raise CheckFailed(f"{outcome.check}: {outcome.title}: {outcome.message}\n{outcome.traceback or ''}".rstrip())
        if outcome.state in (State.SKIPPED, State.EXPECTED):
            raise unittest.SkipTest(f"{outcome.state}: {outcome.message}")


def cases(
    distribution: str, *, expected_failures: Mapping[str, str] | None = None, registry: Registry | None = None
) -> tuple[Case, ...]:
    """Every check that fits, on the plugin itself and on each component that it registers.

    Args:
        distribution: name of an installed distribution, or of its entry point.
        expected_failures: reasons by check and component, such as ``{"G06:swirl": "…"}``.
        registry: what is installed; loaded unless given.

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
        registry: what is installed; loaded unless given.

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
        UsageError: the path is not there or is no plugin, or an expected failure names no check.
    """
    with opened(path) as (registry, records):
        return check_records(records, registry, expected_failures=expected_failures)


def check_records(
    records: Sequence[PluginRecord], registry: Registry, *, expected_failures: Mapping[str, str] | None = None
) -> Report:
    """Check the plugins of one distribution, or one that is a file.

    Args:
        records: how they fared when they were loaded; at least one.
        registry: what was loaded with them.
        expected_failures: reasons by check and component, such as ``{"G06:swirl": "…"}``.

    Raises:
        UsageError: an expected failure names no check.
    """
    from ganforge.testing.component_case import one_thread

    started = time.perf_counter()
    with one_thread():
        outcomes = tuple(case.judge() for case in _cases(records, registry, expected_failures))
    return Report(records[0].title, records[0].version, outcomes, time.perf_counter() - started)


def check_component(component: Component, *, registry: Registry | None = None, only: Iterable[str] = ()) -> tuple[Outcome, ...]:
    """Check one component, installed or not.

    Args:
        component: what is checked.
        registry: where to look for partners, such as a discriminator with the head that a loss reads; none unless given.
        only: ids of the checks to run; all unless given.
    """
    chosen = set(only)
    found = _cases_of(component, registry or Registry((), ()))
    return tuple(case.judge() for case in found if not chosen or case.check.id in chosen)


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
    from ganforge.testing.check_registry import CHECKS

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
    from ganforge.testing.checks_plugin import PluginBench

    found = [Case(one, PluginBench(record)) for record, one in _pairs(records)]
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


def _unmet(check: Check, bench: Any) -> str | None:
    """The first of the checks that this one waits for which fails; each is asked once for each component."""
    from ganforge.testing.check_registry import CHECKS

    for name in check.after:
        other = CHECKS[name]
        if bench.component.kind not in other.kinds:
            continue
        if name not in bench.passed:
            bench.passed[name] = _unmet(other, bench) is None and _holds(other, bench)
        if not bench.passed[name]:
            return name
    return None


def _require_met(check: Check, bench: Any) -> None:
    if failed := _unmet(check, bench):
        raise NotApplicable(f"{failed} fails")


def _holds(check: Check, bench: Any) -> bool:
    from ganforge.testing.component_case import own_randomness

    try:
        with own_randomness(), isolated():
            check.function(bench)
    except (NotApplicable, DataMissingError):
        return True
    except Exception:  # noqa: BLE001 - the boundary: its own case tells what is wrong
        return False
    return True


def _cases_of(component: Component, registry: Registry) -> list[Case]:
    from ganforge.testing.check_registry import Check
    from ganforge.testing.component_case import Bench

    bench = Bench(component, registry)
    mine = [one for one in all_checks() if component.kind in one.kinds]
    if component.missing:
        # What cannot run here is said once for each check, so that the count stays honest.
        def unavailable(_: Bench) -> None:
            raise NotApplicable(f"needs {', '.join(component.missing)}")

        mine = [Check(one.id, one.kinds, (), unavailable) for one in mine]
    excused = {} if component.missing else component.expected_failures
    return [Case(one, bench, excused.get(one.id)) for one in mine]


def _with_reasons(found: list[Case], reasons: Mapping[str, str]) -> tuple[Case, ...]:
    names = [str(case) for case in found]
    for name in reasons:
        if name not in names:
            raise UsageError(f"expected_failures names '{name}', and there is no such check", remedy=did_you_mean(name, names))
    return tuple(Case(case.check, case.bench, reasons.get(str(case), case.expected)) for case in found)
