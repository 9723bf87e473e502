"""Tests of two samples against scikit-learn, and against cases that can be counted by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.model_selection import LeaveOneOut, cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from ganforge.core.errors import IncompatiblePartsError
from ganforge.metrics import OneNearestNeighbour, one_nearest_neighbour, pairwise_distances


def points(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("chunk", [pairwise_distances._CHUNK, 500])
@pytest.mark.parametrize(("n", "m", "shape"), [(60, 60, (2,)), (70, 40, (1, 7, 7))])
def test_leaving_one_out_is_scikit_learns(n, m, shape, chunk, monkeypatch):
    monkeypatch.setattr(pairwise_distances, "_CHUNK", chunk)
    real, fake = points(0, n, *shape), points(1, m, *shape) + 0.3

    found = one_nearest_neighbour(real, fake)

    everything, kinds = torch.cat([real, fake]).flatten(1).double().numpy(), np.repeat([0, 1], [n, m])
    said = cross_val_predict(KNeighborsClassifier(1, algorithm="brute"), everything, kinds, cv=LeaveOneOut())
    right = said == kinds
    assert found == OneNearestNeighbour(
        pytest.approx(right.mean()), pytest.approx(right[:n].mean()), pytest.approx(right[n:].mean())
    )


def test_a_perfect_sampler_is_at_a_half_in_the_mean():
    runs = [one_nearest_neighbour(points(seed, 200, 2), points(500 + seed, 200, 2)).accuracy for seed in range(40)]
    assert np.mean(runs) == pytest.approx(0.5, abs=0.02)


def test_sets_apart_are_told_and_copies_are_not():
    real = points(0, 50, 60)
    assert one_nearest_neighbour(real, real + 100) == OneNearestNeighbour(1, 1, 1)
    assert one_nearest_neighbour(real, real) == OneNearestNeighbour(0, 0, 0)


def test_as_near_to_either_kind_counts_half():
    """The generator makes two copies of real 0: each copy is as near to the other as to real 0, and real 1 is as near to all."""
    real, fake = torch.tensor([[0.0], [10.0]]), torch.zeros(2, 1)
    assert one_nearest_neighbour(real, fake) == OneNearestNeighbour(0.375, 0.25, 0.5)


def test_a_mode_that_is_missed_is_told_on_both_sides():
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
