"""Axes and charts: positions, ticks, curves, reference values, and all of them as PNG."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganforge.core.contracts import TermInfo
from ganforge.figures import mpl_style
from ganforge.figures.charts import (
    Axis,
    best_value,
    comparison_charts,
    draw_charts,
    fit_axis,
    format_tick,
    loss_charts,
    metric_charts,
    smooth,
    spread_over_seeds,
)
from ganforge.figures.run_history import BinnedCurve
from ganforge.storage.value_info import StoredMetricInfo


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
    axis = fit_axis([values], [0.693])
    assert axis.high < 1
    assert axis.low <= 0.693 <= axis.high
    assert fit_axis([numbers(10, 11, 12)], [0.0]).low == 0
    assert fit_axis([numbers(10, 11, 12)], [-90.0, 120.0]) == fit_axis([numbers(10, 11, 12)])


def test_values_over_several_scales_get_a_logarithmic_axis_only_where_all_are_positive():
    assert fit_axis([np.geomspace(1e-3, 10, 50)]).log
    assert not fit_axis([np.concatenate([np.geomspace(1e-3, 10, 50), [0.0]])]).log


@pytest.mark.parametrize("values", [[], [math.nan, math.inf], [3.0], [0.0, 0.0], [-2.0, -2.0], [1e-300, 1e-300], [1e300, -1e300]])
def test_any_values_have_an_axis_with_an_extent(values):
    axis = fit_axis([np.array(values, dtype=float)])
    assert axis.low < axis.high
    assert np.isfinite(axis.place(numbers(axis.low, axis.high))).all()
    assert len(axis.ticks(5)) <= 8


@pytest.mark.parametrize(
    ("value", "text"), [(0.05, "0.05"), (12000, "12,000"), (0.0, "0"), (-0.5, "−0.5"), (1e9, "1e+09"), (2_000_000, "2,000,000")]
)
def test_marks_are_written_short(value, text):
    assert format_tick(value) == text


def test_smoothing_is_the_running_mean_and_skips_what_is_absent():
    values = np.array([1.0, 2.0, np.nan, 4.0, 6.0])

    np.testing.assert_allclose(smooth(values, 3), [1.5, 1.5, 3.0, 5.0, 5.0])
    assert smooth(values, 1) is values


def test_median_and_band_over_the_seeds_that_have_a_value():
    at, rows = spread_over_seeds([{1: 1.0, 2: 5.0}, {1: 3.0, 2: math.nan}, {1: 2.0, 3: math.inf}])
    assert at == [1, 2, 3]
    assert rows[:, 0].tolist() == [1.0, 2.0, 3.0]
    assert rows[:, 1].tolist() == [5.0] * 3
    assert np.isnan(rows[:, 2]).all()


@pytest.mark.parametrize(
    ("meaning", "expected"),
    [
        (StoredMetricInfo("", "lower"), (1, 0.02)),
        (StoredMetricInfo("", "higher"), (3, 0.9)),
        (StoredMetricInfo("", "nearer", None, 0.4998), (2, 0.49)),
        (StoredMetricInfo("", "nearer"), None),
        (StoredMetricInfo("", "none"), None),
        (StoredMetricInfo(""), None),
    ],
)
def test_the_best_value_is_what_the_metric_says_is_better(meaning, expected):
    assert best_value({1: 0.02, 2: 0.49, 3: 0.9, 4: float("nan")}, meaning) == expected


def test_small_terms_have_a_chart_of_their_own():
    def curve(*values):
        made = BinnedCurve()
        made.add(range(1, len(values) + 1), values)
        return made

    terms = {
        "discriminator/critic": curve(-90.0, -100.0, -80.0),
        "discriminator/penalty": curve(0.5, 1.5, 1.0),
        "discriminator/drift": curve(0.001, 0.003, 0.002),
        "discriminator/total": curve(-89.5, -98.5, -79.0),
        "generator/adversarial": curve(0.7, 0.1, 0.9),
        "generator/codes": curve(0.5, 0.2, 0.3),
    }
    charts = loss_charts(terms, {"discriminator/penalty": TermInfo("a penalty", 0.0)})

    assert [(chart.name, [one.name for one in chart.curves]) for chart in charts] == [
        ("discriminator", ["critic", "total"]),
        ("discriminator, small terms", ["penalty"]),
        ("discriminator, small terms", ["drift"]),
        ("generator", ["adversarial", "codes"]),
    ]
    for chart in charts:
        span = chart.axis.high - chart.axis.low
        assert all(np.abs(one.values).max() > 0.05 * span for one in chart.curves)
    assert [level.name for level in charts[1].levels] == ["equilibrium 0"]
    assert draw_charts(charts, "small ones").shape[2] == 3


def test_the_chart_of_a_network_says_what_its_losses_mean_lately():
    term_info = {f"discriminator/{name}": TermInfo("cost", math.log(2), 0.0) for name in ("real", "fake")}
    terms = {key: BinnedCurve() for key in term_info}
    for one in terms.values():
        one.add(range(1, 101), [math.log(2)] * 90 + [1e-4] * 10)
    (chart,) = loss_charts(terms, term_info)
    assert "without error" in chart.remark
    (chart,) = loss_charts(terms, {})
    assert chart.remark == ""


def test_a_short_run_has_a_band_of_its_neighbouring_values():
    term = BinnedCurve()
    term.add(range(1, 201), [0.0, 1.0] * 100)
    ((curve,),) = (chart.curves for chart in loss_charts({"generator/total": term}, {}))
    assert set(curve.low) == {0.0}
    assert set(curve.high) == {1.0}
    assert 0.3 < curve.values[100] < 0.7


def test_a_term_that_is_its_networks_total_is_drawn_once_and_the_total_has_colour_zero():
    def term(value):
        curve = BinnedCurve()
        curve.add([1, 2], [value, value])
        return curve

    terms = {"d/real": term(1.0), "d/fake": term(2.0), "d/total": term(3.0), "g/adversarial": term(1.0), "g/total": term(1.0)}
    first, second = loss_charts(terms, {"d/real": TermInfo("cost", math.log(2)), "d/fake": TermInfo("cost", math.log(2))})
    assert [(curve.name, curve.colour) for curve in first.curves] == [("real", 1), ("fake", 2), ("total", 0)]
    assert [(level.name, level.colour) for level in first.levels] == [("equilibrium log 2 = 0.693", None)]
    assert [curve.name for curve in second.curves] == ["adversarial"]


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


def test_a_title_without_room_is_smaller_before_it_is_cut():
    def shown(title):
        page, _ = mpl_style.figure(6.4, 4.4)
        mpl_style.add_title(page, title, left=0.1, right=0.97, note="iteration 16,000")
        (text,) = [one for one in page.texts if "iteration" not in one.get_text()]
        return text.get_text(), text.get_size()

    assert shown("Two moons") == ("Two moons", 11)
    title = "A conditional GAN generates points of a given moon"
    assert shown(title)[0] == title
    assert shown(title)[1] < 11
    assert shown(3 * title)[0].endswith("…")
