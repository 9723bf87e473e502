"""What checks work with: what is known now, what one of them sees in it, and the levels between which it does not flicker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from ganforge.core.findings import Level
from ganforge.core.health_config import Health, Limits, Warned

_SLACK = 0.9
"""What a value that has crossed a limit must come back by, so that one that lies upon the limit does not flicker."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What one check sees at one look.

    Attributes:
        level: how bad.
        trouble: what it is, in the field's words; it says what helps as well, see :mod:`ganforge.health.remedies`.
        seen: what was seen, in words and numbers.
        key: the recipe key to change, where it is another than that of the trouble.
    """

    level: Level
    trouble: str
    seen: str
    key: str | None = None


@dataclass(slots=True)
class CheckInputs:
    """All that is known now.

    Attributes:
        values: newest value of everything measured, cheap ones smoothed.
        before: the values of samples at the look before.
        levels: what each check has told already.
        table: the limits.
    """

    table: Health
    values: dict[str, float] = field(default_factory=dict)
    levels: dict[str, Level] = field(default_factory=dict)
    before: dict[str, float] = field(default_factory=dict)

    def level(self, check: str, value: float) -> Level | None:
        """The level of ``value`` by the limits of ``check``, with slack where it was as bad before."""
        limits: Warned = getattr(self.table, check)
        before = self.levels.get(check)
        if isinstance(limits, Limits) and _crossed(value, limits.fail, limits, eased=before == "fail"):
            return "fail"
        return "warn" if _crossed(value, limits.warn, limits, eased=before is not None) else None


def _crossed(value: float, limit: float, limits: Warned, *, eased: bool) -> bool:
    if limits.lower_is_worse:
        return value < (limit / _SLACK if eased else limit)
    return value > (limit * _SLACK if eased else limit)


Judge = Callable[[CheckInputs], Observation | None]


@dataclass(frozen=True, slots=True)
class Check:
    """One question that is asked again and again.

    Attributes:
        name: its name in ``[health]``, in findings and in ``health/…``.
        source: what brings its values: vital signs, or samples.
        judge: what it sees.
        settles: whether it waits until the beginning is over.
        at_once: whether one look is enough to tell.
    """

    name: str
    source: Literal["signals", "samples"]
    judge: Judge
    settles: bool = True
    at_once: bool = False


def known(values: Mapping[str, float], *names: str) -> bool:
    """Whether all of these have been measured."""
    return all(name in values for name in names)
