import numpy as np
import pytest
import torch

from ganforge.core.contracts import MetricInfo
from ganforge.registry.component import Kind
from ganforge.testing import CheckState
from ganforge.testing.conformance import all_checks


class Distance:
    """Distance of the means, and the base of all faulty metrics."""

    value_info = {"": MetricInfo("distance of the means", "lower", 0.0)}

    def measure(self, evaluation):
        chosen = torch.randint(len(evaluation.real), (40,), generator=evaluation.generator)
        return {"": float((evaluation.real.values[chosen].mean(0) - evaluation.fake.values.mean(0)).norm())}


def giving(value):
    return type("Faulty", (Distance,), {"measure": lambda self, evaluation: value})


def spoil(self, evaluation):
    evaluation.fake.values.zero_()
    return {"": 0.0}


def exact(self, evaluation):
    return {"": float((evaluation.real.values.mean(0) - evaluation.fake.values.mean(0)).norm())}


def lead(self, evaluation):
    return {"": float((evaluation.real.values - evaluation.fake.values).mean())}


def draws(self, evaluation):
    return {"": float(torch.randn(()))}


def draws_afresh(self, evaluation):
    return {"": float(np.random.default_rng().normal())}


FAULTS = {
    "M01 key": ("M01", giving({"distance": 1.0}), "it returns ['distance'] but declares ['']"),
    "M01 not finite": ("M01", giving({"": float("nan")}), "value '' is nan"),
    "M01 tensor": ("M01", giving({"": torch.ones(())}), "value '' is a Tensor"),
    "M01 no mapping": ("M01", giving(1.0), "measure returns a float, not a mapping"),
    "P11 no metric": ("P11", dict, "the factory returns a dict without value_info, measure"),
    "M01 unlabelled": (
        "M01",
        type("Faulty", (Distance,), {"value_info": {"": MetricInfo("", "lower")}}),
        "value_info entries without a label: ['']",
    ),
    "M02 global stream": (
        "M02",
        type("Faulty", (Distance,), {"measure": draws}),
        "measuring changed the global random state of torch",
    ),
    "M02 fresh stream": ("M02", type("Faulty", (Distance,), {"measure": draws_afresh}), "draw from evaluation.generator"),
    "M04": (
        "M04",
        type("Faulty", (Distance,), {"value_info": {"": MetricInfo("distance of the means", "lower", 1.0)}, "measure": exact}),
        "a perfect generator gets",
    ),
    "M05": (
        "M05",
        type("Faulty", (Distance,), {"value_info": {"": MetricInfo("lead", "lower", symmetric=True)}, "measure": lead}),
        "the other way",
    ),
    "M03": ("M03", type("Faulty", (Distance,), {"measure": spoil}), "measuring changed the fake samples in place"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(judged, fault):
    check, metric, message = FAULTS[fault]

    outcome = judged(check, Kind.METRIC, lambda params, context: metric())

    assert outcome.state is CheckState.FAILED
    assert message in outcome.message


@pytest.mark.parametrize("check", ["M01", "M02", "M03"])
@pytest.mark.parametrize("requires", [(), ("density",), ("labels", "codes"), ("images",)], ids="+".join)
def test_a_sound_metric_passes(judged, check, requires):
    assert judged(check, Kind.METRIC, lambda params, context: Distance(), requires=requires).state is CheckState.PASSED


@pytest.mark.parametrize("check", ["M04", "M05"])
@pytest.mark.parametrize("requires", [(), ("density",), ("labels", "codes"), ("images",)], ids="+".join)
def test_a_metric_that_keeps_its_claims_passes(judged, check, requires):
    kept = {"value_info": {"": MetricInfo("distance of the means", "lower", 0.0, symmetric=True)}, "measure": exact}

    outcome = judged(check, Kind.METRIC, lambda params, context: type("SplitDataset", (Distance,), kept)(), requires=requires)

    assert outcome.state is CheckState.PASSED, outcome


def test_a_metric_that_claims_nothing_has_nothing_to_keep(judged):
    modest = type("Modest", (Distance,), {"value_info": {"": MetricInfo("distance of the means", "lower")}})

    for check in ("M04", "M05"):
        assert judged(check, Kind.METRIC, lambda params, context: modest()).state is CheckState.SKIPPED


def test_every_check_has_a_planted_fault():
    assert {check for check, *_ in FAULTS.values()} >= {one.id for one in all_checks() if one.id.startswith("M")}
