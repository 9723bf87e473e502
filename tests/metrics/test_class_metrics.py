"""Class coverage, code matching and mutual information against scikit-learn, brute force, and known channels."""

from __future__ import annotations

import math
from itertools import permutations

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import confusion_matrix, log_loss
from sklearn.neighbors import KNeighborsClassifier
from torch.nn import functional as F

from ganforge.core.errors import IncompatiblePartsError
from ganforge.metrics import class_coverage, class_coverage_floor, hungarian_accuracy, mutual_information_bound, nearest_labels


@pytest.mark.parametrize("seed", range(5))
def test_accuracy_equals_the_confusion_matrix_matched(seed: int) -> None:
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 10, 300)
    codes = np.where(draw.random(300) < 0.6, draw.permutation(10)[labels], draw.integers(0, 10, 300))

    table = confusion_matrix(codes, labels, labels=range(10))
    rows, columns = linear_sum_assignment(-table)
    assert hungarian_accuracy(torch.tensor(codes), torch.tensor(labels)) == pytest.approx(table[rows, columns].sum() / 300)


def test_accuracy_is_the_best_of_all_renamings() -> None:
    draw = np.random.default_rng(1)
    codes, labels = draw.integers(0, 4, 60), draw.integers(0, 4, 60)
    best = max(np.mean(np.array(naming)[codes] == labels) for naming in permutations(range(4)))
    assert hungarian_accuracy(torch.tensor(codes), torch.tensor(labels)) == pytest.approx(best)


def test_renamed_codes_are_perfect_and_a_constant_code_is_as_good_as_the_largest_class() -> None:
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    assert hungarian_accuracy(torch.tensor([2, 2, 2, 0, 0, 1]), labels) == 1
    assert hungarian_accuracy(torch.zeros(6, dtype=torch.int64), labels) == 0.5


def test_a_greedy_matching_would_be_worse() -> None:
    """Code 0 is most often label 0, yet leaving that to code 1 is better: 4 + 3 = 7 of 12 beats 5 + 0."""
    table = torch.tensor([[5, 4], [3, 0]])
    codes = torch.tensor([0, 1]).repeat_interleave(table.sum(1))
    labels = torch.cat([torch.tensor([0, 1]).repeat_interleave(row) for row in table])
    assert hungarian_accuracy(codes, labels) == pytest.approx(7 / 12)


def test_left_over_codes_and_labels_count_as_wrong() -> None:
    labels = torch.tensor([0, 0, 0, 0, 1, 1])
    assert hungarian_accuracy(torch.tensor([0, 0, 1, 1, 2, 2]), labels) == pytest.approx(4 / 6)
    assert hungarian_accuracy(labels, torch.tensor([0, 0, 1, 1, 2, 2])) == pytest.approx(4 / 6)


@pytest.mark.parametrize(("codes", "labels"), [((3,), (4,)), ((0,), (0,)), ((3, 1), (3, 1))])
def test_what_cannot_be_matched_is_refused(codes: tuple, labels: tuple) -> None:
    with pytest.raises(IncompatiblePartsError, match="cannot match codes"):
        hungarian_accuracy(torch.zeros(codes, dtype=torch.int64), torch.zeros(labels, dtype=torch.int64))


@pytest.mark.parametrize("shape", [(2,), (1, 5, 5)])
def test_nearest_labels_equal_scikit_learns(shape: tuple[int, ...]) -> None:
    """2,500 queries are three chunks, the last one not full."""
    stream = torch.Generator().manual_seed(0)
    queries, reference = torch.randn(2500, *shape, generator=stream), torch.randn(400, *shape, generator=stream)
    labels = torch.randint(7, (400,), generator=stream)

    oracle = KNeighborsClassifier(1, algorithm="brute").fit(reference.flatten(1).double().numpy(), labels.numpy())
    found = nearest_labels(queries, reference, labels)
    assert found.dtype == torch.int64
    assert found.tolist() == oracle.predict(queries.flatten(1).double().numpy()).tolist()


def test_reference_samples_are_their_own_neighbours() -> None:
    reference = torch.randn(50, 2, generator=torch.Generator().manual_seed(0)) * 1e-3 + 500  # close together, far from the origin
    labels = torch.arange(50)
    distinct = len({tuple(row) for row in reference.tolist()}) == 50
    assert distinct
    assert torch.equal(nearest_labels(reference, reference, labels), labels)


@pytest.mark.parametrize(
    ("queries", "reference", "labels"),
    [((5, 2), (0, 2), (0,)), ((5, 2), (4, 3), (4,)), ((5, 2), (4, 2), (3,)), ((5, 2), (4, 2), (4, 1))],
)
def test_what_does_not_fit_is_refused(queries: tuple, reference: tuple, labels: tuple) -> None:
    with pytest.raises(IncompatiblePartsError, match="do not fit"):
        nearest_labels(torch.zeros(queries), torch.zeros(reference), torch.zeros(labels, dtype=torch.int64))


def test_classes_found_are_counted_and_compared_with_the_target() -> None:
    found = class_coverage(torch.tensor([0, 0, 0, 2]), [0.25] * 4)
    assert found.captured == 2
    assert found.reverse_kl == pytest.approx(0.75 * np.log(3) + 0.25 * np.log(1))
    assert class_coverage(torch.tensor([0, 1]), [0.5, 0.5]).reverse_kl == 0
    assert class_coverage(torch.tensor([0, 1]), [1.0, 0.0]).reverse_kl == np.inf
    with pytest.raises(IncompatiblePartsError, match="0 samples"):
        class_coverage(torch.zeros(0), [1.0])
    with pytest.raises(IncompatiblePartsError, match="2 samples cannot be compared with 3 shares"):
        class_coverage(torch.tensor([0, 3]), [1.0, 0.0, 0.0])


@pytest.mark.parametrize(("shares", "target"), [([0.25] * 4, [0.25] * 4), ([0.1, 0.2, 0.3, 0.4], [0.25] * 4)])
def test_the_floor_is_what_independent_samples_give_on_average(shares, target) -> None:
    stream = torch.Generator().manual_seed(0)
    drawn = torch.multinomial(torch.tensor(shares).expand(3000, 4), 40, replacement=True, generator=stream)
    found = torch.tensor([class_coverage(classes, target).reverse_kl for classes in drawn])
    floor = class_coverage_floor(shares, target, 40)
    assert floor.reverse_kl == pytest.approx(float(found.mean()), abs=4 * float(found.std()) / 3000**0.5)


def test_the_floor_of_stacked_mnist_is_the_known_one() -> None:
    floor = class_coverage_floor([1e-3] * 1000, [1e-3] * 1000, 26_000)
    assert floor.captured == 1000
    assert floor.reverse_kl == pytest.approx(999 / 52_000, rel=0.03)
    assert class_coverage_floor([1e-3] * 1000, [1e-3] * 1000, 1000).captured == 632


def test_classes_that_never_come_leave_the_floor_alone() -> None:
    floor, without = (class_coverage_floor(shares, shares, 1000) for shares in ([0.5, 0.5, 0.0], [0.5, 0.5]))
    assert floor == without
    assert floor.reverse_kl == pytest.approx(1 / 2000, rel=0.01)


@pytest.mark.parametrize("classes", [torch.tensor([0, -1]), torch.tensor([[0, 1]])])
def test_what_is_no_class_is_refused(classes) -> None:
    with pytest.raises(IncompatiblePartsError, match="cannot be compared with 2 shares"):
        class_coverage(classes, [0.5, 0.5])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_has_no_nearest_label_and_is_never_right(bad) -> None:
    queries, reference = torch.tensor([[bad, 0.0], [1.0, 1.0]]), torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    found = nearest_labels(queries, reference, torch.tensor([0, 1]))
    assert found.tolist() == [-1, 1]
    assert hungarian_accuracy(torch.tensor([0, 1]), found) == 0.5
    assert hungarian_accuracy(torch.tensor([0, 1]), torch.tensor([-1, -1])) == 0
    with pytest.raises(IncompatiblePartsError, match="samples that are finite"):
        nearest_labels(reference, queries, torch.tensor([0, 1]))


def test_it_is_the_entropy_less_scikit_learns_log_loss():
    stream = torch.Generator().manual_seed(0)
    logits, codes = torch.randn(500, 10, generator=stream), torch.randint(10, (500,), generator=stream)
    expected = math.log(10) - log_loss(codes.numpy(), logits.double().softmax(1).numpy(), labels=range(10))
    assert mutual_information_bound(logits, codes) == pytest.approx(expected, abs=1e-9)


def test_a_certain_reader_has_all_and_a_silent_one_nothing():
    codes = torch.arange(40) % 4
    assert mutual_information_bound(1000.0 * F.one_hot(codes, 4), codes) == pytest.approx(math.log(4))
    assert mutual_information_bound(torch.zeros(40, 4), codes) == pytest.approx(0)
    assert mutual_information_bound(100.0 * F.one_hot((codes + 1) % 4, 4), codes) < -90


def test_the_best_reader_of_a_noisy_channel_reaches_its_information():
    """A code of two values that comes through turned over in one case of ten: log 2 - H(0.1) nats."""
    codes = torch.arange(1000) % 2
    seen = torch.where(torch.arange(1000) % 20 < 2, 1 - codes, codes)
    best = torch.where(F.one_hot(seen, 2).bool(), math.log(0.9), math.log(0.1))
    entropy = -(0.9 * math.log(0.9) + 0.1 * math.log(0.1))
    assert mutual_information_bound(best, codes) == pytest.approx(math.log(2) - entropy)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", [0, 1, slice(None)])
def test_what_is_not_finite_gives_nan(bad, where):
    """Minus infinity beside the right code's logit would be a certain reader, and the best value that there is."""
    logits = torch.zeros(3, 2)
    logits[:, where] = bad
    assert math.isnan(mutual_information_bound(logits, torch.zeros(3)))


@pytest.mark.parametrize(("logits", "codes"), [((0, 3), (0,)), ((5, 3), (4,)), ((5,), (5,))])
def test_what_does_not_fit_is_refused_as_codes(logits, codes):
    with pytest.raises(IncompatiblePartsError, match="do not fit codes"):
        mutual_information_bound(torch.zeros(logits), torch.zeros(codes))
