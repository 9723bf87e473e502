from __future__ import annotations

import pytest
import torch
from sklearn.datasets import load_digits

from ganforge.builtin.datasets.dataset_specs import DIGIT_COUNTS, held_out_counts, split, training_shares


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_digits_are_scikit_learns_in_order_and_range(dataset) -> None:
    bundle = load_digits()
    built = dataset("digits")
    training = built.training()

    assert built.spec.shape == training.values.shape[1:] == (1, 8, 8)
    assert (training.values.min(), training.values.max()) == (-1, 1) == built.spec.value_range
    everything = {(label, *(image.flatten() / 8 - 1).tolist()) for image, label in zip(bundle.images, bundle.target, strict=True)}
    assert all(
        (label, *values.flatten().tolist()) in everything
        for values, label in zip(training.values, training.labels.tolist(), strict=True)
    )


def test_the_constant_class_counts_of_digits_are_true() -> None:
    assert torch.tensor(load_digits().target).bincount().tolist() == list(DIGIT_COUNTS)


@pytest.mark.parametrize("share", [0.2, 0.01, 0.9])
def test_the_spec_of_digits_tells_the_training_shares_exactly(share: float, dataset, components) -> None:
    built = dataset("digits", held_out=share)
    component = components["dataset", "digits"]
    assert built.spec == component.load_spec()(component.load_params()(held_out=share))
    labels = built.training().labels
    assert (labels.bincount().double() / len(labels)).tolist() == pytest.approx(built.spec.class_shares)


def test_held_out_digits_are_never_trained_on_and_do_not_depend_on_the_seed(dataset) -> None:
    one, other = dataset("digits", seed=1), dataset("digits", seed=2)
    held = one.held_out(359, stream())

    assert torch.equal(held.values, other.held_out(359, stream()).values)
    assert len(one.training()) + len(one.held) == 1797
    together = torch.cat([one.training().values, one.held.values]).flatten(1).tolist()
    assert sorted(together) == sorted((load_digits().data / 8 - 1).tolist())  # eighths are exact in float32


def test_held_out_draws_without_replacement_while_there_are_enough(dataset) -> None:
    built = dataset("digits")
    count = len(built.held)
    ids = {tuple(row) for row in built.held_out(count, stream()).values.flatten(1).tolist()}
    assert ids == {tuple(row) for row in built.held.values.flatten(1).tolist()}

    many = built.held_out(3 * count, stream())
    assert len(many) == len(many.labels) == 3 * count
    assert torch.equal(many.values, built.held_out(3 * count, stream()).values)
    assert not torch.equal(many.values, built.held_out(3 * count, stream(1)).values)


def test_labels_stay_with_their_values() -> None:
    values = torch.arange(100.0).unsqueeze(1)
    for part in split(values, torch.arange(100) % 3, 0.25):
        assert torch.equal(part.labels, part.values[:, 0].long() % 3)
        assert part.values[:, 0].diff().gt(0).all(), "in the file's order"


@pytest.mark.parametrize(
    ("counts", "share", "held"),
    [
        ([10, 20], 0.1, [1, 2]),
        ([3], 0.1, [1]),
        ([1, 1, 2], 0.1, [0, 0, 1]),
        ([2], 0.99, [1]),
        ([1, 3], 0.9, [1, 2]),
        ([0, 5], 0.2, [0, 1]),
    ],
)
def test_something_is_kept_back_and_something_left(counts: list[int], share: float, held: list[int]) -> None:
    assert held_out_counts(counts, share) == held
    assert sum(training_shares(counts, share)) == pytest.approx(1)
