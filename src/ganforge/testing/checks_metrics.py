"""M checks: metrics."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

from ganforge.core.contracts import Metric
from ganforge.core.records import Evaluation
from ganforge.hooks.component import Kind
from ganforge.testing.checking import check
from ganforge.testing.outcome import CheckFailed
from ganforge.testing.workbench import Bench, randomness_untouched, require

_MANY = 60


@check("M01", Kind.METRIC)
def measures_what_it_says(bench: Bench) -> None:
    """The values are finite numbers under exactly the declared keys."""
    metric = _metric(bench)
    values = _measure(metric, _evaluation(bench))
    require(set(values) == set(metric.measures), f"it gives {sorted(values)}, and declares {sorted(metric.measures)}")
    numbers: Mapping[str, Any] = values
    for key, value in numbers.items():
        require(isinstance(value, float | int) and not isinstance(value, bool), f"value '{key}' is a {type(value).__name__}")
        require(math.isfinite(value), f"value '{key}' is {value}")
    silent = [key for key, measure in metric.measures.items() if not measure.label.strip()]
    require(not silent, f"measures without a label: {silent}")


@check("M02", Kind.METRIC)
def measures_the_same_again(bench: Bench) -> None:
    """Equal samples and streams give equal values, and the global random streams stay still."""
    metric = _metric(bench)
    with randomness_untouched("measuring"):
        one, two = _measure(metric, _evaluation(bench)), _measure(metric, _evaluation(bench))
    require(one == two, f"measured again, {dict(one)} became {dict(two)}: draw from evaluation.generator")


@check("M03", Kind.METRIC)
def leaves_samples_alone(bench: Bench) -> None:
    """The samples that are measured stay as they were."""
    evaluation, untouched = _evaluation(bench), _evaluation(bench)
    _measure(_metric(bench), evaluation)
    for name in ("real", "fake"):
        same = torch.equal(getattr(evaluation, name).values, getattr(untouched, name).values)
        require(same, f"measuring changed the {name} samples in place")


def _metric(bench: Bench) -> Metric:
    metric = bench.build()
    if not isinstance(metric, Metric):
        raise CheckFailed(f"the factory gives a {type(metric).__name__} without measures or measure")
    return metric


def _measure(metric: Metric, evaluation: Evaluation) -> Mapping[str, float]:
    values = metric.measure(evaluation)
    if not isinstance(values, Mapping):
        raise CheckFailed(f"measure gives a {type(values).__name__}, not a mapping")
    return values


def _evaluation(bench: Bench) -> Evaluation:
    fake = bench.samples(_MANY, seed=22, latent=bench.latents(_MANY))
    return Evaluation(bench.samples(_MANY, seed=21), fake, torch.Generator().manual_seed(4))
