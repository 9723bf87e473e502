from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image

from ganforge.core.errors import DataError, UsageError
from ganforge.core.records import Samples
from ganforge.core.specs import DataSpec
from ganforge.runs import nearest_images
from ganforge.runs.nearest_images import FRAME, beside_nearest, beside_training_images
from ganforge.storage.run_folder import RunFolder

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


@pytest.mark.parametrize("training", [BYTES, DATA.to_float(BYTES)])
def test_the_nearest_training_image_stands_in_yellow_at_the_end_of_each_row(training):
    values = shades(-0.9, 0.9, -0.5, 0.1)  # of two rows, the last ones are near to 250 and 130

    small = sheet(beside_nearest(Samples(values), training, DATA), 2, 2)

    samples = [int(small[row, column, 0]) for row in (1, 4) for column in (0, 3)]
    assert samples == [13, 242, 64, 140]
    assert [int(small[row, -2, 0]) for row in (1, 4)] == [250, 130]
    for row, column in ((0, -1), (0, -4), (3, -2), (6, -3), (2, -1), (5, -4)):
        assert tuple(small[row, column]) == FRAME
    assert (small[:, -5] == 255).all()


def test_rows_are_groups_and_their_last_sample_is_asked():
    samples = Samples(shades(-1.0, 1.0, -0.5), torch.tensor([1, 0, 0]))

    small = sheet(beside_nearest(samples, BYTES, DataSpec((1, 2, 2), classes=2, value_range=(-1.0, 1.0))), 2, 2)

    assert [int(small[row, -2, 0]) for row in (1, 4)] == [60, 0]
    assert (small[4, 0] == 255).all()  # the second group has one sample only, which stands beside its neighbour
    assert int(small[4, 3, 0]) == 0


def test_a_single_sample_has_its_neighbour():
    small = sheet(beside_nearest(Samples(shades(0.95)), BYTES, DATA), 1, 1)

    assert int(small[1, -2, 0]) == 250


def test_nothing_stands_beside_what_is_not_finite():
    small = sheet(beside_nearest(Samples(shades(float("nan"))), BYTES, DATA), 1, 1)

    assert (small[1:3, -3:-1] == 255).all()


class Stream:
    """A source that tells what it was asked for."""

    def __init__(self, values):
        self.values, self.asked = values, []

    def __len__(self):
        return len(self.values)

    def read(self, rows):
        self.asked.append(list(rows))
        return Samples(self.values[list(rows)])


def test_a_source_is_searched_as_a_whole_and_in_parts(monkeypatch):
    monkeypatch.setattr(nearest_images, "_CHUNK_BYTES", 12)  # three images
    source = Stream(BYTES)
    values = shades(-0.9, 0.9, -0.5, 0.1)

    content = beside_nearest(Samples(values), source, DATA)

    assert source.asked == [[0, 1, 2], [3]]
    assert content == beside_nearest(Samples(values), BYTES, DATA)


def test_images_without_a_range_are_drawn_in_that_of_samples_and_neighbours_together():
    data, training = DataSpec((1, 2, 2)), torch.tensor([0.0, 4.0])[:, None, None, None].expand(-1, 1, 2, 2)

    small = sheet(beside_nearest(Samples(shades(2.5)), training, data), 1, 1)
    with_nan = sheet(beside_nearest(Samples(shades(2.5, float("nan"), 1.0, 3.0)), training, data), 2, 2)

    assert int(small[1, -2, 0]) == 255
    assert int(small[1, 0, 0]) == 0  # the sample is the least of what is shown
    assert int(with_nan[4, -2, 0]) == 255


def test_data_of_another_shape_are_named():
    with pytest.raises(DataError, match=r"'digits' no longer have the samples' shape: 3×2×2 and 1×2×2") as caught:
        beside_nearest(Samples(shades(0.5)), BYTES.expand(4, 3, 2, 2), DATA, name="the data set 'digits'")
    assert "restore the data" in caught.value.remedy


def test_a_note_stands_below_the_sheet():
    plain, noted = (
        np.asarray(Image.open(io.BytesIO(beside_nearest(Samples(shades(0.5)), BYTES, DATA, note=note))))
        for note in ("", "nearest among 4 of 9 training images")
    )

    assert len(noted) > len(plain)
    assert (noted[len(plain) :] < 128).any()


def test_points_have_no_picture_of_neighbours(tmp_path):
    with pytest.raises(UsageError, match="this run's data are points"):
        beside_training_images(Samples(torch.zeros(1, 2)), DataSpec((2,)), RunFolder(tmp_path))
