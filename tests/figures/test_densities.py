from __future__ import annotations

import numpy as np
import pytest

from ganforge.core.specs import GaussianMixture
from ganforge.figures.densities import estimated_density, mixture_density, optimal_discriminator, probability

LINE = np.linspace(-4, 4, 401)


def bell(points, mean=0.0, std=1.0):
    return np.exp(-0.5 * ((points - mean) / std) ** 2) / (std * np.sqrt(2 * np.pi))


def test_a_mixture_is_the_weighted_sum_of_its_bells():
    mixture = GaussianMixture(((-1.0,), (2.0,)), 0.5, (0.25, 0.75))

    expected = 0.25 * bell(LINE, -1.0, 0.5) + 0.75 * bell(LINE, 2.0, 0.5)
    np.testing.assert_allclose(mixture_density(mixture, LINE), expected)


def test_the_estimate_comes_near_the_truth_and_holds_one_unit_of_mass():
    values = np.random.default_rng(0).normal(0.5, 0.8, 5000)

    estimate = estimated_density(values, LINE)

    assert np.abs(estimate - bell(LINE, 0.5, 0.8)).max() < 0.05
    assert np.trapezoid(estimate, LINE) == pytest.approx(1, abs=1e-3)


def test_a_collapsed_generator_is_a_spike_that_still_shows():
    estimate = estimated_density(np.full(100, 1.0), LINE)

    assert LINE[estimate.argmax()] == pytest.approx(1.0)
    assert np.trapezoid(estimate, LINE) == pytest.approx(1, abs=0.05)


def test_values_that_are_not_finite_are_left_out():
    values = np.random.default_rng(0).normal(size=200)

    np.testing.assert_array_equal(estimated_density(np.append(values, [np.nan, np.inf]), LINE), estimated_density(values, LINE))
    assert not estimated_density(np.array([np.nan]), LINE).any()


def test_the_best_discriminator_between_two_bells_is_a_sigmoid_of_their_distance():
    """For p_data = N(0, 1) and p_g = N(m, 1), D*(x) = σ(m²/2 - m·x): Proposition 1 of Goodfellow et al. 2014 in closed form."""
    mean = 1.5
    best = optimal_discriminator(bell(LINE), bell(LINE, mean))

    known = np.isfinite(best)
    np.testing.assert_allclose(best[known], 1 / (1 + np.exp(-(mean**2 / 2 - mean * LINE[known]))), rtol=1e-9)
    assert known[np.abs(LINE) < 2].all()


def test_the_best_discriminator_of_equal_densities_is_one_half_and_unknown_in_the_tails():
    best = optimal_discriminator(bell(LINE), bell(LINE))

    np.testing.assert_allclose(best[np.isfinite(best)], 0.5)
    assert np.isnan(best[[0, -1]]).all()


def test_probabilities_do_not_overflow():
    np.testing.assert_allclose(probability(np.array([-1e4, 0.0, 2.0, 1e4])), [0, 0.5, 1 / (1 + np.exp(-2.0)), 1])
