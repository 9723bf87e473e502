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
from ganforge.testing.check_registry import check
from ganforge.testing.check_results import CheckFailed, NotApplicable
from ganforge.testing.component_case import Bench, draw_latents, metric_context, randomness_untouched, require

_MANY = 60
_PERFECT = 240
_GROUPS = 3
_NEAR = 0.05
_CERTAIN = 50.0


@check("M01", Kind.METRIC)
def measures_what_it_says(bench: Bench) -> None:
    """The values are finite numbers under exactly the declared keys."""
    metric = _metric(bench)
    values = _measure(metric, _evaluation(bench))
    require(set(values) == set(metric.value_info), f"it gives {sorted(values)}, and declares {sorted(metric.value_info)}")
    numbers: Mapping[str, Any] = values
    for key, value in numbers.items():
        require(isinstance(value, float | int) and not isinstance(value, bool), f"value '{key}' is a {type(value).__name__}")
        require(math.isfinite(value), f"value '{key}' is {value}")
    silent = [key for key, measure in metric.value_info.items() if not measure.label.strip()]
    require(not silent, f"measures without a label: {silent}")


@check("M02", Kind.METRIC)
def measures_the_same_again(bench: Bench) -> None:
    """Equal samples and streams give equal values, and the global random streams stay still."""
    metric = _metric(bench)
    with randomness_untouched("measuring"):
        one, two = _measure(metric, _evaluation(bench)), _measure(metric, _evaluation(bench))
    require(one == two, f"measured again, {dict(one)} became {dict(two)}: draw from evaluation.generator")


@check("M03", Kind.METRIC)
def leaves_samples_alone(bench: Bench) -> None:
    """The samples that are measured stay as they were."""
    evaluation, untouched = _evaluation(bench), _evaluation(bench)
    _measure(_metric(bench), evaluation)
    for name in ("real", "fake"):
        same = torch.equal(getattr(evaluation, name).values, getattr(untouched, name).values)
        require(same, f"measuring changed the {name} samples in place")


@check("M04", Kind.METRIC)
def knows_perfection(bench: Bench) -> None:
    """A perfect generator gets the declared ideal, to within a twentieth.

    Its samples are the real ones in another order. Their labels and categorical codes stand for the classes, which lie far apart.
    """
    context, evaluation = _perfect(bench)
    metric: Metric = bench.build_for(context)
    ideals = {key: measure.ideal for key, measure in metric.value_info.items() if measure.ideal is not None}
    if not ideals:
        raise NotApplicable("it declares no ideal")
    values = _measure(metric, evaluation)
    for key, ideal in ideals.items():
        near = abs(values[key] - ideal) <= _NEAR * max(1.0, abs(ideal))
        require(near, f"a perfect generator gets {values[key]:g} for '{key}', and the declared ideal is {ideal:g}")


@check("M05", Kind.METRIC)
def is_symmetric(bench: Bench) -> None:
    """Values declared symmetric stay the same when real and generated samples change places."""
    metric = _metric(bench)
    symmetric = [key for key, measure in metric.value_info.items() if measure.symmetric]
    if not symmetric:
        raise NotApplicable("it declares no value symmetric")
    there = _measure(metric, _evaluation(bench))
    evaluation = _evaluation(bench)
    back = _measure(metric, replace(evaluation, real=evaluation.fake, fake=evaluation.real))
    for key in symmetric:
        same = math.isclose(there[key], back[key], rel_tol=1e-4, abs_tol=1e-6)
        require(same, f"'{key}' is {there[key]:g} from real to generated samples, and {back[key]:g} the other way")


def _metric(bench: Bench) -> Metric:
    metric: Metric = bench.build()
    return metric


def _perfect(bench: Bench) -> tuple[BuildContext, Evaluation]:
    """What a perfect generator of labelled, coded samples makes: as many values for each code as there are classes."""
    data, latent = bench.data, bench.latent
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
    told = labels if data.classes is not None else None
    latent = replace(latent, categorical=tuple(classes for _ in latent.categorical))
    drawn = draw_latents(latent, _PERFECT, torch.Generator().manual_seed(23))
    codes = drawn.codes
    if codes is not None:
        codes = replace(codes, categorical=labels[order, None].expand(_PERFECT, len(latent.categorical)))
    asked = Latent(drawn.noise, labels[order] if latent.classes is not None else None, codes)
    real, fake = Samples(values, told), Samples(values[order], None if told is None else told[order], asked)
    context = metric_context(data, latent, real)
    critic = _critic(context)

    def reading(samples: Samples) -> DiscriminatorOutput:
        """A discriminator that reads every code for certain."""
        verdict = critic(samples)
        if samples.latent is None or samples.latent.codes is None:
            return verdict
        hot = [F.one_hot(column, classes) * _CERTAIN for column in samples.latent.codes.categorical.T]
        return replace(verdict, heads={**verdict.heads, "code": torch.cat([*hot, samples.latent.codes.continuous], dim=1)})

    return context, _compared(bench, real, fake, reading)


def _measure(metric: Metric, evaluation: Evaluation) -> Mapping[str, float]:
    values = metric.measure(evaluation)
    if not isinstance(values, Mapping):
        raise CheckFailed(f"measure gives a {type(values).__name__}, not a mapping")
    return values


def _evaluation(bench: Bench) -> Evaluation:
    fake = bench.samples(_MANY, seed=22, latent=bench.latents(_MANY))
    return _compared(bench, bench.samples(_MANY, seed=21), fake, _critic(bench.context))


def _compared(bench: Bench, real: Samples, fake: Samples, critic: Callable[[Samples], DiscriminatorOutput]) -> Evaluation:
    """All that an evaluation may hold, so that every metric can be checked."""

    def training(most: int) -> Samples:
        return bench.samples(min(most, _MANY), seed=25)

    def validation(most: int) -> Samples:
        return bench.samples(min(most, _MANY), seed=26)

    stream = torch.Generator().manual_seed(4)
    return Evaluation(real, fake, stream, training=training, validation=validation, critic=critic)


def _critic(context: BuildContext) -> Callable[[Samples], DiscriminatorOutput]:
    """A discriminator that has learnt nothing; the global random stream stays where it is."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        network = stub_components.build_discriminator(NoParams(), context)

    def critic(samples: Samples) -> DiscriminatorOutput:
        with torch.no_grad():
            verdict: DiscriminatorOutput = network(samples)
        return verdict

    return critic
