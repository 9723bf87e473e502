"""Samples in the terminal: points, curves and images drawn with characters; which images, how large, how many."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from rich.segment import Segment
from rich.style import Style

from ganforge.core.events import SamplesDrawn
from ganforge.core.records import Latent, Samples
from ganforge.core.specs import DataSpec, LatentSpec
from ganforge.terminal.sample_preview import Canvas, SamplePreview, _fit_images, image_drawing, shrink


@pytest.mark.parametrize(
    ("image", "room", "expected"),
    [
        ((28, 28), (85, 74), (16, 16, 5, 4)),  # a wide terminal: twenty of them
        ((28, 28), (31, 24), (9, 9, 3, 2)),  # 80 × 24: no smaller than 9 pixels
        ((32, 32), (31, 24), (9, 9, 3, 2)),
        ((8, 8), (31, 24), (8, 8, 3, 2)),  # never enlarged
        ((8, 8), (200, 200), (8, 8, 22, 22)),
        ((64, 64), (400, 400), (24, 24, 16, 16)),
        ((10, 40), (100, 60), (6, 24, 4, 8)),  # not square
        ((28, 28), (5, 5), (5, 5, 1, 1)),  # a keyhole
        ((28, 28), (0, 0), (1, 1, 1, 1)),
    ],
)
def test_images_are_as_large_as_lets_twenty_be_shown(image, room, expected):
    assert _fit_images(image, room) == expected


@pytest.fixture
def preview(events):
    """Images that are one grey each, of three classes: class ``c`` has the shades 10 c to 10 c + 9."""
    started = next(events("images"))
    data, latent = DataSpec((3, 32, 32), classes=3, value_range=(0.0, 255.0)), LatentSpec(2, classes=3)
    return SamplePreview(replace(started, data=data, latent=latent, real=Samples(torch.zeros(2, 3, 32, 32))))


def greys(lines):
    """Of each letter's upper half, line by line."""
    return [[segment.style.color.triplet.red for segment in line for letter in segment.text if letter == "▀"] for line in lines]


@pytest.mark.parametrize(("size", "shown"), [((33, 14), [[0, 10, 20], [1, 11, 21]]), ((23, 40), [[0, 1], [10, 11], [20, 21]])])
def test_rows_or_columns_are_classes(preview, size, shown):
    labels = torch.tensor([2, 0, 1] * 10)
    shades = torch.tensor([10.0 * label + at // 3 for at, label in enumerate(labels.tolist())])
    values = shades[:, None, None, None].expand(30, 3, 32, 32)
    picture = SamplesDrawn(5, Samples(values, labels, Latent(torch.zeros(30, 2), labels)), None)

    drawn = greys(preview.panel(picture, size, coloured=True).renderable.lines)

    found = []
    for line in drawn:
        runs = [grey for at, grey in enumerate(line) if grey != 64 and (at == 0 or line[at - 1] != grey)]
        if runs and runs not in found:
            found.append(runs)
    assert [row[: len(shown[0])] for row in found[: len(shown)]] == shown


DIM, RED, BLUE, GREEN = Style(dim=True), Style(color="red"), Style(color="blue"), Style(color="green")


def text(lines):
    return ["".join(segment.text for segment in line) for line in lines]


def styles(lines):
    return {segment.style for line in lines for segment in line if segment.text.strip() and segment.style}


def test_each_dot_of_a_letter():
    canvas = Canvas(2, 1)
    canvas.dots(np.array([0, 0, 3]), np.array([0, 3, 1]), 1)

    assert text(canvas.lines([RED])) == ["⡁⠐"]


def test_dots_outside_are_left_out():
    canvas = Canvas(1, 1)
    canvas.dots(np.array([-1, 2, 0, 10**9]), np.array([0, 0, 4, 0]), 1)

    assert text(canvas.lines([RED])) == [" "]


def test_the_higher_layer_hides_the_lower_within_a_letter():
    canvas = Canvas(2, 1)
    canvas.dots(np.array([0, 2]), np.array([0, 0]), 1)
    canvas.dots(np.array([1]), np.array([0]), 2)

    assert canvas.lines([DIM, RED]) == [[Segment("⠈", RED), Segment("⠁", DIM)]]


def test_points_lie_where_they_should_in_their_group_colours():
    limits = np.array([[0.0, 1.0], [0.0, 1.0]])
    canvas = Canvas(6, 3)
    canvas.points(np.array([[0.5, 0.5]]), limits, 1)
    canvas.points(np.array([[0.0, 1.0], [1.0, 0.0]]), limits, np.array([2, 3]))
    lines = canvas.lines([DIM, RED, BLUE])

    assert lines[0][0] == Segment("⠁", RED)
    assert lines[-1][-1] == Segment("⢀", BLUE)
    assert styles(lines) == {DIM, RED, BLUE}
    assert all(len(line) == 6 for line in text(lines))


def test_points_far_away_are_left_out():
    canvas = Canvas(6, 3)
    canvas.points(np.array([[1e300, 1e300], [-1e30, 0.5]]), np.array([[0.0, 1.0], [0.0, 1.0]]), 1)

    assert not "".join(text(canvas.lines([RED]))).strip()


def test_a_curve_has_no_holes_and_leaves_gaps_where_nothing_is_known():
    canvas = Canvas(4, 4)
    canvas.curve(np.array([0.0, 0.0, 1.0, 1.0, np.nan, np.nan, 0.5, 0.5]), 1)
    lines = text(canvas.lines([RED]))

    assert [line[1] for line in lines] == ["⡏", "⡇", "⡇", "⠇"]
    assert [line[2] for line in lines] == [" "] * 4
    assert lines[0][0] == " "


def test_images_in_half_blocks_two_pixels_a_letter():
    picture = np.zeros((3, 2, 3), np.uint8)
    picture[0] = (255, 0, 0)

    lines = image_drawing(picture, coloured=True)

    assert text(lines) == ["▀▀", "▀▀"]
    assert lines[0][0].style.color.triplet == (255, 0, 0)
    assert lines[0][0].style.bgcolor.triplet == (0, 0, 0)


def test_images_without_colours_are_shades_of_letters():
    picture = np.repeat(np.array([[0, 80, 130, 200, 255]] * 2, np.uint8)[..., None], 3, axis=2)

    assert text(image_drawing(picture, coloured=False)) == [" ░▒▓█"]


@pytest.mark.parametrize("size", [(11, 9), (14, 14), (1, 3)])
def test_shrinking_averages_and_keeps_places(size):
    image = np.zeros((28, 28, 3), dtype=np.uint8)
    image[:, :14] = np.where(np.indices((28, 14, 3)).sum(0) % 2, 40, 240)  # a fine pattern on the left

    small = shrink(image[None], *size)[0]

    assert small.shape == (*size, 3)
    assert np.abs(small[:, 0].astype(float) - 140).max() < 25
    assert small[:, -1].max() < 25


def test_below_the_last_row_of_an_odd_height_is_the_terminals_ground():
    picture = np.full((3, 2, 3), 200, np.uint8)

    first, last = image_drawing(picture, coloured=True)

    assert first[0].style.bgcolor is not None
    assert (last[0].text, last[0].style.bgcolor) == ("▀▀", None)
