from __future__ import annotations

import numpy as np
import pytest
import torch

from ganforge.core.records import Samples
from ganforge.core.specs import DataSpec
from ganforge.figures.pixels import enlarged, fitting_factor, pixels, square_columns, value_range


def test_values_become_bytes_in_their_range():
    values = torch.tensor([-2.0, -1.0, 0.0, 1.0, 5.0, float("nan")]).reshape(1, 1, 2, 3)

    shown = pixels(Samples(values), (-1.0, 1.0))

    assert shown.shape == (1, 2, 3, 3)
    assert shown[0, :, :, 0].tolist() == [[0, 0, 128], [255, 255, 0]]


def test_colours_stay_colours():
    values = torch.stack([torch.ones(2, 2), torch.zeros(2, 2), torch.zeros(2, 2)])[None]

    assert pixels(Samples(values), (0.0, 1.0))[0, 0, 0].tolist() == [255, 0, 0]


def test_the_range_is_declared_or_found():
    samples = Samples(torch.tensor([2.0, 6.0]).reshape(2, 1, 1, 1))

    assert value_range(DataSpec((1, 1, 1), value_range=(0.0, 1.0)), samples) == (0.0, 1.0)
    assert value_range(DataSpec((1, 1, 1)), samples) == (2.0, 6.0)


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (2, 2), (64, 8), (65, 9)])
def test_sheets_are_about_square(count, columns):
    assert square_columns(count) == columns


def test_enlarging_keeps_hard_edges():
    picture = np.array([[[0] * 3, [255] * 3]], np.uint8)

    assert enlarged(picture, 2)[..., 0].tolist() == [[0, 0, 255, 255]] * 2
    assert fitting_factor(picture, 7) == 3
    assert fitting_factor(np.zeros((900, 10, 3), np.uint8), 640) == 1
