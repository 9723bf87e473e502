from __future__ import annotations

import numpy as np
import pytest
from rich.segment import Segment
from rich.style import Style

from ganforge.terminal.braille import Canvas, image_drawing, line_drawing, points_drawing, shrink
from ganforge.terminal.panels import sparkline

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
    corners = np.array([[0.0, 1.0], [1.0, 0.0]])

    lines = points_drawing(np.array([[0.5, 0.5]]), corners, np.array([0, 1]), limits, (6, 3), [DIM, RED, BLUE])

    assert lines[0][0] == Segment("⠁", RED)
    assert lines[-1][-1] == Segment("⢀", BLUE)
    assert styles(lines) == {DIM, RED, BLUE}
    assert all(len(line) == 6 for line in text(lines))


def test_points_that_are_not_finite_or_far_away_are_left_out():
    limits = np.array([[0.0, 1.0], [0.0, 1.0]])
    wild = np.array([[np.nan, 0.5], [np.inf, 0.5], [1e300, 1e300], [-1e30, 0.5]])

    assert not "".join(text(points_drawing(wild[:0], wild, None, limits, (6, 3), [DIM, RED]))).strip()


def test_a_curve_has_no_holes_and_leaves_gaps_where_nothing_is_known():
    canvas = Canvas(4, 4)
    canvas.curve(np.array([0.0, 0.0, 1.0, 1.0, np.nan, np.nan, 0.5, 0.5]), 1)
    lines = text(canvas.lines([RED]))

    assert [line[1] for line in lines] == ["⡏", "⡇", "⡇", "⠇"]
    assert [line[2] for line in lines] == [" "] * 4
    assert lines[0][0] == " "


def test_the_line_shows_both_densities_and_the_discriminator():
    across = np.linspace(-3, 3, 40)
    bell = np.exp(-(across**2) / 2)

    with_field = line_drawing(bell, np.roll(bell, 5), np.full(40, 0.9), (20, 8), [DIM, RED, BLUE, GREEN])
    without = line_drawing(bell, np.roll(bell, 5), None, (20, 8), [DIM, RED, BLUE, GREEN])

    assert styles(with_field) == {DIM, RED, BLUE, GREEN}
    assert styles(without) == {RED, BLUE}
    assert all(len(line) == 20 for line in text(with_field))


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


def test_shrinking_takes_means():
    image = np.arange(16, dtype=np.uint8).reshape(1, 4, 4, 1).repeat(3, axis=3)

    assert shrink(image, 2, 2)[0, ..., 0].tolist() == [[2, 4], [10, 12]]  # of 2.5, 4.5, 10.5 and 12.5, to even


@pytest.mark.parametrize("size", [(11, 9), (28, 28), (1, 3)])
def test_shrinking_to_any_size_weighs_by_area(size):
    image = np.random.default_rng(0).integers(0, 256, (28, 28, 3), dtype=np.uint8)

    blown_up = image.repeat(size[0], axis=0).repeat(size[1], axis=1).astype(float)
    expected = np.rint(blown_up.reshape(size[0], 28, size[1], 28, 3).mean(axis=(1, 3)))
    np.testing.assert_allclose(shrink(image[None], *size)[0].astype(float), expected, atol=1)


def test_below_the_last_row_of_an_odd_height_is_the_terminals_ground():
    picture = np.full((3, 2, 3), 200, np.uint8)

    first, last = image_drawing(picture, coloured=True)

    assert first[0].style.bgcolor is not None
    assert (last[0].text, last[0].style.bgcolor) == ("▀▀", None)


@pytest.mark.parametrize(
    ("values", "bars"),
    [([0, 1, 2, 3, 4, 5, 6, 7], "▁▂▃▄▅▆▇█"), ([2, 2, 2], "▅▅▅"), ([], ""), ([np.nan, 1.0, 0.0], "█▁")],
)
def test_sparklines(values, bars):
    assert sparkline(np.array(values, dtype=np.float64), 8) == bars


def test_one_wild_beginning_does_not_flatten_the_trend():
    values = np.concatenate([[1000.0], np.linspace(1, 0, 119)])

    assert len(set(sparkline(values, 12))) >= 6
