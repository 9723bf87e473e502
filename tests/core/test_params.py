"""Schedules against their closed forms."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from ganforge.core.params import Schedule, value_at

numbers = st.floats(1e-6, 1e6)
runs = st.integers(1, 100_000).flatmap(lambda iterations: st.tuples(st.integers(0, iterations), st.just(iterations)))


def schedule(kind, start, end, **more):
    return Schedule(schedule=kind, start=start, end=end, **more)


@given(numbers, numbers, runs)
def test_linear(start, end, run):
    t = run[0] / run[1]
    assert schedule("linear", start, end).at(*run) == pytest.approx(
        (1 - t) * start + t * end, rel=1e-9, abs=1e-12 * max(start, end)
    )


@given(numbers, numbers, runs)
def test_cosine(start, end, run):
    t = run[0] / run[1]
    expected = (start + end) / 2 + (start - end) / 2 * math.cos(math.pi * t)
    assert schedule("cosine", start, end).at(*run) == pytest.approx(expected, rel=1e-9, abs=1e-12 * max(start, end))


@given(numbers, numbers, runs)
def test_exponential_is_a_straight_line_in_logarithms(start, end, run):
    t = run[0] / run[1]
    expected = (1 - t) * math.log(start) + t * math.log(end)
    assert math.log(schedule("exponential", start, end).at(*run)) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("kind", "quarter", "half"),
    [("linear", 0.75, 0.5), ("cosine", 0.5 + math.sqrt(2) / 4, 0.5), ("exponential", 1e-2, 1e-4)],
)
def test_known_points(kind, quarter, half):
    end = 1e-8 if kind == "exponential" else 0.0
    curve = schedule(kind, 1.0, end)
    assert curve.at(0, 1000) == 1.0
    assert curve.at(250, 1000) == pytest.approx(quarter)
    assert curve.at(500, 1000) == pytest.approx(half)
    assert curve.at(1000, 1000) == pytest.approx(end, abs=1e-15)


def test_a_factor_multiplies_at_each_iteration_down_to_the_floor():
    """The 2014 code divides its learning rate by 1.000004 at each update, down to 1e-6."""
    curve = Schedule(schedule="exponential", start=0.1, factor=1 / 1.000004, floor=1e-6)
    assert curve.at(0, 50_000) == 0.1
    assert curve.at(1, 50_000) == pytest.approx(0.1 / 1.000004, rel=1e-12)
    assert curve.at(50_000, 50_000) == pytest.approx(0.1 * math.exp(-50_000 * math.log(1.000004)), rel=1e-9)
    assert curve.at(10_000_000, 10_000_000) == 1e-6


@pytest.mark.parametrize("kind", ["linear", "cosine", "exponential"])
def test_after_until_the_value_stays(kind):
    curve = schedule(kind, 0.5, 0.01, until=0.7)
    assert curve.at(350, 1000) == schedule(kind, 0.5, 0.01).at(500, 1000)
    assert curve.at(700, 1000) == pytest.approx(0.01)
    assert curve.at(1000, 1000) == curve.at(700, 1000)


def test_a_factor_stops_at_until_too():
    curve = Schedule(schedule="exponential", start=1.0, factor=0.9, until=0.5)
    assert curve.at(10, 10) == curve.at(5, 10) == pytest.approx(0.9**5)


@given(numbers, numbers, numbers, runs)
def test_the_floor_holds(start, end, floor, run):
    assert schedule("linear", start, end, floor=floor).at(*run) >= floor


@given(st.sampled_from(["linear", "cosine", "exponential"]), numbers, numbers, runs, st.floats(0.01, 1))
def test_values_stay_between_start_and_end(kind, start, end, run, until):
    low, high = sorted((start, end))
    value = schedule(kind, start, end, until=until).at(*run)
    rounding = 1e-12 * high
    assert low - rounding <= value <= high + rounding


def test_a_run_of_one_iteration_begins_at_the_start():
    assert schedule("linear", 1.0, 0.0, until=0.1).at(0, 1) == 1.0


def test_constants_and_schedules_are_asked_alike():
    assert value_at(0.5, 3, 10) == 0.5
    assert value_at(schedule("linear", 1.0, 0.0), 5, 10) == 0.5


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"schedule": "linear", "start": 1.0}, "give 'end'"),
        ({"schedule": "linear", "start": 1.0, "end": 0.0, "factor": 0.5}, "'factor' requires schedule"),
        ({"schedule": "cosine", "start": 1.0, "factor": 0.5}, "'factor' requires schedule"),
        ({"schedule": "exponential", "start": 1.0}, "give 'end'"),
        ({"schedule": "exponential", "start": 1.0, "end": 0.5, "factor": 0.5}, "not both"),
        ({"schedule": "exponential", "start": 1.0, "end": 0.0}, "above 0"),
        ({"schedule": "exponential", "start": 0.0, "factor": 0.5}, "above 0"),
        ({"schedule": "exponential", "start": 1.0, "factor": 0.0}, "greater than 0"),
        ({"schedule": "linear", "start": 1.0, "end": 0.0, "until": 0.0}, "greater than 0"),
        ({"schedule": "linear", "start": 1.0, "end": 0.0, "until": 1.5}, "less than or equal to 1"),
        ({"schedule": "step", "start": 1.0, "end": 0.0}, "'linear', 'cosine' or 'exponential'"),
        ({"schedule": "linear", "start": 1.0, "end": 0.0, "untill": 0.5}, "Extra inputs"),
    ],
)
def test_what_makes_no_curve_is_refused(table, message):
    with pytest.raises(ValidationError, match=message):
        Schedule.model_validate(table)
