"""Divergences and the optimal discriminator against analytic pairs of Gaussians, by scipy's quadrature."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.integrate import quad
from scipy.special import expit
from torch import Tensor

from ganforge.core.errors import IncompatiblePartsError
from ganforge.core.specs import GaussianMixture
from ganforge.metrics.known_density import LEAST_MASS, cell_masses, divergences, smoothed_grid

LINE = torch.linspace(-12, 15, 6001, dtype=torch.float64)
NORMAL = GaussianMixture(((0.0,),), std=1.0)
RING = GaussianMixture(tuple((math.cos(k), math.sin(k)) for k in np.linspace(0, 2 * np.pi, 8, endpoint=False)), std=0.1)


def masses(mean: float, std: float = 1.0) -> Tensor:
    return cell_masses(torch.tensor([[mean]], dtype=torch.float64), std, [LINE])


@pytest.mark.parametrize(("mean", "std"), [(0.5, 1.0), (3.0, 1.0), (1.0, 2.0)])
def test_divergences_of_two_gaussians_are_the_integrals(mean, std):
    p, q = stats.norm(0, 1), stats.norm(mean, std)

    def kl(one, other):
        return quad(lambda x: one.pdf(x) * (one.logpdf(x) - other.logpdf(x)), -12, 15)[0]

    def js(x):
        return sum(one.pdf(x) * (one.logpdf(x) - math.log((p.pdf(x) + q.pdf(x)) / 2)) for one in (p, q)) / 2

    found = divergences(masses(0), masses(mean, std))

    assert found.kl == pytest.approx(kl(p, q), rel=1e-4)
    assert found.reverse_kl == pytest.approx(kl(q, p), rel=1e-4)
    assert found.js == pytest.approx(quad(js, -12, 15)[0], rel=1e-4)
    assert found.total_variation == pytest.approx(quad(lambda x: abs(p.pdf(x) - q.pdf(x)) / 2, -12, 15, limit=200)[0], rel=1e-4)
    if std == 1:
        assert found.kl == pytest.approx(mean**2 / 2, rel=1e-4)
        assert found.total_variation == pytest.approx(2 * stats.norm.cdf(mean / 2) - 1, rel=1e-4)


def test_nothing_in_common_has_the_greatest_values_and_nothing_apart_none():
    one, other = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    found = divergences(one, other)
    assert (found.js, found.total_variation) == (pytest.approx(math.log(2)), 1)
    assert found.kl == found.reverse_kl == pytest.approx(-math.log(LEAST_MASS))
    same = divergences(one, one)
    assert (same.kl, same.reverse_kl, same.js, same.total_variation) == (0, 0, 0, 0)


def test_masses_of_cells_are_scipys_also_far_out_and_in_the_plane():
    edges = torch.tensor([-30.0, -9.0, -1.0, 0.5, 9.0, 30.0], dtype=torch.float64)
    expected = stats.norm.cdf(edges[1:3]) - stats.norm.cdf(edges[:2])
    found = cell_masses(torch.zeros(1, 1, dtype=torch.float64), 1.0, [edges])
    np.testing.assert_allclose(found[:2], expected, rtol=1e-12)
    assert found[-1].item() == pytest.approx(stats.norm.sf(9), rel=1e-12)

    means, shares = torch.tensor([[0.0, 1.0], [2.0, -1.0]], dtype=torch.float64), torch.tensor([0.3, 0.7], dtype=torch.float64)
    plane = cell_masses(means, 0.5, [edges, edges], shares).reshape(5, 5)
    columns = [np.diff(stats.norm.cdf(edges, centre, 0.5)) for centre in means.T.flatten()]  # x₀, x₁, y₀, y₁
    np.testing.assert_allclose(
        plane, 0.3 * np.outer(columns[0], columns[2]) + 0.7 * np.outer(columns[1], columns[3]), rtol=1e-9, atol=1e-15
    )


@pytest.mark.parametrize(("mixture", "cells"), [(NORMAL, 400), (RING, 128)])
def test_smoothing_is_alike_for_both(mixture, cells):
    """A perfect sampler's density is the smoothed one in the mean; one that is blurred is not."""
    draw = torch.Generator().manual_seed(0)
    means = torch.tensor(mixture.means, dtype=torch.float64)
    modes = torch.randint(len(means), (20_000,), generator=draw)
    noise = torch.randn(20_000, means.shape[1], dtype=torch.float64, generator=draw)

    perfect = smoothed_grid(means[modes] + mixture.std * noise, mixture, cells)
    blurred = smoothed_grid(means[modes] + 2 * mixture.std * noise, mixture, cells)

    assert perfect.points.shape == (cells ** means.shape[1], means.shape[1])
    assert float(perfect.true.sum()) == pytest.approx(1, abs=1e-5)
    assert 0 <= perfect.divergences().js < 0.006
    assert blurred.divergences().js > 0.05
    assert perfect.gap(torch.zeros(len(perfect.points))) < 0.03


def test_the_optimal_discriminator_of_two_gaussians_is_a_sigmoid():
    """D* of N(0, 1) and N(2, 1) is sigmoid(2 - 2x); smoothing widens both to 1 + h²."""
    draw = torch.Generator().manual_seed(0)
    grid = smoothed_grid(2 + torch.randn(200_000, 1, dtype=torch.float64, generator=draw), NORMAL, 400)
    x, variance = grid.points[:, 0].numpy(), 1 + grid.width**2
    logits = torch.tensor((2 - 2 * x) / variance)

    weighty = (grid.true + grid.generated).numpy() > 1e-4
    np.testing.assert_allclose(grid.optimal.numpy()[weighty], expit(logits.numpy()[weighty]), atol=0.02)
    assert grid.gap(logits) < 0.004
    assert grid.gap(-logits) > 0.5


def test_the_gap_of_a_discriminator_that_cannot_tell_is_known():
    """|1/2 - p/(p + q)| weighted by (p + q)/2 is half the total variation."""
    draw = torch.Generator().manual_seed(0)
    grid = smoothed_grid(1 + torch.randn(5000, 1, generator=draw), NORMAL, 400)
    assert grid.gap(torch.zeros(400)) == pytest.approx(grid.divergences().total_variation / 2, abs=1e-4)


def test_samples_beyond_the_grid_are_in_one_more_cell():
    found = smoothed_grid(torch.full((50, 2), 1e6), RING, 64).divergences()
    assert found.total_variation == pytest.approx(1, abs=1e-6)
    assert found.js == pytest.approx(math.log(2), abs=1e-5)


def test_what_lies_outside_is_known_to_its_last_digits():
    grid = smoothed_grid(torch.zeros(100, 1), NORMAL, 64)
    reach = 5 * math.hypot(1, grid.width)
    assert grid.outside == (
        pytest.approx(2 * stats.norm.sf(5), rel=1e-9),
        pytest.approx(2 * stats.norm.sf(reach / grid.width), rel=1e-9),
    )
    assert 0 < grid.outside[1] < 1e-30


def test_where_both_are_nothing_the_optimal_discriminator_is_undecided():
    grid = smoothed_grid(torch.zeros(5, 2) + torch.tensor(RING.means[0]), GaussianMixture(RING.means, std=1e-3), 64)
    assert set(grid.optimal[(grid.true + grid.generated) == 0].tolist()) == {0.5}


def test_values_that_are_not_finite_give_nan():
    found = smoothed_grid(torch.tensor([[0.0], [math.nan]]), NORMAL)
    assert math.isnan(found.divergences().js)
    assert math.isnan(found.gap(torch.zeros(256)))


@pytest.mark.parametrize("shape", [(0, 1), (5, 2), (5,)])
def test_samples_that_do_not_fit_are_refused(shape):
    with pytest.raises(IncompatiblePartsError, match="a density grid needs"):
        smoothed_grid(torch.zeros(shape), NORMAL)


def test_masses_of_other_cells_are_refused():
    with pytest.raises(IncompatiblePartsError, match="cannot compare masses"):
        divergences(torch.ones(3), torch.ones(4))
