"""The evidence lower bound against numpy, for the weights of a trained run; nothing of the plugin computes the expected values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from ganforge.build.blueprint import resolve_recipe
from ganforge.build.builder import Folders, build_trainer
from ganforge.core.records import Latent, Samples, Step
from ganforge.games.game import Batch
from ganforge.recipe.reader import read_recipe
from ganforge.registry.plugin_loader import load_plugins

RECIPE = Path(__file__).parents[1] / "plugins" / "ganforge-vae" / "recipes" / "vae.toml"


def built(*overrides):
    blueprint = resolve_recipe(read_recipe(RECIPE, ("train.iterations=200", "metric=[]", *overrides)), load_plugins())
    return build_trainer(blueprint, device=torch.device("cpu"), folders=Folders(RECIPE.parent, RECIPE.parent))


@pytest.fixture(scope="module")
def trainer():
    trained = built()
    for _ in trained.run():
        pass
    return trained


def layers(network):
    state = {name: value.double().numpy() for name, value in network.state_dict().items()}
    names = [name.removesuffix(".weight") for name in state if name.endswith(".weight")]
    return [(state[f"{name}.weight"], state[f"{name}.bias"]) for name in names]


def forward(network, values):
    """A fully connected network with leaky ReLU of slope 0.2, in numpy."""
    *hidden, last = layers(network)
    for weight, bias in hidden:
        values = values @ weight.T + bias
        values = np.where(values > 0, values, 0.2 * values)
    return values @ last[0].T + last[1]


def test_the_loss_is_the_bound_by_numpy(trainer):
    draw = torch.Generator().manual_seed(5)
    real, noise = torch.randn(500, 2, generator=draw), torch.randn(500, 2, generator=draw)
    terms = trainer.game.loss(Batch(Samples(real), Latent(noise)), Step(0, 1))

    mean, log_variance = np.split(forward(trainer.networks["encoder"], real.double().numpy()), 2, axis=1)
    latent = mean + np.exp(log_variance / 2) * noise.double().numpy()
    made = forward(trainer.networks["generator"], latent)
    likelihood = -np.sum((real.numpy() - made) ** 2 / (2 * 0.1**2) + np.log(0.1 * np.sqrt(2 * np.pi)), axis=1)
    divergence = 0.5 * np.sum(mean**2 + np.exp(log_variance) - 1 - log_variance, axis=1)
    assert -float(terms.total.detach()) == pytest.approx(np.mean(likelihood - divergence), abs=1e-3)
    assert float(terms.values["kl"].detach()) == pytest.approx(np.mean(divergence), rel=1e-4)


def test_the_closed_divergence_is_that_of_many_draws(trainer):
    """KL = E[log q(z) - log p(z)], by Monte Carlo in numpy."""
    real = trainer.batches[0]
    values = real.values[:1].double().numpy()
    mean, log_variance = np.split(forward(trainer.networks["encoder"], values)[0], 2)
    noise = np.random.default_rng(0).normal(size=(200_000, 2))
    latent = mean + np.exp(log_variance / 2) * noise
    log_ratio = np.sum(-(noise**2) / 2 - log_variance / 2 + latent**2 / 2, axis=1)
    terms = trainer.game.loss(Batch(Samples(real.values[:1]), Latent(torch.zeros(1, 2))), Step(0, 1))
    assert float(terms.values["kl"].detach()) == pytest.approx(log_ratio.mean(), abs=0.05)


def test_training_raises_the_bound(trainer):
    before = built()
    batch = Batch(trainer.batches[0], Latent(torch.randn(128, 2, generator=torch.Generator().manual_seed(1))))
    first, last = (float(one.game.loss(batch, Step(0, 1)).total.detach()) for one in (before, trainer))
    assert last < first - 50


def test_beta_is_the_weight_of_the_divergence():
    one, four = built(), built("loss[1].weight=4.0")
    batch = Batch(one.batches[0], Latent(torch.zeros(128, 2)))
    terms, weighted = (trainer.game.loss(batch, Step(0, 1)) for trainer in (one, four))
    assert float((weighted.total - terms.total).detach()) == pytest.approx(3 * float(terms.values["kl"].detach()), rel=1e-4)
