"""Mode coverage: exact cases, a perfect sampler's values, and the density against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from ganforge.core.errors import IncompatiblePartsError
from ganforge.core.specs import GaussianMixture
from ganforge.metrics.modes import ModeCoverage, gaussian_mixture_density, mode_coverage, perfect_high_quality

RING = torch.tensor([[math.cos(2 * math.pi * k / 8), math.sin(2 * math.pi * k / 8)] for k in range(8)], dtype=torch.float64)
GRID = torch.cartesian_prod(*[torch.arange(-4.0, 5.0, 2.0)] * 2)
STD = 0.01


def perfect(centres: Tensor, std: float, count: int, seed: int) -> Tensor:
    stream = torch.Generator().manual_seed(seed)
    modes = torch.randint(len(centres), (count,), generator=stream)
    return centres[modes] + std * torch.randn(count, 2, generator=stream, dtype=torch.float64)


@pytest.mark.parametrize(("centres", "std", "floor"), [(RING, STD, 0.0014), (GRID, 0.05, 0.0048)])
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
    samples = torch.cat([RING[:1].repeat(9, 1), RING[3:4], RING[5:6] + 5 * STD])
    found = mode_coverage(samples, RING, STD)
    assert found.captured == 2
    assert found.high_quality == pytest.approx(10 / 11)


def test_reverse_kl_counts_high_quality_samples_only_and_equals_scipys_entropy() -> None:
    counts = [5, 3, 0, 2, 0, 0, 0, 1]
    good = RING.repeat_interleave(torch.tensor(counts), dim=0)
    samples = torch.cat([good, RING[2:3] + 1.0])  # the last is nearest to some mode, but of no quality
    assert mode_coverage(samples, RING, STD).reverse_kl == pytest.approx(stats.entropy(counts, [1] * 8))


def test_reverse_kl_is_of_the_true_shares() -> None:
    centres, shares = RING[:3], [0.5, 0.3, 0.2]
    samples = centres.repeat_interleave(torch.tensor([5, 3, 2]), dim=0)
    assert mode_coverage(samples, centres, STD, shares).reverse_kl == pytest.approx(0, abs=1e-12)
    assert mode_coverage(samples, centres, STD).reverse_kl == pytest.approx(stats.entropy([5, 3, 2], [1] * 3))


def test_collapse_onto_one_mode_is_log_m() -> None:
    assert mode_coverage(RING[:1].repeat(100, 1), RING, STD) == ModeCoverage(1, 1.0, pytest.approx(math.log(8)))


def test_nothing_of_quality_has_the_worst_values() -> None:
    assert mode_coverage(torch.zeros(10, 2), RING, STD) == ModeCoverage(0, 0.0, pytest.approx(math.log(8)))
    assert mode_coverage(torch.zeros(10, 2), RING[:2], STD, [0.9, 0.1]).reverse_kl == pytest.approx(math.log(10))


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_values_that_are_not_finite_are_of_no_quality(bad: float) -> None:
    samples = RING.clone()
    samples[0] = bad
    found = mode_coverage(samples, RING, STD)
    assert (found.captured, found.high_quality) == (7, 7 / 8)


def test_float32_samples_with_a_graph_are_welcome() -> None:
    assert mode_coverage(RING.float().requires_grad_(), RING, STD).captured == 8


@pytest.mark.parametrize("shape", [(0, 2), (5, 3), (5,), (5, 2, 1)])
def test_what_does_not_fit_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(IncompatiblePartsError, match="do not fit modes"):
        mode_coverage(torch.zeros(shape), RING, STD)


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
