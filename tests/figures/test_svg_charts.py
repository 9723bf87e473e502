"""Axes and curves: where points stand, which values are marked, and that the drawing is one that parses."""

import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganforge.figures.axes import Axis, fitted, label
from ganforge.figures.svg_charts import HEIGHT, Curve, Level, chart, path_of


def numbers(*values):
    return np.array(values, dtype=float)


def test_places_are_even_or_even_in_factors_and_end_at_the_edges():
    assert Axis(2.0, 6.0).place(numbers(2, 3, 6, 9, -1)).tolist() == [0, 0.25, 1, 1, 0]
    np.testing.assert_allclose(Axis(0.1, 1000.0, log=True).place(numbers(0.1, 1, 10, 1000)), [0, 0.25, 0.5, 1])


@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6), st.integers(2, 8))
def test_marks_are_round_inside_and_neither_few_nor_many(low, extent, most):
    high = low + extent
    marks = Axis(low, high).ticks(most)
    assert 1 <= len(marks) <= most + 1 or (most == 2 and not marks)
    slack = 1e-6 * max(extent, abs(low), abs(high))
    assert all(low - slack <= mark <= high + slack for mark in marks)
    if len(marks) > 2:
        np.testing.assert_allclose(np.diff(marks), marks[1] - marks[0], rtol=1e-3)


def test_marks_of_a_logarithmic_axis_are_decades_or_between_them():
    assert Axis(0.01, 1000.0, log=True).ticks(5) == [0.01, 0.1, 1, 10, 100, 1000][::2]
    assert Axis(0.9, 11.0, log=True).ticks(5) == [1, 2, 5, 10]


def test_a_spike_does_not_decide_and_a_near_level_is_on_the_axis():
    values = np.concatenate([np.full(999, 0.7), [50.0]])
    axis = fitted([values], [0.693])
    assert axis.high < 1
    assert axis.low <= 0.693 <= axis.high
    assert fitted([numbers(10, 11, 12)], [0.0]).low == 0
    assert fitted([numbers(10, 11, 12)], [-90.0, 120.0]) == fitted([numbers(10, 11, 12)])


def test_values_over_several_scales_get_a_logarithmic_axis_only_where_all_are_positive():
    assert fitted([np.geomspace(1e-3, 10, 50)]).log
    assert not fitted([np.concatenate([np.geomspace(1e-3, 10, 50), [0.0]])]).log


@pytest.mark.parametrize("values", [[], [math.nan, math.inf], [3.0], [0.0, 0.0], [-2.0, -2.0], [1e-300, 1e-300], [1e300, -1e300]])
def test_any_values_have_an_axis_with_an_extent(values):
    axis = fitted([np.array(values, dtype=float)])
    assert axis.low < axis.high
    assert np.isfinite(axis.place(numbers(axis.low, axis.high))).all()
    assert len(axis.ticks(5)) <= 8


@pytest.mark.parametrize(
    ("value", "text"), [(0.05, "0.05"), (12000, "12,000"), (0.0, "0"), (-0.5, "−0.5"), (1e9, "1e+09"), (2_000_000, "2,000,000")]
)
def test_marks_are_written_short(value, text):
    assert label(value) == text


def test_a_path_breaks_off_where_a_value_is_not_finite():
    assert path_of(numbers(0, 1, 2, 3), numbers(5, math.nan, 6, 7)) == "M0.0 5.0M2.0 6.0L3.0 7.0"


def drawn(*args, **options):
    return ET.fromstring(str(chart(*args, **options)))


def test_a_curve_stands_where_its_values_say():
    root = drawn([Curve(numbers(0, 50, 100), numbers(0, 1, 0), 3)], [], told="", until=100)
    (path,) = root.iter("path")
    assert path.get("class") == "line c3"
    top = HEIGHT * (1 - 1 / 1.07)
    assert path.get("d") == f"M0.0 {HEIGHT:.1f}L500.0 {top:.1f}L1000.0 {HEIGHT:.1f}"


def test_levels_have_their_names_and_far_ones_are_left_out():
    levels = [Level(0.693, "equilibrium log 2", 1), Level(1e6, "far away")]
    root = drawn([Curve(numbers(1, 2), numbers(0.6, 0.8), 1)], levels, told="two points", until=2)
    assert root.get("aria-label") == "two points"
    assert [text.text for text in root.iter("text") if text.get("class") == "name"] == ["equilibrium log 2"]
    assert len([path for path in root.iter("path") if path.get("class", "").startswith("level")]) == 1


def test_names_that_would_cover_each_other_are_written_once():
    levels = [Level(1.0, "ideal 1"), Level(1.0001, "floor 1.0001")]
    root = drawn([Curve(numbers(1, 2), numbers(0.0, 1.0), 1)], levels, told="", until=2)
    assert [text.text for text in root.iter("text") if text.get("class") == "name"] == ["ideal 1"]


def test_names_from_a_run_are_escaped():
    root = drawn([], [Level(0.5, "<script>x</script>")], told='"><script>', until=1)
    assert [text.text for text in root.iter("text") if text.get("class") == "name"] == ["<script>x</script>"]
    assert root.get("aria-label") == '"><script>'


def test_a_band_goes_there_and_back_and_one_point_is_a_dot():
    curve = Curve(numbers(1, 2), numbers(1, 2), 1, numbers(0, 1), numbers(2, 3))
    (band,) = drawn([curve], [], told="", until=2).iter("polygon")
    assert len(band.get("points").split()) == 4
    dot = drawn([Curve(numbers(1), numbers(1), 1)], [], told="", until=2)
    assert [path.get("class") for path in dot.iter("path")] == ["line c1", "dots c1"]
