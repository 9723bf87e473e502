from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.datasets import make_moons, make_swiss_roll

from ganforge.metrics import wasserstein2
from ganforge.plugin import Samples

POINTS = [("moons", {}), ("gaussian-1d", {}), ("ring", {}), ("grid", {}), ("swiss-roll", {}), ("ring", {"labelled": True})]


def stream(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("name", "params"), POINTS)
def test_training_points_fit_the_spec_and_follow_from_the_seed(name: str, params: dict, dataset, components) -> None:
    before = torch.get_rng_state()
    built = dataset(name, seed=1, samples=300, **params)
    first, again = built.training(), dataset(name, seed=1, samples=300, **params).training()

    component = components["dataset", name]
    assert built.spec == component.load_spec()(component.load_params()(samples=300, **params))
    assert first.values.shape == (300, *built.spec.shape)
    assert first.values.dtype == torch.float32
    assert (first.labels is not None) == (built.spec.classes is not None)
    assert torch.equal(first.values, again.values)
    assert torch.equal(first.values, built.training().values), "the same at each call"
    assert not torch.equal(first.values, dataset(name, seed=2, samples=300, **params).training().values)
    assert torch.equal(torch.get_rng_state(), before), "the global stream stays where it was"


@pytest.mark.parametrize(("name", "params"), POINTS)
def test_held_out_points_are_fresh_draws_from_the_given_stream(name: str, params: dict, dataset) -> None:
    built = dataset(name, samples=300, **params)
    held = built.held_out(500, stream(5))
    assert held.values.shape == (500, *built.spec.shape)
    assert torch.equal(held.values, built.held_out(500, stream(5)).values)
    assert not torch.equal(held.values, built.held_out(500, stream(6)).values)
    assert not set(map(tuple, held.values.tolist())) & set(map(tuple, built.training().values.tolist()))


@pytest.mark.parametrize("count", [200, 201])
def test_moons_without_noise_are_scikit_learns(count: int, dataset) -> None:
    expected, labels = make_moons(count, noise=0.0, shuffle=False)
    found = dataset("moons", samples=count, noise=0.0).training()

    mine, theirs = np.c_[found.values.numpy(), found.labels.numpy()], np.c_[expected, labels]
    for upper in (0, 1):  # sorted from left to right, since ours are in random order
        arc, true = (rows[rows[:, 2] == upper] for rows in (mine, theirs))
        np.testing.assert_allclose(arc[arc[:, 0].argsort()], true[true[:, 0].argsort()], atol=1e-6)


def test_moons_noise_has_the_asked_standard_deviation(dataset) -> None:
    found = dataset("moons", samples=20_000, noise=0.05).training()
    upper = found.values[found.labels == 0]
    middle = upper[(upper[:, 0].abs() < 0.5)]  # away from the ends, where noise also moves points along the arc's direction
    assert (middle.norm(dim=1) - 1).std().item() == pytest.approx(0.05, rel=0.05)


def test_moons_are_in_random_order_and_shares_are_exact(dataset) -> None:
    built = dataset("moons", samples=1001)
    training = built.training()
    assert training.labels[:100].unique().numel() == 2
    assert (training.labels.bincount() / 1001).tolist() == pytest.approx(built.spec.class_shares)


def test_two_real_draws_of_moons_have_the_known_floor(dataset) -> None:
    """W₂ of 2,000 against 2,000 real points is 0.0276 with scikit-learn's moons (measured for the reference results)."""
    built = dataset("moons")
    assert wasserstein2(built.held_out(2000, stream(0)).values, built.held_out(2000, stream(1)).values) == pytest.approx(
        0.0276, abs=0.003
    )


def test_gaussian_is_its_density(dataset) -> None:
    built = dataset("gaussian-1d", mean=4.0, std=1.25)
    assert stats.kstest(built.training().values[:, 0].numpy(), stats.norm(4.0, 1.25).cdf).pvalue > 0.001
    assert built.spec.density.means == ((4.0,),)


def test_ring_modes_are_distinct_and_even(dataset) -> None:
    """Unlike linspace(0, 2π, 8), which has both ends and so seven modes, one of them twice as heavy."""
    spec = dataset("ring", samples=10).spec
    angles = sorted(math.atan2(y, x) % (2 * math.pi) for x, y in spec.density.means)
    assert np.diff(angles).tolist() == pytest.approx([math.pi / 4] * 7)
    assert [math.hypot(*mean) for mean in spec.density.means] == pytest.approx([1.0] * 8)
    assert spec.density.std == 0.01


def test_grid_modes_are_those_of_the_papers(dataset) -> None:
    means = dataset("grid", samples=10).spec.density.means
    assert sorted(means) == [(x, y) for x in (-4.0, -2.0, 0.0, 2.0, 4.0) for y in (-4.0, -2.0, 0.0, 2.0, 4.0)]


@pytest.mark.parametrize("name", ["ring", "grid"])
def test_mixtures_have_even_shares_and_round_bells(name: str, dataset) -> None:
    built = dataset(name, samples=50_000, labelled=True)
    training, density = built.training(), built.spec.density
    modes = len(density.means)

    assert built.spec.classes == modes
    assert stats.chisquare(training.labels.bincount(minlength=modes).numpy()).pvalue > 0.001
    noise = (training.values - torch.tensor(density.means)[training.labels]) / density.std
    assert stats.kstest(noise.flatten().numpy(), "norm").pvalue > 0.001
    assert np.corrcoef(noise.T.numpy())[0, 1] == pytest.approx(0, abs=0.02)


def test_mixtures_are_unlabelled_unless_asked(dataset) -> None:
    built = dataset("ring", samples=10)
    assert built.spec.classes is None
    assert built.training().labels is None


def test_swiss_roll_is_two_axes_of_scikit_learns_over_7_5(dataset) -> None:
    found = dataset("swiss-roll", samples=4000, noise=0.25).training().values
    expected = make_swiss_roll(4000, noise=0.25, random_state=0)[0][:, [0, 2]] / 7.5
    for axis in (0, 1):
        assert stats.ks_2samp(found[:, axis].numpy(), expected[:, axis]).pvalue > 0.001
    assert stats.ks_2samp(found.norm(dim=1).numpy(), np.linalg.norm(expected, axis=1)).pvalue > 0.001


def test_one_point_can_be_drawn(dataset) -> None:
    for name, params in POINTS:
        drawn = dataset(name, **params).held_out(1, stream())
        assert isinstance(drawn, Samples)
        assert drawn.values.isfinite().all(), name
