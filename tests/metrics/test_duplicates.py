"""The birthday test and the search for copies against scipy and scikit-learn, and planted copies."""

from __future__ import annotations

import math
from dataclasses import astuple

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist
from scipy.stats import mannwhitneyu
from sklearn.neighbors import NearestNeighbors
from torch import Tensor

from ganforge.core.errors import IncompatiblePartsError
from ganforge.metrics import expected_close, memorisation, near_duplicates, pairwise_distances


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


@pytest.mark.parametrize("chunk", [pairwise_distances._CHUNK, 2000])
@pytest.mark.parametrize(("n", "m", "shape"), [(120, 120, (2,)), (250, 80, (1, 7, 7))])
def test_it_is_scipys_test_of_scikit_learns_distances(n, m, shape, chunk, monkeypatch):
    monkeypatch.setattr(pairwise_distances, "_CHUNK", chunk)
    training, held_out, fake = points(0, 300, *shape), points(1, n, *shape), 0.9 * points(2, m, *shape)

    found = memorisation(training, held_out, fake)

    known = training.flatten(1).double()
    index = NearestNeighbors(n_neighbors=2).fit(known)
    spacing = index.kneighbors(known)[0][:, 1]
    nearest = (index.kneighbors(part.flatten(1).double()) for part in (held_out, fake))
    real, made = (far[:, 0] / spacing[at[:, 0]] for far, at in nearest)
    test = mannwhitneyu(made, real, alternative="two-sided", method="asymptotic", use_continuity=False)
    assert found.copying == pytest.approx((test.statistic - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12))
    assert math.erfc(abs(found.copying) / math.sqrt(2)) == pytest.approx(test.pvalue, rel=1e-6)
    assert found.close == pytest.approx((made < np.sort(real)[math.ceil(n / 100) - 1]).mean())
    assert found.ratio == pytest.approx(np.median(made) / np.median(real), rel=1e-5)


def test_keeping_to_where_data_are_dense_is_no_copying():
    """Distances themselves would be 0.4 of those of held-out samples here, and the test at -10."""
    found = memorisation(points(0, 2000, 1), points(1, 1000, 1), 0.3 * points(2, 1000, 1))
    assert abs(found.copying) < 3
    assert found.ratio == pytest.approx(1, abs=0.2)


def test_copies_of_a_sample_that_is_there_twice_are_copies():
    training = points(0, 100, 2).repeat(2, 1)
    assert memorisation(training, points(1, 50, 2), training[:50]).close == 1


@pytest.mark.parametrize("shape", [(2,), (1, 7, 7)])
def test_training_data_that_repeat_say_the_same_as_once(shape):
    """Data sets do repeat, and the distance to a twin is 0."""
    training, held_out, fake = points(0, 100, *shape), points(1, 60, *shape), 0.8 * points(2, 60, *shape)
    once, twice = (memorisation(known, held_out, fake) for known in (training, training.repeat(2, *[1] * len(shape))))
    assert once == twice
    assert math.isfinite(once.ratio)


def test_copies_are_found_also_where_a_sixth_of_the_training_data_is_looked_at():
    training = points(0, 3000, 10)
    copies = training[torch.randperm(3000, generator=torch.Generator().manual_seed(1))[:600]] + 1e-3 * points(2, 600, 10)

    everything, part = (memorisation(known, points(3, 600, 10), copies) for known in (training, training[::6]))

    assert everything.copying < -25
    assert everything.close == 1
    assert everything.ratio < 0.01
    assert part.copying < -3
    assert part.close > 0.1


def test_a_bad_fit_is_no_copy():
    found = memorisation(points(0, 500, 3), points(1, 200, 3), points(2, 200, 3) + 5)
    assert found.copying > 3
    assert (found.close, found.ratio > 3) == (0, True)


@pytest.mark.parametrize("held_out", [60, 200])
def test_a_perfect_sampler_has_the_expected_values(held_out):
    runs = [
        memorisation(points(seed, 300, 2), points(1000 + seed, held_out, 2), points(2000 + seed, 200, 2)) for seed in range(120)
    ]
    assert np.mean([run.copying for run in runs]) == pytest.approx(0, abs=0.3)
    assert np.std([run.copying for run in runs]) == pytest.approx(1, rel=0.3)
    assert np.mean([run.close for run in runs]) == pytest.approx(expected_close(held_out), abs=0.004)
    assert expected_close(held_out) == math.ceil(held_out / 100) / (held_out + 1)


def test_the_same_distances_are_no_evidence():
    held_out = points(1, 50, 2)
    found = memorisation(points(0, 50, 2), held_out, held_out.flip(0))
    assert (found.copying, found.ratio, found.close) == (0, 1, 0.5 / 50)  # one is as near as the nearest: before it, or after


@pytest.mark.parametrize(("repeated", "close"), [(0, 1), (9, 1), (10, 10 / 11), (12, 10 / 13)])
def test_copies_are_close_also_where_held_out_samples_are_in_the_training_data(repeated, close):
    training, held_out = points(0, 1000, 2), points(1, 1000, 2)
    held_out[:repeated] = training[:repeated]

    found = memorisation(training, held_out, training)

    assert found.close == pytest.approx(close)
    assert (found.copying < -30, found.ratio) == (True, 0)


def test_a_perfect_sampler_of_data_that_repeat_has_the_expected_values():
    """Of 40 values three quarters are in the training data, so that most held-out samples tie at 0."""
    places, stream = points(0, 40, 2), torch.Generator().manual_seed(1)

    def drawn(count: int, least: int = 0) -> Tensor:
        return places[torch.randint(least, 40, (count,), generator=stream)]

    runs = [memorisation(drawn(60, 10), drawn(200), drawn(200)) for _ in range(120)]

    assert np.mean([run.close for run in runs]) == pytest.approx(expected_close(200), rel=0.03)
    assert np.mean([run.copying for run in runs]) == pytest.approx(0, abs=0.3)
    assert all(math.isnan(run.ratio) for run in runs)


def test_values_that_are_not_finite_give_nan_scores():
    found = memorisation(points(0, 5, 2), points(1, 5, 2), torch.full((5, 2), math.nan))
    assert math.isnan(found.copying + found.close + found.ratio)


@pytest.mark.parametrize(
    "shapes", [((1, 2), (5, 2), (5, 2)), ((5, 2), (1, 2), (5, 2)), ((5, 2), (5, 2), (1, 2)), ((5, 2), (5, 3), (5, 2))]
)
def test_what_cannot_be_compared_is_refused(shapes):
    with pytest.raises(IncompatiblePartsError, match="a search for copies needs"):
        memorisation(*map(torch.zeros, shapes))
