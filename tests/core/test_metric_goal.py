"""Which value is the better one."""

import math

import pytest

from ganforge.core.contracts import MetricInfo
from ganforge.core.metric_goal import aim, cost, describe_goal, is_ranked


@pytest.mark.parametrize(
    ("better", "target", "in_order"),
    [
        ("lower", None, [-1.0, 0.0, 2.0, math.nan]),
        ("higher", None, [2.0, 0.0, -1.0, math.inf]),
        ("nearer", 0.5, [0.5, 0.4, 0.7, 0.018, -math.inf]),
    ],
)
def test_costs_put_values_in_order_and_what_is_not_finite_last(better, target, in_order):
    costs = [cost(value, better, target) for value in in_order]
    assert costs == sorted(costs)
    assert len(set(costs)) == len(costs)


def test_what_is_not_judged_has_no_cost():
    assert not is_ranked("none")
    assert not is_ranked("nearer")
    assert not is_ranked("")
    assert math.isnan(cost(1.0, "none"))
    assert is_ranked("nearer", 0.0)


def test_near_to_the_floor_before_the_ideal():
    assert (aim(1.0, 0.9), aim(1.0, None), aim(None, None)) == (0.9, 1.0, None)


def test_words():
    assert describe_goal("higher") == "higher is better"
    assert describe_goal("nearer", 0.49975) == "the nearer to 0.4998, the better"
    assert describe_goal("nearer") == "the nearer to that of real samples, the better"
    assert describe_goal("none") == "neither way is better"
    assert describe_goal("") == ""


def test_a_measure_that_cannot_be_judged_is_refused():
    with pytest.raises(ValueError, match="needs an ideal or a floor"):
        MetricInfo("", "nearer")
    with pytest.raises(ValueError, match="one of lower, higher, nearer, none"):
        MetricInfo("", "greater")


def test_plain_measures_hold_the_floor_at_their_size():
    measure = MetricInfo("", "nearer", floor=lambda count: 1 / count)
    assert measure.to_plain(4)["floor"] == 0.25
    assert "floor" not in measure.to_plain()
