"""Sliced transport, kernel distance and search for copies as a run sees them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from pydantic import ValidationError

from ganforge.metrics import memorisation, mmd, random_directions, sliced_wasserstein
from ganforge.plugin import DataSpec, Evaluation, IncompatiblePartsError, Samples

PLANE = DataSpec((2,))


def points(seed: int, count: int = 150) -> Samples:
    return Samples(torch.randn(count, 2, generator=torch.Generator().manual_seed(seed)))


def evaluation() -> Evaluation:
    stream = torch.Generator().manual_seed(7)
    return Evaluation(points(0), points(1), stream, training=lambda most: points(2, most))


@pytest.mark.parametrize("order", [1, 2])
def test_the_lines_come_from_the_evaluations_stream(order, metric):
    directions = random_directions(2, 30, torch.Generator().manual_seed(7))
    built = metric("sliced-wasserstein", PLANE, order=order, projections=30)
    expected = sliced_wasserstein(points(0).values, points(1).values, directions, order)
    assert built.measure(evaluation()) == {"": expected}
    assert ("W₁" if order == 1 else "W₂") in built.value_info[""].label


def test_the_kernel_distance_is_the_functions(metric):
    built = metric("mmd", PLANE)
    assert built.measure(evaluation()) == {"": mmd(points(0).values, points(1).values)}
    assert built.value_info[""].ideal == 0
    assert built.protocol == {"features": "raw", "kernels": "gaussian, σ = 0.25, 0.5, 1, 2, 4 × median real distance"}


def test_copies_are_looked_for_among_so_many_training_samples(metric):
    built = metric("memorisation", PLANE, training=70)
    expected = memorisation(points(2, 70).values, points(0).values, points(1).values)
    assert built.measure(evaluation()) == {"copying": expected.copying, "close": expected.close, "ratio": expected.ratio}
    assert built.value_info["close"].floor(150) == pytest.approx(2 / 151)

    with pytest.raises(IncompatiblePartsError, match="needs training samples"):
        built.measure(replace(evaluation(), training=None))


@pytest.mark.parametrize("name", ["sliced-wasserstein", "mmd", "memorisation"])
def test_keys_and_labels(name, metric):
    built = metric(name, PLANE)
    found = built.measure(evaluation())
    assert found.keys() == built.value_info.keys()
    assert all(type(value) is float for value in found.values())
    assert all(len(measure.label) > 20 for measure in built.value_info.values())


def test_lines_have_a_limit_that_fits_into_memory(metric):
    with pytest.raises(ValidationError, match="less than or equal to 10000"):
        metric("sliced-wasserstein", PLANE, projections=10**9)
