import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganforge.tracking.metric_buffer import FULL, MetricBuffer, Windows, base_width, width_at


def points_of(values, base):
    windows = Windows(base)
    points = [
        point for iteration, value in values for point in windows.add("loss", iteration, 10 * iteration, value, since=iteration)
    ]
    return points + windows.close()


def test_a_point_is_the_mean_of_its_window_at_the_windows_last_iteration():
    points = points_of([(iteration, float(iteration)) for iteration in range(1, 9)], base=4)

    assert [(point.iteration, point.value, point.ms) for point in points] == [(4, 2.5, 40), (8, 6.5, 80)]


def test_an_open_window_is_sent_as_far_as_it_got():
    points = points_of([(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0), (5, 7.0)], base=4)

    assert [(point.iteration, point.value) for point in points] == [(4, 2.5), (5, 7.0)]


def test_a_point_knows_where_in_the_journal_its_window_begins():
    assert [point.since for point in points_of([(iteration, 0.0) for iteration in range(1, 9)], base=4)] == [1, 5]


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_makes_its_window_nan_and_no_other(odd):
    values = [(1, 1.0), (2, odd), (3, 1.0), (4, 3.0)]

    first, second = points_of(values, base=2)

    assert math.isnan(first.value)
    assert second.value == 2.0


def test_full_resolution_keeps_every_point_but_no_infinity():
    points = points_of([(1, 1.0), (2, math.inf), (3, 3.0)], base=FULL)

    assert [point.iteration for point in points] == [1, 2, 3]
    assert math.isnan(points[1].value)


def test_a_metric_logged_rarely_gets_a_point_per_window_that_holds_any():
    points = points_of([(16, 1.0), (32, 2.0), (40, 4.0), (100, 9.0)], base=16)

    assert [(point.iteration, point.value) for point in points] == [(16, 1.0), (32, 2.0), (40, 4.0), (100, 9.0)]


@given(
    base=st.sampled_from([1, 2, 8]),
    cuts=st.sets(st.integers(1, 399), max_size=5),
)
def test_a_journal_read_in_pieces_gives_the_same_rows_as_in_one(base, cuts):
    """After a crash the journal is read again from the last acknowledged point on: whatever the cut, the rows are the same."""
    values = [(iteration, float(iteration % 7)) for iteration in range(1, 401)]
    whole = {(point.iteration, point.value, point.ms) for point in points_of(values, base)}

    resent = set()
    for cut in sorted(cuts):
        windows = Windows(base)
        closed = [point for i, value in values[:cut] for point in windows.add("loss", i, 10 * i, value, since=i)]
        resent |= {(point.iteration, point.value, point.ms) for point in closed}

    assert resent <= whole


def test_the_width_doubles_after_2000_windows_and_after_each_further_1000():
    assert width_at(1, 8) == width_at(16_000, 8) == 8
    assert width_at(16_001, 8) == width_at(32_000, 8) == 16
    assert width_at(32_001, 8) == 32


def test_points_of_a_day_stay_below_ten_thousand():
    iteration, count = 0, 0
    while iteration < 24 * 3600 * 1000:  # a day at 1000 iterations/s
        iteration += width_at(iteration + 1, 512)
        count += 1

    assert 8_000 < count < 9_000


@pytest.mark.parametrize(
    ("per_second", "width"),
    [(1000, 512), (400, 256), (100, 64), (3, 2), (2, 1), (0.1, 1)],
)
def test_the_base_width_is_half_a_second_of_iterations_rounded_up_to_a_power_of_two(per_second, width):
    milliseconds = [round(1000 * index / per_second) for index in range(500)]

    assert base_width(milliseconds) == width


def test_warming_up_does_not_count_as_speed():
    steady = [5000 + index for index in range(100)]

    assert base_width([0, *steady]) == base_width(steady) == 512


@pytest.mark.parametrize("milliseconds", [[], [7], [7, 7, 7]])
def test_a_speed_that_nothing_is_known_of_gives_some_power_of_two(milliseconds):
    width = base_width(milliseconds)

    assert width & (width - 1) == 0
    assert width >= 1


def test_values_of_a_sweep_have_a_section_of_their_own():
    buffer = MetricBuffer(FULL, {})

    buffer.add_evaluation(0, {"kind": "eval", "iteration": 2, "ms": 1, "values": {"seeds/wasserstein": 0.5, "modes/captured": 8.0}})

    assert {point.key for point in buffer.waiting} == {"seeds/wasserstein", "eval/modes/captured"}
