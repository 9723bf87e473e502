"""Metrics that compare distributions, as a run sees them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from ganforge.metrics import (
    memorisation,
    mmd,
    near_duplicates,
    one_nearest_neighbour,
    precision_recall,
    random_directions,
    sliced_wasserstein,
)
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


def evaluation_of_neighbour_metrics(seed: int = 0, count: int = 200, shift: float = 0.0) -> Evaluation:
    stream = torch.Generator().manual_seed(seed)
    real, fake = (torch.randn(count, 2, generator=stream) for _ in range(2))
    return Evaluation(Samples(real), Samples(fake + shift), torch.Generator())


def test_values_are_those_of_the_functions(metric):
    given = evaluation_of_neighbour_metrics(shift=0.5)
    real, fake = given.real.values, given.fake.values

    found = metric("precision-recall", PLANE, neighbours=3).measure(given)
    other = metric("one-nearest-neighbour", PLANE).measure(given)
    repeats = metric("duplicates", PLANE).measure(given)

    expected = precision_recall(real, fake, 3)
    assert found == {name: getattr(expected, name) for name in ("precision", "recall", "density", "coverage")}
    told = one_nearest_neighbour(real, fake)
    assert other == {"accuracy": told.accuracy, "real": told.real, "fake": told.fake}
    assert repeats == {"near": pytest.approx(near_duplicates(real, fake).pairs / (200 * 199 / 2)), "exact": 0}


@pytest.mark.parametrize(
    ("name", "key", "near"),
    [
        ("precision-recall", "coverage", 0.01),
        ("one-nearest-neighbour", "accuracy", 0.015),
        ("one-nearest-neighbour", "real", 0.02),
        ("one-nearest-neighbour", "fake", 0.02),
        ("duplicates", "near", 2e-4),
    ],
)
def test_a_perfect_sampler_is_at_the_floor_in_the_mean(name, key, near, metric):
    """In the mean of 60 evaluations; 24 samples of each kind, where the floors are far from their limits, as well."""
    built = metric(name, PLANE)
    for count in (24, 200) if key != "near" else (200,):
        values = [built.measure(evaluation_of_neighbour_metrics(seed, count))[key] for seed in range(60)]
        assert np.mean(values) == pytest.approx(built.value_info[key].floor(count), abs=near * (200 / count) ** 0.5), count


def test_a_perfect_sampler_of_data_that_repeat_is_at_the_floor_too(metric):
    """Of pairs of 30 values a thirtieth are the same; and one value alone repeats thirty times as often."""
    built = metric("duplicates", PLANE)
    stream = torch.Generator().manual_seed(0)
    places = torch.randn(30, 2, generator=stream)

    def found(values: int) -> dict[str, float]:
        real, fake = (Samples(places[torch.randint(0, most, (300,), generator=stream)]) for most in (30, values))
        return built.measure(Evaluation(real, fake, torch.Generator()))

    perfect = [found(30) for _ in range(40)]
    floor, ideal = built.value_info["near"].floor(300), built.value_info["exact"].ideal
    assert np.mean([values["near"] for values in perfect]) == pytest.approx(floor, rel=0.03)
    assert np.mean([values["exact"] for values in perfect]) == pytest.approx(ideal, abs=0.03 * 300 * 299 / 60)
    collapsed = found(1)
    assert collapsed["near"] > 25 * floor
    assert collapsed["exact"] == pytest.approx(300 * 299 / 2 * 29 / 30, rel=0.03)


def test_features_and_neighbours_are_stated(metric):
    assert metric("precision-recall", PLANE, neighbours=3).protocol == {"features": "raw", "neighbours": "3"}
    assert metric("one-nearest-neighbour", PLANE).protocol == {"features": "raw"}
    assert metric("duplicates", PLANE).protocol == {"features": "raw"}


def test_too_few_samples_say_how_many_are_needed(metric):
    with pytest.raises(IncompatiblePartsError, match=r"needs at least 6 real and generated samples, got 5 .*`samples = 6`"):
        metric("precision-recall", PLANE).measure(evaluation_of_neighbour_metrics(count=5))


def test_keys_and_labels_of_neighbour_metrics(metric):
    for name in ("precision-recall", "one-nearest-neighbour", "duplicates"):
        built = metric(name, PLANE)
        found = built.measure(evaluation_of_neighbour_metrics())
        assert found.keys() == built.value_info.keys()
        assert all(type(value) is float for value in found.values())
        assert all(len(measure.label) > 20 for measure in built.value_info.values())
        assert all(repr(key) in repr(built) for key in found)
