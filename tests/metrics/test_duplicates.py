"""The birthday test against all pairs of scipy, and planted duplicates."""

from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist
from torch import Tensor

from ganforge.core.errors import IncompatiblePartsError
from ganforge.metrics import near_duplicates, pairwise_distances


def points(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("chunk", [pairwise_distances._CHUNK, 700])
@pytest.mark.parametrize(("n", "m", "shape"), [(150, 150, (2,)), (200, 90, (1, 6, 6))])
def test_pairs_are_those_of_scipy(n, m, shape, chunk, monkeypatch):
    monkeypatch.setattr(pairwise_distances, "_CHUNK", chunk)
    real, fake = points(0, n, *shape), 0.7 * points(1, m, *shape)

    found = near_duplicates(real, fake)

    among_real, among_fake = (np.sort(pdist(samples.flatten(1).double())).astype(np.float32) for samples in (real, fake))
    rank = math.ceil(len(among_real) / 1000)
    assert found.pairs == (among_fake <= among_real[rank - 1]).sum() > 0
    assert found.expected_pairs == pytest.approx(rank * len(among_fake) / len(among_real))
    assert found.support == pytest.approx(len(among_fake) / found.pairs)
    assert found.near == 1 / found.support  # no real pairs tie
    assert (found.exact, found.expected_exact) == (0, 0)


@pytest.mark.parametrize("shape", [(2,), (1, 8, 8)])
def test_ten_samples_repeated_are_counted(shape):
    """45 copies of each of ten: 10 × 45·44/2 pairs are the same, though each comes out with the noise of float32."""
    ten = points(0, 10, *shape)
    fake = ten.repeat(45, *[1] * len(shape)) * (1 + 1e-7 * points(1, 450, *[1] * len(shape)))

    found = near_duplicates(points(2, 300, *shape), fake)

    assert found.exact == 10 * math.comb(45, 2)
    assert found.support <= math.comb(450, 2) / found.exact == pytest.approx(10, rel=0.03)


def test_samples_as_different_as_real_ones_have_about_as_many_pairs():
    runs = [near_duplicates(points(seed, 200, 2), points(300 + seed, 200, 2)) for seed in range(40)]
    assert np.mean([run.pairs for run in runs]) == pytest.approx(runs[0].expected_pairs, rel=0.25)
    assert {run.exact for run in runs} == {0}


def test_without_near_pairs_the_support_is_unknown_and_large():
    found = near_duplicates(points(0, 100, 2), 1000 * points(1, 100, 2))
    assert (found.pairs, found.support) == (0, math.inf)


def test_data_that_repeat_expect_repeats():
    real = torch.arange(10.0).repeat(20).reshape(-1, 1)
    found = near_duplicates(real, real[torch.randperm(200, generator=torch.Generator().manual_seed(0))])
    assert found.pairs == found.exact == found.expected_pairs == found.expected_exact == 10 * math.comb(20, 2)
    assert (found.support, found.near) == (pytest.approx(math.comb(200, 2) / 1900), 20 / math.comb(200, 2))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_values_that_are_not_finite_give_nan(bad):
    """In no pair, they would make a generator of nothing else the most varied of all."""
    good, fake = points(0, 50, 2), points(1, 50, 2)
    fake[7, 1] = bad
    for found in (near_duplicates(good, fake), near_duplicates(fake, good)):
        assert all(math.isnan(value) for value in astuple(found))


@pytest.mark.parametrize(("real", "fake"), [((1, 2), (5, 2)), ((5, 2), (1, 2)), ((5, 2), (5, 3))])
def test_what_cannot_be_searched_is_refused(real, fake):
    with pytest.raises(IncompatiblePartsError, match="a search for duplicates needs"):
        near_duplicates(torch.zeros(real), torch.zeros(fake))
