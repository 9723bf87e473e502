"""The health monitor: takes in the events of training, runs the checks, and reports their findings as events."""

from __future__ import annotations

import math
import statistics
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, cast

from pydantic import ConfigDict, ValidationError, create_model

from ganforge.core.errors import describe_error
from ganforge.core.events import (
    CheckUnavailable,
    Evaluated,
    Event,
    Finished,
    HealthChecked,
    HealthSamples,
    Saved,
    Started,
    State,
    Stepped,
)
from ganforge.core.findings import UNAVAILABLE, Finding, Level, non_finite
from ganforge.core.health_config import Health, PersistentLimits
from ganforge.health.checks import CHECKS, CheckInputs, HealthCheck, Observation, Remedy, remedy_for

if TYPE_CHECKING:
    from torch import Tensor

KEY = "health"
"""The key of the monitor's memory in a state's values."""

_SPAN = 50
"""Time constant of the smoothing of diagnostics, in iterations."""
_MAX_PENDING = 10
"""Diagnostics held on the device before they are converted together."""
_RECENT = 5
"""Sample checks whose median is the oscillation."""
_ALL = "all checks"
"""What is unavailable if the monitor itself has failed."""
_SAMPLE_CHECKS = tuple(check.name for check in CHECKS if check.source == "samples")
_SWITCHES = {_ALL: "health.enabled", "samples": "health.sample_checks"}
"""The keys that switch off what is not a single check."""
_DEPENDENT = {
    "collapse": ("collapse", "separation"),
    "oscillation": ("oscillation", "convergence"),
    "dominance": ("dominance", "overfitting"),
    "gradients": ("gradients", "vanishing"),
    "samples": _SAMPLE_CHECKS,
}
"""The checks that become unavailable with one thing, if they are not just that one."""
_SYMPTOMS = {
    "overfitting": ("dominance", "vanishing"),
    "weights": ("dominance", "vanishing", "gradients"),
    "convergence": ("separation",),
}
"""If a check fails, these findings are hidden, because it explains them."""


@dataclass(slots=True)
class _History:
    """One check's observations through a run: ``needed`` in a row make a finding.

    By level, which includes worse ones: the ``counts`` of observations in a row, and the iteration ``since`` which it lasts.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")
    needed: int
    counts: dict[Level, int] = field(default_factory=lambda: {"warn": 0, "fail": 0})
    since: dict[Level, int] = field(default_factory=dict)
    last: int = 0
    observation: Observation | None = None

    @property
    def level(self) -> Level | None:
        """The level of the finding."""
        if self.counts["fail"] >= self.needed:
            return "fail"
        return "warn" if self.counts["warn"] >= self.needed else None

    def finding(self, check: str, remedy_of: Callable[[str], Remedy]) -> Finding | None:
        """The finding, if the observations persist."""
        seen, level = self.observation, self.level
        if seen is None or level is None:
            return None
        remedy, key = remedy_of(seen.problem)
        return Finding(check, seen.problem, level, seen.evidence, self.since[level], self.last, remedy, seen.key or key)

    def add(self, iteration: int, observation: Observation | None) -> None:
        """Add what the check observes now. Another problem continues the row, but its finding dates from now, as does a failure."""
        if observation is None or self.observation is None or observation.problem != self.observation.problem:
            self.since = {}
        levels: tuple[Level, ...] = () if observation is None else ("warn", "fail") if observation.level == "fail" else ("warn",)
        self.counts = {level: count + 1 if level in levels else 0 for level, count in self.counts.items()}
        self.since = {level: self.since.get(level, iteration) for level in levels}
        self.observation, self.last = observation, iteration

    def restore(self, plain: Mapping[str, Any]) -> None:
        """Continue with what ``asdict`` gave."""
        self.counts, self.since, self.last = dict(plain["counts"]), dict(plain["since"]), plain["last"]
        self.observation = None if plain["observation"] is None else Observation(**plain["observation"])


@dataclass(slots=True)
class _Smoother:
    """Smooths diagnostics over iterations, and compares the generator's gradient norms with the median of the ``first`` ones."""

    __pydantic_config__ = ConfigDict(extra="forbid")
    last: int = 0
    first: list[float] = field(default_factory=list)
    baseline: float | None = None

    def add(
        self, iteration: int, diagnostics: Mapping[str, float], values: dict[str, float], iterations: int, generator: str
    ) -> None:
        """Update ``values``. A value that is not finite replaces the mean, which it would spoil."""
        span = max(1.0, min(_SPAN, iterations / 50))
        keep = math.exp(-max(iteration - self.last, 1) / span)
        self.last = iteration
        for name, value in diagnostics.items():
            mean = keep * values.get(name, value) + (1 - keep) * value
            values[name] = mean if name.startswith(("gradients/", "dominance/")) and math.isfinite(mean) else value
        if "dominance/loss" in diagnostics:
            values["dominance"] = (math.log(4) - values["dominance/loss"]) / 2
        if (norm := diagnostics.get(f"gradients/{generator}")) is not None:
            self._compare_with_baseline(norm, values[f"gradients/{generator}"], values, is_first=iteration < iterations / 20)
        if "input_gradient/real" in diagnostics and "input_gradient/fake" in diagnostics:
            ratio = max(diagnostics["input_gradient/real"], 1e-30) / max(diagnostics["input_gradient/fake"], 1e-30)
            values["input_gradient"] = _smooth_ratio(values.get("input_gradient", ratio), ratio)

    def _compare_with_baseline(self, norm: float, smooth: float, values: dict[str, float], *, is_first: bool) -> None:
        """``vanishing``: the generator's gradient norm over its median in the first twentieth of the run."""
        if self.baseline is None:
            if math.isfinite(norm):
                self.first.append(norm)
            if self.first and not is_first:
                self.baseline = statistics.median(self.first)
        elif self.baseline > 0:
            values["vanishing"] = smooth / self.baseline


_Memory = create_model(
    "_Memory",
    values=dict[str, float],
    smoother=_Smoother,
    histories=dict[str, _History],
    ratios=list[float],
    run_once=list[str],
    unavailable=dict[str, int],
)
"""What :meth:`HealthMonitor.to_plain` returns."""


def _smooth_ratio(before: float, ratio: float) -> float:
    """The ratio, smoothed on a logarithmic scale over about three values."""
    if not (math.isfinite(before) and math.isfinite(ratio)):
        return ratio
    mean = math.exp((2 * math.log(before) + math.log(ratio)) / 3)
    return mean if mean > 0 else ratio


def monitored(events: Iterable[Event], monitor: HealthMonitor) -> Iterator[Event]:
    """The events for callbacks: without those that only the monitor needs, and with what it reports after each.

    A state to be saved gets the monitor's memory, so that a resumed run is monitored without a gap.
    """
    for event in events:
        checked = monitor.handle(event)
        if isinstance(event, Finished) and checked:
            yield checked  # Finished is the last event
            checked = None
        if isinstance(event, Saved):
            state = event.state
            event = replace(event, state=State(state.tensors, {**state.values, KEY: monitor.to_plain()}))
        if not isinstance(event, HealthSamples | CheckUnavailable):
            yield event
        if checked:
            yield checked


class HealthMonitor:
    """Monitors one run. It never ends the run by an error of its own: a check that fails becomes unavailable, which is a finding.

    ``losses`` are the names of the recipe's losses, ``frozen`` the networks whose learning rate is 0; ``findings`` are all present
    ones, failures first.
    """

    def __init__(self, config: Health, losses: Collection[str] = (), frozen: Sequence[str] = ()) -> None:
        self.findings: tuple[Finding, ...] = ()
        self._config, self._losses = config, frozenset(losses)
        self._inputs = CheckInputs(config, "", None, frozen=frozen)  # the networks' names come when training starts
        self._evaluated: Evaluated | None = None
        self._pending: list[tuple[int, Mapping[str, Tensor]]] = []
        self._ratios: deque[float] = deque(maxlen=_RECENT)
        self._histories: dict[str, _History] = {}
        self._run_once: set[str] = set()  # checks that have had values
        self._unavailable: dict[str, Finding] = {}
        self._unavailable_since: dict[str, int] = {}  # what was unavailable before this process, which tries again
        self._divergence: Finding | None = None
        self._far_metrics: Finding | None = None
        self._finished = False
        self._iteration = 0
        self._restored: dict[str, Any] | None = None

    @property
    def _active(self) -> bool:
        return self._config.enabled and _ALL not in self._unavailable

    def handle(self, event: Event) -> HealthChecked | None:
        """Take in an event; returns what the checks report after it, if they ran."""
        self._iteration = event.iteration
        checked = None
        if self._active:
            try:
                checked = self._dispatch(event)
            except Exception as error:  # noqa: BLE001 - the monitor must not end training
                self._pending = []
                checked = self._mark_unavailable(_ALL, describe_error(error))
        return self._finish(event, checked) if isinstance(event, Finished) else checked

    def _dispatch(self, event: Event) -> HealthChecked | None:
        match event:
            case Started():
                self._started = event
                self._begin()
            case Stepped() if event.diagnostics:
                self._pending.append((event.iteration, event.diagnostics))
                if len(self._pending) >= self._max_pending or event.iteration >= self._started.iterations:
                    return self._report(self._check_diagnostics())
            case HealthSamples():
                return self._report({**self._check_diagnostics(), **self._check_samples(event)})
            case Evaluated():
                self._evaluated = event
            case CheckUnavailable():
                return self._mark_unavailable(event.check, event.reason)
            case Saved() | Finished() if self._pending:  # the state holds what is known, so it must be reported too
                return self._report(self._check_diagnostics())
            case _:
                pass
        return None

    def restore(self, plain: object) -> None:
        """Continue from what :meth:`to_plain` returned; anything else, as from a run without monitoring, is ignored."""
        try:
            _Memory.model_validate(plain)
        except ValidationError:
            plain = None
        self._restored = cast("dict[str, Any] | None", plain)

    def roll_back(self, plain: object) -> None:
        """Forget everything since a state whose values hold ``plain``."""
        self.restore(plain)
        self._pending, self.findings = [], ()
        self._ratios.clear()
        if self._active:
            self._begin()

    def to_plain(self) -> dict[str, Any] | None:
        """The monitor's memory as JSON-able data, for a resumed run; ``None`` if monitoring is off."""
        if not self._active:
            return None
        if not self._histories:  # training has not started
            return self._restored
        return {
            "values": dict(self._inputs.values),
            "smoother": asdict(self._smoother),
            "histories": {name: asdict(history) for name, history in self._histories.items()},
            "ratios": list(self._ratios),
            "run_once": sorted(self._run_once),
            "unavailable": self._unavailable_since | {check: finding.since for check, finding in self._unavailable.items()},
        }

    def _begin(self) -> None:
        started, iterations = self._started, self._started.iterations
        self._inputs = CheckInputs(self._config, started.generator, started.critic, frozen=self._inputs.frozen)
        self._max_pending = max(1, min(_MAX_PENDING, iterations // (50 * self._config.every)))
        self._smoother = _Smoother()
        self._histories = {check.name: _History(self._needed(check, iterations)) for check in CHECKS}
        if self._restored is not None:
            self._inputs.values.update(self._restored["values"])
            self._smoother = _Smoother(**self._restored["smoother"])
            self._ratios.extend(self._restored["ratios"])
            self._run_once.update(self._restored["run_once"])
            self._unavailable_since.update(self._restored["unavailable"])
            for name, plain in self._restored["histories"].items():
                self._histories[name].restore(plain)

    def _remedy(self, problem: str) -> Remedy:
        return remedy_for(problem, self._losses, generator=self._inputs.generator, critic=self._inputs.critic)

    def _needed(self, check: HealthCheck, iterations: int) -> int:
        """Observations in a row that make a finding: two of samples, or those of ``patience`` iterations; at least one."""
        if check.immediate:
            return 1
        if check.source == "samples":
            return 2 if iterations // self._config.sample_interval(iterations) >= 5 else 1
        limits = getattr(self._config, check.name)
        patience = limits.patience if isinstance(limits, PersistentLimits) else 1
        return max(1, int(min(patience, max(1, iterations // 20)) // self._config.every))

    def _check_diagnostics(self) -> dict[str, float]:
        """Convert the pending diagnostics, with one wait for the device, and check each iteration's."""
        if not self._pending:
            return {}
        import torch

        keys = [(iteration, name) for iteration, values in self._pending for name in values]
        stacked = torch.stack([value.float() for _, values in self._pending for value in values.values()])
        by_iteration: dict[int, dict[str, float]] = {}
        for (iteration, name), value in zip(keys, stacked.tolist(), strict=True):
            by_iteration.setdefault(iteration, {})[name] = value
        self._pending = []
        for iteration, values in by_iteration.items():
            self._smoother.add(iteration, values, self._inputs.values, self._started.iterations, self._inputs.generator)
            self._run_checks(iteration, "diagnostics")
        return {name: value for name, value in self._inputs.values.items() if not name.startswith(_SAMPLE_CHECKS)}

    def _check_samples(self, event: HealthSamples) -> dict[str, float]:
        from ganforge.health.sample_statistics import measure_samples

        values, errors = measure_samples(event, self._started.latent, skip=self._unavailable)
        for check, reason in errors.items():
            self._mark_unavailable(check, reason)
        known = self._inputs.values
        self._inputs.previous = {name: known.pop(name) for name in list(known) if name.startswith(_SAMPLE_CHECKS)}
        if values.get("oscillation/average"):
            self._ratios.append(values["oscillation/raw"] / values["oscillation/average"])
            if len(self._ratios) == _RECENT:
                values["oscillation"] = statistics.median(self._ratios)
        known.update(values)
        self._run_checks(event.iteration, "samples")
        return values

    def _run_checks(self, iteration: int, source: Literal["diagnostics", "samples"]) -> None:
        warmup = self._config.warmup / (2 if source == "diagnostics" else 1)
        self._inputs.progress = iteration / self._started.iterations
        warming_up = self._inputs.progress < warmup
        for check in CHECKS:
            if check.source != source or not getattr(self._config, check.name).enabled or (check.waits and warming_up):
                continue
            if any(name.partition("/")[0] == check.name for name in self._inputs.values):
                self._run_once.add(check.name)
                for name in (check.name, source, _ALL):  # available again: a later gap starts anew
                    self._unavailable_since.pop(name, None)
            self._inputs.levels = {name: level for name, history in self._histories.items() if (level := history.level)}
            self._histories[check.name].add(iteration, check.observe(self._inputs))

    def _report(self, values: Mapping[str, float]) -> HealthChecked:
        self.findings = tuple(sorted(self._present_findings(), key=lambda finding: finding.level != "fail"))
        return HealthChecked(self._iteration, values, self.findings, self._is_conclusive())

    def _present_findings(self) -> Iterator[Finding]:
        if self._divergence:
            yield self._divergence
        if _ALL not in self._unavailable:
            present = ((name, history) for name, history in self._histories.items() if name not in self._unavailable)
            found = {name: history.finding(name, self._remedy) for name, history in present}
            failed = [cause for cause in _SYMPTOMS if (finding := found.get(cause)) and finding.level == "fail"]
            hidden = {symptom for cause in failed for symptom in _SYMPTOMS[cause]}
            if self._divergence:
                hidden.add(self._divergence.check)
            yield from (finding for name, finding in found.items() if finding and name not in hidden)
        if self._far_metrics:
            yield self._far_metrics
        yield from self._unavailable.values()

    def _is_conclusive(self) -> bool:
        """Whether the checks that come last have run: those of samples, or else, if there are none, those of diagnostics."""
        waited = {check.name for check in CHECKS if check.waits and check.name in self._run_once}
        if self._config.sample_checks and "samples" not in self._unavailable and not self._finished:
            return not waited.isdisjoint(_SAMPLE_CHECKS)
        return bool(waited)

    def _mark_unavailable(self, check: str, reason: str) -> HealthChecked | None:
        """From now on run without ``check``, and report that, unless it is switched off anyway."""
        limits = getattr(self._config, check, None)
        if check in self._unavailable or not getattr(limits, "enabled", True):
            return None
        lost = _DEPENDENT.get(check, (check,))
        others = "" if check in _SWITCHES else "".join(f", and {name}" for name in lost if name != check)
        self._unavailable[check] = Finding(
            check,
            UNAVAILABLE,
            "warn",
            f"{check}{others}: {reason}",
            self._unavailable_since.get(check, self._iteration),
            self._iteration,
            "training is not affected; if you cannot fix the cause, switch the check off",
            _SWITCHES.get(check, f"health.{check}.enabled"),
        )
        for name in lost:  # its values and findings would go stale
            for key in [key for key in self._inputs.values if key.partition("/")[0] == name]:
                del self._inputs.values[key]
            if history := self._histories.get(name):
                history.add(self._iteration, None)
        return self._report({})

    def _finish(self, finished: Finished, last: HealthChecked | None) -> HealthChecked | None:
        self._finished = True
        if finished.outcome == "diverged":
            self._divergence = non_finite(finished.iteration, finished.reason)
        elif finished.outcome == "finished" and self._active and self._config.metrics.enabled:
            self._far_metrics = self._find_far_metrics(finished.iteration)
        checked = self._report(last.values if last else {})
        return checked if checked.conclusive or checked.findings else None

    def _find_far_metrics(self, iteration: int) -> Finding | None:
        """A warning that names the metrics whose last value is far from their ideal: healthy training can miss its goal."""
        problem, far = "metric far from its ideal", []
        measured = self._evaluated.values if self._evaluated and self._evaluated.iteration == iteration else {}
        for name, value in measured.items():
            info = self._started.value_info.get(name)
            if info and info.ideal and info.better in ("higher", "nearer"):  # an ideal of 0 has no scale
                missing = (info.ideal - value) / abs(info.ideal)
                if (abs(missing) if info.better == "nearer" else missing) > self._config.metrics.warn:
                    far.append(f"{name} is {value:.3g} at the end, and {info.ideal:.3g} for a perfect generator")
        if not far:
            return None
        return Finding("metrics", problem, "warn", "; ".join(far), iteration, iteration, *self._remedy(problem))
