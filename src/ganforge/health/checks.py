"""Health checks: their inputs, what they observe, and the history that turns lasting observations into findings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ganforge.core.findings import Finding, Level
from ganforge.core.health_config import Health, Limits, WarnLimit
from ganforge.health.remedies import remedy_for

_HYSTERESIS = 0.9
"""A value that has crossed a limit must come back by this factor, so that a value near the limit does not flicker."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What one check observes at one time.

    Attributes:
        level: how bad it is.
        problem: what is wrong, in the field's words; :mod:`ganforge.health.remedies` has a remedy for each.
        evidence: what was measured, in words and numbers.
        key: the recipe key to change, if it is not the problem's usual one.
    """

    level: Level
    problem: str
    evidence: str
    key: str | None = None


@dataclass(slots=True)
class CheckInputs:
    """What checks know.

    Attributes:
        config: the limits.
        values: the newest value of everything measured, training diagnostics smoothed.
        levels: the level that each check reports now.
        previous: the sample values before the newest ones.
    """

    config: Health
    values: dict[str, float] = field(default_factory=dict)
    levels: dict[str, Level] = field(default_factory=dict)
    previous: dict[str, float] = field(default_factory=dict)

    def level(self, check: str, value: float) -> Level | None:
        """The level of ``value`` by the limits of ``check``, with hysteresis."""
        limits: WarnLimit = getattr(self.config, check)
        now = self.levels.get(check)
        if isinstance(limits, Limits) and _crosses(value, limits.fail, limits, eased=now == "fail"):
            return "fail"
        return "warn" if _crosses(value, limits.warn, limits, eased=now is not None) else None

    def has(self, *names: str) -> bool:
        """Whether all of these have been measured."""
        return all(name in self.values for name in names)


def _crosses(value: float, limit: float, limits: WarnLimit, *, eased: bool) -> bool:
    if limits.lower_is_worse:
        return value < (limit / _HYSTERESIS if eased else limit)
    return value > (limit * _HYSTERESIS if eased else limit)


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """One health check.

    Attributes:
        name: its name in ``[health]``, in findings and in ``health/…``.
        source: what its values are measured from.
        observe: gives the observation, or ``None`` if all is well or a value is missing.
        waits: whether it waits until the warm-up is over.
        immediate: whether one observation is enough for a finding.
    """

    name: str
    source: Literal["diagnostics", "samples"]
    observe: Callable[[CheckInputs], Observation | None]
    waits: bool = True
    immediate: bool = False


class CheckHistory:
    """One check's observations through a run: they must persist to become a finding.

    Args:
        check: the check's name.
        needed: observations in a row that make a finding.
        losses: names of the recipe's losses, for the remedy.
    """

    def __init__(self, check: str, needed: int, losses: Collection[str] = ()) -> None:
        self._check, self._needed, self._losses = check, max(1, needed), losses
        self._counts = {"warn": 0, "fail": 0}  # observations in a row, at that level or worse
        self._since: dict[Level, int] = {}  # first iteration of the present problem, at that level or worse
        self._last = 0
        self._observation: Observation | None = None

    @property
    def level(self) -> Level | None:
        """The level of the finding."""
        if self._counts["fail"] >= self._needed:
            return "fail"
        return "warn" if self._counts["warn"] >= self._needed else None

    @property
    def finding(self) -> Finding | None:
        """The finding, if the observations persist."""
        seen, level = self._observation, self.level
        if seen is None or level is None:
            return None
        remedy, key = remedy_for(seen.problem, self._losses)
        return Finding(self._check, seen.problem, level, seen.evidence, self._since[level], self._last, remedy, seen.key or key)

    def add(self, iteration: int, observation: Observation | None) -> None:
        """Add what the check observes now.

        Another problem than before continues the row, but its finding dates from now. A failure dates from when it became one,
        not from the warning before it.
        """
        if observation is None or self._observation is None or observation.problem != self._observation.problem:
            self._since = {}
        levels: tuple[Level, ...] = () if observation is None else ("warn", "fail") if observation.level == "fail" else ("warn",)
        for level in ("warn", "fail"):
            self._counts[level] = self._counts[level] + 1 if level in levels else 0
        self._since = {level: self._since.get(level, iteration) for level in levels}
        self._observation, self._last = observation, iteration

    def to_plain(self) -> dict[str, Any]:
        """The history as plain data, so that a resumed run continues it."""
        observation = None if self._observation is None else asdict(self._observation)
        return {"counts": dict(self._counts), "since": dict(self._since), "observation": observation, "last": self._last}

    def restore(self, plain: Mapping[str, Any]) -> None:
        """Continue from what :meth:`to_plain` returned."""
        self._counts, self._since, self._last = dict(plain["counts"]), dict(plain["since"]), plain["last"]
        self._observation = None if plain["observation"] is None else Observation(**plain["observation"])
