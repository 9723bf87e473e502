import math

import pytest
import torch
from torch.distributions import Categorical, Normal
from torch.nn import functional as F

from ganforge.plugin import (
    BuildContext,
    Codes,
    DataSpec,
    DiscriminatorOutput,
    IncompatiblePartsError,
    Latent,
    LatentSpec,
    Loss,
    Samples,
    Turn,
)
from ganforge_infogan.losses import MutualInformation
from ganforge_infogan.networks import InfoganDiscriminator, InfoganGenerator
from ganforge_infogan.params import DiscriminatorParams, GeneratorParams, MutualInformationParams

BOTH = LatentSpec(4, categorical=(2, 3), continuous=2)
COUNT = 6


def loss(latent: LatentSpec = BOTH, **params: float):
    return MutualInformation(MutualInformationParams(**params), BuildContext(DataSpec((2,)), latent))


def codes(count: int = COUNT) -> Codes:
    return Codes(torch.stack([torch.randint(2, (count,)), torch.randint(3, (count,))], dim=1), torch.rand(count, 2) * 2 - 1)


def fakes(drawn: Codes) -> Samples:
    count = len(drawn.categorical)
    return Samples(torch.randn(count, 2), latent=Latent(torch.randn(count, 4), codes=drawn))


def critic(head: torch.Tensor):
    return lambda samples: DiscriminatorOutput(torch.zeros(len(samples)), heads={"code": head})


@pytest.mark.parametrize("turn", ["discriminator", "generator"])
@pytest.mark.parametrize("std", [1.0, 0.3])
def test_both_turns_give_the_negative_log_likelihood_of_the_codes(turn, std):
    drawn, head = codes(), torch.randn(COUNT, 7)

    terms = getattr(loss(continuous_std=std), turn)(Turn(critic(head), fakes(drawn), fakes(drawn)))

    categorical = sum(
        -Categorical(logits=head[:, part]).log_prob(drawn.categorical[:, column]).mean()
        for column, part in enumerate([slice(0, 2), slice(2, 5)])
    )
    continuous = -Normal(head[:, 5:], std).log_prob(drawn.continuous).sum(dim=1).mean()
    assert list(terms) == ["categorical", "continuous"]
    assert terms.values["categorical"].allclose(categorical)
    assert terms.values["continuous"].allclose(continuous)
    assert terms.total.allclose(categorical + continuous)


def test_an_ignorant_reader_pays_the_codes_entropy():
    terms = loss().generator(Turn(critic(torch.zeros(COUNT, 7)), fakes(codes()), fakes(codes())))
    assert terms.values["categorical"].item() == pytest.approx(math.log(2) + math.log(3))


def test_a_certain_reader_reaches_the_equilibrium_that_is_drawn():
    drawn = codes()
    hot = [F.one_hot(drawn.categorical[:, column], count) * 100.0 for column, count in enumerate(BOTH.categorical)]
    made = loss(continuous_std=0.5)

    terms = made.discriminator(Turn(critic(torch.cat([*hot, drawn.continuous], dim=1)), fakes(drawn), fakes(drawn)))

    for name, value in terms.values.items():
        assert value.item() == pytest.approx(made.term_info[f"discriminator/{name}"].equilibrium, abs=1e-6)


@pytest.mark.parametrize(
    ("latent", "names"), [(LatentSpec(4, categorical=(2,)), ["categorical"]), (LatentSpec(4, continuous=1), ["continuous"])]
)
def test_terms_and_readings_exist_only_for_codes_that_exist(latent, names):
    made = loss(latent)
    drawn = Codes(torch.zeros(COUNT, len(latent.categorical), dtype=torch.long), torch.zeros(COUNT, latent.continuous))
    head = torch.randn(COUNT, sum(latent.categorical) + latent.continuous)

    terms = made.generator(Turn(critic(head), fakes(drawn), fakes(drawn)))

    assert list(terms) == names
    assert sorted(made.term_info) == sorted(f"{turn}/{name}" for turn in ("discriminator", "generator") for name in names)
    assert all(reading.label.endswith("in nats") for reading in made.term_info.values())


def test_continuous_weight_counts_in_the_total_and_leaves_the_value():
    drawn, head = codes(), torch.randn(COUNT, 7)
    whole = loss().generator(Turn(critic(head), fakes(drawn), fakes(drawn)))
    tenth = loss(continuous_weight=0.1).generator(Turn(critic(head), fakes(drawn), fakes(drawn)))

    assert tenth.values["continuous"].equal(whole.values["continuous"])
    assert tenth.total.allclose(whole.values["categorical"] + 0.1 * whole.values["continuous"])


def test_it_is_a_loss_of_first_order():
    assert isinstance(loss(), Loss)
    assert loss().second_order is False


def test_every_parameter_of_the_reader_is_taught_in_the_discriminators_turn_and_all_of_the_generator_in_its_own():
    torch.manual_seed(0)
    context = BuildContext(DataSpec((2,)), BOTH)
    generator = InfoganGenerator(GeneratorParams(hidden=(8, 8)), context)
    discriminator = InfoganDiscriminator(DiscriminatorParams(hidden=(8, 8), reader=(8,)), context)
    drawn = codes(64)
    latent = Latent(torch.randn(64, 4), codes=drawn)

    still = Samples(generator(latent).detach(), latent=latent)
    loss().discriminator(Turn(discriminator, still, still)).total.backward()
    silent = [name for name, weight in discriminator.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert silent == ["realness.weight", "realness.bias"]

    moving = Samples(generator(latent), latent=latent)
    loss().generator(Turn(discriminator, still, moving)).total.backward()
    assert [name for name, weight in generator.named_parameters() if weight.grad is None or not weight.grad.any()] == []


def test_samples_without_codes_are_refused():
    with pytest.raises(IncompatiblePartsError, match="needs samples with codes, got none"):
        loss().generator(Turn(critic(torch.zeros(2, 7)), Samples(torch.zeros(2, 2)), Samples(torch.zeros(2, 2))))


def test_a_discriminator_without_reader_is_refused_with_the_key_to_change():
    with pytest.raises(IncompatiblePartsError, match="head 'code'") as raised:
        loss().generator(Turn(lambda samples: DiscriminatorOutput(torch.zeros(len(samples))), fakes(codes()), fakes(codes())))
    assert raised.value.remedy == 'set discriminator.use = "infogan-mlp"'


def test_a_reader_of_another_width_is_refused_with_both_shapes():
    with pytest.raises(IncompatiblePartsError, match=r"\(6, 5\), but codes need \(6, 7\)"):
        loss().generator(Turn(critic(torch.zeros(COUNT, 5)), fakes(codes()), fakes(codes())))


def test_a_sampler_without_codes_is_refused_before_training():
    with pytest.raises(IncompatiblePartsError, match="sampler draws none"):
        loss(LatentSpec(4))
