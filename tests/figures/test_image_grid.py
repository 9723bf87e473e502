from __future__ import annotations

import numpy as np
import pytest

from ganforge.figures.image_grid import BLANK, MANY, by_group, captioned, excerpt, fitted, laid_out, reading_order
from ganforge.figures.projection import Groups


def grouped(*indices, names=("zero", "one", "two", "three")):
    return Groups(np.array(indices), names)


def test_images_lie_at_their_places_with_white_between():
    images = np.stack([np.full((2, 2, 3), shade, np.uint8) for shade in (10, 20, 30)])

    paper = laid_out(images, np.array([[2, 0], [BLANK, 1]]))

    assert paper[..., 0].tolist() == [
        [30, 30, 255, 10, 10],
        [30, 30, 255, 10, 10],
        [255] * 5,
        [255, 255, 255, 20, 20],
        [255, 255, 255, 20, 20],
    ]


@pytest.mark.parametrize(("count", "places"), [(1, [[0]]), (3, [[0, 1], [2, BLANK]]), (5, [[0, 1, 2], [3, 4, BLANK]])])
def test_without_groups_images_lie_in_reading_order(count, places):
    for arrangement in (reading_order(count), by_group(None, count), by_group(grouped(*[2] * count), count)):
        assert arrangement.places.tolist() == places
        assert set(arrangement.names) == {""}


def test_each_group_has_a_row():
    arrangement = by_group(grouped(1, 0, 3, 1, 0, 0), 6)

    assert arrangement.places.tolist() == [[1, 4, 5], [0, 3, BLANK], [2, BLANK, BLANK]]
    assert arrangement.names == ("zero", "one", "three")


def test_large_groups_take_several_rows():
    arrangement = by_group(grouped(*[0, 1] * 18), 36)

    assert arrangement.places.shape == (6, 6)
    assert arrangement.places[:3].ravel().tolist() == list(range(0, 36, 2))
    assert arrangement.names == ("zero", "", "", "one", "", "")


def test_very_many_groups_are_only_brought_into_order():
    classes = MANY + 1
    arrangement = by_group(Groups(np.arange(classes)[::-1], tuple(map(str, range(classes)))), classes)

    assert arrangement.places.ravel()[:classes].tolist() == list(range(classes))[::-1]
    assert arrangement.places.ravel()[classes:].tolist() == [BLANK] * (arrangement.places.size - classes)
    assert set(arrangement.names) == {""}


@pytest.mark.parametrize(("classes", "shape"), [(2, (10, 10)), (3, (9, 11)), (10, (10, 10)), (20, (20, 5))])
def test_an_excerpt_has_as_many_of_each_group(classes, shape):
    indices = np.random.default_rng(0).permutation(np.arange(1000) % classes)
    groups = Groups(indices, tuple(map(str, range(classes))))

    arrangement = excerpt(groups, 1000, ungrouped=64, grouped=100)

    assert arrangement.places.shape == shape
    assert len(np.unique(arrangement.places)) == shape[0] * shape[1]
    lines = shape[0] // classes
    for group in range(classes):
        block = arrangement.places[group * lines : (group + 1) * lines]
        assert (indices[block] == group).all()
        assert block.ravel().tolist() == np.flatnonzero(indices == group)[: block.size].tolist()


def test_an_excerpt_of_few_has_no_empty_columns():
    arrangement = excerpt(grouped(0, 1, 1, 0, 2), 5, ungrouped=64, grouped=100)

    assert arrangement.places.tolist() == [[0, 3], [1, 2], [4, BLANK]]


def test_an_excerpt_without_groups_is_the_first_ones():
    assert excerpt(None, 512, ungrouped=64, grouped=100).places.tolist() == np.arange(64).reshape(8, 8).tolist()


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
    assert fitted(grouped(0, 1, 2, 0, 1, 2, 0, 1, 2), 9, columns, rows).tolist() == places


def test_groups_of_unequal_size_in_turn():
    assert fitted(grouped(0, 0, 0, 1, 2), 5, 2, 2).tolist() == [[0, 3], [4, 1]]
    assert fitted(grouped(0, 1, 2), 3, 1, 2).tolist() == [[0], [1]]
    assert fitted(None, 9, 2, 2).tolist() == [[0, 1], [2, 3]]


def test_captions_stand_left_of_their_rows():
    picture = np.zeros((120, 50, 3), np.uint8)

    shown = captioned(picture, ["first", "", "third"], 40.0)

    margin = shown.shape[1] - 50
    assert (shown[:, margin:] == 0).all()
    inked = [(shown[top : top + 40, :margin] < 200).any() for top in (0, 40, 80)]
    assert inked == [True, False, True]
    assert (shown[:, :4] == 255).all()


def test_without_names_or_room_there_are_no_captions():
    picture = np.zeros((12, 5, 3), np.uint8)

    assert captioned(picture, ["", ""], 100) is picture
    assert captioned(picture, ["first", "second"], 6) is picture
