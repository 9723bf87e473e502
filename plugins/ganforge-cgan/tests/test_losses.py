import pytest
import torch
from torch.distributions import Categorical

from ganforge.plugin import (
    BuildContext,
    DataSpec,
    DiscriminatorOutput,
    IncompatiblePartsError,
    LatentSpec,
    Loss,
    NoParams,
    Samples,
    Turn,
)
from ganforge_cgan.losses import AuxiliaryClassifier

CONTEXT = BuildContext(DataSpec((2,), classes=3), LatentSpec(4, classes=3))
COUNT = 6


def loss(context: BuildContext = CONTEXT):
    return AuxiliaryClassifier(NoParams(), context)


def samples(labels: list[int] | None = None) -> Samples:
    drawn = torch.randint(3, (COUNT,)) if labels is None else torch.tensor(labels)
    return Samples(torch.randn(COUNT, 2), drawn)


def critic(heads: dict[int, torch.Tensor]):
    """Answers each samples object with its own class logits."""
    return lambda asked: DiscriminatorOutput(torch.zeros(len(asked)), heads={"class": heads[id(asked)]})


def test_terms_are_the_negative_log_likelihood_of_the_labels():
    real, fake = samples(), samples()
    heads = {id(real): torch.randn(COUNT, 3), id(fake): torch.randn(COUNT, 3)}
    unlikely = {name: -Categorical(logits=heads[id(one)]).log_prob(one.labels).mean() for name, one in (("r", real), ("f", fake))}

    taught = loss().discriminator(Turn(critic(heads), real, fake))
    made = loss().generator(Turn(critic(heads), real, fake))

    assert list(taught) == ["class-real", "class-fake"]
    assert taught.values["class-real"].allclose(unlikely["r"])
    assert taught.values["class-fake"].allclose(unlikely["f"])
    assert list(made) == ["class"]
    assert made.total.allclose(unlikely["f"])


def test_an_ignorant_classifier_pays_log_k_and_a_certain_one_nothing():
    real = fake = samples()
    ignorant = loss().generator(Turn(critic({id(fake): torch.zeros(COUNT, 3)}), real, fake))
    certain = loss().generator(Turn(critic({id(fake): torch.eye(3)[fake.labels] * 100}), real, fake))

    assert ignorant.total.item() == pytest.approx(torch.tensor(3.0).log().item())
    assert certain.total.item() == pytest.approx(0.0, abs=1e-6)


def test_it_is_a_loss_of_first_order_that_promises_no_equilibrium():
    assert isinstance(loss(), Loss)
    assert loss().second_order is False
    assert {reading.equilibrium for reading in loss().term_info.values()} == {None}


def test_a_discriminator_without_classifier_is_refused_with_the_key_to_change():
    with pytest.raises(IncompatiblePartsError, match="head 'class'") as raised:
        loss().generator(Turn(lambda asked: DiscriminatorOutput(torch.zeros(len(asked))), samples(), samples()))
    assert raised.value.remedy == 'set discriminator.use = "acgan-conv"'


def test_a_classifier_of_other_classes_is_refused_with_both_shapes():
    fake = samples()
    with pytest.raises(IncompatiblePartsError, match=r"\(6, 5\), but the data need \(6, 3\)"):
        loss().generator(Turn(critic({id(fake): torch.zeros(COUNT, 5)}), fake, fake))


def test_samples_without_labels_are_refused():
    fake = Samples(torch.randn(COUNT, 2))
    with pytest.raises(IncompatiblePartsError, match="needs samples with labels, got none"):
        loss().generator(Turn(critic({id(fake): torch.zeros(COUNT, 3)}), fake, fake))


def test_unlabelled_data_and_samplers_are_refused_before_training():
    with pytest.raises(IncompatiblePartsError, match="data set has none"):
        loss(BuildContext(DataSpec((2,)), LatentSpec(4, classes=3)))
    with pytest.raises(IncompatiblePartsError, match="sampler draws none"):
        loss(BuildContext(DataSpec((2,), classes=3), LatentSpec(4)))
