"""What networks are handed between being built and being trained."""

import pytest
import torch
from torch import nn

from ganforge.build import builder
from ganforge.build.blueprint import resolve_recipe
from ganforge.build.builder import Folders, build_trainer
from ganforge.core.errors import IncompatiblePartsError, PluginError

THEIRS = ('[generator]\nuse = "mlp"\nparams = { hidden = [16, 16] }\n', '[generator]\nuse = "starting"\n')
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
    assert trainer.ema.network.layer.bias.equal(generator.layer.bias)


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
