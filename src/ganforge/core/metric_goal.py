"""The goal of a metric: which of two values is better."""

from __future__ import annotations

import math
from typing import Literal, get_args

Better = Literal["lower", "higher", "nearer", "none"]
"""Which values are better: lower ones, higher ones, those nearer to the value of a perfect generator, or none."""
WAYS: tuple[str, ...] = get_args(Better)


def aim(ideal: float | None, floor: float | None) -> float | None:
    """The value that "nearer" refers to: the floor at this number of samples, else the ideal; ``None`` if unknown."""
    return ideal if floor is None else floor


def cost(value: float, better: str, target: float | None = None) -> float:
    """A number that is lower for better values: infinite for non-finite values, NaN if values are not ranked.

    Args:
        value: a value of the metric.
        better: one of :data:`WAYS`; any other word means no ranking.
        target: the value that "nearer" refers to.
    """
    match better:
        case "lower" | "higher":
            found = value if better == "lower" else -value
        case "nearer" if target is not None:
            found = abs(value - target)
        case _:
            return math.nan
    return found if math.isfinite(value) else math.inf


def is_ranked(better: str, target: float | None = None) -> bool:
    """Whether one value can be better than another."""
    return not math.isnan(cost(0.0, better, target))


def describe_goal(better: str, target: float | None = None) -> str:
    """``lower is better``; "" for an unknown word."""
    match better:
        case "lower" | "higher":
            return f"{better} is better"
        case "nearer":
            return f"the nearer to {'that of real samples' if target is None else f'{target:.4g}'}, the better"
        case "none":
            return "neither way is better"
    return ""
