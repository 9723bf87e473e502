import pytest
import torch
from pydantic import ValidationError
from torch import nn

from ganforge.plugin import BuildContext, Codes, DataDependentInit, DataSpec, IncompatiblePartsError, Latent, LatentSpec, Samples
from ganforge_vanilla.networks import Maxout, MaxoutDiscriminator, MlpDiscriminator, build_generator
from ganforge_vanilla.params import MaxoutParams, MlpDiscriminatorParams, MlpGeneratorParams

POINTS = BuildContext(DataSpec((2,)), LatentSpec(4, categorical=(3,), continuous=1))
IMAGES = BuildContext(DataSpec((1, 4, 5), value_range=(-1.0, 1.0)), LatentSpec(4))


def latent(count: int, spec: LatentSpec) -> Latent:
    codes = Codes(torch.randint(3, (count, len(spec.categorical))), torch.rand(count, spec.continuous)) if spec.has_codes else None
    return Latent(torch.randn(count, spec.noise), codes=codes)


def untaught(network: nn.Module) -> list[str]:
    return [name for name, weight in network.named_parameters() if weight.grad is None or not weight.grad.any()]


@pytest.mark.parametrize("context", [POINTS, IMAGES], ids=["points", "images"])
@pytest.mark.parametrize("count", [1, 7])
def test_generator_makes_samples_of_the_datas_shape(context, count):
    generator = build_generator(MlpGeneratorParams(hidden=(8,)), context)
    assert generator(latent(count, context.latent)).shape == (count, *context.data.shape)


@pytest.mark.parametrize("name", ["relu", "leaky-relu", "tanh", "elu", "silu", "softplus"])
def test_every_parameter_of_the_generator_is_taught(name):
    torch.manual_seed(0)
    generator = build_generator(MlpGeneratorParams(hidden=(8, 8), activation=name, batch_norm=True), POINTS)
    generator(latent(32, POINTS.latent)).square().sum().backward()
    assert untaught(generator) == []


def test_generator_uses_noise_and_every_code():
    generator = build_generator(MlpGeneratorParams(hidden=(8,)), POINTS)
    noise, categorical, continuous = torch.randn(1, 4), torch.tensor([[0]]), torch.zeros(1, 1)
    start = generator(Latent(noise, codes=Codes(categorical, continuous)))

    assert not start.equal(generator(Latent(noise + 1, codes=Codes(categorical, continuous))))
    assert not start.equal(generator(Latent(noise, codes=Codes(categorical + 1, continuous))))
    assert not start.equal(generator(Latent(noise, codes=Codes(categorical, continuous + 1))))


@pytest.mark.parametrize(("output", "low", "high"), [("tanh", -1.0, 1.0), ("sigmoid", 0.0, 1.0)])
def test_bounded_output_stays_in_the_datas_range(output, low, high):
    context = BuildContext(DataSpec((3,), value_range=(low, high)), LatentSpec(2))
    generator = build_generator(MlpGeneratorParams(hidden=(8,), output=output), context)
    values = generator(Latent(torch.randn(64, 2) * 1000))

    assert values.min() >= low
    assert values.max() <= high
    assert values.max() - values.min() > (high - low) / 2


def test_output_that_misses_the_datas_range_is_refused_with_the_key_to_change():
    with pytest.raises(IncompatiblePartsError, match=r"ends in sigmoid, but the data lie in \[-1, 1\]") as raised:
        build_generator(MlpGeneratorParams(output="sigmoid"), IMAGES)
    assert raised.value.remedy == 'set generator.params.output = "tanh"'


def test_hidden_layers_follow_the_params():
    params = MlpDiscriminatorParams(hidden=(8, 6), activation="leaky-relu", slope=0.3, batch_norm=True, dropout=0.25)
    trunk = MlpDiscriminator(params, POINTS).trunk

    assert [type(layer).__name__ for layer in trunk] == ["Linear", "BatchNorm1d", "LeakyReLU", "Dropout"] * 2
    assert [layer.out_features for layer in trunk if isinstance(layer, nn.Linear)] == [8, 6]
    assert {layer.negative_slope for layer in trunk if isinstance(layer, nn.LeakyReLU)} == {0.3}
    assert {layer.p for layer in trunk if isinstance(layer, nn.Dropout)} == {0.25}


def test_no_hidden_layer_makes_a_linear_discriminator():
    discriminator = MlpDiscriminator(MlpDiscriminatorParams(hidden=()), POINTS)
    values = torch.randn(5, 2)
    assert discriminator(Samples(values)).logits.equal(discriminator.realness(values).squeeze(1))


@pytest.mark.parametrize("context", [POINTS, IMAGES], ids=["points", "images"])
def test_discriminators_give_one_logit_a_sample_and_their_last_hidden_layer(context):
    values = torch.randn(7, *context.data.shape)

    mlp = MlpDiscriminator(MlpDiscriminatorParams(hidden=(8, 6)), context)(Samples(values))
    maxout = MaxoutDiscriminator(MaxoutParams(units=(5, 4), pieces=3), context)(Samples(values))

    assert (mlp.logits.shape, mlp.features.shape) == ((7,), (7, 6))
    assert (maxout.logits.shape, maxout.features.shape) == ((7,), (7, 4))


@pytest.mark.parametrize(
    "discriminator",
    [
        MlpDiscriminator(MlpDiscriminatorParams(hidden=(8, 8)), POINTS),
        MaxoutDiscriminator(MaxoutParams(units=(4, 4), pieces=2, initial_range=0.5), POINTS),
    ],
    ids=["mlp", "maxout"],
)
def test_every_parameter_of_the_discriminators_is_taught_and_so_are_the_samples(discriminator):
    values = torch.randn(64, 2, requires_grad=True)
    discriminator(Samples(values)).logits.square().sum().backward()
    assert untaught(discriminator) == []
    assert values.grad.any()


def test_maxout_is_the_greatest_of_its_pieces():
    layer = Maxout(3, 4, pieces=5)
    values = torch.randn(6, 3)

    weight, bias = layer.linear.weight.reshape(4, 5, 3), layer.linear.bias.reshape(4, 5)
    pieces = torch.einsum("upi,ni->nup", weight, values) + bias

    assert layer(values).allclose(pieces.max(dim=2).values, atol=1e-6)
    assert repr(layer).startswith("Maxout(\n  units=4, pieces=5")


def test_maxout_is_convex_in_its_input():
    layer = Maxout(3, 4, pieces=5)
    left, right = torch.randn(50, 3), torch.randn(50, 3)
    assert (layer((left + right) / 2) <= (layer(left) + layer(right)) / 2 + 1e-6).all()


def test_maxout_dropout_acts_in_training_only_and_keeps_the_mean():
    torch.manual_seed(0)
    discriminator = MaxoutDiscriminator(MaxoutParams(units=(4,), pieces=1), IMAGES)
    samples = Samples(torch.ones(20_000, 1, 4, 5))

    trained = discriminator.train()(samples).logits
    judged = discriminator.eval()(samples).logits

    assert trained.std() > 0
    assert judged.std() == 0
    # one piece makes the network linear, so that scaled-up dropout leaves the expected logit alone
    assert abs(trained.mean() - judged.mean()) < 5 * trained.std() / 20_000**0.5


def test_initial_range_bounds_the_weights_and_clears_the_biases():
    discriminator = MaxoutDiscriminator(MaxoutParams(units=(50,), initial_range=0.005), IMAGES)
    for layer in (module for module in discriminator.modules() if isinstance(module, nn.Linear)):
        assert 0.004 < layer.weight.abs().max() <= 0.005
        assert not layer.bias.any()


@pytest.mark.parametrize(
    "table", [{"hidden": [0]}, {"dropout": 1.0}, {"activation": "relu6"}, {"slope": -0.1}, {"initial_range": 0}, {"widht": 3}]
)
def test_senseless_params_are_refused(table):
    with pytest.raises(ValidationError):
        MlpGeneratorParams.model_validate(table)


def test_maxout_without_layers_is_refused():
    with pytest.raises(ValidationError, match="units"):
        MaxoutParams(units=())


@pytest.mark.parametrize(("output", "low", "high"), [("linear", -3.0, 5.0), ("tanh", -1.0, 1.0), ("sigmoid", 0.0, 1.0)])
def test_a_generator_that_starts_at_the_mean_gives_it_where_the_last_layer_sees_zeros(output, low, high):
    context = BuildContext(DataSpec((2, 3), value_range=None if output == "linear" else (low, high)), LatentSpec(2))
    real = torch.rand(50, 2, 3) * (high - low) + low
    real[:, 0, 0] = low  # a pixel that is always black

    generator = build_generator(MlpGeneratorParams(hidden=(4,), output=output, start_at_mean=True), context)
    with torch.no_grad():
        generator.init_from_data(Samples(real))
        generator.last.weight.zero_()

    made = generator(Latent(torch.randn(1, 2)))[0]
    assert torch.allclose(made, real.mean(0), atol=1e-5)
    assert torch.isfinite(generator.last.bias).all()


@pytest.mark.parametrize("asked", [False, True])
def test_a_generator_is_shown_the_data_only_where_it_is_asked_to(asked):
    generator = build_generator(MlpGeneratorParams(hidden=(4,), start_at_mean=asked), POINTS)
    assert isinstance(generator, DataDependentInit) is asked
