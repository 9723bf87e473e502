import pytest
import torch
from pydantic import ValidationError
from torch import nn

from ganforge.plugin import BuildContext, Codes, DataSpec, IncompatiblePartsError, Latent, LatentSpec, Samples
from ganforge_dcgan.networks import DcganGenerator
from ganforge_dcgan.params import GeneratorParams
from ganforge_infogan.convolutions import InfoganConvDiscriminator
from ganforge_infogan.params import ConvDiscriminatorParams

CODED = LatentSpec(4, categorical=(2, 3), continuous=2)
DIGITS = BuildContext(DataSpec((1, 8, 8), value_range=(-1.0, 1.0)), CODED)


def discriminator(context: BuildContext = DIGITS, **params: object):
    return InfoganConvDiscriminator(ConvDiscriminatorParams.model_validate({"width": 4, "reader": (5,), **params}), context)


def kinds(network: nn.Module) -> list[str]:
    return [type(layer).__name__ for layer in network]


@pytest.mark.parametrize("reader", [(), (5,), (6, 5)])
@pytest.mark.parametrize(("channels", "side"), [(1, 8), (3, 28), (1, 64)])
def test_shapes(channels, side, reader):
    context = BuildContext(DataSpec((channels, side, side)), CODED)
    verdict = discriminator(context, reader=reader)(Samples(torch.randn(3, channels, side, side)))

    assert verdict.logits.shape == (3,)
    assert verdict.heads["code"].shape == (3, 7)
    assert verdict.features.shape[0] == 3


def test_reader_has_layers_of_its_own_normalised_like_the_trunk():
    assert kinds(discriminator(reader=(6, 5)).reader) == ["Conv2d", "BatchNorm2d", "LeakyReLU"] * 2 + ["Conv2d"]
    assert kinds(discriminator(reader=(6,), normalisation="none").reader) == ["Conv2d", "LeakyReLU", "Conv2d"]
    assert kinds(discriminator(reader=()).reader) == ["Conv2d"]


def test_every_parameter_is_taught_and_the_trunk_by_both_heads():
    torch.manual_seed(0)
    network = discriminator(smallest=2)
    verdict = network(Samples(torch.randn(32, 1, 8, 8)))

    realness = torch.autograd.grad(verdict.logits.square().sum(), network.trunk.parameters(), retain_graph=True)
    reading = torch.autograd.grad(verdict.heads["code"].square().sum(), network.trunk.parameters(), retain_graph=True)
    assert all(gradient.any() for gradient in (*realness, *reading))

    (verdict.logits.square().sum() + verdict.heads["code"].square().sum()).backward()
    assert [name for name, weight in network.named_parameters() if not weight.grad.any()] == []


def test_weights_of_both_heads_start_as_dcgans():
    torch.manual_seed(0)
    weights = torch.cat([layer.weight.flatten() for layer in discriminator(reader=(64,), width=32).reader[:1]])
    assert weights.std().item() == pytest.approx(0.02, rel=0.05)


def test_dcgans_generator_takes_the_codes():
    latent = Latent(torch.randn(3, 4), codes=Codes(torch.tensor([[0, 2], [1, 1], [0, 0]]), torch.rand(3, 2)))
    values = DcganGenerator(GeneratorParams(width=4), DIGITS)(latent)
    assert discriminator()(Samples(values)).heads["code"].shape == (3, 7)


def test_latents_without_codes_and_points_are_refused():
    with pytest.raises(IncompatiblePartsError, match=r"^discriminator 'infogan-conv' needs codes") as raised:
        discriminator(BuildContext(DataSpec((1, 8, 8)), LatentSpec(4)))
    assert 'sampler.use = "structured"' in raised.value.remedy
    with pytest.raises(IncompatiblePartsError, match=r"^discriminator 'infogan-conv' needs images"):
        discriminator(BuildContext(DataSpec((2,)), CODED))


@pytest.mark.parametrize("table", [{"reader": [0]}, {"hidden": [3]}])
def test_senseless_params_are_refused(table):
    with pytest.raises(ValidationError):
        ConvDiscriminatorParams.model_validate(table)
