"""Axes of a chart: where a value stands, and which values are marked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ganforge.figures.history import Floats

_LOGARITHMIC = 20.0
"""Positive values that span more than this factor stand on a logarithmic axis."""
_MANTISSAS = (1.0, 2.0, 5.0)


@dataclass(frozen=True, slots=True)
class Axis:
    """From values to places.

    Attributes:
        low: the least value that is shown.
        high: the greatest.
        log: whether equal factors have equal distances.
    """

    low: float
    high: float
    log: bool = False

    def place(self, values: Floats) -> Floats:
        """Where ``(p,)`` values stand, 0 at ``low`` and 1 at ``high``; those beyond stand at the edge."""
        clipped = np.clip(values, self.low, self.high)
        if self.log:
            placed: Floats = np.log(clipped / self.low) / math.log(self.high / self.low)
        else:
            placed = (clipped - self.low) / (self.high - self.low)
        return placed

    def ticks(self, most: int) -> list[float]:
        """Round values to be marked, about ``most`` of them."""
        return _decades(self.low, self.high, most) if self.log else _steps(self.low, self.high, most)


def fitted(values: Sequence[Floats], levels: Sequence[float] = ()) -> Axis:
    """An axis on which curves can be seen: a few spikes do not decide, and levels are on it that lie near.

    Args:
        values: the curves, ``(p,)`` each.
        levels: values of reference.
    """
    finite = np.concatenate([np.zeros(0), *(each[np.isfinite(each)] for each in values)])
    if not len(finite):
        return Axis(0.0, 1.0)
    low, high = (float(value) for value in np.percentile(finite, [0.5, 99.5], method="nearest"))
    size = max(abs(high), abs(low))
    reach = 2 * max(high - low, size / 2)
    near = [level for level in levels if low - reach <= level <= high + reach]
    low, high = min([low, *near]), max([high, *near])
    if finite.min() > 0 and low > 0 and high > _LOGARITHMIC * low:
        return Axis(low / 1.15, high * 1.15, log=True)
    margin = 0.07 * max(high - low, 0.02 * size, 1e-12)
    floor = 0.0 if finite.min() >= 0 and min([0.0, *near]) >= 0 and low < 0.6 * high else low - margin
    return Axis(floor, high + margin)


def label(value: float) -> str:
    """A marked value: ``0.05``, ``12,000``, ``1e+09``."""
    size = abs(value)
    if size and (size < 1e-4 or size >= 1e7):
        return f"{value:.0e}"
    return f"{value:,.6g}".replace("-", "−") if size < 1e6 else f"{value:,.0f}"


def _steps(low: float, high: float, most: int) -> list[float]:
    rough = (high - low) / max(most, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next((mantissa * power for mantissa in (*_MANTISSAS, 10.0) if mantissa * power >= rough * 0.999), 10 * power)
    first = math.ceil(low / step - 1e-9)
    return [round(number * step, 12) + 0.0 for number in range(first, math.floor(high / step + 1e-9) + 1)]


def _decades(low: float, high: float, most: int) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.floor(math.log10(high)) + 1)
    fine = [mantissa * 10.0**power for power in decades for mantissa in _MANTISSAS]
    shown = [float(f"{value:.6g}") for value in fine if low <= value <= high]
    if len(shown) <= most + 1:
        return shown
    tens = [float(f"{10.0**power:.6g}") for power in decades if low <= 10.0**power <= high]
    return tens[:: max(1, math.ceil(len(tens) / most))]
