"""The watch: listens to what training tells, measures, judges, and tells what it finds as events of its own."""

from __future__ import annotations

import statistics
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ganforge.core.events import CheckUnavailable, Event, Finished, HealthChecked, HealthSamples, Saved, Started, State, Stepped
from ganforge.core.findings import Finding, non_finite
from ganforge.core.health_config import Health, Lasting
from ganforge.core.isolation import describe_error
from ganforge.health import sample_checks, training_checks
from ganforge.health.check_history import CheckHistory
from ganforge.health.checks import Check, CheckInputs
from ganforge.health.smoother import Smoother

if TYPE_CHECKING:
    from torch import Tensor

CHECKS = (*training_checks.CHECKS, *sample_checks.CHECKS)
KEY = "health"
"""What the watch knows lies in a state's values under this key."""

_HELD = 10
"""Vital signs that are held on the device before they become floats together."""
_RECENT = 5
"""Looks whose median is the oscillation."""
_HIDES = {"overfitting": ("dominance", "vanishing"), "weights": ("dominance", "vanishing", "gradients")}
"""A cause whose failure stands for its symptoms."""


def monitored(events: Iterable[Event], watch: HealthMonitor) -> Iterator[Event]:
    """The events, with what the watch finds after that which showed it; what only the watch needs is not passed on.

    A state to be saved gets what the watch knows, so that a resumed run goes on being watched without a break.
    """
    for event in events:
        examined = watch.hear(event)
        if isinstance(event, Finished) and examined:
            yield examined  # the end is the last event
            examined = None
        if isinstance(event, Saved):
            state = event.state
            event = replace(event, state=State(state.tensors, {**state.values, KEY: watch.to_plain()}))
        if not isinstance(event, HealthSamples | CheckUnavailable):
            yield event
        if examined:
            yield examined


class HealthMonitor:
    """Judges one run, and never ends it: a check whose values cannot be had is left out, which is a finding of its own.

    Args:
        table: the limits.
        losses: names of the losses that the recipe uses, so that none of them is recommended.

    Attributes:
        findings: all troubles that are seen now, the worst first, causes before what they cause.
    """

    def __init__(self, table: Health, losses: Collection[str] = ()) -> None:
        self.findings: tuple[Finding, ...] = ()
        self._table, self._losses = table, frozenset(losses)
        self._now = CheckInputs(table)
        self._held: list[tuple[int, Mapping[str, Tensor]]] = []
        self._ratios: deque[float] = deque(maxlen=_RECENT)
        self._ended: Finding | None = None
        self._judged: set[str] = set()  # the checks that have had something to judge
        self._missed: dict[str, Finding] = {}  # what is not watched, by check
        self._missed_since: dict[str, int] = {}  # what was not, before this process: it is tried again
        self._standings: dict[str, CheckHistory] = {}
        self._over = False
        self._at = 0
        self._restored: Mapping[str, Any] | None = None

    def hear(self, event: Event) -> HealthChecked | None:
        """Take an event in; what the watch has to say of it, if anything."""
        self._at = event.iteration
        if isinstance(event, Finished):
            return self._finish(event)
        if not self._table.on or _ALL in self._missed:
            return None
        try:
            return self._heard(event)
        except Exception as error:  # noqa: BLE001 - the watch must not end training
            return self._give_up(event.iteration, error)

    def _heard(self, event: Event) -> HealthChecked | None:
        match event:
            case Started():
                self._started = event
                self._begin()
            case Stepped() if event.diagnostics:
                self._held.append((event.iteration, event.diagnostics))
                if len(self._held) >= self._room or event.iteration >= self._started.iterations:
                    return self._examined(event.iteration, self._digest())
            case HealthSamples():
                return self._examined(event.iteration, {**self._digest(), **self._probe(event)})
            case CheckUnavailable():
                return self._miss(event.iteration, event.check, event.reason)
            case Saved() if self._held:  # a state holds what is known, and what is known is told
                return self._examined(event.iteration, self._digest())
            case _:
                pass
        return None

    def restore(self, plain: object) -> None:
        """Go on from what :meth:`to_plain` gave; anything else, as of a run that was not watched, is passed over."""
        self._restored = plain if isinstance(plain, dict) else None

    def roll_back(self, plain: object) -> None:
        """Forget what was seen since a state whose values hold ``plain``: training goes on from there."""
        self.restore(plain)
        self._now, self._held, self.findings = CheckInputs(self._table), [], ()
        self._ratios.clear()
        self._begin()

    def to_plain(self) -> dict[str, Any] | None:
        """What a resumed run needs, as JSON-able data; ``None`` where nobody watches."""
        try:
            self._digest()
        except Exception as error:  # noqa: BLE001 - the watch must not end training
            self._give_up(self._at, error)
        if not self._table.on or _ALL in self._missed:
            return None
        return {
            "values": dict(self._now.values),
            "levels": dict(self._now.levels),
            "smoother": self._smoother.to_plain(),
            "standings": {name: standing.to_plain() for name, standing in self._standings.items()},
            "ratios": list(self._ratios),
            "judged": sorted(self._judged),
            "missed": self._missed_since | {check: finding.since for check, finding in self._missed.items()},
        }

    def _begin(self) -> None:
        iterations = self._started.iterations
        self._room = max(1, min(_HELD, iterations // (50 * self._table.every)))
        self._smoother = Smoother(iterations, self._now.values)
        self._standings = {check.name: CheckHistory(check.name, self._needed(check, iterations), self._losses) for check in CHECKS}
        if self._restored is not None:
            self._now.values.update(self._restored["values"])
            self._now.levels.update(self._restored["levels"])
            self._smoother.restore(self._restored["smoother"])
            self._ratios.extend(self._restored["ratios"])
            self._judged.update(self._restored["judged"])
            self._missed_since.update(self._restored.get("missed", {}))
            for name, plain in self._restored["standings"].items():
                if name in self._standings:
                    self._standings[name].restore(plain)

    def _needed(self, check: Check, iterations: int) -> int:
        """Looks in a row before a sight is told: so many iterations of vital signs, two of samples."""
        if check.at_once:
            return 1
        if check.source == "samples":
            return 2 if iterations // self._table.between(iterations) >= 5 else 1
        limits = getattr(self._table, check.name)
        patience = limits.patience if isinstance(limits, Lasting) else 1
        return int(min(patience, max(1, iterations // 20)) // self._table.every)

    def _digest(self) -> dict[str, float]:
        """The held signals become numbers, all with one wait for the device; each look is judged."""
        if not self._held:
            return {}
        import torch

        keys = [(iteration, name) for iteration, signals in self._held for name in signals]
        stacked = torch.stack([value.float() for _, signals in self._held for value in signals.values()])
        looks: dict[int, dict[str, float]] = {}
        for (iteration, name), value in zip(keys, stacked.tolist(), strict=True):
            looks.setdefault(iteration, {})[name] = value
        self._held = []
        for iteration, signals in looks.items():
            self._smoother.take(iteration, signals)
            self._judge(iteration, "signals")
        return {name: value for name, value in self._now.values.items() if not name.startswith(_OF_SAMPLES)}

    def _probe(self, probe: HealthSamples) -> dict[str, float]:
        from ganforge.health.sample_statistics import measured

        unable: dict[str, str] = {}
        values = measured(probe, self._started.latent, self._missed, unable)
        for check, reason in unable.items():
            self._miss(probe.iteration, check, reason)
        self._now.before = {name: value for name, value in self._now.values.items() if name.startswith(_OF_SAMPLES)}
        for name in self._now.before:
            del self._now.values[name]
        if values.get("oscillation/average"):
            self._ratios.append(values["oscillation/raw"] / values["oscillation/average"])
            if len(self._ratios) == _RECENT:
                values["oscillation"] = statistics.median(self._ratios)
        self._now.values.update(values)
        self._judge(probe.iteration, "samples")
        return values

    def _judge(self, iteration: int, source: str) -> None:
        share = iteration / self._started.iterations
        settling = self._table.settling / (2 if source == "signals" else 1)
        for check in CHECKS:
            if check.source != source or not getattr(self._table, check.name).on or (check.settles and share < settling):
                continue
            if any(name.partition("/")[0] == check.name for name in self._now.values):
                self._judged.add(check.name)
                for name in (check.name, source, _ALL):  # it is watched again, and what comes later has another beginning
                    self._missed_since.pop(name, None)
            standing = self._standings[check.name]
            standing.look(iteration, check.judge(self._now))
            if standing.level:
                self._now.levels[check.name] = standing.level
            else:
                self._now.levels.pop(check.name, None)

    def _examined(self, iteration: int, values: Mapping[str, float]) -> HealthChecked:
        found = {name: standing.finding for name, standing in self._standings.items() if name not in self._missed}
        hidden = {
            symptom
            for cause, symptoms in _HIDES.items()
            if (seen := found.get(cause)) and seen.level == "fail"
            for symptom in symptoms
        }
        told = [finding for name, finding in found.items() if finding and name not in hidden]
        if _ALL in self._missed:
            told = []
        if self._ended:
            told = [self._ended, *(finding for finding in told if finding.check != self._ended.check)]
        self.findings = tuple(sorted([*told, *self._missed.values()], key=lambda finding: finding.level != "fail"))
        return HealthChecked(iteration, values, self.findings, self._has_judged())

    def _has_judged(self) -> bool:
        """Whether the checks that come last have: those of samples, unless nobody looks at any, or else those of vital signs."""
        settled = {check.name for check in CHECKS if check.settles and check.name in self._judged}
        if self._table.probes and "samples" not in self._missed and not self._over:
            return not settled.isdisjoint(_OF_SAMPLES)
        return bool(settled)

    def _miss(self, iteration: int, check: str, reason: str) -> HealthChecked | None:
        """From now on nothing is heard of ``check``, and that is told; unless it is off anyway."""
        switch = _SWITCHES.get(check, f"health.{check}.on")
        limits = getattr(self._table, check, None)
        if check in self._missed or not getattr(limits, "on", True):
            return None
        remedy = "nothing of this harms training; where it cannot be mended, switch the check off"
        lost = _DEPENDING.get(check, (check,))
        besides = "" if check in _SWITCHES else "".join(f", and {name}" for name in lost if name != check)
        since = self._missed_since.get(check, iteration)
        what = f"{check}{besides}: {reason}"
        self._missed[check] = Finding(check, "not watched", "warn", what, since, iteration, remedy, switch)
        for name in lost:  # what was seen of it is old, and stays so
            self._now.levels.pop(name, None)
            for key in [key for key in self._now.values if key.partition("/")[0] == name]:
                del self._now.values[key]
            if standing := self._standings.get(name):
                standing.look(iteration, None)
        return self._examined(iteration, {})

    def _give_up(self, iteration: int, error: Exception) -> HealthChecked | None:
        """The watch itself has failed: training goes on without it."""
        self._held = []
        return self._miss(iteration, _ALL, describe_error(error))

    def _finish(self, finished: Finished) -> HealthChecked | None:
        values: Mapping[str, float] = {}
        try:
            values = self._digest()
        except Exception as error:  # noqa: BLE001 - the watch must not end training
            self._give_up(finished.iteration, error)
        self._over = True
        if finished.outcome == "diverged":
            self._ended = non_finite(finished.iteration, finished.reason)
        examined = self._examined(finished.iteration, values)
        return examined if examined.judged or examined.findings else None


_ALL = "all checks"
"""What is not watched when the watch itself has failed."""
_SWITCHES = {_ALL: "health.on", "samples": "health.probes"}
"""The keys that switch off what is not one check."""
_OF_SAMPLES = tuple(check.name for check in sample_checks.CHECKS)
_DEPENDING = {
    "collapse": ("collapse", "separation"),
    "dominance": ("dominance", "overfitting"),
    "gradients": ("gradients", "vanishing"),
    "samples": _OF_SAMPLES,
}
"""The checks that go without where one thing is not watched, if they are others than that one."""
