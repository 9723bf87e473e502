import pytest
import torch
from pydantic import ValidationError
from torch import nn

from ganforge.plugin import BuildContext, DataSpec, IncompatiblePartsError, Latent, LatentSpec, Samples
from ganforge_cgan.convolutions import AcganDiscriminator, ConvDiscriminator, ConvGenerator, ProjectionDiscriminator
from ganforge_cgan.params import ConvDiscriminatorParams, ConvGeneratorParams

JUDGES = [ConvDiscriminator, ProjectionDiscriminator, AcganDiscriminator]
CONDITIONED = [ConvDiscriminator, ProjectionDiscriminator]
"""Discriminators conditioned on the class."""
DIGITS = BuildContext(DataSpec((1, 8, 8), classes=3, value_range=(-1.0, 1.0)), LatentSpec(4, classes=3))
COLOURED = BuildContext(DataSpec((3, 28, 28), classes=10, value_range=(0.0, 1.0)), LatentSpec(4, classes=10, categorical=(2,)))


def generator(context: BuildContext = DIGITS, **params: object):
    return ConvGenerator(ConvGeneratorParams.model_validate({"width": 4, **params}), context)


def judge(build, context: BuildContext = DIGITS, **params: object):
    return build(ConvDiscriminatorParams.model_validate({"width": 4, **params}), context)


def untaught(network: nn.Module) -> list[str]:
    return [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]


@pytest.mark.parametrize("build", JUDGES)
@pytest.mark.parametrize("side", [8, 28, 64])
def test_shapes(build, side):
    context = BuildContext(DataSpec((3, side, side), classes=5), LatentSpec(4, classes=5))
    labels = torch.arange(7) % 5
    values = generator(context)(Latent(torch.randn(7, 4), labels))
    verdict = judge(build, context)(Samples(values, labels))

    assert values.shape == (7, 3, side, side)
    assert verdict.logits.shape == (7,)
    assert verdict.features.shape[0] == 7
    assert {name: head.shape for name, head in verdict.heads.items()} == ({"class": (7, 5)} if build is AcganDiscriminator else {})


@pytest.mark.parametrize("build", JUDGES)
def test_every_parameter_is_taught(build):
    torch.manual_seed(0)
    labels = torch.arange(48) % 3
    made, network = generator(), judge(build)

    verdict = network(Samples(made(Latent(torch.randn(48, 4), labels)), labels))
    (verdict.logits.square().sum() + sum(head.square().sum() for head in verdict.heads.values())).backward()

    assert untaught(made) == []
    assert untaught(network) == []


def test_generator_takes_noise_codes_and_label_together():
    made = generator(COLOURED, embedding=6)
    assert made.layers[0].in_channels == 4 + 2 + 6
    assert isinstance(made.layers[-1], nn.Sigmoid)
    assert made.embedding.weight.std().item() == pytest.approx(1.0, abs=0.5)  # as much as the noise beside it, not 0.02


@pytest.mark.parametrize("build", CONDITIONED)
def test_the_label_changes_what_is_made_and_judged(build):
    made, network = generator().eval(), judge(build).eval()
    noise, values = torch.randn(1, 4), torch.randn(1, 1, 8, 8)

    assert len({tuple(made(Latent(noise, torch.tensor([label]))).flatten().tolist()) for label in range(3)}) == 3
    assert len({network(Samples(values, torch.tensor([label]))).logits.item() for label in range(3)}) == 3


def test_the_map_of_the_own_class_is_one_and_the_others_zero():
    network = judge(ConvDiscriminator)
    seen = []
    network.trunk.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))

    values = torch.randn(2, 1, 8, 8)
    network(Samples(values, torch.tensor([2, 0])))

    assert seen[0][:, :1].equal(values)
    assert seen[0][:, 1:, 0, 0].tolist() == [[0, 0, 1], [1, 0, 0]]
    assert not seen[0][:, 1:].flatten(2).std(dim=2).any()


def test_projection_is_the_papers_formula():
    network = judge(ProjectionDiscriminator, smallest=2).eval()
    values, labels = torch.randn(5, 1, 8, 8), torch.tensor([0, 2, 1, 1, 0])

    pooled = network.trunk(values).sum(dim=(2, 3))
    expected = [network.realness(phi) + network.embedding.weight[y] @ phi for phi, y in zip(pooled, labels, strict=True)]

    assert network(Samples(values, labels)).logits.allclose(torch.cat(expected), atol=1e-6)
    assert network.embedding.weight.abs().max() < 0.2  # starts from N(0, 0.02) like any output layer


def test_the_classifier_reads_the_class_from_the_image_alone():
    network = judge(AcganDiscriminator).eval()
    values = torch.randn(4, 1, 8, 8)
    messages, unconditioned = network(Samples(values, torch.tensor([0, 1, 2, 0]))), network(Samples(values))

    assert messages.logits.equal(unconditioned.logits)
    assert messages.heads["class"].equal(unconditioned.heads["class"])


@pytest.mark.parametrize("build", CONDITIONED)
@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_that_is_no_class_is_refused(build, label):
    labels = torch.tensor([0, label])
    with pytest.raises(IncompatiblePartsError, match="outside the 3 classes"):
        generator()(Latent(torch.randn(2, 4), labels))
    with pytest.raises(IncompatiblePartsError, match="outside the 3 classes") as raised:
        judge(build)(Samples(torch.randn(2, 1, 8, 8), labels))
    assert "use labels 0 to 2" in raised.value.remedy


@pytest.mark.parametrize("build", CONDITIONED)
def test_missing_labels_are_refused(build):
    with pytest.raises(IncompatiblePartsError, match="no labels"):
        generator()(Latent(torch.randn(2, 4)))
    with pytest.raises(IncompatiblePartsError, match="no labels"):
        judge(build)(Samples(torch.randn(2, 1, 8, 8)))


@pytest.mark.parametrize("build", JUDGES)
def test_unlabelled_data_and_points_are_refused_before_training(build):
    with pytest.raises(IncompatiblePartsError, match="sampler draws none"):
        generator(BuildContext(DataSpec((1, 8, 8)), LatentSpec(4)))
    with pytest.raises(IncompatiblePartsError, match="data set has none"):
        judge(build, BuildContext(DataSpec((1, 8, 8)), LatentSpec(4)))

    points = BuildContext(DataSpec((2,), classes=3), LatentSpec(4, classes=3))
    with pytest.raises(IncompatiblePartsError, match="generator 'cgan-conv' needs images"):
        generator(points)
    with pytest.raises(IncompatiblePartsError, match=r"discriminator '[a-z]+-conv' needs images"):
        judge(build, points)


@pytest.mark.parametrize("table", [{"embedding": 0}, {"hidden": [3]}])
def test_senseless_params_are_refused(table):
    with pytest.raises(ValidationError):
        ConvGeneratorParams.model_validate(table)
