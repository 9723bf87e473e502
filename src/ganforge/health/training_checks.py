"""Checks of training diagnostics (gradients, weights, log odds), and the smoothing of the values that they read."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from typing import Any

from ganforge.health.checks import CheckInputs, HealthCheck, Observation

_NETWORKS = ("generator", "discriminator")
_SPAN = 50
"""Time constant of the smoothing, in iterations."""


class DiagnosticSmoother:
    """Smooths diagnostics over iterations, and compares them with what they were at first.

    Args:
        iterations: iterations of the run.
        values: receives the newest values.
    """

    def __init__(self, iterations: int, values: dict[str, float]) -> None:
        self._values = values
        self._iterations = iterations
        self._span = max(1.0, min(_SPAN, iterations / 50))
        self._last = 0
        self._first: list[float] = []
        self._baseline: float | None = None

    def add(self, iteration: int, diagnostics: Mapping[str, float]) -> None:
        """Add the diagnostics of one iteration. A value that is not finite replaces the mean, which it would spoil."""
        keep = math.exp(-max(iteration - self._last, 1) / self._span)
        self._last = iteration
        for name, value in diagnostics.items():
            if name.startswith(("gradients/", "dominance/")):
                before = self._values.get(name, value)
                mean = keep * before + (1 - keep) * value
                self._values[name] = mean if math.isfinite(mean) else value
            else:
                self._values[name] = value
        if "dominance/loss" in diagnostics:
            self._values["dominance"] = (math.log(4) - self._values["dominance/loss"]) / 2
        if (norm := diagnostics.get("gradients/generator")) is not None:
            self._compare_with_baseline(iteration, norm)
        if "slopes/real" in diagnostics and "slopes/fake" in diagnostics:
            self._values["slopes"] = self._smooth_slopes(diagnostics["slopes/real"], diagnostics["slopes/fake"])

    def _compare_with_baseline(self, iteration: int, norm: float) -> None:
        """``vanishing``: the generator's gradient norm over its median in the first twentieth of the run."""
        if self._baseline is None:
            if math.isfinite(norm):
                self._first.append(norm)
            if self._first and iteration >= self._iterations / 20:
                self._baseline = statistics.median(self._first)
        elif self._baseline > 0:
            self._values["vanishing"] = self._values["gradients/generator"] / self._baseline

    def _smooth_slopes(self, real: float, fake: float) -> float:
        """The ratio, smoothed on a logarithmic scale over about three values."""
        ratio = max(real, 1e-30) / max(fake, 1e-30)
        before = self._values.get("slopes", ratio)
        if not math.isfinite(before):
            return ratio
        mean = math.exp((2 * math.log(before) + math.log(ratio)) / 3) if math.isfinite(ratio) else ratio
        return mean if mean > 0 else ratio

    def to_plain(self) -> dict[str, Any]:
        """Plain data with which a resumed run continues."""
        return {"last": self._last, "first": self._first, "baseline": self._baseline}

    def restore(self, plain: Mapping[str, Any]) -> None:
        """Continue from what :meth:`to_plain` returned."""
        self._last, self._first, self._baseline = plain["last"], list(plain["first"]), plain["baseline"]


def check_gradients(inputs: CheckInputs) -> Observation | None:
    """A gradient so large that steps lead nowhere (ganhacks, section 10: norms over 100)."""
    norms = _norms(inputs, "gradients")
    if lost := _non_finite(norms, "gradient"):
        return lost
    worst = max(norms, key=lambda name: norms[name], default=None)
    if worst is None:
        return None
    level = inputs.level("gradients", norms[worst])
    return level and Observation(level, "exploding gradients", f"the {worst}'s gradient has norm {norms[worst]:.3g}")


def check_weights(inputs: CheckInputs) -> Observation | None:
    """Weights that keep growing, because steps are so large that they add up."""
    norms = _norms(inputs, "weights")
    if lost := _non_finite(norms, "weights"):
        return lost
    if "generator" not in norms:
        return None
    growth = norms["generator"]
    level = inputs.level("weights", growth)
    return level and Observation(level, "divergence", f"the generator's weights are {growth:.3g} times their initial size")


def _norms(inputs: CheckInputs, kind: str) -> dict[str, float]:
    return {name: inputs.values[f"{kind}/{name}"] for name in _NETWORKS if f"{kind}/{name}" in inputs.values}


def _non_finite(norms: Mapping[str, float], what: str) -> Observation | None:
    name = next((name for name, norm in norms.items() if not math.isfinite(norm)), None)
    if name is None:
        return None
    return Observation("fail", "non-finite values", f"the norm of the {name}'s {what} is {norms[name]:g}", f"{name}.optimizer.lr")


def check_dominance(inputs: CheckInputs) -> Observation | None:
    """The discriminator is certain and right: the divergence that it estimates is near its maximum, log 2.

    With L the log loss of both halves, (log 4 - L)/2 estimates the Jensen-Shannon divergence (Goodfellow et al. 2014, theorem 1).
    """
    if not inputs.has("dominance", "dominance/accuracy"):
        return None
    divergence, accuracy = inputs.values["dominance"], inputs.values["dominance/accuracy"]
    level = inputs.level("dominance", divergence)
    needed = inputs.config.dominance.min_accuracy
    if level is None or accuracy < needed:
        return None
    if level == "fail" and accuracy < 1 - (1 - needed) / 5:
        level = "warn"
    return Observation(
        level,
        "discriminator dominance",
        f"D classifies {accuracy:.1%} of all samples correctly; it estimates a divergence of {divergence:.2f} (at most log 2)",
    )


def check_vanishing(inputs: CheckInputs) -> Observation | None:
    """The generator gets no gradient to learn from (Goodfellow et al. 2014, section 3; Arjovsky & Bottou 2017).

    The gradient also vanishes at equilibrium, where the discriminator cannot tell real from fake; that is no problem.
    """
    if not inputs.has("vanishing") or inputs.values.get("dominance", math.inf) < inputs.config.dominance.warn / 2:
        return None
    share = inputs.values["vanishing"]
    level = inputs.level("vanishing", share)
    if level == "fail" and inputs.levels.get("dominance") != "fail":
        level = "warn"
    rejected = inputs.values.get("dominance/rejected")
    also = "" if rejected is None else f"; D is below 0.01 on {rejected:.0%} of the fakes"
    return level and Observation(
        level, "vanishing gradient", f"the generator's gradient is {share:.1e} times its initial norm{also}"
    )


def check_slopes(inputs: CheckInputs) -> Observation | None:
    """The discriminator is steep on one side only, as before divergence and in over-fitting (DigGAN, Fang et al. 2022)."""
    if not inputs.has("slopes"):
        return None
    ratio = math.exp(abs(math.log(max(inputs.values["slopes"], 1e-30))))
    level = inputs.level("slopes", ratio)
    steeper, flatter = ("real samples", "fakes") if inputs.values["slopes"] > 1 else ("fakes", "real samples")
    return level and Observation(
        level, "uneven discriminator", f"D's input gradient is {ratio:.3g} times as large at {steeper} as at {flatter}"
    )


CHECKS = (
    HealthCheck("gradients", "diagnostics", check_gradients, waits=False),
    HealthCheck("weights", "diagnostics", check_weights, waits=False),
    HealthCheck("dominance", "diagnostics", check_dominance),
    HealthCheck("vanishing", "diagnostics", check_vanishing),
    HealthCheck("slopes", "diagnostics", check_slopes),
)
