"""The records of one iteration."""

from dataclasses import FrozenInstanceError

import pytest
import torch

from ganforge.core.errors import IncompatiblePartsError
from ganforge.core.records import Codes, DiscriminatorOutput, Latent, LossTerms, Samples


def scalar(value):
    return torch.tensor(float(value), requires_grad=True)


def test_terms_add_up_with_their_weights():
    terms = LossTerms({"real": scalar(1), "fake": scalar(2)}, {"fake": 3.0})
    assert terms.total.item() == 7.0
    assert list(terms) == ["real", "fake"]


def test_weighting_changes_the_total_and_leaves_the_logged_values():
    terms = LossTerms({"real": scalar(1), "fake": scalar(2)}, {"fake": 3.0}).weighted(0.5)
    assert terms.total.item() == 3.5
    assert [value.item() for value in terms.values.values()] == [1.0, 2.0]
    assert terms.weighted(2.0).total.item() == 7.0


def test_a_weight_of_zero_counts_nothing():
    assert LossTerms({"real": scalar(4)}).weighted(0.0).total.item() == 0.0


def test_joined_terms_keep_their_own_weights():
    joined = LossTerms({"a": scalar(1)}).weighted(2.0) + LossTerms({"b": scalar(10)}).weighted(0.5)
    assert joined.total.item() == 7.0
    assert (joined + LossTerms({})).total.item() == 7.0


def test_gradients_flow_through_the_weighted_total():
    a, b = scalar(1), scalar(1)
    (LossTerms({"a": a}).weighted(3.0) + LossTerms({"b": b})).total.backward()
    assert (a.grad.item(), b.grad.item()) == (3.0, 1.0)


def test_two_terms_of_one_name_are_refused():
    with pytest.raises(IncompatiblePartsError, match="two losses have a term named 'real'"):
        LossTerms({"real": scalar(1)}) + LossTerms({"real": scalar(1)})


def test_a_turn_without_terms_has_no_total():
    with pytest.raises(IncompatiblePartsError, match="no loss has a term") as caught:
        _ = LossTerms({}).total
    assert caught.value.exit_code == 2
    assert "[[loss]]" in caught.value.remedy


def test_lengths_are_those_of_the_batch():
    assert len(Latent(torch.zeros(5, 2))) == 5
    assert len(Samples(torch.zeros(3, 1, 8, 8))) == 3


@pytest.fixture
def samples():
    """Six generated samples with labels and codes."""
    codes = Codes(torch.arange(6)[:, None], torch.linspace(0, 1, 12).reshape(6, 2))
    latent = Latent(torch.randn(6, 3), torch.arange(6) % 2, codes)
    return Samples(torch.randn(6, 1, 2, 2), latent.labels, latent)


def tensors(samples):
    latent = samples.latent
    return [samples.values, samples.labels, latent.noise, latent.labels, latent.codes.categorical, latent.codes.continuous]


@pytest.mark.parametrize("rows", [slice(1, 4), torch.tensor([5, 0, 0]), torch.tensor([True, False, True, False, False, True])])
def test_rows_are_selected_in_every_field(samples, rows):
    for selected, tensor in zip(tensors(samples[rows]), tensors(samples), strict=True):
        assert selected.equal(tensor[rows])


def test_concatenating_puts_the_rows_of_every_field_together(samples):
    joined = Samples.concatenate([samples[:2], samples[2:]])
    assert all(one.equal(other) for one, other in zip(tensors(joined), tensors(samples), strict=True))


def test_records_with_and_without_labels_cannot_be_concatenated(samples):
    with pytest.raises(ValueError, match="latent is None in 1 of 2 records"):
        Samples.concatenate([samples, Samples(samples.values, samples.labels)])


def test_unused_fields_stay_none():
    part = Samples(torch.zeros(3, 2))[torch.tensor([0])]
    assert (len(part), part.labels, part.latent) == (1, None, None)
    assert Latent.concatenate([Latent(torch.zeros(1, 2))] * 2).codes is None


def test_moving_takes_every_field(samples):
    assert {tensor.device.type for tensor in tensors(samples.to("meta"))} == {"meta"}


def test_what_a_kind_of_gan_does_not_use_stays_none():
    latent, samples, verdict = Latent(torch.zeros(1, 2)), Samples(torch.zeros(1, 2)), DiscriminatorOutput(torch.zeros(1))
    assert (latent.labels, latent.codes, samples.labels, samples.latent, verdict.features) == (None,) * 5
    assert verdict.heads == {}


@pytest.mark.parametrize(
    "record",
    [
        Latent(torch.zeros(1, 1)),
        Samples(torch.zeros(1, 1)),
        DiscriminatorOutput(torch.zeros(1)),
        LossTerms({}),
        Codes(torch.zeros(1, 0), torch.zeros(1, 0)),
    ],
    ids=lambda record: type(record).__name__,
)
def test_records_are_frozen(record):
    name = next(iter(record.__dataclass_fields__))
    with pytest.raises(FrozenInstanceError):
        setattr(record, name, None)


def test_discriminator_outputs_share_no_heads():
    assert DiscriminatorOutput(torch.zeros(1)).heads is not DiscriminatorOutput(torch.zeros(1)).heads
