"""Nearest neighbours against scipy and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from sklearn.neighbors import NearestNeighbors

from ganforge.core.errors import IncompatiblePartsError
from ganforge.metrics import nearest_neighbours, neighbours


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
