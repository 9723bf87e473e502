import pytest
import torch
from pydantic import ValidationError
from torch import nn

from ganforge.plugin import BuildContext, DataSpec, IncompatiblePartsError, Latent, LatentSpec, Samples
from ganforge_cgan.networks import ConditionalDiscriminator, ConditionalGenerator, one_hot
from ganforge_cgan.params import DiscriminatorParams, GeneratorParams

POINTS = BuildContext(DataSpec((2,), classes=3), LatentSpec(4, classes=3))
IMAGES = BuildContext(DataSpec((1, 4, 5), classes=10, value_range=(-1.0, 1.0)), LatentSpec(4, classes=10))
UNLABELLED = BuildContext(DataSpec((2,)), LatentSpec(4))


def untaught(network: nn.Module) -> list[str]:
    return [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]


@pytest.mark.parametrize("context", [POINTS, IMAGES], ids=["points", "images"])
@pytest.mark.parametrize("count", [1, 7])
def test_shapes(context, count):
    labels = torch.randint(context.data.classes, (count,))
    values = ConditionalGenerator(GeneratorParams(hidden=(8,)), context)(Latent(torch.randn(count, 4), labels))
    verdict = ConditionalDiscriminator(DiscriminatorParams(hidden=(8, 6)), context)(Samples(values, labels))

    assert values.shape == (count, *context.data.shape)
    assert verdict.logits.shape == (count,)
    assert verdict.features.shape == (count, 6)


def test_every_parameter_is_taught():
    torch.manual_seed(0)
    labels = torch.arange(64) % 3
    generator = ConditionalGenerator(GeneratorParams(hidden=(8, 8)), POINTS)
    discriminator = ConditionalDiscriminator(DiscriminatorParams(hidden=(8, 8)), POINTS)

    discriminator(Samples(generator(Latent(torch.randn(64, 4), labels)), labels)).logits.square().sum().backward()

    assert untaught(generator) == []
    assert untaught(discriminator) == []


def test_the_label_changes_what_both_networks_say():
    generator = ConditionalGenerator(GeneratorParams(hidden=(8,)), POINTS)
    discriminator = ConditionalDiscriminator(DiscriminatorParams(hidden=(8,)), POINTS)
    noise, values = torch.randn(1, 4), torch.randn(1, 2)

    made = [generator(Latent(noise, torch.tensor([label]))) for label in range(3)]
    judged = [discriminator(Samples(values, torch.tensor([label]))).logits for label in range(3)]

    assert len({tuple(value.flatten().tolist()) for value in made}) == 3
    assert len({value.item() for value in judged}) == 3


def test_one_hot():
    assert one_hot(torch.tensor([2, 0]), 3).tolist() == [[0, 0, 1], [1, 0, 0]]


@pytest.mark.parametrize("label", [-1, 3])
def test_a_label_that_is_no_class_is_refused(label):
    with pytest.raises(IncompatiblePartsError, match="outside the 3 classes") as raised:
        one_hot(torch.tensor([0, label]), 3)
    assert "use labels 0 to 2" in raised.value.remedy


def test_missing_labels_are_refused():
    generator = ConditionalGenerator(GeneratorParams(hidden=(8,)), POINTS)
    discriminator = ConditionalDiscriminator(DiscriminatorParams(hidden=(8,)), POINTS)

    with pytest.raises(IncompatiblePartsError, match="no labels"):
        generator(Latent(torch.randn(2, 4)))
    with pytest.raises(IncompatiblePartsError, match="no labels"):
        discriminator(Samples(torch.randn(2, 2)))


def test_unlabelled_data_is_refused_before_training_with_the_remedy():
    with pytest.raises(IncompatiblePartsError, match="sampler draws none") as generator:
        ConditionalGenerator(GeneratorParams(), UNLABELLED)
    with pytest.raises(IncompatiblePartsError, match="data set has none"):
        ConditionalDiscriminator(DiscriminatorParams(), UNLABELLED)
    assert generator.value.remedy == 'set sampler.use = "labelled"'


@pytest.mark.parametrize("low", [0.0, -1.0])
def test_bounded_output_must_fit_the_datas_range(low):
    fitting, other = ("sigmoid", "tanh") if low == 0.0 else ("tanh", "sigmoid")
    context = BuildContext(DataSpec((3,), classes=2, value_range=(low, 1.0)), LatentSpec(2, classes=2))

    values = ConditionalGenerator(GeneratorParams(output=fitting), context)(
        Latent(torch.randn(9, 2) * 1000, torch.zeros(9, dtype=torch.long))
    )
    assert values.min() >= low
    assert values.max() <= 1.0

    with pytest.raises(IncompatiblePartsError) as raised:
        ConditionalGenerator(GeneratorParams(output=other), context)
    assert raised.value.remedy == f'set generator.params.output = "{fitting}"'


def test_dropout_and_activation_follow_the_params():
    trunk = ConditionalGenerator(GeneratorParams(hidden=(8, 6), activation="relu", dropout=0.5), POINTS).trunk
    assert [type(layer).__name__ for layer in trunk] == ["Linear", "ReLU", "Dropout"] * 2


@pytest.mark.parametrize("table", [{"hidden": [0]}, {"dropout": 1.0}, {"activation": "tanh"}, {"widht": 3}])
def test_senseless_params_are_refused(table):
    with pytest.raises(ValidationError):
        GeneratorParams.model_validate(table)
