from __future__ import annotations

import numpy as np
import pytest
import torch

from ganforge.core.records import Codes, Latent, LogitGrid, Samples
from ganforge.core.specs import DataSpec, GaussianMixture
from ganforge.figures.plot_data import (
    axis_limits,
    estimate_density,
    find_groups,
    fit_projection,
    flatten,
    grid_logits,
    mixture_density,
    optimal_discriminator,
    probability,
)


def test_two_dimensions_are_shown_as_they_are():
    real = Samples(torch.tensor([[0.0, 0.0], [2.0, 1.0]]))
    plane = fit_projection(real)

    np.testing.assert_array_equal(plane.project(flatten(real)), flatten(real))
    np.testing.assert_allclose(plane.limits, [[-0.3, 2.3], [-0.15, 1.15]])


def test_more_dimensions_are_projected_onto_principal_components():
    draw = torch.Generator().manual_seed(0)
    points = torch.randn(500, 5, generator=draw) * torch.tensor([0.1, 5.0, 0.1, 2.0, 0.1]) + 7
    plane = fit_projection(Samples(points))

    shown = plane.project(points.double().numpy())

    assert shown.shape == (500, 2)
    np.testing.assert_allclose(shown.std(0), [5.0, 2.0], rtol=0.1)
    assert plane.names == ("first principal component of the data", "second principal component")


@pytest.mark.parametrize("points", [torch.zeros(0, 3), torch.ones(1, 3), torch.ones(4, 3), torch.randn(2, 7)])
def test_there_are_two_axes_even_where_the_points_span_none(points):
    plane = fit_projection(Samples(points))

    np.testing.assert_allclose(plane.axes.T @ plane.axes, np.eye(2), atol=1e-12)
    assert plane.project(flatten(Samples(points))).shape == (len(points), 2)


def test_one_point_has_limits_too():
    assert (axis_limits(np.zeros((1, 2)))[:, 1] > axis_limits(np.zeros((1, 2)))[:, 0]).all()


def test_a_field_is_laid_out_with_its_axes():
    xs, ys = torch.linspace(-1, 1, 3), torch.linspace(0, 3, 4)
    points = torch.cartesian_prod(xs, ys)

    across, down, logits = grid_logits(LogitGrid(points, 10 * points[:, 0] + points[:, 1], (3, 4)))

    assert logits.shape == (4, 3)
    np.testing.assert_allclose(logits, 10 * across[None, :] + down[:, None], rtol=1e-6)


def test_a_field_on_the_line_has_one_axis():
    points, logits = grid_logits(LogitGrid(torch.tensor([[0.0], [1.0], [2.0]]), torch.tensor([0.0, 10.0, 20.0]), (3,)))

    assert points.tolist() == [0.0, 1.0, 2.0]
    assert logits.tolist() == [0.0, 10.0, 20.0]


def test_samples_are_grouped_by_label_before_code():
    latent = Latent(torch.zeros(2, 1), codes=Codes(torch.tensor([[1], [0]]), torch.zeros(2, 0)))
    named = DataSpec((2,), classes=2, class_names=("upper", "lower"))
    values = torch.zeros(2, 2)

    labelled = find_groups(Samples(values, torch.tensor([0, 1]), latent), named)
    coded = find_groups(Samples(values, None, latent), named)

    assert (labelled.indices.tolist(), labelled.names) == ([0, 1], ("upper", "lower"))
    assert (coded.indices.tolist(), coded.names) == ([1, 0], ("code 0 = 0", "code 0 = 1"))
    assert find_groups(Samples(values), named) is None


LINE = np.linspace(-4, 4, 401)


def bell(points, mean=0.0, std=1.0):
    return np.exp(-0.5 * ((points - mean) / std) ** 2) / (std * np.sqrt(2 * np.pi))


def test_a_mixture_is_the_weighted_sum_of_its_bells():
    mixture = GaussianMixture(((-1.0,), (2.0,)), 0.5, (0.25, 0.75))

    expected = 0.25 * bell(LINE, -1.0, 0.5) + 0.75 * bell(LINE, 2.0, 0.5)
    np.testing.assert_allclose(mixture_density(mixture, LINE), expected)


def test_the_estimate_comes_near_the_truth_and_holds_one_unit_of_mass():
    values = np.random.default_rng(0).normal(0.5, 0.8, 5000)

    estimate = estimate_density(values, LINE)

    assert np.abs(estimate - bell(LINE, 0.5, 0.8)).max() < 0.05
    assert np.trapezoid(estimate, LINE) == pytest.approx(1, abs=1e-3)


def test_a_collapsed_generator_is_a_spike_that_still_shows():
    estimate = estimate_density(np.full(100, 1.0), LINE)

    assert LINE[estimate.argmax()] == pytest.approx(1.0)
    assert np.trapezoid(estimate, LINE) == pytest.approx(1, abs=0.05)


def test_values_that_are_not_finite_are_left_out():
    values = np.random.default_rng(0).normal(size=200)

    np.testing.assert_array_equal(estimate_density(np.append(values, [np.nan, np.inf]), LINE), estimate_density(values, LINE))
    assert not estimate_density(np.array([np.nan]), LINE).any()


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
