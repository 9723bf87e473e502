"""What networks are handed between being built and being trained."""

import re

import numpy as np
import pytest
import torch
from torch import nn

from ganforge.build import builder
from ganforge.build.blueprint import resolve_recipe
from ganforge.build.builder import Folders, build_trainer
from ganforge.build.parts import Part
from ganforge.core.errors import IncompatiblePartsError, PluginError
from ganforge.core.params import NoParams
from ganforge.core.specs import DataSpec, LatentSpec

THEIRS = ('[generator]\nuse = "mlp"\nparams = { hidden = [16, 16] }\n', '[generator]\nuse = "starting"\n')
MOONS = ('use = "moons"\nparams = { samples = 200 }', 'use = "theirs"')
LABELLED = ("params = { samples = 200 }", "params = { samples = 200 }\nstandardise = true")


class Starting(nn.Module):
    """A generator that begins with what it is shown."""

    def __init__(self, params, context):
        super().__init__()
        self.layer = nn.Linear(context.latent.noise, context.data.size)

    def init_from_data(self, real):
        self.shown, self.drawn = real, torch.rand(1)
        self.layer.bias.copy_(real.values.mean(0))

    def forward(self, latent):
        return self.layer(latent.noise)


class Failing(Starting):
    """One whose start fails."""

    def init_from_data(self, real):
        raise KeyError("colour")


class Complex(Starting):
    def __init__(self, params, context):
        super().__init__(params, context)
        self.phase = nn.Parameter(torch.ones((), dtype=torch.complex64))


class Elsewhere(Starting):
    """A generator without memory for its weights."""

    def __init__(self, params, context):
        super().__init__(params, context)
        self.layer.to("meta")
        self.init_from_data = lambda real: None


class Hooked(Starting):
    """A generator that keeps activations with a hook that refers to itself."""

    def __init__(self, params, context):
        super().__init__(params, context)
        self.seen = {}
        self.layer.register_forward_hook(lambda layer, given, values: self.seen.update(last=values))


class Unchained(Starting):
    """A generator whose train() forgets to return it, and that changes torch's switches."""

    def __init__(self, params, context):
        super().__init__(params, context)
        torch.set_default_dtype(torch.float64)
        torch.set_grad_enabled(False)

    def train(self, mode=True):
        super().train(mode)


@pytest.fixture
def built(tmp_path, source, beside, component):
    """Builds the whole recipe with this generator."""

    def built(factory, *pairs, seed=0):
        registry = beside(component("generator", "starting", factory=factory))
        blueprint = resolve_recipe(source(THEIRS, *pairs, overrides=(f"train.seed={seed}",)), registry)
        return build_trainer(blueprint, device=torch.device("cpu"), folders=Folders(tmp_path, tmp_path))

    return built


def test_a_network_that_starts_from_data_is_shown_the_training_samples_as_networks_see_them(built):
    trainer = built(Starting, LABELLED)
    generator = trainer.networks["generator"]

    assert len(generator.shown) == 200
    assert torch.allclose(generator.shown.values.mean(0), torch.zeros(2), atol=1e-6)  # standardised
    assert set(generator.shown.labels.tolist()) == {0, 1}
    assert generator.layer.bias.requires_grad
    assert trainer.generator.layer.bias.equal(generator.layer.bias)


def test_large_data_is_shown_in_part_from_all_of_it(built, monkeypatch):
    everything = built(Starting).networks["generator"].shown
    monkeypatch.setattr(builder, "_INIT_VALUES", 2 * 50)

    shown = built(Starting).networks["generator"].shown

    assert shown.values.equal(everything.values[::4])
    assert shown.labels.equal(everything.labels[::4])


def test_what_a_start_draws_follows_from_the_seed_and_moves_no_other_stream(built):
    torch.manual_seed(3)
    before = torch.get_rng_state()

    drawn = [built(Starting, seed=seed).networks["generator"].drawn for seed in (0, 0, 1)]

    assert drawn[0].equal(drawn[1])
    assert not drawn[0].equal(drawn[2])
    assert torch.get_rng_state().equal(before)


def test_a_start_that_fails_names_the_key_and_whose_it_is(built):
    with pytest.raises(PluginError, match=r"generator: generator 'acme-gan/starting' 1\.2\.0 cannot be built: KeyError"):
        built(Failing)


@pytest.mark.parametrize(("neighbours", "samples"), [(5, 6), (9, 10)])
def test_a_metric_is_refused_before_training_where_it_gets_too_few_samples(source, registry, tmp_path, neighbours, samples):
    def built(given):
        table = f'use = "precision-recall"\nparams = {{ neighbours = {neighbours} }}\nsamples = {given}\n'
        blueprint = resolve_recipe(source(('use = "wasserstein"\n', table)), registry)
        return build_trainer(blueprint, device=torch.device("cpu"), folders=Folders(tmp_path, tmp_path))

    assert len(built(samples).evaluator.metrics) == 1
    with pytest.raises(
        IncompatiblePartsError, match=rf"'precision-recall' needs at least {samples} samples.*set metric\[0\].samples = {samples}\)"
    ):
        built(samples - 1)


NEIGHBOURS = ("precision-recall", "one-nearest-neighbour", "duplicates", "memorisation", "mmd", "kernel")


@pytest.mark.parametrize("metric", NEIGHBOURS)
def test_metrics_of_neighbours_are_given_no_real_sample_twice(metric, tmp_path, source, registry):
    """359 of scikit-learn's digits are held out; each metric is refused before training, or left out if it is optional."""
    digits = ('use = "moons"\nparams = { samples = 200 }', 'use = "digits"')

    def observed(*lines):
        table = "\n".join((f'use = "{metric}"', *lines))
        blueprint = resolve_recipe(source(digits, ('use = "wasserstein"', table)), registry)
        return build_trainer(blueprint, device=torch.device("cpu"), folders=Folders(tmp_path, tmp_path)).evaluator

    with pytest.raises(IncompatiblePartsError, match=f"metric '{metric}' needs distinct real samples: 359 are held out, and 2,000"):
        observed("samples = 2000")
    assert [one.samples for one in observed().metrics] == [359]  # by default all of them
    left = observed("samples = 2000", "optional = true")
    assert not left.metrics
    assert "359 are held out" in left.unavailable[metric]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        (Complex, "has the complex weights 'phase', which optimizers cannot train"),
        (Elsewhere, "cannot be built: NotImplementedError: Cannot copy out of meta tensor"),
        (
            Hooked,
            "cannot be copied, which its moving average needs: TypeError: a function or hook of 'layer' refers to the network",
        ),
    ],
)
def test_a_network_that_cannot_be_trained_averaged_or_moved_is_named(built, kind, message):
    with pytest.raises(PluginError, match=f"^generator: generator 'acme-gan/starting' .*{message}") as caught:
        built(kind)
    assert caught.value.remedy


def test_what_a_network_changes_in_torch_while_it_is_built_is_put_back(built):
    trainer = built(Unchained)
    assert torch.get_default_dtype() == torch.float32
    assert torch.is_grad_enabled()
    assert not trainer.generator.training


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"shape": [2]}, "spec.shape = [2], expected a tuple of positive integers"),
        ({"shape": (np.int64(2),)}, "spec.shape = (np.int64(2),), expected a tuple of positive integers"),
        ({"classes": 0}, "spec.classes = 0, expected a positive integer or None"),
        ({"class_names": ("a", "b", "c")}, "spec.class_names = ('a', 'b', 'c'), expected a tuple of 2 strings"),
        ({"class_names": (4, 9)}, "spec.class_names = (4, 9), expected a tuple of 2 strings"),
        ({"class_names": ("a", "a")}, "spec.class_names = ('a', 'a'), which are not all different"),
        ({"class_shares": (0.9, 0.9)}, "spec.class_shares = (0.9, 0.9), expected 2 numbers whose sum is 1"),
        ({"value_range": (1, 0)}, "spec.value_range = (1, 0), expected two numbers in order"),
        ({"own_range": (0, 255)}, "spec.own_range = (0, 255) without a value_range"),
        ({"own_type": "float64"}, "spec.own_type = 'float64', expected one of float32, bool"),
    ],
)
def test_a_spec_that_samples_could_not_follow_is_refused(tmp_path, source, beside, component, declared, message):
    class Data:
        spec = DataSpec(**{"shape": (2,), "classes": 2} | declared)

        def __init__(self, params, context):
            pass

        def training(self):
            raise AssertionError

        def held_out(self, count, generator):
            raise AssertionError

    blueprint = resolve_recipe(source(MOONS), beside(component("dataset", "theirs", factory=Data)))
    with pytest.raises(PluginError, match=re.escape(f"dataset: dataset 'acme-gan/theirs' declares {message}")):
        build_trainer(blueprint, device=torch.device("cpu"), folders=Folders(tmp_path, tmp_path))


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"noise": 2.0}, "spec.noise = 2.0, expected an integer from 0"),
        ({"noise": -2}, "spec.noise = -2, expected an integer from 0"),
        ({"noise": 2, "categorical": [3]}, "spec.categorical = [3], expected a tuple of positive integers"),
        ({"noise": 2, "classes": 0}, "spec.classes = 0, expected an integer from 1"),
        ({"noise": 0}, "spec.noise = 0, without labels and codes"),
    ],
)
def test_a_spec_that_no_latent_could_follow_is_refused(component, declared, message):
    class Own:
        spec = LatentSpec(**declared)

        def __init__(self, params, context):
            pass

        def draw(self, count, generator):
            raise AssertionError

    part = Part(component("sampler", "theirs", factory=Own), NoParams(), "sampler")
    with pytest.raises(PluginError, match=re.escape(f"sampler: sampler 'acme-gan/theirs' declares {message}")):
        builder.build_sampler(part, DataSpec((2,)))
