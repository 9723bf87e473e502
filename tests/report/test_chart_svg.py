"""Charts as SVG show what the description says."""

import math
import xml.etree.ElementTree as ET

import numpy as np

from ganforge.figures.charts import Chart, Curve, Level
from ganforge.report.page import HEIGHT, _environment, lay_out_chart, svg_path


def numbers(*values):
    return np.array(values, dtype=float)


def test_a_path_breaks_off_where_a_value_is_not_finite():
    assert svg_path(numbers(0, 1, 2, 3), numbers(5, math.nan, 6, 7)) == "M0.0 5.0M2.0 6.0L3.0 7.0"


def drawn(chart, until):
    macros = _environment().get_template("parts.html.jinja").module
    return ET.fromstring(str(macros.plot(lay_out_chart(chart, until))))


def test_a_curve_is_where_its_values_are():
    root = drawn(Chart("c", [Curve("a", numbers(0, 50, 100), numbers(0, 1, 0), 3)]), 100)
    (path,) = root.iter("path")
    assert path.get("class") == "line c3"
    top = HEIGHT * (1 - 1 / 1.07)
    assert path.get("d") == f"M0.0 {HEIGHT:.1f}L500.0 {top:.1f}L1000.0 {HEIGHT:.1f}"


def names(root):
    return [text.text for text in root.iter("text") if text.get("class") == "name"]


def test_levels_have_names_and_distant_ones_are_omitted():
    levels = [Level(0.693, "equilibrium log 2", 1), Level(1e6, "far away")]
    root = drawn(Chart("two points", [Curve("a", numbers(1, 2), numbers(0.6, 0.8), 1, summary="last 0.8")], levels), 2)
    assert root.get("aria-label") == "Chart of two points. a: last 0.8."
    assert names(root) == ["equilibrium log 2"]
    assert len([path for path in root.iter("path") if path.get("class", "").startswith("level")]) == 1


def test_of_overlapping_names_only_the_first_is_written():
    levels = [Level(1.0, "ideal 1"), Level(1.0001, "floor 1.0001")]
    assert names(drawn(Chart("c", [Curve("a", numbers(1, 2), numbers(0.0, 1.0), 1)], levels), 2)) == ["ideal 1"]


def test_names_from_a_run_are_escaped():
    root = drawn(Chart('"><script>', [], [Level(0.5, "<script>x</script>")]), 1)
    assert names(root) == ["<script>x</script>"]
    assert root.get("aria-label") == 'Chart of "><script>.'


def test_a_band_goes_there_and_back_and_one_point_is_a_dot():
    curve = Curve("a", numbers(1, 2), numbers(1, 2), 1, numbers(0, 1), numbers(2, 3))
    (band,) = drawn(Chart("c", [curve]), 2).iter("polygon")
    assert len(band.get("points").split()) == 4
    dot = drawn(Chart("c", [Curve("a", numbers(1), numbers(1), 1)]), 2)
    assert [path.get("class") for path in dot.iter("path")] == ["line c1", "dots c1"]
