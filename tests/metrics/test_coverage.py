"""Precision, recall, density and coverage against the authors' own code, and what they say of known failures."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from prdc import compute_prdc
from torch import Tensor

from ganforge.core.errors import IncompatiblePartsError
from ganforge.metrics import expected_coverage, pairwise_distances, precision_recall


def points(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


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


def test_values_that_are_not_finite_give_nan():
    fake = points(1, 20, 2)
    fake[3, 1] = math.inf
    found = precision_recall(points(0, 20, 2), fake)
    assert math.isnan(found.precision + found.recall)
    assert math.isnan(found.density + found.coverage)


@pytest.mark.parametrize(
    ("real", "fake", "message"),
    [
        ((5, 2), (6, 2), r"needs at least 6 samples of each kind, and was given 5 .*samples = 6"),
        ((6, 2), (5, 2), "was given 5"),
        ((9, 2), (9, 3), r"of one shape .*\(9, 2\) and \(9, 3\)"),
        ((9,), (9,), r"the shape \(n, …\)"),
    ],
)
def test_what_cannot_be_compared_is_refused(real, fake, message):
    with pytest.raises(IncompatiblePartsError, match=message):
        precision_recall(torch.zeros(real), torch.zeros(fake))
