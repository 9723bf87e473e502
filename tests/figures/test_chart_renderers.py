"""Charts as SVG and PNG: both show what the description says."""

import math
import xml.etree.ElementTree as ET

import numpy as np
import pytest

from ganforge.core.contracts import TermInfo
from ganforge.figures import mpl_style
from ganforge.figures.chart_renderers import SVG_HEIGHT, chart_svg, draw_charts, svg_path
from ganforge.figures.charts import Chart, Curve, Level, comparison_charts, loss_charts, metric_charts
from ganforge.figures.run_history import BinnedCurve
from ganforge.storage.value_info import StoredMetricInfo


def numbers(*values):
    return np.array(values, dtype=float)


def test_a_path_breaks_off_where_a_value_is_not_finite():
    assert svg_path(numbers(0, 1, 2, 3), numbers(5, math.nan, 6, 7)) == "M0.0 5.0M2.0 6.0L3.0 7.0"


def drawn(chart, until):
    return ET.fromstring(str(chart_svg(chart, until)))


def test_a_curve_is_where_its_values_are():
    root = drawn(Chart("c", [Curve("a", numbers(0, 50, 100), numbers(0, 1, 0), 3)]), 100)
    (path,) = root.iter("path")
    assert path.get("class") == "line c3"
    top = SVG_HEIGHT * (1 - 1 / 1.07)
    assert path.get("d") == f"M0.0 {SVG_HEIGHT:.1f}L500.0 {top:.1f}L1000.0 {SVG_HEIGHT:.1f}"


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


# PNG


def binned(values):
    curve = BinnedCurve()
    curve.add(range(1, len(values) + 1), values)
    return curve


def draw_losses(terms, term_info, title="t", findings=()):
    return draw_charts(loss_charts({key: binned(values) for key, values in terms.items()}, term_info), title, findings=findings)


def test_values_that_are_never_finite_can_be_drawn():
    terms = {"discriminator/total": np.full(10, np.nan), "generator/$odd": np.linspace(1e-5, 1e3, 10)}
    assert draw_losses(terms, {"generator/$odd": TermInfo("costs $5 or $6", 0.5)}).shape[2] == 3


LONG = "a title of many words, " * 6
WORDY = "total discriminator loss (the weighted sum of all its terms)"


def test_no_text_is_cut_off_at_the_edges():
    values = np.geomspace(1e-5, 2.0, 50)  # a logarithmic axis has the widest numbers
    terms = {"discriminator/r1": values, "discriminator/total": 1 + values, "generator/total": values}
    losses = draw_losses(terms, dict.fromkeys(terms, TermInfo(WORDY, 0.5)), LONG)
    metrics = draw_charts(
        metric_charts({"wasserstein": {1: 1e-5, 2: 3e-5}}, {"wasserstein": StoredMetricInfo(WORDY, "lower", 0.0)}), LONG
    )

    for picture in (losses, metrics):
        assert (picture[:, :4] == 255).all()
        assert (picture[:, -4:] == 255).all()


def test_dashed_lines_are_explained_only_if_there_are_any():
    def has_note(ideal):
        picture = draw_charts(metric_charts({"w": {1: 0.5, 2: 0.4}}, {"w": StoredMetricInfo("distance", "lower", ideal)}), "t")
        return (picture[:35, 750:] < 255).any()

    assert has_note(0.0)
    assert not has_note(None)


def test_the_equilibrium_is_a_dashed_line_at_its_value():
    values = np.full(50, 0.2) + np.linspace(0, 1, 50)

    def changed(equilibrium):  # rows below the heading that only the line explains
        with_line, without = (draw_losses({"g/total": values}, {"g/total": TermInfo("", e)}) for e in (equilibrium, None))
        return np.flatnonzero((with_line[40:] != without[40:]).any(axis=(1, 2)))

    high, low = changed(1.0), changed(0.5)
    assert 1 <= len(high) <= 4
    assert 1 <= len(low) <= 4
    assert high.max() < low.min()


def red(picture):
    """Columns that are redder than anything else in the figure."""
    levels = picture.astype(int)
    return np.flatnonzero(((levels[..., 0] - levels[..., 1:].max(axis=2)) > 90).sum(axis=0) > 100)


def test_a_thin_line_with_a_name_marks_where_a_finding_began(finding):
    values = np.arange(100.0) / 100
    terms = {"generator/total": 1 + values, "discriminator/total": 2 + values}

    def marked(*findings):
        return red(draw_losses(terms, {}, findings=findings))

    early, late = (marked(finding(since=since)) for since in (20, 80))
    assert len(marked()) == 0
    assert 1 <= len(early) <= 20  # the line, and the text beside it
    assert early.max() < late.min()
    assert len(marked(*(finding(f"check {n}", since=10 * n) for n in range(1, 10)))) >= 8


@pytest.mark.parametrize("curves", [[{1: 0.5}], [{1: 0.5, 2: 0.4}, {1: 30.0, 2: 20.0}], [{}]])
def test_each_compared_metric_is_a_panel(curves):
    info = {"label": "distance that costs $1", "better": "lower", "ideal": 0.0}

    def draw(metrics, value_info):
        return draw_charts(
            comparison_charts(metrics, value_info), "title", note="line: median, band: all seeds", shared_legend=True
        )

    one = draw({"w": {"a": curves}}, {"w": info})
    two = draw({"w": {"a": curves, "b": curves}, "modes/captured": {"a": curves}}, {})
    assert one.shape[1] == two.shape[1] == 1000
    assert two.shape[0] > one.shape[0]
    colour = np.array([int(mpl_style.GROUPS[0][place : place + 2], 16) for place in (1, 3, 5)])
    assert bool((one == colour).all(-1).any())
