"""Checks of generated samples: varied, new, like the data, and following their labels and codes."""

from __future__ import annotations

from ganforge.health.checks import CheckInputs, HealthCheck, Observation

_MIN_SPREAD = 0.05
"""Spread relative to real samples below which all samples count as one."""
_MAX_REPEATED = 1e-4
"""Share of exact repeats among pairs of samples that a continuous latent does not reach by chance."""
_MAX_REPEATED_RATIO = 3.0
"""Factor by which repeats may exceed those of real samples, for data that repeat too, such as counts."""
_NEAR = 0.5
"""Distance of the EMA's samples to the data, relative to the data's width, up to which they count as near."""
_RISING = 1.15
"""Factor from the previous coverage from which on it counts as rising."""


def check_finite(inputs: CheckInputs) -> Observation | None:
    """Generated samples that are not finite; nothing else can be measured then."""
    share = inputs.values.get("finite/samples", 1.0)
    if share >= 1:
        return None
    return Observation("fail", "non-finite values", f"{1 - share:.3g} of the generated samples are NaN or infinite")


def check_collapse(inputs: CheckInputs) -> Observation | None:
    """Samples cover only a part of the data, or all samples are nearly the same.

    Samples that are far from the data cover none of it either, but that is another problem and only a warning, because every
    training begins that way.
    """
    if not inputs.has("collapse", "collapse/precision", "collapse/spread"):
        return None
    coverage, precision, spread = (inputs.values[name] for name in ("collapse", "collapse/precision", "collapse/spread"))
    level = inputs.level("collapse", coverage)
    if level is None:
        return None
    if spread < _MIN_SPREAD:
        return Observation(level, "mode collapse", f"all samples are nearly the same: their spread is {spread:.1%} of the data's")
    if coverage > _RISING * inputs.previous.get("collapse", 0.0) > 0:  # improving: one level less
        if level == "warn":
            return None
        level = "warn"
    if precision < 0.5:
        evidence = f"{precision:.0%} of the samples are near real ones, and cover {coverage:.0%} of them"
        return Observation("warn", "samples unlike the data", evidence)
    evidence = f"samples cover only {coverage:.0%} of the data; {precision:.0%} of them are near real ones"
    return Observation(level, "mode collapse", evidence)


def check_duplicates(inputs: CheckInputs) -> Observation | None:
    """More pairs of samples are alike than among real samples: the birthday test (Arora & Zhang 2017)."""
    if not inputs.has("duplicates/same", "duplicates/usual"):
        return None
    same, usual = inputs.values["duplicates/same"], inputs.values["duplicates/usual"]
    if same > max(_MAX_REPEATED, _MAX_REPEATED_RATIO * usual):
        among_real = f", and {round(1 / usual)} among real ones" if usual else ""
        evidence = f"samples repeat exactly: about {round(1 / same)} different ones{among_real}"
        return Observation("fail", "mode collapse", evidence)
    return _by_limit(inputs, "duplicates", "duplicates", "{:.3g} times as many pairs are alike as among real samples")


def check_separation(inputs: CheckInputs) -> Observation | None:
    """Nearest neighbours separate generated from real samples (Xu et al. 2018).

    For images this is the rule unless the generator is perfect, so it is only a warning.
    """
    evidence = "nearest neighbours classify {:.0%} of samples as real or generated correctly"
    return _by_limit(inputs, "separation", "samples unlike the data", evidence)


def check_memorisation(inputs: CheckInputs) -> Observation | None:
    """Samples that are copies of training samples: much nearer to them than held-out samples are."""
    return _by_limit(inputs, "memorisation", "memorisation", "{:.0%} of the samples are copies of training samples, or nearly so")


def check_overfitting(inputs: CheckInputs) -> Observation | None:
    """The discriminator memorises the training samples and classifies held-out ones as fakes (Karras et al. 2020)."""
    if not inputs.has("dominance/sign") or inputs.values["dominance/sign"] <= inputs.config.overfitting.min_sign:
        return None
    evidence = "D places held-out samples {:.0%} of the way from training samples to fakes"
    return _by_limit(inputs, "overfitting", "discriminator over-fitting", evidence)


def check_oscillation(inputs: CheckInputs) -> Observation | None:
    """The networks circle around the equilibrium: the EMA is near the data, and the generator itself is not.

    If the EMA is far from the data too, it merely lags behind the generator.
    """
    if not inputs.has("oscillation/away") or inputs.values["oscillation/away"] > _NEAR:
        return None
    return _by_limit(inputs, "oscillation", "oscillation", "the generator is {:.3g} times as far from the data as its EMA")


def check_labels(inputs: CheckInputs) -> Observation | None:
    """A conditional generator that ignores its labels."""
    return _by_limit(inputs, "labels", "labels ignored", "samples match their label {:.0%} as well as real ones do", least=0.0)


def check_codes(inputs: CheckInputs) -> Observation | None:
    """A generator that ignores its codes: they cannot be read from the samples (Chen et al. 2016)."""
    evidence = "{:.0%} of the codes' information can be read from the samples"
    return _by_limit(inputs, "codes", "codes ignored", evidence, least=0.0)


def _by_limit(inputs: CheckInputs, check: str, problem: str, evidence: str, *, least: float | None = None) -> Observation | None:
    """The observation if the check's own value crosses a limit; ``evidence`` formats the value, or ``least`` if that is more."""
    if not inputs.has(check):
        return None
    value = inputs.values[check]
    level = inputs.level(check, value)
    return level and Observation(level, problem, evidence.format(value if least is None else max(least, value)))


CHECKS = (
    HealthCheck("finite", "samples", check_finite, waits=False, immediate=True),
    HealthCheck("memorisation", "samples", check_memorisation),
    HealthCheck("overfitting", "samples", check_overfitting),
    HealthCheck("collapse", "samples", check_collapse),
    HealthCheck("duplicates", "samples", check_duplicates),
    HealthCheck("codes", "samples", check_codes),
    HealthCheck("labels", "samples", check_labels),
    HealthCheck("separation", "samples", check_separation),
    HealthCheck("oscillation", "samples", check_oscillation),
)
