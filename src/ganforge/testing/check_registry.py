"""A check: a small function with an id. It returns when all is well, and raises when it is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ganforge.registry.component import Kind


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a plugin or component must do.

    Attributes:
        id: such as ``G04``; the letter names the kind, P stands for the plugin and its params models.
        kinds: the kinds of component it asks; none when it asks the plugin as a whole.
        after: the checks that must pass before this one has anything to look at, so that one fault is told once.
        function: takes the subject; raises :class:`~ganforge.testing.check_results.CheckFailed` or
            :class:`~ganforge.testing.check_results.NotApplicable`.
    """

    id: str
    kinds: frozenset[Kind]
    after: tuple[str, ...]
    function: Callable[[Any], None]

    @property
    def title(self) -> str:
        """What it asks: the first line of the function's docstring."""
        return (self.function.__doc__ or "").strip().partition("\n")[0].rstrip(".")

    @property
    def details(self) -> str:
        """How it asks, where more is to be said: the rest of the docstring, as one paragraph."""
        return " ".join((self.function.__doc__ or "").strip().partition("\n")[2].split())


CHECKS: dict[str, Check] = {}
"""All checks by id, in the order of their definition."""

LOADS = ("P05", "P06")
"""What must hold before a component's params can be looked at."""
BUILDS = (*LOADS, "P08", "P11")
"""What must hold before a component can be built."""


def check(
    identity: str, *kinds: Kind, after: tuple[str, ...] | None = None
) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Make a function the check of that id for components of these kinds, or for the whole plugin when none is given.

    Args:
        identity: its id.
        kinds: what it asks.
        after: the checks that must pass first; those of building unless given, and none for the whole plugin.
    """
    waits = (BUILDS if kinds else ()) if after is None else after

    def define(function: Callable[[Any], None]) -> Callable[[Any], None]:
        CHECKS[identity] = Check(identity, frozenset(kinds), waits, function)
        return function

    return define
