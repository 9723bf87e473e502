from __future__ import annotations

import numpy as np
import pytest
import torch

from ganforge.core.records import Samples
from ganforge.core.specs import DataSpec
from ganforge.figures.images import (
    BLANK,
    MAX_GROUPS,
    add_captions,
    arrange_by_group,
    arrange_in_order,
    enlarge,
    fit_grid,
    lay_out,
    picture_size,
    select_images,
    to_pixels,
    value_range,
)
from ganforge.figures.plot_data import Groups


def grouped(*indices, names=("zero", "one", "two", "three")):
    return Groups(np.array(indices), names)


def test_images_lie_at_their_places_with_white_between():
    images = np.stack([np.full((2, 2, 3), shade, np.uint8) for shade in (10, 20, 30)])

    paper = lay_out(images, np.array([[2, 0], [BLANK, 1]]))

    assert paper[..., 0].tolist() == [
        [30, 30, 255, 10, 10],
        [30, 30, 255, 10, 10],
        [255] * 5,
        [255, 255, 255, 20, 20],
        [255, 255, 255, 20, 20],
    ]


@pytest.mark.parametrize(("count", "places"), [(1, [[0]]), (3, [[0, 1], [2, BLANK]]), (5, [[0, 1, 2], [3, 4, BLANK]])])
def test_without_groups_images_lie_in_reading_order(count, places):
    for arrangement in (arrange_in_order(count), arrange_by_group(None, count), arrange_by_group(grouped(*[2] * count), count)):
        assert arrangement.places.tolist() == places
        assert set(arrangement.names) == {""}


def test_each_group_has_a_row():
    arrangement = arrange_by_group(grouped(1, 0, 3, 1, 0, 0), 6)

    assert arrangement.places.tolist() == [[1, 4, 5], [0, 3, BLANK], [2, BLANK, BLANK]]
    assert arrangement.names == ("zero", "one", "three")


def test_large_groups_take_several_rows():
    arrangement = arrange_by_group(grouped(*[0, 1] * 18), 36)

    assert arrangement.places.shape == (6, 6)
    assert arrangement.places[:3].ravel().tolist() == list(range(0, 36, 2))
    assert arrangement.names == ("zero", "", "", "one", "", "")


def test_very_many_groups_are_only_brought_into_order():
    classes = MAX_GROUPS + 1
    arrangement = arrange_by_group(Groups(np.arange(classes)[::-1], tuple(map(str, range(classes)))), classes)

    assert arrangement.places.ravel()[:classes].tolist() == list(range(classes))[::-1]
    assert arrangement.places.ravel()[classes:].tolist() == [BLANK] * (arrangement.places.size - classes)
    assert set(arrangement.names) == {""}


@pytest.mark.parametrize(("classes", "shape"), [(2, (10, 10)), (3, (9, 11)), (10, (10, 10)), (20, (20, 5))])
def test_an_excerpt_has_as_many_of_each_group(classes, shape):
    indices = np.random.default_rng(0).permutation(np.arange(1000) % classes)
    groups = Groups(indices, tuple(map(str, range(classes))))

    arrangement = select_images(groups, 1000)

    assert arrangement.places.shape == shape
    assert len(np.unique(arrangement.places)) == shape[0] * shape[1]
    lines = shape[0] // classes
    for group in range(classes):
        block = arrangement.places[group * lines : (group + 1) * lines]
        assert (indices[block] == group).all()
        assert block.ravel().tolist() == np.flatnonzero(indices == group)[: block.size].tolist()


def test_an_excerpt_of_few_has_no_empty_columns():
    arrangement = select_images(grouped(0, 1, 1, 0, 2), 5)

    assert arrangement.places.tolist() == [[0, 3], [1, 2], [4, BLANK]]


def test_an_excerpt_without_groups_is_the_first_ones():
    assert select_images(None, 512).places.tolist() == np.arange(64).reshape(8, 8).tolist()


@pytest.mark.parametrize(
    ("columns", "rows", "places"),
    [
        (2, 3, [[0, 3], [1, 4], [2, 5]]),  # a row for each group
        (3, 2, [[0, 1, 2], [3, 4, 5]]),  # a column for each group
        (2, 2, [[0, 1], [2, 3]]),  # no room: one of each in turn
        (1, 1, [[0]]),
    ],
)
def test_what_fits_shows_all_groups(columns, rows, places):
    assert fit_grid(grouped(0, 1, 2, 0, 1, 2, 0, 1, 2), 9, columns, rows).tolist() == places


def test_groups_of_unequal_size_in_turn():
    assert fit_grid(grouped(0, 0, 0, 1, 2), 5, 2, 2).tolist() == [[0, 3], [4, 1]]
    assert fit_grid(grouped(0, 1, 2), 3, 1, 2).tolist() == [[0], [1]]
    assert fit_grid(None, 9, 2, 2).tolist() == [[0, 1], [2, 3]]


def test_captions_stand_left_of_their_rows():
    picture = np.zeros((120, 50, 3), np.uint8)

    shown = add_captions(picture, ["first", "", "third"], 40.0)

    margin = shown.shape[1] - 50
    assert (shown[:, margin:] == 0).all()
    inked = [(shown[top : top + 40, :margin] < 200).any() for top in (0, 40, 80)]
    assert inked == [True, False, True]
    assert (shown[:, :4] == 255).all()


@pytest.mark.parametrize("width", [300, 640, 1024])
def test_captions_can_be_read_on_a_phone(width):
    picture = np.zeros((width, width, 3), np.uint8)
    shown = add_captions(picture, ["8"] * 10, width / 10)

    margin = shown.shape[1] - width
    inked = np.flatnonzero((shown[: width // 10, :margin] < 200).any(axis=(1, 2)))
    assert np.ptp(inked) * 330 / shown.shape[1] >= 7  # pixels of a digit on a screen of 390 pixels


def test_long_captions_leave_room_for_the_picture():
    picture = np.zeros((640, 640, 3), np.uint8)
    assert add_captions(picture, ["a name of about forty letters, as folders"] * 4, 160).shape[1] < 640 * 1.4


def test_without_names_or_room_there_are_no_captions():
    picture = np.zeros((12, 5, 3), np.uint8)

    assert add_captions(picture, ["", ""], 100) is picture
    assert add_captions(picture, ["first", "second"], 6) is picture


def test_values_become_bytes_in_their_range():
    values = torch.tensor([-2.0, -1.0, 0.0, 1.0, 5.0, float("nan")]).reshape(1, 1, 2, 3)

    shown = to_pixels(Samples(values), (-1.0, 1.0))

    assert shown.shape == (1, 2, 3, 3)
    assert shown[0, :, :, 0].tolist() == [[0, 0, 128], [255, 255, 0]]


def test_colours_stay_colours():
    values = torch.stack([torch.ones(2, 2), torch.zeros(2, 2), torch.zeros(2, 2)])[None]

    assert to_pixels(Samples(values), (0.0, 1.0))[0, 0, 0].tolist() == [255, 0, 0]


def test_the_range_is_declared_or_found():
    samples = Samples(torch.tensor([2.0, 6.0]).reshape(2, 1, 1, 1))

    assert value_range(DataSpec((1, 1, 1), value_range=(0.0, 1.0)), samples) == (0.0, 1.0)
    assert value_range(DataSpec((1, 1, 1)), samples) == (2.0, 6.0)


@pytest.mark.parametrize(("count", "columns"), [(1, 1), (2, 2), (64, 8), (65, 9)])
def test_sheets_are_about_square(count, columns):
    assert arrange_in_order(count).places.shape[1] == columns


def test_enlarging_keeps_hard_edges():
    picture = np.array([[[0] * 3, [255] * 3]], np.uint8)

    assert enlarge(picture, 5)[0][..., 0].tolist() == [[0, 0, 255, 255]] * 2
    assert enlarge(picture, 7)[1] == 3
    assert enlarge(np.zeros((900, 10, 3), np.uint8), 640)[1] == 1


def test_more_than_four_channels_are_shown_side_by_side():
    values = torch.rand(2, 5, 3, 4)
    shown = to_pixels(Samples(values), (0.0, 1.0))

    assert shown.shape == (2, 3, 20, 3)
    assert picture_size((5, 3, 4)) == (3, 20)
    for channel in range(5):
        alone = to_pixels(Samples(values[:, channel : channel + 1]), (0.0, 1.0))
        assert np.array_equal(shown[:, :, 4 * channel : 4 * channel + 4], alone)


@pytest.mark.parametrize("channels", [2, 4])
def test_the_last_of_two_or_four_channels_is_alpha(channels):
    colours = torch.rand(3, channels - 1, 2, 2)
    opaque, clear = torch.ones(3, 1, 2, 2), torch.zeros(3, 1, 2, 2)

    as_is = to_pixels(Samples(colours), (0.0, 1.0))
    assert np.array_equal(to_pixels(Samples(torch.cat([colours, opaque], 1)), (0.0, 1.0)), as_is)
    assert (to_pixels(Samples(torch.cat([colours, clear], 1)), (0.0, 1.0)) == 255).all()
    half = to_pixels(Samples(torch.cat([colours, opaque / 2], 1)), (0.0, 1.0)).astype(int)
    assert np.abs(half - (as_is.astype(int) + 255) / 2).max() <= 1
