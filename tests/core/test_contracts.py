"""Optional abilities are found by the member that a component defines."""

import pytest

from ganforge.core import contracts

MEMBERS = {
    contracts.LogOddsLoss: ("logits_are_log_odds", True),
    contracts.KnownNoiseMoments: ("noise_moments", (0.0, 1.0)),
    contracts.BoundedNoise: ("noise_bounds", None),
    contracts.EvaluationProtocol: ("protocol", {"features": "raw"}),
    contracts.TrainingDataMetric: ("uses_training_data", True),
    contracts.MinimumSamples: ("min_samples", 2),
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
