"""Divergences and the optimal discriminator against scipy's quadrature; mode coverage against exact cases."""

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
from ganforge.metrics.known_density import (
    LEAST_MASS,
    ModeCoverage,
    cell_masses,
    divergences,
    gaussian_mixture_density,
    mode_coverage,
    perfect_high_quality,
    smoothed_grid,
)

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


@pytest.mark.slow
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


RING_CENTRES = torch.tensor([[math.cos(2 * math.pi * k / 8), math.sin(2 * math.pi * k / 8)] for k in range(8)], dtype=torch.float64)
GRID = torch.cartesian_prod(*[torch.arange(-4.0, 5.0, 2.0)] * 2)
STD = 0.01


def perfect(centres: Tensor, std: float, count: int, seed: int) -> Tensor:
    stream = torch.Generator().manual_seed(seed)
    modes = torch.randint(len(centres), (count,), generator=stream)
    return centres[modes] + std * torch.randn(count, 2, generator=stream, dtype=torch.float64)


@pytest.mark.parametrize(("centres", "std", "floor"), [(RING_CENTRES, STD, 0.0014), (GRID, 0.05, 0.0048)])
def test_a_perfect_sampler_has_the_known_values(centres: Tensor, std: float, floor: float) -> None:
    """98.89 ± 0.21 % high quality at n = 2,500, and a reverse KL of (m - 1)/2n in the mean (reference results, 1.6)."""
    runs = [mode_coverage(perfect(centres, std, 2500, seed), centres, std) for seed in range(60)]

    assert {run.captured for run in runs} == {len(centres)}
    assert np.mean([run.high_quality for run in runs]) == pytest.approx(0.98889, abs=4 * 0.0021 / math.sqrt(60))
    assert np.std([run.high_quality for run in runs]) == pytest.approx(0.0021, rel=0.35)
    assert np.mean([run.reverse_kl for run in runs]) == pytest.approx(floor, rel=0.25)


def test_three_standard_deviations_themselves_are_outside() -> None:
    centre = torch.zeros(1, 2, dtype=torch.float64)
    at = torch.tensor([[3.0, 0.0], [math.nextafter(3.0, 0.0), 0.0]], dtype=torch.float64)
    assert mode_coverage(at, centre, 1.0) == ModeCoverage(captured=1, high_quality=0.5, reverse_kl=0.0)


def test_one_good_sample_captures_a_mode_and_bad_ones_capture_none() -> None:
    samples = torch.cat([RING_CENTRES[:1].repeat(9, 1), RING_CENTRES[3:4], RING_CENTRES[5:6] + 5 * STD])
    found = mode_coverage(samples, RING_CENTRES, STD)
    assert found.captured == 2
    assert found.high_quality == pytest.approx(10 / 11)


def test_reverse_kl_counts_high_quality_samples_only_and_equals_scipys_entropy() -> None:
    counts = [5, 3, 0, 2, 0, 0, 0, 1]
    good = RING_CENTRES.repeat_interleave(torch.tensor(counts), dim=0)
    samples = torch.cat([good, RING_CENTRES[2:3] + 1.0])  # the last is nearest to some mode, but of no quality
    assert mode_coverage(samples, RING_CENTRES, STD).reverse_kl == pytest.approx(stats.entropy(counts, [1] * 8))


def test_reverse_kl_is_of_the_true_shares() -> None:
    centres, shares = RING_CENTRES[:3], [0.5, 0.3, 0.2]
    samples = centres.repeat_interleave(torch.tensor([5, 3, 2]), dim=0)
    assert mode_coverage(samples, centres, STD, shares).reverse_kl == pytest.approx(0, abs=1e-12)
    assert mode_coverage(samples, centres, STD).reverse_kl == pytest.approx(stats.entropy([5, 3, 2], [1] * 3))


def test_collapse_onto_one_mode_is_log_m() -> None:
    assert mode_coverage(RING_CENTRES[:1].repeat(100, 1), RING_CENTRES, STD) == ModeCoverage(1, 1.0, pytest.approx(math.log(8)))


def test_nothing_of_quality_has_the_worst_values() -> None:
    assert mode_coverage(torch.zeros(10, 2), RING_CENTRES, STD) == ModeCoverage(0, 0.0, pytest.approx(math.log(8)))
    assert mode_coverage(torch.zeros(10, 2), RING_CENTRES[:2], STD, [0.9, 0.1]).reverse_kl == pytest.approx(math.log(10))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_of_no_quality(bad: float) -> None:
    samples = RING_CENTRES.clone()
    samples[0] = bad
    found = mode_coverage(samples, RING_CENTRES, STD)
    assert (found.captured, found.high_quality) == (7, 7 / 8)


def test_float32_samples_with_a_graph_are_welcome() -> None:
    assert mode_coverage(RING_CENTRES.float().requires_grad_(), RING_CENTRES, STD).captured == 8


@pytest.mark.parametrize("shape", [(0, 2), (5, 3), (5,), (5, 2, 1)])
def test_what_does_not_fit_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(IncompatiblePartsError, match="do not fit modes"):
        mode_coverage(torch.zeros(shape), RING_CENTRES, STD)


@pytest.mark.parametrize("dimensions", [1, 2, 3, 64])
def test_the_perfect_share_is_chi_squares(dimensions: int) -> None:
    assert perfect_high_quality(dimensions) == pytest.approx(stats.chi2.cdf(9, dimensions), rel=1e-10)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_density_equals_scipys(dimensions: int) -> None:
    draw = np.random.default_rng(0)
    means, points = draw.normal(size=(3, dimensions)), draw.normal(size=(50, dimensions))
    mixture = GaussianMixture(tuple(map(tuple, means.tolist())), std=0.7, weights=(0.2, 0.5, 0.3))

    expected = sum(
        w * stats.multivariate_normal(mean, 0.49 * np.eye(dimensions)).pdf(points)
        for w, mean in zip(mixture.weights, means, strict=True)
    )
    np.testing.assert_allclose(gaussian_mixture_density(torch.tensor(points), mixture).numpy(), expected, rtol=1e-10)


def test_density_integrates_to_one_and_underflows_quietly() -> None:
    mixture = GaussianMixture(((-1.0,), (2.0,)), std=0.3)
    line = torch.linspace(-6, 6, 4001, dtype=torch.float64).unsqueeze(1)
    assert torch.trapezoid(gaussian_mixture_density(line, mixture), line[:, 0]).item() == pytest.approx(1, abs=1e-9)
    assert gaussian_mixture_density(torch.tensor([[1e6]]), mixture).item() == 0
