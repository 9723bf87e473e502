"""A check: a small function with an id. It returns when all is well, and raises when it is not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ganforge.hooks.component import Kind


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that a plugin or component must do.

    Attributes:
        id: such as ``G04``; the letter names the kind, P stands for the plugin and its params models.
        kinds: the kinds of component it asks; none when it asks the plugin as a whole.
        function: takes the subject; raises :class:`~ganforge.testing.outcome.CheckFailed` or
            :class:`~ganforge.testing.outcome.NotApplicable`.
    """

    id: str
    kinds: frozenset[Kind]
    function: Callable[[Any], None]

    @property
    def title(self) -> str:
        """What it asks: the first line of the function's docstring."""
        return (self.function.__doc__ or "").strip().partition("\n")[0].rstrip(".")


CHECKS: dict[str, Check] = {}
"""All checks by id, in the order of their definition."""


def check(identity: str, *kinds: Kind) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Make a function the check of that id for components of these kinds, or for the whole plugin when none is given."""

    def define(function: Callable[[Any], None]) -> Callable[[Any], None]:
        CHECKS[identity] = Check(identity, frozenset(kinds), function)
        return function

    return define
