"""Neighbour-based metrics against scipy, scikit-learn and the authors' own code."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from prdc import compute_prdc
from scipy.spatial.distance import cdist
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors
from torch import Tensor

from ganforge.core.errors import IncompatiblePartsError
from ganforge.metrics import (
    expected_coverage,
    nearest_neighbours,
    neighbours,
    one_nearest_neighbour,
    pairwise_distances,
    precision_recall,
)
from ganforge.metrics.neighbours import OneNearestNeighbour


@pytest.mark.parametrize("numbers", [neighbours._CHUNK, 4096, 50])
def test_they_are_scipys_however_small_the_parts(numbers, monkeypatch):
    monkeypatch.setattr(neighbours, "_CHUNK", numbers)
    draw = torch.Generator().manual_seed(0)
    queries, reference = torch.randn(70, 1, 6, 6, generator=draw), torch.randn(333, 1, 6, 6, generator=draw)

    found = nearest_neighbours(queries, reference)

    distances = cdist(queries.flatten(1).double(), reference.flatten(1).double())
    np.testing.assert_array_equal(found.indices, distances.argmin(1))
    np.testing.assert_allclose(found.distances, distances.min(1), rtol=1e-13)


def test_bytes_are_numbers_and_stay_bytes_until_they_are_needed():
    draw = torch.Generator().manual_seed(1)
    reference = torch.randint(0, 256, (200, 3, 4, 4), generator=draw, dtype=torch.uint8)
    queries = 255 * torch.rand(20, 3, 4, 4, generator=draw)

    found = nearest_neighbours(queries, reference)

    expected = NearestNeighbors(n_neighbors=1).fit(reference.flatten(1).double()).kneighbors(queries.flatten(1).double())
    np.testing.assert_array_equal(found.indices, expected[1][:, 0])
    np.testing.assert_allclose(found.distances, expected[0][:, 0])


def test_a_copy_is_at_distance_zero_even_far_from_the_origin():
    """The matrix-product form alone gives 1e-4 or NaN here."""
    reference = 1e4 + torch.randn(50, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2))

    found = nearest_neighbours(reference[[7, 31]], reference)

    assert found.indices.tolist() == [7, 31]
    assert found.distances.tolist() == [0.0, 0.0]


def test_a_query_that_is_not_finite_has_no_distance_and_spoils_no_other():
    queries = torch.tensor([[0.9], [float("nan")], [float("inf")]])

    found = nearest_neighbours(queries, torch.tensor([[0.0], [1.0]]))

    assert found.indices[0] == 1
    assert found.distances[0] == pytest.approx(0.1)
    assert not found.distances[1:].isfinite().any()
    assert set(found.indices.tolist()) <= {0, 1}


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 1e200])
def test_a_reference_that_is_not_finite_hides_no_other(bad):
    reference = torch.tensor([[5, 5], [1, 1], [bad, 0], [2, 2]], dtype=torch.float64)

    found = nearest_neighbours(torch.tensor([[1, 1], [2, 3], [4, 4]], dtype=torch.float64), reference)

    assert found.indices.tolist() == [1, 3, 0]
    assert found.distances.tolist() == pytest.approx([0, 1, 2**0.5])


def test_where_no_reference_is_finite_there_is_no_distance():
    assert nearest_neighbours(torch.ones(1, 2), torch.full((3, 2), float("nan"))).distances.isnan().all()


def test_no_queries_have_no_neighbours():
    found = nearest_neighbours(torch.zeros(0, 3), torch.zeros(5, 3))

    assert (len(found.indices), len(found.distances)) == (0, 0)


def test_what_does_not_fit_is_refused():
    with pytest.raises(IncompatiblePartsError, match=r"no neighbours of \(2, 3\) among \(5, 4\)"):
        nearest_neighbours(torch.zeros(2, 3), torch.zeros(5, 4))
    with pytest.raises(IncompatiblePartsError, match="among"):
        nearest_neighbours(torch.zeros(2, 3), torch.zeros(0, 3))


def points(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("chunk", [pairwise_distances._CHUNK, 500])
@pytest.mark.parametrize(("n", "m", "shape"), [(60, 60, (2,)), (70, 40, (1, 7, 7))])
def test_leaving_one_out_is_scikit_learns(n, m, shape, chunk, monkeypatch):
    monkeypatch.setattr(pairwise_distances, "_CHUNK", chunk)
    real, fake = points(0, n, *shape), points(1, m, *shape) + 0.3

    found = one_nearest_neighbour(real, fake)

    everything, kinds = torch.cat([real, fake]).flatten(1).double().numpy(), np.repeat([0, 1], [n, m])
    text = cross_val_predict(KNeighborsClassifier(1, algorithm="brute"), everything, kinds, cv=LeaveOneOut())
    right = text == kinds
    assert found == OneNearestNeighbour(
        pytest.approx(right.mean()), pytest.approx(right[:n].mean()), pytest.approx(right[n:].mean())
    )


def test_a_perfect_sampler_is_at_a_half_in_the_mean():
    runs = [one_nearest_neighbour(points(seed, 200, 2), points(500 + seed, 200, 2)).accuracy for seed in range(40)]
    assert np.mean(runs) == pytest.approx(0.5, abs=0.02)


def test_sets_apart_are_reported_and_copies_are_not():
    real = points(0, 50, 60)
    assert one_nearest_neighbour(real, real + 100) == OneNearestNeighbour(1, 1, 1)
    assert one_nearest_neighbour(real, real) == OneNearestNeighbour(0, 0, 0)


def test_as_near_to_either_kind_counts_half():
    """The generator makes two copies of real 0: each copy is as near to the other as to real 0, and real 1 is as near to all."""
    real, fake = torch.tensor([[0.0], [10.0]]), torch.zeros(2, 1)
    assert one_nearest_neighbour(real, fake) == OneNearestNeighbour(0.375, 0.25, 0.5)


def test_a_mode_that_is_missed_is_reported_on_both_sides():
    real = torch.cat([points(0, 100, 2), points(1, 100, 2) + 50])
    found = one_nearest_neighbour(real, points(2, 200, 2))
    assert found.real > 0.5 + 0.1
    assert found.fake > 0.5 + 0.1


def test_values_that_are_not_finite_give_nan():
    found = one_nearest_neighbour(points(0, 5, 2), torch.full((5, 2), math.nan))
    assert math.isnan(found.accuracy + found.real + found.fake)


@pytest.mark.parametrize(("real", "fake"), [((1, 2), (5, 2)), ((5, 2), (1, 2)), ((5, 2), (5, 3))])
def test_what_cannot_be_tested_is_refused(real, fake):
    with pytest.raises(IncompatiblePartsError, match="a 1-nearest-neighbour test needs"):
        one_nearest_neighbour(torch.zeros(real), torch.zeros(fake))


@pytest.mark.parametrize("chunk", [pairwise_distances._CHUNK, 1000])
@pytest.mark.parametrize("k", [1, 5])
@pytest.mark.parametrize(("n", "m", "shape"), [(120, 120, (2,)), (150, 90, (3, 6, 6))])
def test_the_four_are_those_of_prdc(n, m, shape, k, chunk, monkeypatch):
    monkeypatch.setattr(pairwise_distances, "_CHUNK", chunk)
    real, fake = points(0, n, *shape), 0.8 * points(1, m, *shape) + 0.1

    found = precision_recall(real, fake, k)

    oracle = compute_prdc(real.flatten(1).double().numpy(), fake.flatten(1).double().numpy(), nearest_k=k)
    for name in ("precision", "recall", "density", "coverage"):
        assert getattr(found, name) == pytest.approx(oracle[name], abs=1e-12), name
    assert 0 < found.recall < 1


def test_far_from_the_origin_nothing_changes():
    real, fake = points(0, 80, 40).double(), points(1, 80, 40).double()
    assert precision_recall(real + 1e5, fake + 1e5) == precision_recall(real, fake)


def test_a_collapse_is_precise_and_covers_little():
    real = points(0, 400, 2)
    fake = 1e-3 * points(1, 400, 2) + real[:1]

    found = precision_recall(real, fake)

    assert found.precision == 1
    assert found.density >= 1
    assert found.recall < 0.05
    assert found.coverage < 0.1


def test_two_sets_apart_have_nothing_in_common():
    found = precision_recall(points(0, 50, 3), points(1, 50, 3) + 100)
    assert (found.precision, found.recall, found.density, found.coverage) == (0, 0, 0, 0)


def test_the_balls_surface_is_outside():
    """The k-th neighbour of real 0 is real 1, a copy of which the generator makes: for 0, that is outside; for 1 it is inside."""
    real = torch.tensor([[0.0], [1.0], [5.0]])
    found = precision_recall(real, torch.tensor([[1.0], [1.0]]), k=1)
    assert found.coverage == pytest.approx(1 / 3)


@pytest.mark.parametrize(("n", "m", "k"), [(200, 200, 5), (150, 300, 3)])
def test_a_perfect_sampler_has_the_expected_coverage(n, m, k):
    coverage = [precision_recall(points(seed, n, 2), points(1000 + seed, m, 2), k).coverage for seed in range(60)]
    assert np.mean(coverage) == pytest.approx(expected_coverage(n, m, k), abs=0.01)


def test_the_expected_coverage_is_the_papers_product():
    assert expected_coverage(2000, 2000, 5) == pytest.approx(1 - math.comb(1999, 5) / math.comb(3999, 5))
    assert expected_coverage(3, 2, 1) == pytest.approx(1 - 2 / 4)
    assert expected_coverage(3, 2, 2) == pytest.approx(1 - 2 / 4 * 1 / 3)


def test_values_that_are_not_finite_give_nan_precision_and_recall():
    fake = points(1, 20, 2)
    fake[3, 1] = math.inf
    found = precision_recall(points(0, 20, 2), fake)
    assert math.isnan(found.precision + found.recall)
    assert math.isnan(found.density + found.coverage)


@pytest.mark.parametrize(
    ("real", "fake", "message"),
    [
        ((5, 2), (6, 2), r"needs at least 6 samples of each kind, got 5 .*samples = 6"),
        ((6, 2), (5, 2), "got 5"),
        ((9, 2), (9, 3), r"of one shape .*\(9, 2\) and \(9, 3\)"),
        ((9,), (9,), r"the shape \(n, …\)"),
    ],
)
def test_what_cannot_be_compared_is_refused(real, fake, message):
    with pytest.raises(IncompatiblePartsError, match=message):
        precision_recall(torch.zeros(real), torch.zeros(fake))
