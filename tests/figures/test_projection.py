from __future__ import annotations

import numpy as np
import pytest
import torch

from ganforge.core.records import Codes, Latent, LogitGrid, Samples
from ganforge.core.specs import DataSpec
from ganforge.figures.projection import field_grid, field_line, flat, groups_of, limits_of, plane_of


def test_two_dimensions_are_shown_as_they_are():
    real = Samples(torch.tensor([[0.0, 0.0], [2.0, 1.0]]))
    plane = plane_of(real)

    np.testing.assert_array_equal(plane.project(flat(real)), flat(real))
    np.testing.assert_allclose(plane.limits, [[-0.3, 2.3], [-0.15, 1.15]])


def test_more_dimensions_are_shown_along_their_main_directions():
    draw = torch.Generator().manual_seed(0)
    points = torch.randn(500, 5, generator=draw) * torch.tensor([0.1, 5.0, 0.1, 2.0, 0.1]) + 7
    plane = plane_of(Samples(points))

    shown = plane.project(points.double().numpy())

    assert shown.shape == (500, 2)
    np.testing.assert_allclose(shown.std(0), [5.0, 2.0], rtol=0.1)
    assert plane.names == ("first main direction of the data", "second main direction")


@pytest.mark.parametrize("points", [torch.zeros(0, 3), torch.ones(1, 3), torch.ones(4, 3), torch.randn(2, 7)])
def test_there_are_two_axes_even_where_the_points_span_none(points):
    plane = plane_of(Samples(points))

    np.testing.assert_allclose(plane.axes.T @ plane.axes, np.eye(2), atol=1e-12)
    assert plane.project(flat(Samples(points))).shape == (len(points), 2)


def test_one_point_has_limits_too():
    assert (limits_of(np.zeros((1, 2)))[:, 1] > limits_of(np.zeros((1, 2)))[:, 0]).all()


@pytest.mark.parametrize("swapped", [False, True])
def test_a_field_is_laid_out_whatever_the_order_of_its_points(swapped):
    xs, ys = torch.linspace(-1, 1, 3), torch.linspace(0, 3, 4)
    points = torch.cartesian_prod(ys, xs).flip(1) if swapped else torch.cartesian_prod(xs, ys)
    field = LogitGrid(points, 10 * points[:, 0] + points[:, 1], (4, 3) if swapped else (3, 4))

    across, down, logits = field_grid(field)

    assert logits.shape == (4, 3)
    np.testing.assert_allclose(logits, 10 * across[None, :] + down[:, None], rtol=1e-6)


def test_a_field_on_the_line_is_in_ascending_order():
    points, logits = field_line(LogitGrid(torch.tensor([[2.0], [0.0], [1.0]]), torch.tensor([20.0, 0.0, 10.0]), (3,)))

    assert points.tolist() == [0.0, 1.0, 2.0]
    assert logits.tolist() == [0.0, 10.0, 20.0]


def test_samples_are_grouped_by_label_before_code():
    latent = Latent(torch.zeros(2, 1), codes=Codes(torch.tensor([[1], [0]]), torch.zeros(2, 0)))
    named = DataSpec((2,), classes=2, class_names=("upper", "lower"))
    values = torch.zeros(2, 2)

    labelled = groups_of(Samples(values, torch.tensor([0, 1]), latent), named, (2,))
    coded = groups_of(Samples(values, None, latent), named, (2,))

    assert (labelled.indices.tolist(), labelled.names) == ([0, 1], ("upper", "lower"))
    assert (coded.indices.tolist(), coded.names) == ([1, 0], ("code 0 = 0", "code 0 = 1"))
    assert groups_of(Samples(values), named, ()) is None
