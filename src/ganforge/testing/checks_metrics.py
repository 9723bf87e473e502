"""M checks: metrics."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch.nn import functional as F

from ganforge.core.contracts import BuildContext, Metric
from ganforge.core.params import NoParams
from ganforge.core.records import DiscriminatorOutput, Evaluation, Latent, Samples
from ganforge.registry.component import Kind
from ganforge.testing import stub_components
from ganforge.testing.component_case import ComponentCase, metric_context, random_latents, require_random_state_unchanged
from ganforge.testing.conformance import CheckFailedError, NotApplicableError, check, require

_MANY = 60
_PERFECT = 240
_GROUPS = 3
_NEAR = 0.05
_CERTAIN = 50.0


@check("M01", Kind.METRIC)
def values_are_as_declared(subject: ComponentCase) -> None:
    """Values are finite numbers under exactly the declared keys."""
    metric: Metric = subject.build()
    values = _measure(metric, _evaluation(subject))
    require(set(values) == set(metric.value_info), f"it returns {sorted(values)} but declares {sorted(metric.value_info)}")
    numbers: Mapping[str, Any] = values
    for key, value in numbers.items():
        require(isinstance(value, float | int) and not isinstance(value, bool), f"value '{key}' is a {type(value).__name__}")
        require(math.isfinite(value), f"value '{key}' is {value}")
    silent = [key for key, measure in metric.value_info.items() if not measure.label.strip()]
    require(not silent, f"value_info entries without a label: {silent}")


@check("M02", Kind.METRIC)
def is_deterministic(subject: ComponentCase) -> None:
    """Equal samples and random generators give equal values, and global random states do not change."""
    metric: Metric = subject.build()
    with require_random_state_unchanged("measuring"):
        one, two = _measure(metric, _evaluation(subject)), _measure(metric, _evaluation(subject))
    require(one == two, f"measured again, {dict(one)} became {dict(two)}: draw from evaluation.generator")


@check("M03", Kind.METRIC)
def samples_stay_unchanged(subject: ComponentCase) -> None:
    """Measuring does not modify the samples."""
    evaluation, untouched = _evaluation(subject), _evaluation(subject)
    _measure(subject.build(), evaluation)
    for name in ("real", "fake"):
        same = torch.equal(getattr(evaluation, name).values, getattr(untouched, name).values)
        require(same, f"measuring changed the {name} samples in place")


@check("M04", Kind.METRIC)
def perfect_generator_gets_ideal(subject: ComponentCase) -> None:
    """A perfect generator gets the declared ideal, within 5 %.

    Its samples are the real ones in another order, with labels and categorical codes that match well separated classes.
    """
    context, evaluation = _perfect(subject)
    metric: Metric = subject.build_for(context)
    ideals = {key: measure.ideal for key, measure in metric.value_info.items() if measure.ideal is not None}
    if not ideals:
        raise NotApplicableError("it declares no ideal")
    values = _measure(metric, evaluation)
    for key, ideal in ideals.items():
        near = abs(values[key] - ideal) <= _NEAR * max(1.0, abs(ideal))
        require(near, f"a perfect generator gets {values[key]:g} for '{key}', but the declared ideal is {ideal:g}")


@check("M05", Kind.METRIC)
def symmetry_is_as_declared(subject: ComponentCase) -> None:
    """Values declared symmetric do not change when real and generated samples are swapped."""
    metric: Metric = subject.build()
    symmetric = [key for key, measure in metric.value_info.items() if measure.symmetric]
    if not symmetric:
        raise NotApplicableError("it declares no value symmetric")
    there = _measure(metric, _evaluation(subject))
    evaluation = _evaluation(subject)
    back = _measure(metric, replace(evaluation, real=evaluation.fake, fake=evaluation.real))
    for key in symmetric:
        same = math.isclose(there[key], back[key], rel_tol=1e-4, abs_tol=1e-6)
        require(same, f"'{key}' is {there[key]:g} from real to generated samples, and {back[key]:g} the other way")


def _perfect(subject: ComponentCase) -> tuple[BuildContext, Evaluation]:
    """Samples of a perfect generator, with labels, and one code value per class."""
    data, latent = subject.data, subject.latent
    density = data.density
    classes = len(density.means) if density else _GROUPS
    labels = torch.arange(_PERFECT) % classes
    if density:
        centres, spread = torch.tensor(density.means), density.std
    else:
        levels = torch.linspace(-0.8, 0.8, classes)
        centres, spread = levels.reshape(-1, *[1] * len(data.shape)).expand(classes, *data.shape), 0.02
    noise = torch.randn(_PERFECT, *data.shape, generator=torch.Generator().manual_seed(21)).clamp(-3, 3)
    values = centres[labels] + spread * noise

    order = torch.randperm(_PERFECT, generator=torch.Generator().manual_seed(22))
    data_labels = labels if data.classes is not None else None
    latent = replace(latent, categorical=tuple(classes for _ in latent.categorical))
    drawn = random_latents(latent, _PERFECT, torch.Generator().manual_seed(23))
    codes = drawn.codes
    if codes is not None:
        codes = replace(codes, categorical=labels[order, None].expand(_PERFECT, len(latent.categorical)))
    latents = Latent(drawn.noise, labels[order] if latent.classes is not None else None, codes)
    real, fake = Samples(values, data_labels), Samples(values[order], None if data_labels is None else data_labels[order], latents)
    context = metric_context(data, latent, real)
    critic = _critic(context)

    def reading(samples: Samples) -> DiscriminatorOutput:
        """A discriminator that reads every code with certainty."""
        output = critic(samples)
        if samples.latent is None or samples.latent.codes is None:
            return output
        hot = [F.one_hot(column, classes) * _CERTAIN for column in samples.latent.codes.categorical.T]
        return replace(output, heads={**output.heads, "code": torch.cat([*hot, samples.latent.codes.continuous], dim=1)})

    return context, _compared(subject, real, fake, reading)


def _measure(metric: Metric, evaluation: Evaluation) -> Mapping[str, float]:
    values = metric.measure(evaluation)
    if not isinstance(values, Mapping):
        raise CheckFailedError(f"measure returns a {type(values).__name__}, not a mapping")
    return values


def _evaluation(subject: ComponentCase) -> Evaluation:
    fake = subject.samples(_MANY, seed=22, latent=subject.latents(_MANY))
    return _compared(subject, subject.samples(_MANY, seed=21), fake, _critic(subject.context))


def _compared(subject: ComponentCase, real: Samples, fake: Samples, critic: Callable[[Samples], DiscriminatorOutput]) -> Evaluation:
    """An evaluation with every optional field, so that every metric can be checked."""
    return Evaluation(
        real,
        fake,
        torch.Generator().manual_seed(4),
        training=lambda most: subject.samples(min(most, _MANY), seed=25),
        validation=lambda most: subject.samples(min(most, _MANY), seed=26),
        critic=critic,
    )


def _critic(context: BuildContext) -> Callable[[Samples], DiscriminatorOutput]:
    """An untrained discriminator; does not change the global random state."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        network = stub_components.LinearDiscriminator(NoParams(), context)

    def critic(samples: Samples) -> DiscriminatorOutput:
        with torch.no_grad():
            output: DiscriminatorOutput = network(samples)
        return output

    return critic
