"""Checks of vital signs: gradients, weights, and what the discriminator's log odds say. They cost next to nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ganforge.health.checks import Check, CheckInputs, Observation, known

NETWORKS = ("generator", "discriminator")


def exploding(now: CheckInputs) -> Observation | None:
    """A gradient so large that a step leads anywhere (ganhacks, section 10: norms over 100)."""
    norms = {name: now.values[f"gradients/{name}"] for name in NETWORKS if f"gradients/{name}" in now.values}
    if not norms:
        return None
    if lost := _lost(norms, "gradient"):
        return lost
    worst = max(norms, key=lambda name: norms[name])
    level = now.level("gradients", norms[worst])
    return level and Observation(level, "exploding gradients", f"the {worst}'s gradient has norm {norms[worst]:.3g}")


def diverging(now: CheckInputs) -> Observation | None:
    """Weights that leave: steps are so large that they add up instead of finding anything."""
    sizes = {name: now.values[f"weights/{name}"] for name in NETWORKS if f"weights/{name}" in now.values}
    if lost := _lost(sizes, "weights"):
        return lost
    if "generator" not in sizes:
        return None
    growth = sizes["generator"]
    level = now.level("weights", growth)
    return level and Observation(
        level, "divergence", f"the generator's weights are {growth:.3g} times as large as at the beginning"
    )


def _lost(norms: Mapping[str, float], what: str) -> Observation | None:
    """A norm that is no number compares with no limit."""
    name = next((name for name, norm in norms.items() if not math.isfinite(norm)), None)
    if name is None:
        return None
    return Observation("fail", "non-finite values", f"the norm of the {name}'s {what} is {norms[name]:g}", f"{name}.optimizer.lr")


def dominating(now: CheckInputs) -> Observation | None:
    """The discriminator is sure and right: the divergence that it sees is near its greatest possible value, log 2.

    With L the log loss of both halves, (log 4 - L)/2 estimates the Jensen-Shannon divergence (Goodfellow et al. 2014, theorem 1).
    """
    if not known(now.values, "dominance", "dominance/accuracy"):
        return None
    divergence, accuracy = now.values["dominance"], now.values["dominance/accuracy"]
    level = now.level("dominance", divergence)
    needed = now.table.dominance.accuracy
    if level is None or accuracy < needed:
        return None
    if level == "fail" and accuracy < 1 - (1 - needed) / 5:
        level = "warn"
    return Observation(
        level,
        "discriminator dominance",
        f"D tells {accuracy:.1%} of all samples; it sees a divergence of {divergence:.2f} (log 2 is all)",
    )


def vanishing(now: CheckInputs) -> Observation | None:
    """Nothing is left for the generator to follow (Goodfellow et al. 2014, section 3; Arjovsky & Bottou 2017).

    A discriminator that tells next to nothing gives nothing to follow either, but because the game is settled.
    """
    if not known(now.values, "vanishing") or now.values.get("dominance", math.inf) < now.table.dominance.warn / 2:
        return None
    share = now.values["vanishing"]
    level = now.level("vanishing", share)
    if level == "fail" and now.levels.get("dominance") != "fail":
        level = "warn"
    rejected = now.values.get("dominance/rejected")
    also = "" if rejected is None else f"; D is below 0.01 on {rejected:.0%} of the fakes"
    return level and Observation(
        level, "vanishing gradient", f"the generator's gradient is {share:.1e} of what it was at first{also}"
    )


def uneven(now: CheckInputs) -> Observation | None:
    """The discriminator is steep on one side only, as before divergence and in over-fitting (DigGAN, Fang et al. 2022)."""
    if not known(now.values, "slopes"):
        return None
    ratio = math.exp(abs(math.log(max(now.values["slopes"], 1e-30))))
    level = now.level("slopes", ratio)
    where = "real samples" if now.values["slopes"] > 1 else "fakes"
    return level and Observation(level, "uneven discriminator", f"D is {ratio:.3g} times as steep on {where} as on the others")


CHECKS = (
    Check("gradients", "signals", exploding, settles=False),
    Check("weights", "signals", diverging, settles=False),
    Check("dominance", "signals", dominating),
    Check("vanishing", "signals", vanishing),
    Check("slopes", "signals", uneven),
)
