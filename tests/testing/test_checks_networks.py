"""Each check of a network passes on the stand-in and fails on the fault that is planted for it."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from ganforge.core.records import DiscriminatorOutput
from ganforge.registry.component import Kind
from ganforge.testing import CheckState, check_component, stub_components
from ganforge.testing.conformance import all_checks


class Generator(stub_components.LinearGenerator):
    """The stand-in, with a fault in its output."""

    def __init__(self, params, context, fault):
        super().__init__(params, context)
        self.fault = fault

    def forward(self, latent):
        return self.fault(super().forward(latent))


def faulty(fault):
    return lambda params, context: Generator(params, context, fault)


def moves_randomness(values):
    random.random()
    return values


class Untaught(stub_components.LinearGenerator):
    def __init__(self, params, context):
        super().__init__(params, context)
        self.forgotten = nn.Linear(2, 2)


class Cut(stub_components.LinearGenerator):
    def forward(self, latent):
        return super().forward(latent).detach() + 0 * self.layer.bias.sum()


class Unsaved(stub_components.LinearGenerator):
    """Computes with a tensor that its state_dict does not hold."""

    def __init__(self, params, context):
        super().__init__(params, context)
        self.shift = torch.randn(context.data.shape)

    def forward(self, latent):
        return super().forward(latent) + self.shift


class Unseeded(stub_components.LinearGenerator):
    def __init__(self, params, context):
        super().__init__(params, context)
        with torch.no_grad():
            self.layer.weight.copy_(torch.from_numpy(np.random.default_rng().normal(size=self.layer.weight.shape)))


class Obstinate(stub_components.LinearGenerator):
    def train(self, mode=True):
        return self


class Counting(stub_components.LinearGenerator):
    """Keeps statistics in eval mode too."""

    def __init__(self, params, context):
        super().__init__(params, context)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, latent):
        self.seen += 1
        return super().forward(latent)


class Homebound(stub_components.LinearGenerator):
    def __init__(self, params, context):
        super().__init__(params, context)
        self.scale = torch.ones(2)

    def forward(self, latent):
        return self.scale * super().forward(latent)


GENERATORS = {
    "G01 shape": ("G01", faulty(lambda values: values[:, :1]), "values have shape (32, 1), not (n, *(2,))"),
    "G01 type": ("G01", faulty(torch.Tensor.tolist), "a generator returns a tensor, not a list"),
    "G01 integers": ("G01", faulty(lambda values: values.long()), "the samples is torch.int64, not a float"),
    "G01 not finite": ("G01", faulty(lambda values: values / 0), "the samples contains values that are not finite"),
    "P11 no module": (
        "P11",
        lambda params, context: len,
        "the factory returns a builtin_function_or_method, not a torch.nn.Module",
    ),
    "P11 no parameters": ("P11", lambda params, context: nn.Identity(), "the network has no parameters"),
    "G02": ("G02", faulty(lambda values: values[: len(values) // 2 * 2]), "1 latents give 0 samples"),
    "G02 raises": ("G02", faulty(lambda values: nn.BatchNorm1d(2)(values)), "ValueError: Expected more than 1 value per channel"),
    "G03 randomness": ("G03", faulty(moves_randomness), "a forward pass in eval mode changed the global random state of Python"),
    "G03 dropout": ("G03", faulty(lambda values: nn.functional.dropout(values)), "changed the global random state of torch"),
    "G03 seed": ("G03", Unseeded, "two networks built with the same seed give different samples"),
    "G04 unused": (
        "G04",
        Untaught,
        "parameters without a gradient: forgotten.weight, forgotten.bias",
    ),
    "G04 detached": ("G04", Cut, "parameters without a gradient: layer.weight, layer.bias"),
    "G05": ("G05", Unsaved, "some state is not in its state_dict"),
    "G07 deaf": (
        "G07",
        Obstinate,
        "after eval() these submodules are not in that mode: the network itself",
    ),
    "G07 changes": ("G07", Counting, "a forward pass in eval mode changes seen"),
    "G08": ("G08", Homebound, "it fails on the meta device: "),
    "G06": ("G06", faulty(lambda values: values - values.mean(0)), "in eval mode a sample depends on the rest of its batch"),
}


@pytest.mark.parametrize("fault", GENERATORS)
def test_a_planted_fault_of_a_generator_is_found(judged, fault):
    check, factory, message = GENERATORS[fault]

    outcome = judged(check, Kind.GENERATOR, factory)

    assert outcome.state is CheckState.FAILED
    assert message in outcome.message


def test_values_out_of_range_are_found(judged):
    outcome = judged("G01", Kind.GENERATOR, faulty(lambda values: 3 * values), requires=("images",))

    assert outcome.state is CheckState.FAILED
    assert "the data in [-1, 1]" in outcome.message


class Discriminator(stub_components.LinearDiscriminator):
    """The stand-in, with a fault in its verdict."""

    def __init__(self, params, context, fault):
        super().__init__(params, context)
        self.fault = fault

    def forward(self, samples):
        return self.fault(super().forward(samples))


def misjudging(fault):
    return lambda params, context: Discriminator(params, context, fault)


class Flat(stub_components.LinearDiscriminator):
    """Looks at the samples without letting a gradient through."""

    def forward(self, samples):
        return super().forward(replace(samples, values=samples.values.detach()))


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx, values):
        return values.clone()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        return gradient.clone()


class Saturated(stub_components.LinearDiscriminator):
    """Its slope is not finite where a coordinate is 0 or below."""

    def forward(self, samples):
        return super().forward(replace(samples, values=samples.values.sqrt()))


class UnsavedDiscriminator(stub_components.LinearDiscriminator):
    def __init__(self, params, context):
        super().__init__(params, context)
        self.shift = torch.randn(())

    def forward(self, samples):
        verdict = super().forward(samples)
        return replace(verdict, logits=verdict.logits + self.shift)


class Lecturing(stub_components.LinearDiscriminator):
    def forward(self, samples):
        self.eval()
        return super().forward(samples)


def relogit(function):
    return misjudging(lambda verdict: replace(verdict, logits=function(verdict.logits)))


DISCRIMINATORS = {
    "D01 shape": ("D01", relogit(lambda logits: logits[:, None]), "logits of 1 samples have shape (1, 1), not (1,)"),
    "D01 not finite": ("D01", relogit(lambda logits: logits.log() * 0 / 0), "the logits contains values that are not finite"),
    "D01 type": ("D01", misjudging(lambda verdict: verdict.logits), "a discriminator returns a DiscriminatorOutput, not a Tensor"),
    "D02 missing": (
        "D02",
        misjudging(lambda verdict: DiscriminatorOutput(verdict.logits)),
        "it provides 'head:code', but its heads are: none",
    ),
    "D02 length": (
        "D02",
        misjudging(lambda verdict: replace(verdict, heads={"code": verdict.heads["code"][:3]})),
        "head 'code' of 7 samples has shape (3, 7)",
    ),
    "D02 undeclared": (
        "D02",
        misjudging(lambda verdict: replace(verdict, heads={**verdict.heads, "spare": verdict.logits})),
        "it has undeclared heads: spare",
    ),
    "D03": (
        "D03",
        misjudging(lambda verdict: DiscriminatorOutput(verdict.logits)),
        "parameters without a gradient: heads.code.weight, heads.code.bias",
    ),
    "D04 flat": ("D04", Flat, "the logits do not depend on the samples' values"),
    "D04 once": ("D04", relogit(lambda logits: Once.apply(logits).square()), "once_differentiable"),
    "D04 not finite": (
        "D04",
        Saturated,
        "the input gradient contains values that are not finite",
    ),
    "D05": (
        "D05",
        relogit(lambda logits: logits + torch.randn(())),
        "a forward pass in eval mode changed the global random state of torch",
    ),
    "D07": ("D07", Lecturing, "a forward pass in training mode changes the mode"),
    "D08": ("D08", relogit(lambda logits: logits + torch.ones(len(logits))), "it fails on the meta device: "),
    "D06": ("D06", UnsavedDiscriminator, "not in its state_dict"),
}


@pytest.mark.parametrize("fault", DISCRIMINATORS)
def test_a_planted_fault_of_a_discriminator_is_found(judged, fault):
    check, factory, message = DISCRIMINATORS[fault]

    outcome = judged(check, Kind.DISCRIMINATOR, factory, requires=("codes",), provides=("head:code",))

    assert outcome.state is CheckState.FAILED
    assert message in outcome.message


SITUATIONS = [
    (),
    ("labels",),
    ("codes",),
    ("categorical-codes",),
    ("continuous-codes",),
    ("images",),
    ("labels", "codes", "images"),
]


@pytest.mark.parametrize("requires", SITUATIONS, ids="+".join)
@pytest.mark.parametrize("check", sorted(identity for identity in [f"G0{n}" for n in range(1, 9)]))
def test_the_stand_in_generator_passes_in_each_situation(judged, check, requires):
    assert judged(check, Kind.GENERATOR, stub_components.LinearGenerator, requires=requires).state is CheckState.PASSED


@pytest.mark.parametrize("requires", SITUATIONS, ids="+".join)
@pytest.mark.parametrize("check", sorted(identity for identity in [f"D0{n}" for n in range(1, 9)]))
def test_the_stand_in_discriminator_passes_in_each_situation(judged, check, requires):
    heads = [f"head:{name}" for name, words in {"code": "codes", "class": "labels"}.items() if words in " ".join(requires)]

    outcome = judged(check, Kind.DISCRIMINATOR, stub_components.LinearDiscriminator, requires=requires, provides=tuple(heads))

    assert outcome.state is (CheckState.SKIPPED if check == "D02" and not heads else CheckState.PASSED), outcome


def test_every_check_of_a_network_has_a_planted_fault():
    planted = {check for check, *_ in (*GENERATORS.values(), *DISCRIMINATORS.values())}

    assert planted >= {one.id for one in all_checks() if one.id[0] in "GD"}


class Lazy(stub_components.LinearGenerator):
    """Takes its sizes from its first input."""

    def __init__(self, params, context):
        super().__init__(params, context)
        self.layer = nn.Sequential(nn.LazyLinear(8), nn.LazyBatchNorm1d(), nn.LazyLinear(self.layer.out_features))


class Tied(stub_components.LinearGenerator):
    """Two layers with one weight."""

    def __init__(self, params, context):
        super().__init__(params, context)
        width = self.layer.in_features
        first, second = nn.Linear(width, width), nn.Linear(width, width)
        second.weight = first.weight
        self.layer = nn.Sequential(first, nn.ReLU(), second, self.layer)


@pytest.mark.parametrize("factory", [Lazy, Tied])
def test_what_trains_passes(component, factory):
    outcomes = check_component(component(Kind.GENERATOR, factory))

    assert {outcome.check for outcome in outcomes} >= {"G05", "G08", "E01"}
    assert [(outcome.check, outcome.message) for outcome in outcomes if outcome.state is CheckState.FAILED] == []


def test_one_fault_is_one_failure(component):
    outcomes = check_component(component(Kind.GENERATOR, faulty(lambda values: values[:, :1])))

    assert [outcome.check for outcome in outcomes if outcome.state is CheckState.FAILED] == ["G01"]
    assert {outcome.message for outcome in outcomes if outcome.state is CheckState.SKIPPED} >= {"G01 fails"}
