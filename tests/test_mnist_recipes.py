"""The MNIST recipes on real MNIST: they build, and goodfellow_mnist is the 2014 paper's code setting by setting."""

import gzip
import math
from pathlib import Path

import pytest
import torch
from torch import nn

from ganforge.build.blueprint import resolve_recipe
from ganforge.build.builder import Folders, build_trainer
from ganforge.builtin.datasets.image_datasets import decode_idx as decode
from ganforge.core.events import Stepped
from ganforge.core.records import Step
from ganforge.recipe.reader import read_recipe
from ganforge.registry.plugin_loader import load_plugins

RECIPES = Path(__file__).parents[1] / "recipes"
UPDATES = 150_000
QUICK = ("metric=[]", "train.iterations=2", "pictures.samples=1", "train.batch_size=4")


@pytest.fixture(scope="module")
def built(mnist_files):
    """Builds a recipe on the real MNIST."""

    def built(name, *overrides):
        blueprint = resolve_recipe(read_recipe(RECIPES / f"{name}.toml", overrides), load_plugins())
        return build_trainer(blueprint, device=torch.device("cpu"), folders=Folders(RECIPES, mnist_files.parent))

    return built


@pytest.fixture(scope="module")
def first(built):
    """The trainer of the 2014 set-up, as it starts."""
    return built("goodfellow_mnist", "metric=[]")


@pytest.mark.parametrize("name", ["goodfellow_mnist", "dcgan_mnist", "cgan_mnist", "infogan_mnist"])
def test_recipe_trains_on_the_real_images(built, name):
    trainer = built(name, *QUICK)
    steps = [event for event in trainer.run() if isinstance(event, Stepped)]
    assert len(steps) == 2
    assert all(math.isfinite(value) for step in steps for value in step.terms.values())


@pytest.mark.slow
def test_stacked_recipe_trains_on_the_real_images(built):
    trainer = built("dcgan_stacked_mnist", *QUICK, "dataset.params.samples=100")
    assert len([event for event in trainer.run() if isinstance(event, Stepped)]) == 2


def test_the_generator_of_2014(first, mnist_files):
    generator = first.networks["generator"]
    layers = [layer for layer in generator.modules() if isinstance(layer, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in layers] == [(100, 1200), (1200, 1200), (1200, 784)]
    assert [type(layer) for layer in generator.trunk if not isinstance(layer, nn.Linear)] == [nn.ReLU, nn.ReLU]
    assert isinstance(generator.output, nn.Sigmoid)
    for layer in layers:
        assert layer.weight.abs().max() <= 0.05
        assert layer.weight.std().item() == pytest.approx(0.05 / math.sqrt(3), rel=0.01)
    assert not any(layer.bias.any() for layer in layers[:-1])

    file = mnist_files / "train-images-idx3-ubyte.gz"
    mean = (decode(gzip.decompress(file.read_bytes()), file, 3)[:50_000].double() / 255).mean(0).flatten().clamp(1e-7, 1 - 1e-7)
    assert torch.allclose(layers[-1].bias.double(), torch.log(mean / (1 - mean)), atol=1e-3)


def test_the_discriminator_of_2014(first):
    discriminator = first.networks["discriminator"]
    layers = [layer for layer in discriminator.modules() if isinstance(layer, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in layers] == [(784, 1200), (240, 1200), (240, 1)]
    assert [(layer.units, layer.pieces) for layer in discriminator.layers] == [(240, 5), (240, 5)]
    assert [dropout.p for dropout in discriminator.dropouts] == [0.2, 0.5, 0.5]
    for layer in layers:
        assert layer.weight.abs().max() <= 0.005
        assert not layer.bias.any()


def test_the_noise_of_2014_has_variance_one(first):
    noise = first.sampler.draw(20_000, torch.Generator().manual_seed(0)).noise
    assert noise.shape == (20_000, 100)
    assert noise.abs().max().item() == pytest.approx(math.sqrt(3), abs=1e-4)
    assert noise.var().item() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(("name", "rate"), [("generator", 0.1), ("discriminator", 0.05)])
def test_rate_and_momentum_move_as_in_2014(first, name, rate):
    """The discriminator's rate is half of theirs, since ganforge descends the sum of its two terms and they half of it."""
    optimizer = first.optimizers[name]
    assert isinstance(optimizer.optimizer, torch.optim.SGD)
    expected = {
        0: (rate, 0.5),
        1: (rate / 1.000004, 0.5),
        62_500: (rate / 1.000004**62_500, 0.6),
        125_000: (rate / 1.000004**125_000, 0.7),
        149_999: (rate / 1.000004**149_999, 0.7),
    }
    for update, (lr, momentum) in expected.items():
        found = optimizer.set_rates(Step(update, UPDATES))
        assert found["lr"] == pytest.approx(lr, rel=1e-6)
        assert found["momentum"] == pytest.approx(momentum, abs=1e-5)
    floor = {"generator": 1e-6, "discriminator": 5e-7}[name]
    assert optimizer.schedules["lr"].at(10_000_000, 10_000_000) == floor


def test_both_move_from_one_point_on_one_batch_with_dropout_on(first, built):
    assert first.config.updates == "simultaneous"
    assert first.config.iterations == UPDATES

    trainer = built("goodfellow_mnist", *QUICK)
    modes, fakes = [], []
    discriminator = trainer.networks["discriminator"]
    discriminator.register_forward_pre_hook(lambda network, given: modes.append((network.dropouts[0].training, network.training)))
    trainer.networks["generator"].register_forward_pre_hook(lambda network, given: fakes.append(given[0].noise.clone()))

    trainer.step()

    assert set(modes) == {(True, True)}
    assert len(fakes) == 2
    assert fakes[0].equal(fakes[1])
