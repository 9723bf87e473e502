"""Metrics of neighbours as a run sees them: keys, floors, protocols."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ganforge.metrics import near_duplicates, one_nearest_neighbour, precision_recall
from ganforge.plugin import DataSpec, Evaluation, IncompatiblePartsError, Samples

PLANE = DataSpec((2,))


def evaluation(seed: int = 0, count: int = 200, shift: float = 0.0) -> Evaluation:
    stream = torch.Generator().manual_seed(seed)
    real, fake = (torch.randn(count, 2, generator=stream) for _ in range(2))
    return Evaluation(Samples(real), Samples(fake + shift), torch.Generator())


def test_values_are_those_of_the_functions(metric):
    given = evaluation(shift=0.5)
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
        values = [built.measure(evaluation(seed, count))[key] for seed in range(60)]
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
    with pytest.raises(IncompatiblePartsError, match=r"needs at least 6 samples .*`samples = 6`"):
        metric("precision-recall", PLANE).measure(evaluation(count=5))


def test_keys_and_labels(metric):
    for name in ("precision-recall", "one-nearest-neighbour", "duplicates"):
        built = metric(name, PLANE)
        found = built.measure(evaluation())
        assert found.keys() == built.value_info.keys()
        assert all(type(value) is float for value in found.values())
        assert all(len(measure.label) > 20 for measure in built.value_info.values())
        assert name.split("-", maxsplit=1)[0] in repr(built).lower() or "Nearest" in repr(built)
