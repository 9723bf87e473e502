"""Health checks: what each one looks at, when it finds a problem, and what usually helps."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, NamedTuple

from ganforge.core.findings import NON_FINITE, NON_FINITE_REMEDY, Level
from ganforge.core.health_config import Health, Limits, WarnLimit
from ganforge.core.specs import network_key

_HYSTERESIS = 0.9
"""A value that has crossed a limit must come back by this factor, so that a value near the limit does not flicker."""
MIN_SPREAD = 0.05
"""Spread relative to real samples below which all samples count as one."""
_MAX_REPEATED = 1e-4
"""Share of exact repeats among pairs of samples that a continuous latent does not reach by chance."""
_MAX_REPEATED_RATIO = 3.0
"""Factor by which repeats may exceed those of real samples, for data that repeat too, such as counts."""
_NEAR = 0.5
"""Distance of the EMA's samples to the data, relative to the data's width, up to which they count as near."""
_RISING = 1.15
"""Factor from the previous value from which on it counts as rising."""


@dataclass(frozen=True, slots=True)
class Observation:
    """What one check observes at one time. ``key`` is the recipe key to change, if it is not that of the problem's remedy."""

    level: Level
    problem: str
    evidence: str
    key: str | None = None


@dataclass(slots=True)
class CheckInputs:
    """What checks know: newest values, with diagnostics smoothed, the sample values before them, and each check's present level.

    ``generator`` is the network that makes samples, ``critic`` the one that tells them from real ones, if there is one.
    ``progress`` is the share of the run that is done; ``frozen`` are the networks whose learning rate is 0.
    """

    config: Health
    generator: str
    critic: str | None
    values: dict[str, float] = field(default_factory=dict)
    levels: dict[str, Level] = field(default_factory=dict)
    previous: dict[str, float] = field(default_factory=dict)
    progress: float = 1.0
    frozen: Sequence[str] = ()

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
    """One health check, named as in ``[health]``, in findings and in ``health/…``.

    It ``waits`` until the warm-up is over; if ``immediate``, one observation is enough for a finding.
    """

    name: str
    source: Literal["diagnostics", "samples"]
    observe: Callable[[CheckInputs], Observation | None]
    waits: bool = True
    immediate: bool = False


# Checks of training diagnostics


def _check_norms(inputs: CheckInputs, kind: Literal["gradients", "weights"]) -> Observation | None:
    """A norm that is not finite, or one that crosses a limit: of a gradient, or of the weights of a network that is no critic."""
    head = f"{kind}/"
    norms = {name.removeprefix(head): norm for name, norm in inputs.values.items() if name.startswith(head)}
    if lost := next((name for name, norm in norms.items() if not math.isfinite(norm)), None):
        what = f"the norm of the {lost}'s {kind.replace('gradients', 'gradient')} is {norms[lost]:g}"
        return Observation("fail", NON_FINITE, what, f"{network_key(lost)}.optimizer.lr")
    if kind == "weights" and inputs.critic is not None:
        norms.pop(inputs.critic, None)
    if not norms:
        return None
    worst = max(norms, key=lambda name: norms[name])
    level = inputs.level(kind, norms[worst])
    if kind == "weights":
        return level and Observation(level, "divergence", f"the {worst}'s weights are {norms[worst]:.3g} times their initial size")
    return level and Observation(level, "exploding gradients", f"the {worst}'s gradient has norm {norms[worst]:.3g}")


def _check_dominance(inputs: CheckInputs) -> Observation | None:
    """The discriminator is certain and right: the Jensen-Shannon divergence that it estimates is near its maximum, log 2."""
    if not inputs.has("dominance", "dominance/accuracy"):
        return None
    divergence, accuracy = inputs.values["dominance"], inputs.values["dominance/accuracy"]
    level = inputs.level("dominance", divergence)
    needed = inputs.config.dominance.min_accuracy
    if level is None or accuracy < needed:
        return None
    if level == "fail" and accuracy < 1 - (1 - needed) / 5:
        level = "warn"
    evidence = (
        f"D classifies {accuracy:.1%} of all samples correctly; it estimates a divergence of {divergence:.2f} (at most log 2)"
    )
    return Observation(level, "discriminator dominance", evidence)


def _check_vanishing(inputs: CheckInputs) -> Observation | None:
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
        level, "vanishing gradient", f"the {inputs.generator}'s gradient is {share:.1e} times its initial norm{also}"
    )


def _check_input_gradient(inputs: CheckInputs) -> Observation | None:
    """The discriminator is steep on one side only, as before divergence and in over-fitting (DigGAN, Fang et al. 2022)."""
    if not inputs.has("input_gradient"):
        return None
    ratio = math.exp(abs(math.log(max(inputs.values["input_gradient"], 1e-30))))
    level = inputs.level("input_gradient", ratio)
    steeper, flatter = ("real samples", "fakes") if inputs.values["input_gradient"] > 1 else ("fakes", "real samples")
    return level and Observation(
        level, "uneven discriminator", f"D's input gradient is {ratio:.3g} times as large at {steeper} as at {flatter}"
    )


# Checks of generated samples


def _check_finite(inputs: CheckInputs) -> Observation | None:
    """Generated samples that are not finite; nothing else can be measured then."""
    share = inputs.values.get("finite/samples", 1.0)
    if share >= 1:
        return None
    return Observation("fail", NON_FINITE, f"{100 * (1 - share):.3g}% of the generated samples are NaN or infinite")


def _check_convergence(inputs: CheckInputs) -> Observation | None:
    """Late in the run, samples are still unlike the data: the networks have not converged, and perhaps never learned."""
    if not inputs.has("convergence", "convergence/distance") or inputs.progress < inputs.config.convergence.after:
        return None
    level = inputs.level("convergence", inputs.values["convergence"])
    evidence = f"the samples are {inputs.values['convergence/distance']:.2g} times the data's width away from the data"
    if inputs.has("collapse", "collapse/precision"):
        precision, coverage = inputs.values["collapse/precision"], inputs.values["collapse"]
        evidence = f"{precision:.0%} of the samples are near real ones, and cover {coverage:.0%} of them; {evidence}"
    if not inputs.frozen:
        return level and Observation(level, "convergence failure", evidence)
    evidence += f"; the {' and the '.join(inputs.frozen)} cannot learn at a learning rate of 0"
    return level and Observation(level, "convergence failure", evidence, f"{network_key(inputs.frozen[0])}.optimizer.lr")


def _check_collapse(inputs: CheckInputs) -> Observation | None:
    """Samples cover only a part of the data, or all are nearly the same; only a warning if they are far from the data."""
    if not inputs.has("collapse", "collapse/precision", "collapse/spread"):
        return None
    coverage, precision, spread = (inputs.values[name] for name in ("collapse", "collapse/precision", "collapse/spread"))
    level = inputs.level("collapse", coverage)
    if level is None:
        return None
    if spread < MIN_SPREAD:
        return Observation(level, "mode collapse", f"all samples are nearly the same: their spread is {spread:.1%} of the data's")
    if coverage > _RISING * inputs.previous.get("collapse", 0.0) > 0:  # improving: one level less
        if level == "warn":
            return None
        level = "warn"
    if precision < 0.5:
        if inputs.levels.get("convergence"):  # it reports the same
            return None
        evidence = f"{precision:.0%} of the samples are near real ones, and cover {coverage:.0%} of them"
        return Observation("warn", "samples unlike the data", evidence)
    evidence = f"samples cover only {coverage:.0%} of the data; {precision:.0%} of them are near real ones"
    return Observation(level, "mode collapse", evidence)


def _check_duplicates(inputs: CheckInputs) -> Observation | None:
    """More pairs of samples are alike than among real samples: the birthday test (Arora & Zhang 2017)."""
    if not inputs.has("duplicates/same", "duplicates/usual"):
        return None
    same, usual = inputs.values["duplicates/same"], inputs.values["duplicates/usual"]
    if same > max(_MAX_REPEATED, _MAX_REPEATED_RATIO * usual):
        among_real = f", and {round(1 / usual)} among real ones" if usual else ""
        return Observation("fail", "mode collapse", f"samples repeat exactly: about {round(1 / same)} different ones{among_real}")
    return _by_limit(inputs, "duplicates", "duplicates", "{:.3g} times as many pairs are alike as among real samples")


def _check_overfitting(inputs: CheckInputs) -> Observation | None:
    """The discriminator memorises the training samples and classifies held-out ones as fakes (Karras et al. 2020)."""
    if not inputs.has("dominance/sign") or inputs.values["dominance/sign"] <= inputs.config.overfitting.min_sign:
        return None
    evidence = "D places held-out samples {:.0%} of the way from training samples to fakes"
    return _by_limit(inputs, "overfitting", "discriminator over-fitting", evidence)


def _check_oscillation(inputs: CheckInputs) -> Observation | None:
    """The networks circle around the equilibrium: the EMA is near the data, and the generator itself is not."""
    if not inputs.has("oscillation/away") or inputs.values["oscillation/away"] > _NEAR:
        return None
    return _by_limit(inputs, "oscillation", "oscillation", "the generator is {:.3g} times as far from the data as its EMA")


def _by_limit(inputs: CheckInputs, check: str, problem: str, evidence: str) -> Observation | None:
    """The observation if the check's own value crosses a limit; ``evidence`` formats the value."""
    if not inputs.has(check):
        return None
    value = inputs.values[check]
    level = inputs.level(check, value)
    return level and Observation(level, problem, evidence.format(max(0.0, value)))


def _simple(check: str, problem: str, evidence: str) -> HealthCheck:
    return HealthCheck(check, "samples", partial(_by_limit, check=check, problem=problem, evidence=evidence))


CHECKS = (
    # Gradients so large that steps lead nowhere (ganhacks, section 10: norms over 100), or steps so large that they add up.
    HealthCheck("gradients", "diagnostics", partial(_check_norms, kind="gradients"), waits=False),
    HealthCheck("weights", "diagnostics", partial(_check_norms, kind="weights"), waits=False),
    HealthCheck("dominance", "diagnostics", _check_dominance),
    HealthCheck("vanishing", "diagnostics", _check_vanishing),
    HealthCheck("input_gradient", "diagnostics", _check_input_gradient),
    HealthCheck("finite", "samples", _check_finite, waits=False, immediate=True),
    _simple("memorisation", "memorisation", "{:.0%} of the samples are copies of training samples, or nearly so"),
    HealthCheck("overfitting", "samples", _check_overfitting),
    HealthCheck("convergence", "samples", _check_convergence),
    HealthCheck("collapse", "samples", _check_collapse),
    HealthCheck("duplicates", "samples", _check_duplicates),
    # The head `code` cannot predict the codes (Chen et al. 2016).
    _simple("codes", "codes ignored", "{:.0%} of the codes' information can be read from the samples"),
    _simple("labels", "labels ignored", "samples match their label {:.0%} as well as real ones do"),
    # Only a warning (Xu et al. 2018): for images it is the rule unless the generator is perfect.
    _simple(
        "separation", "samples unlike the data", "nearest neighbours classify {:.0%} of samples as real or generated correctly"
    ),
    HealthCheck("oscillation", "samples", _check_oscillation),
)


# Remedies


class Remedy(NamedTuple):
    """What usually helps, in words, and the recipe key to change, if there is a single one."""

    text: str
    key: str | None = None


def remedy_for(problem: str, losses: Collection[str] = (), *, generator: str, critic: str | None) -> Remedy:
    """The remedy for a problem, which names the tables of these networks.

    It never recommends losses that the recipe already uses, given by their names.
    """
    usual = REMEDIES[problem]
    used, other = _IF_USED.get(problem, (set(), usual))
    remedy = other if used <= set(losses) else usual
    if critic is None:
        remedy = _WITHOUT_CRITIC.get(problem, remedy)
    tables = {"generator": network_key(generator), "critic": network_key(critic or "")}
    text, key = remedy.text.format(**tables), remedy.key and remedy.key.format(**tables)
    return Remedy(text.replace(_ADD_R1, "raise the weight of r1") if "r1" in losses else text, key)


_BOTH_RATES = "lower the learning rates {generator}.optimizer.lr and {critic}.optimizer.lr"
_ADD_R1 = "add a gradient penalty such as r1"
_MODE_COVERING = {"relativistic", "r1", "r2"}

REMEDIES = {
    NON_FINITE: Remedy(*NON_FINITE_REMEDY),
    # Either network's steps may cause it, so there is no single key.
    "exploding gradients": Remedy(f"{_BOTH_RATES}; {_ADD_R1}"),
    "divergence": Remedy("lower the learning rate of {generator}", "{generator}.optimizer.lr"),
    "convergence failure": Remedy(
        "check both learning rates: if too high, samples keep jumping; if too low, a network does not learn; or train longer",
        "{generator}.optimizer.lr",
    ),
    "metric far from its ideal": Remedy("try other seeds (--seeds 4), which may end elsewhere; train longer", "train.seed"),
    "discriminator dominance": Remedy("lower the learning rate of {critic}, or " + _ADD_R1, "{critic}.optimizer.lr"),
    "vanishing gradient": Remedy("use the non-saturating loss; weaken the discriminator", "loss"),
    "discriminator over-fitting": Remedy("use more training samples or a smaller discriminator, or " + _ADD_R1, "dataset.params"),
    "uneven discriminator": Remedy("penalise its gradient at real samples and at fakes: losses r1 and r2", "loss"),
    "mode collapse": Remedy(
        "use losses relativistic with r1 and r2, which reward covering all modes; or lower both learning rates", "loss"
    ),
    "duplicates": Remedy("use losses relativistic with r1 and r2; widen the latent", "loss"),
    "samples unlike the data": Remedy("train longer; use networks that can fit the data better", "train.iterations"),
    "memorisation": Remedy("use more training samples, or a smaller generator and discriminator", "dataset.params"),
    "oscillation": Remedy("lower both learning rates towards the end, or raise the EMA decay", "train.ema_decay"),
    "labels ignored": Remedy(
        "let the discriminator see the labels, or give the loss auxiliary-classifier a weight", "{critic}.use"
    ),
    "codes ignored": Remedy("raise the weight of the loss mutual-information", "loss"),
}
_IF_USED: dict[str, tuple[set[str], Remedy]] = {
    "vanishing gradient": (
        {"non-saturating"},
        Remedy("weaken the discriminator: lower its learning rate", "{critic}.optimizer.lr"),
    ),
    "uneven discriminator": ({"r1", "r2"}, Remedy("raise the weights of r1 and r2 alike", "loss")),
    "mode collapse": (
        _MODE_COVERING,
        Remedy(f"{_BOTH_RATES}; raise the weights of r1 and r2; train longer", "{generator}.optimizer.lr"),
    ),
    "duplicates": (_MODE_COVERING, Remedy("widen the latent; raise the weights of r1 and r2", "sampler.params")),
}
"""The remedy if the recipe uses all of these losses already."""
_WITHOUT_CRITIC = {
    "exploding gradients": Remedy("lower the learning rates"),
    "convergence failure": Remedy("lower or raise the learning rates, or train longer", "{generator}.optimizer.lr"),
    "mode collapse": Remedy("train longer; use larger networks, or a wider latent", "train.iterations"),
    "duplicates": Remedy("use a wider latent", "sampler.params"),
    "memorisation": Remedy("use more training samples, or smaller networks", "dataset.params"),
    "oscillation": Remedy("lower the learning rates towards the end, or raise the EMA decay", "train.ema_decay"),
    "labels ignored": Remedy("use networks that read the labels", "{generator}.use"),
    "codes ignored": Remedy("raise the weight of the loss that reads the codes", "loss"),
}
"""The remedy in a game without a critic."""
