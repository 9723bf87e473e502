import pytest
import torch
from pydantic import ValidationError

from ganforge.plugin import BuildContext, Codes, DataSpec, IncompatiblePartsError, Latent, LatentSpec, Samples
from ganforge_infogan.networks import InfoganDiscriminator, InfoganGenerator
from ganforge_infogan.params import DiscriminatorParams, GeneratorParams

POINTS = BuildContext(DataSpec((2,)), LatentSpec(4, categorical=(2, 3), continuous=2))
IMAGES = BuildContext(DataSpec((1, 4, 5), value_range=(0.0, 1.0)), LatentSpec(4, continuous=1))


def latent(count: int, spec: LatentSpec) -> Latent:
    columns = [torch.randint(values, (count, 1)) for values in spec.categorical]
    categorical = torch.cat(columns, dim=1) if columns else torch.empty(count, 0, dtype=torch.long)
    return Latent(torch.randn(count, spec.noise), codes=Codes(categorical, torch.rand(count, spec.continuous) * 2 - 1))


@pytest.mark.parametrize(("context", "width"), [(POINTS, 7), (IMAGES, 1)], ids=["points", "images"])
@pytest.mark.parametrize("count", [1, 7])
def test_shapes(context, width, count):
    values = InfoganGenerator(GeneratorParams(hidden=(8,)), context)(latent(count, context.latent))
    verdict = InfoganDiscriminator(DiscriminatorParams(hidden=(8, 6)), context)(Samples(values))

    assert values.shape == (count, *context.data.shape)
    assert verdict.logits.shape == (count,)
    assert verdict.heads["code"].shape == (count, width)
    assert verdict.features.shape == (count, 6)


def test_trunk_is_shared_and_heads_are_not():
    discriminator = InfoganDiscriminator(DiscriminatorParams(hidden=(8,), reader=(5,)), POINTS)
    verdict = discriminator(Samples(torch.randn(4, 2)))

    realness = torch.autograd.grad(verdict.logits.sum(), discriminator.trunk.parameters(), retain_graph=True)
    reading = torch.autograd.grad(verdict.heads["code"].sum(), discriminator.trunk.parameters(), retain_graph=True)
    assert all(gradient.any() for gradient in (*realness, *reading))

    with pytest.raises(RuntimeError, match="not have been used"):
        torch.autograd.grad(verdict.logits.sum(), discriminator.reader.parameters(), retain_graph=True)


def test_reader_has_hidden_layers_of_its_own_where_asked():
    reader = InfoganDiscriminator(DiscriminatorParams(hidden=(8,), reader=(5, 4), activation="relu"), POINTS).reader
    assert [type(layer).__name__ for layer in reader] == ["Linear", "ReLU", "Linear", "ReLU", "Linear"]


def test_generator_uses_noise_and_every_code():
    generator = InfoganGenerator(GeneratorParams(hidden=(8,)), POINTS)
    noise, categorical, continuous = torch.randn(1, 4), torch.tensor([[0, 0]]), torch.zeros(1, 2)
    start = generator(Latent(noise, codes=Codes(categorical, continuous)))

    assert not start.equal(generator(Latent(noise + 1, codes=Codes(categorical, continuous))))
    for column in range(2):
        shift = torch.eye(2, dtype=torch.long)[column]
        assert not start.equal(generator(Latent(noise, codes=Codes(categorical + shift, continuous))))
        assert not start.equal(generator(Latent(noise, codes=Codes(categorical, continuous + shift))))


@pytest.mark.parametrize(
    "build", [lambda c: InfoganGenerator(GeneratorParams(), c), lambda c: InfoganDiscriminator(DiscriminatorParams(), c)]
)
def test_a_latent_without_codes_is_refused_with_the_remedy(build):
    with pytest.raises(IncompatiblePartsError, match="needs codes") as raised:
        build(BuildContext(DataSpec((2,)), LatentSpec(4)))
    assert 'sampler.use = "structured"' in raised.value.remedy


def test_bounded_output_must_fit_the_datas_range():
    InfoganGenerator(GeneratorParams(output="sigmoid"), IMAGES)
    with pytest.raises(IncompatiblePartsError) as raised:
        InfoganGenerator(GeneratorParams(output="tanh"), IMAGES)
    assert raised.value.remedy == 'set generator.params.output = "sigmoid"'


@pytest.mark.parametrize("table", [{"hidden": [0]}, {"reader": [0]}, {"activation": "tanh"}, {"raeder": [3]}])
def test_senseless_params_are_refused(table):
    with pytest.raises(ValidationError):
        DiscriminatorParams.model_validate(table)
