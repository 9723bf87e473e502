from itertools import pairwise

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from ganforge.plugin import BuildContext, Codes, DataSpec, IncompatiblePartsError, Latent, LatentSpec, Samples
from ganforge_dcgan.networks import DcganDiscriminator, DcganGenerator
from ganforge_dcgan.params import DiscriminatorParams, GeneratorParams

NOISE = LatentSpec(5)
HIDDEN = (nn.Conv2d, nn.ConvTranspose2d)
SIDES = {8: (4, 1), 16: (4, 2), 28: (7, 2), 32: (4, 3), 48: (6, 3), 64: (4, 4), 128: (4, 5)}
"""Side of the images: side of the smallest map, and how often it is doubled."""


def images(side: int, channels: int = 1, value_range: tuple[float, float] | None = (-1.0, 1.0)) -> BuildContext:
    return BuildContext(DataSpec((channels, side, side), value_range=value_range), NOISE)


def generator(side: int = 32, *, channels: int = 1, value_range: tuple[float, float] | None = (-1.0, 1.0), **params):
    return DcganGenerator(GeneratorParams(**{"width": 2, **params}), images(side, channels, value_range))


def discriminator(side: int = 32, *, channels: int = 1, **params):
    return DcganDiscriminator(DiscriminatorParams(**{"width": 2, **params}), images(side, channels))


def leaves(network: nn.Module) -> list[nn.Module]:
    return [module for module in network.modules() if not list(module.children())]


def untaught(network: nn.Module) -> list[str]:
    return [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]


@pytest.mark.parametrize("upsample", ["transposed", "resize"])
@pytest.mark.parametrize("kernel", [4, 5])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("side", SIDES)
def test_shapes(side, channels, kernel, upsample):
    smallest, doublings = SIDES[side]

    values = generator(side, channels=channels, kernel=kernel, upsample=upsample)(Latent(torch.randn(3, 5)))
    verdict = discriminator(side, channels=channels, kernel=kernel)(Samples(values))

    assert values.shape == (3, channels, side, side)
    assert verdict.logits.shape == (3,)
    assert verdict.features.shape == (3, 2 * 2 ** (doublings - 1) * smallest**2)


def test_a_smaller_map_gives_small_images_a_layer_more():
    first, *hidden, last = [layer for layer in leaves(generator(8, smallest=2)) if isinstance(layer, HIDDEN)]
    assert [first.kernel_size, len(hidden), last.out_channels] == [(2, 2), 1, 1]
    assert generator(8, smallest=2)(Latent(torch.randn(2, 5))).shape == (2, 1, 8, 8)


@pytest.mark.parametrize("side", [8, 28, 64])
def test_rule_1_sides_change_by_strided_and_transposed_convolutions_alone(side):
    first, *rest = [layer for layer in leaves(generator(side)) if not isinstance(layer, nn.BatchNorm2d | nn.ReLU | nn.Tanh)]
    assert all(type(layer) is nn.ConvTranspose2d and layer.stride == (2, 2) for layer in rest)
    assert first.kernel_size == (SIDES[side][0],) * 2  # the projection, from a map of one pixel

    *rest, last = [layer for layer in leaves(discriminator(side)) if not isinstance(layer, nn.BatchNorm2d | nn.LeakyReLU)]
    assert all(type(layer) is nn.Conv2d and layer.stride == (2, 2) for layer in rest)
    assert last.kernel_size == (SIDES[side][0],) * 2


@pytest.mark.parametrize("side", [8, 28, 64])
def test_rule_2_batch_norm_follows_all_but_the_generators_output_and_the_discriminators_input_and_output(side):
    def normalised(network: nn.Module) -> list[bool]:
        neighbours = pairwise([*leaves(network), None])
        return [isinstance(after, nn.BatchNorm2d) for layer, after in neighbours if isinstance(layer, HIDDEN)]

    doublings = SIDES[side][1]
    assert normalised(generator(side)) == [True] * doublings + [False]
    assert normalised(discriminator(side)) == [False] + [True] * (doublings - 1) + [False]


@pytest.mark.parametrize("network", [generator(64), discriminator(64)], ids=["generator", "discriminator"])
def test_rule_3_no_layer_is_fully_connected(network):
    assert not [layer for layer in leaves(network) if isinstance(layer, nn.Linear | nn.Bilinear)]
    *_, hidden, output = [layer for layer in leaves(network) if isinstance(layer, HIDDEN)]
    assert hidden.kernel_size == (4, 4)
    assert output.out_channels == 1


@pytest.mark.parametrize(
    ("value_range", "output"),
    [((-1.0, 1.0), [nn.Tanh]), ((0.0, 1.0), [nn.Sigmoid]), (None, []), ((0.0, 255.0), [])],
    ids=["tanh", "sigmoid", "unbounded", "other"],
)
def test_rule_4_the_generator_has_relu_and_ends_like_the_data(value_range, output):
    layers = leaves(generator(64, value_range=value_range))
    assert [type(layer) for layer in layers if not isinstance(layer, (*HIDDEN, nn.BatchNorm2d))] == [nn.ReLU] * 4 + output
    assert isinstance(layers[-1], tuple(output) or nn.ConvTranspose2d)


def test_rule_5_the_discriminator_has_leaky_relu_of_0_2():
    activations = [layer for layer in leaves(discriminator(64)) if not isinstance(layer, (*HIDDEN, nn.BatchNorm2d))]
    assert [type(layer) for layer in activations] == [nn.LeakyReLU] * 4
    assert {layer.negative_slope for layer in activations} == {0.2}


@pytest.mark.parametrize(("kernel", "odd"), [(4, 3), (5, 5)])
def test_resizing_repeats_pixels_and_then_convolves(kernel, odd):
    first, *rest = [layer for layer in leaves(generator(16, kernel=kernel, upsample="resize")) if hasattr(layer, "stride")]
    assert type(first) is nn.ConvTranspose2d
    assert [(type(layer), layer.stride, layer.kernel_size) for layer in rest] == [(nn.Conv2d, (1, 1), (odd, odd))] * 2

    (upsample, _) = [layer for layer in leaves(generator(16, upsample="resize")) if isinstance(layer, nn.Upsample)]
    assert upsample(torch.tensor([[[[1.0, 2.0]]]])).tolist() == [[[[1, 1, 2, 2], [1, 1, 2, 2]]]]


@pytest.mark.parametrize(("upsample", "kernel", "even"), [("transposed", 4, True), ("transposed", 5, False), ("resize", 5, True)])
def test_whether_all_pixels_get_equally_many_products(upsample, kernel, even):
    layers = list(generator(16, kernel=kernel, upsample=upsample, value_range=None).layers)
    nn.init.ones_(layers[-1].weight)
    last = nn.Sequential(*layers[-2:]) if upsample == "resize" else layers[-1]

    middle = last(torch.ones(1, 2, 8, 8))[0, 0, 6:10, 6:10]
    assert (middle.std() == 0) == even


@pytest.mark.parametrize("network", ["generator", "discriminator"])
def test_weights_start_as_in_the_paper(network):
    torch.manual_seed(0)
    made = generator(64, channels=3, width=32) if network == "generator" else discriminator(64, channels=3, width=32)

    weights = torch.cat([layer.weight.flatten() for layer in leaves(made) if isinstance(layer, HIDDEN)])
    scales = torch.cat([layer.weight for layer in leaves(made) if isinstance(layer, nn.BatchNorm2d)])
    biases = [layer.bias for layer in leaves(made) if getattr(layer, "bias", None) is not None]

    assert weights.mean().abs() < 5 * 0.02 / len(weights) ** 0.5
    assert weights.std().item() == pytest.approx(0.02, rel=0.01)
    assert scales.mean().item() == pytest.approx(1.0, abs=5 * 0.02 / len(scales) ** 0.5)
    assert scales.std().item() == pytest.approx(0.02, rel=5 / (2 * len(scales)) ** 0.5)
    assert biases
    assert not any(bias.any() for bias in biases)


@pytest.mark.parametrize("upsample", ["transposed", "resize"])
@pytest.mark.parametrize("side", [8, 28])
def test_every_parameter_is_taught(side, upsample):
    torch.manual_seed(0)
    made, judge = generator(side, channels=3, upsample=upsample), discriminator(side, channels=3)

    judge(Samples(made(Latent(torch.randn(32, 5))))).logits.square().sum().backward()

    assert untaught(made) == []
    assert untaught(judge) == []


def test_the_generator_uses_noise_and_every_code():
    latent = LatentSpec(5, categorical=(3,), continuous=1)
    made = DcganGenerator(GeneratorParams(width=2), BuildContext(DataSpec((1, 8, 8)), latent)).eval()
    noise, categorical, continuous = torch.randn(1, 5), torch.tensor([[0]]), torch.zeros(1, 1)
    start = made(Latent(noise, codes=Codes(categorical, continuous)))

    assert not start.equal(made(Latent(noise + 1, codes=Codes(categorical, continuous))))
    assert not start.equal(made(Latent(noise, codes=Codes(categorical + 1, continuous))))
    assert not start.equal(made(Latent(noise, codes=Codes(categorical, continuous + 1))))


def test_without_normalisation_samples_are_judged_each_alone_in_training_too():
    values = torch.randn(6, 1, 32, 32)
    together = discriminator(normalisation="none", width=8).train()
    assert together(Samples(values)).logits[:2].allclose(together(Samples(values[:2])).logits, atol=1e-6)
    assert not [layer for layer in leaves(together) if isinstance(layer, nn.BatchNorm2d)]
    assert all(layer.bias is not None for layer in leaves(together) if isinstance(layer, HIDDEN))


@pytest.mark.parametrize(
    ("shape", "problem", "remedy"),
    [
        ((2,), r"needs images .* shape \(2,\)", "choose a data set of images"),
        ((1, 28, 32), "needs square images, got 28×32", "crop or resize"),
        ((1, 4, 4), "cannot halve a side of 4", "resize the images: 8, 16"),
        ((1, 7, 7), "cannot halve a side of 7", "resize the images: 8, 16"),
        ((1, 36, 36), "cannot halve a side of 36 down to a map of 4 to 7", "resize the images: 8, 16"),
    ],
)
def test_other_data_is_refused_with_the_remedy(shape, problem, remedy):
    context = BuildContext(DataSpec(shape), NOISE)
    with pytest.raises(IncompatiblePartsError, match=f"^generator 'dcgan' {problem}") as raised:
        DcganGenerator(GeneratorParams(), context)
    with pytest.raises(IncompatiblePartsError, match=f"^discriminator 'dcgan' {problem}"):
        DcganDiscriminator(DiscriminatorParams(), context)
    assert remedy in raised.value.remedy


@pytest.mark.parametrize("table", [{"width": 0}, {"kernel": 3}, {"smallest": 1}, {"upsample": "bilinear"}, {"slope": 0.2}])
def test_senseless_params_are_refused(table):
    with pytest.raises(ValidationError):
        GeneratorParams.model_validate(table)
