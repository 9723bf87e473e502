"""A generator whose values are not finite gets no good number from any metric: NaN, or what it gets for being wrong."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from ganforge.core.contracts import aim, goal_cost, is_ranked
from ganforge.plugin import Samples
from ganforge.registry.component import Kind
from ganforge.registry.plugin_loader import load_plugins
from ganforge.testing.checks_metrics import _compared, _perfect
from ganforge.testing.component_case import ComponentCase

REGISTRY = load_plugins()
METRICS = [one for one in REGISTRY.components(Kind.METRIC) if one.plugin.distribution == "ganforge"]
MORE = {"label-match": {"by": "classifier"}, "kernel": {"features": "classifier"}}


def subjects():
    """Every metric as it is checked, and some of them with the classifier of labelled data."""
    for one in METRICS:
        yield pytest.param(ComponentCase(one, REGISTRY), id=one.name)
        if one.name in MORE:
            requires = tuple({*one.requires, "labels"})
            yield pytest.param(
                ComponentCase(replace(one, check_params=MORE[one.name], requires=requires), REGISTRY), id=f"{one.name}-classifier"
            )


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("share", ["one sample", "all samples"])
@pytest.mark.parametrize("subject", [*subjects()])
def test_what_is_not_finite_is_never_good(subject, share, bad, cache):
    context, perfect = _perfect(subject)
    context = replace(context, cache_folder=cache)  # so that the classifier learns once
    metric = subject.build_for(context)
    broken = torch.full_like(perfect.fake.values, bad) if share == "all samples" else perfect.fake.values.clone()
    broken[3] = bad
    fake = Samples(broken, perfect.fake.labels, perfect.fake.latent)

    def critic(samples):
        """The one that reads every code, as far as the samples can be read."""
        verdict = perfect.critic(samples)
        readable = samples.values.flatten(1).isfinite().all(1, keepdim=True)
        return replace(verdict, heads={name: torch.where(readable, head, math.nan) for name, head in verdict.heads.items()})

    intact, found = (metric.measure(_compared(subject, perfect.real, made, critic)) for made in (perfect.fake, fake))

    assert found.keys() == intact.keys()
    for key, value in found.items():
        measure = metric.value_info[key]
        target = aim(measure.ideal, measure.floor_at(len(fake)) if measure.better == "nearer" else None)
        if math.isnan(value) or not is_ranked(measure.better, target):
            continue
        worse = goal_cost(value, measure.better, target) - goal_cost(intact[key], measure.better, target)
        # without one sample, shares are a little nearer to the true ones, or farther
        assert worse > -1.5 / len(fake) if share == "one sample" else worse > 0, (key, intact[key], value)
