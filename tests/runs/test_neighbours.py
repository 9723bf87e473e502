from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from ganforge.core.errors import UsageError
from ganforge.core.records import Samples
from ganforge.core.specs import DataSpec
from ganforge.observers.plane import Groups
from ganforge.runs.neighbours import FRAME, beside_nearest, require_images

DATA = DataSpec((1, 2, 2), value_range=(-1.0, 1.0))
BYTES = torch.tensor([0, 60, 130, 250], dtype=torch.uint8)[:, None, None, None].expand(4, 1, 2, 2)


def shades(*values):
    return torch.tensor(values)[:, None, None, None].expand(-1, 1, 2, 2)


def sheet(content, rows, columns):
    """Grey of each sample, and of each neighbour; the corner of each pixel of the sheet."""
    picture = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
    factor = 1024 // max(3 * rows + 1, 3 * columns + 2 + 3)
    small = picture[::factor, -(3 * columns + 5) * factor :: factor]
    assert small.shape == (3 * rows + 1, 3 * columns + 5, 3)
    return small


@pytest.mark.parametrize("training", [BYTES, DATA.unpacked(BYTES)])
def test_the_nearest_training_image_stands_in_yellow_at_the_end_of_each_row(training):
    values = shades(-0.9, 0.9, -0.5, 0.1)  # of two rows, the last ones are near to 250 and 130

    small = sheet(beside_nearest(Samples(values), None, training, DATA), 2, 2)

    samples = [int(small[row, column, 0]) for row in (1, 4) for column in (0, 3)]
    assert samples == [13, 242, 64, 140]
    assert [int(small[row, -2, 0]) for row in (1, 4)] == [250, 130]
    for row, column in ((0, -1), (0, -4), (3, -2), (6, -3), (2, -1), (5, -4)):
        assert tuple(small[row, column]) == FRAME
    assert (small[:, -5] == 255).all()


def test_rows_are_groups_and_their_last_sample_is_asked():
    groups = Groups(np.array([1, 0, 0]), ("zero", "one"))

    small = sheet(beside_nearest(Samples(shades(-1.0, 1.0, -0.5)), groups, BYTES, DATA), 2, 2)

    assert [int(small[row, -2, 0]) for row in (1, 4)] == [60, 0]
    assert (small[4, 3] == 255).all()  # the second group has one sample only


def test_a_single_sample_has_its_neighbour():
    small = sheet(beside_nearest(Samples(shades(0.95)), None, BYTES, DATA), 1, 1)

    assert int(small[1, -2, 0]) == 250


def test_nothing_stands_beside_what_is_not_finite():
    small = sheet(beside_nearest(Samples(shades(float("nan"))), None, BYTES, DATA), 1, 1)

    assert (small[1:3, -3:-1] == 255).all()


def test_points_have_no_picture_of_neighbours():
    with pytest.raises(UsageError, match="this run's are points"):
        require_images(DataSpec((2,)))
    require_images(DATA)
