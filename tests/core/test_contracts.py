"""Optional abilities are found by the member that a component defines; metric values are ranked by their goal."""

import math

import pytest

from ganforge.core import contracts
from ganforge.core.contracts import MetricInfo, aim, describe_goal, goal_cost, is_ranked
from ganforge.core.errors import PluginError

MEMBERS = {
    contracts.LogOddsLoss: ("logits_are_log_odds", True),
    contracts.KnownNoiseMoments: ("noise_moments", (0.0, 1.0)),
    contracts.BoundedNoise: ("noise_bounds", None),
    contracts.EvaluationProtocol: ("protocol", {"features": "raw"}),
    contracts.TrainingDataMetric: ("uses_training_data", True),
    contracts.MinimumSamples: ("min_samples", 2),
    contracts.ReliableSamples: ("reliable_samples", 100),
    contracts.DistinctRealSamples: ("needs_distinct_real", True),
    contracts.FiniteHeldOut: ("held_out_size", 10),
}


@pytest.mark.parametrize("ability", MEMBERS, ids=lambda ability: ability.__name__)
def test_a_component_has_an_ability_when_it_defines_the_member(ability):
    member, value = MEMBERS[ability]
    on_class = type("Component", (), {member: value})()
    on_instance = type("Component", (), {"__init__": lambda self: setattr(self, member, value)})()

    assert isinstance(on_class, ability)
    assert isinstance(on_instance, ability)
    assert not isinstance(object(), ability)


@pytest.mark.parametrize(
    ("better", "target", "in_order"),
    [
        ("lower", None, [-1.0, 0.0, 2.0, math.nan]),
        ("higher", None, [2.0, 0.0, -1.0, math.inf]),
        ("nearer", 0.5, [0.5, 0.4, 0.7, 0.018, -math.inf]),
    ],
)
def test_costs_put_values_in_order_and_what_is_not_finite_last(better, target, in_order):
    costs = [goal_cost(value, better, target) for value in in_order]
    assert costs == sorted(costs)
    assert len(set(costs)) == len(costs)


def test_what_is_not_judged_has_no_cost():
    assert not is_ranked("none")
    assert not is_ranked("nearer")
    assert not is_ranked("")
    assert math.isnan(goal_cost(1.0, "none"))
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


def test_a_floor_that_fails_is_named():
    info = MetricInfo("a distance", "nearer", floor=lambda count: 1 / 0)
    with pytest.raises(PluginError, match="the floor of the metric value 'a distance' fails for 5 samples: ZeroDivisionError"):
        info.floor_at(5)
