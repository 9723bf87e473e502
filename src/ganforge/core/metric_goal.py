"""Which of two values of a metric is the better one."""

from __future__ import annotations

import math
from typing import Literal, get_args

Better = Literal["lower", "higher", "nearer", "none"]
"""Which way is better: lower values, higher ones, those nearer to what a perfect generator has, or none."""
WAYS: tuple[str, ...] = get_args(Better)


def aim(ideal: float | None, floor: float | None) -> float | None:
    """What "nearer" is near to: what a perfect generator has at this sample size, else the ideal; ``None`` if unknown."""
    return ideal if floor is None else floor


def cost(value: float, better: str, target: float | None = None) -> float:
    """A number that is the smaller the better the value: infinite for what is not finite, NaN where values are not judged.

    Args:
        value: of a metric.
        better: one of :data:`WAYS`; of any other word nothing is judged.
        target: what "nearer" is near to.
    """
    match better:
        case "lower" | "higher":
            found = value if better == "lower" else -value
        case "nearer" if target is not None:
            found = abs(value - target)
        case _:
            return math.nan
    return found if math.isfinite(value) else math.inf


def judges(better: str, target: float | None = None) -> bool:
    """Whether one value can be better than another."""
    return not math.isnan(cost(0.0, better, target))


def in_words(better: str, target: float | None = None) -> str:
    """``lower is better``; "" for a word that nobody knows."""
    match better:
        case "lower" | "higher":
            return f"{better} is better"
        case "nearer":
            return f"the nearer to {'that of real samples' if target is None else f'{target:.4g}'}, the better"
        case "none":
            return "neither way is better"
    return ""
