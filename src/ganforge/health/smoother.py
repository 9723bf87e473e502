"""From vital signs to the values that checks judge: smoothed over iterations, set beside what they were at first."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from typing import Any

_SPAN = 50
"""Iterations that a smoothed value looks back on, about."""


class Smoother:
    """Keeps running means of vital signs, and their baselines.

    Args:
        iterations: iterations of the run.
        values: where the newest values go.
    """

    def __init__(self, iterations: int, values: dict[str, float]) -> None:
        self._values = values
        self._iterations = iterations
        self._span = max(1.0, min(_SPAN, iterations / 50))
        self._last = 0
        self._first: list[float] = []
        self._baseline: float | None = None

    def take(self, iteration: int, signals: Mapping[str, float]) -> None:
        """The signals of one iteration; one that is not finite stays as it is, which no mean could show."""
        keep = math.exp(-max(iteration - self._last, 1) / self._span)
        self._last = iteration
        for name, value in signals.items():
            if name.startswith(("gradients/", "dominance/")):
                before = self._values.get(name, value)
                mean = keep * before + (1 - keep) * value
                self._values[name] = mean if math.isfinite(mean) else value
            else:
                self._values[name] = value
        self._derive(iteration, signals)

    def _derive(self, iteration: int, signals: Mapping[str, float]) -> None:
        values = self._values
        if "dominance/loss" in signals:
            values["dominance"] = (math.log(4) - values["dominance/loss"]) / 2
        if (norm := signals.get("gradients/generator")) is not None:
            self._compare(iteration, norm)
        if "slopes/real" in signals and "slopes/fake" in signals:
            values["slopes"] = self._slopes(signals["slopes/real"], signals["slopes/fake"])

    def _compare(self, iteration: int, norm: float) -> None:
        """The generator's gradient beside its median in the first twentieth of the run."""
        if self._baseline is None:
            if math.isfinite(norm):
                self._first.append(norm)
            if self._first and iteration >= self._iterations / 20:
                self._baseline = statistics.median(self._first)
        elif self._baseline > 0:
            self._values["vanishing"] = self._values["gradients/generator"] / self._baseline

    def _slopes(self, real: float, fake: float) -> float:
        """The ratio, smoothed on its own scale, the logarithm, over the last three looks or so."""
        ratio = max(real, 1e-30) / max(fake, 1e-30)
        before = self._values.get("slopes", ratio)
        if not math.isfinite(before):
            return ratio
        mean = math.exp((2 * math.log(before) + math.log(ratio)) / 3) if math.isfinite(ratio) else ratio
        return mean if mean > 0 else ratio

    def to_plain(self) -> dict[str, Any]:
        """What a resumed run needs to go on."""
        return {"last": self._last, "first": self._first, "baseline": self._baseline}

    def restore(self, plain: Mapping[str, Any]) -> None:
        """Go on from what :meth:`to_plain` gave."""
        self._last, self._first, self._baseline = plain["last"], list(plain["first"]), plain["baseline"]
