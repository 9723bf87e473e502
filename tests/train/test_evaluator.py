"""Metrics that look at neighbours never get one real sample twice: they are refused, and say of how many there are."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from ganforge.builtin.games import two_player_spec
from ganforge.core.contracts import MetricInfo
from ganforge.core.errors import IncompatiblePartsError, PluginError
from ganforge.core.params import NoParams
from ganforge.core.records import Latent, Samples
from ganforge.core.specs import DataSpec, LatentSpec
from ganforge.train.evaluator import Evaluator, ScheduledMetric, sample_caution, sample_count

TWO_PLAYER = two_player_spec(NoParams())


class Noise:
    spec = LatentSpec(4)

    def draw(self, count: int, generator: torch.Generator) -> Latent:
        return Latent(torch.randn(count, 4, generator=generator))


class Points:
    """Fresh points at each draw."""

    spec = DataSpec((2,))

    def training(self) -> Samples:
        return Samples(torch.zeros(9, 2))

    def held_out(self, count: int, generator: torch.Generator) -> Samples:
        return Samples(torch.randn(count, 2, generator=generator))


@dataclass
class Few(Points):
    """Points of which ``held_out_size`` are held out, drawn with replacement where there are fewer."""

    held_out_size: int

    def held_out(self, count: int, generator: torch.Generator) -> Samples:
        rows = (
            torch.randperm(self.held_out_size, generator=generator)[:count]
            if count <= self.held_out_size
            else torch.randint(self.held_out_size, (count,), generator=generator)
        )
        return Samples(rows[:, None].float().repeat(1, 2))


class Kinds:
    """Counts the different real samples that it is given."""

    value_info = {"": MetricInfo("different real samples", "higher")}

    def measure(self, evaluation) -> dict[str, float]:
        return {"": float(len(evaluation.real.values.unique(dim=0)))}


class Distinct(Kinds):
    needs_distinct_real = True


class Plane(torch.nn.Linear):
    def forward(self, latent) -> Tensor:
        return super().forward(latent.noise)


def observer(dataset) -> Evaluator:
    return Evaluator(
        game=TWO_PLAYER,
        dataset=dataset,
        data=dataset.spec,
        sampler=Noise(),
        metrics=(),
        seed=0,
        device=torch.device("cpu"),
        picture_samples=4,
    )


def measured(dataset, metric, samples: int):
    return observer(dataset).measure({"generator": Plane(4, 2)}, [ScheduledMetric("neighbours", metric, 1, samples)])[0]


def test_more_than_are_held_out_are_refused_in_one_line():
    assert measured(Few(40), Distinct(), 40) == {"neighbours": 40}
    with pytest.raises(IncompatiblePartsError) as caught:
        measured(Few(40), Distinct(), 41)
    assert str(caught.value) == (
        "metric 'neighbours' needs distinct real samples: 40 are held out, and 41 are needed (set its samples = 40 or fewer)"
    )


def test_a_floor_takes_twice_as_many():
    assert observer(Few(40)).measure_real(Distinct(), 20, "neighbours")[1] == 0  # no sample is in both halves
    with pytest.raises(
        IncompatiblePartsError, match=r"40 are held out, and its floor needs 2 × 21 \(set its samples = 20 or fewer\)"
    ):
        observer(Few(40)).measure_real(Distinct(), 21, "neighbours")


def test_fresh_draws_and_metrics_that_do_not_mind_have_no_limit():
    assert measured(Points(), Distinct(), 500) == {"neighbours": 500}
    assert measured(Few(40), Kinds(), 500) == {"neighbours": 40}


class Demanding(Kinds):
    reliable_samples = 300


@pytest.mark.parametrize(
    ("wanted", "held_out", "count"), [(None, 4, 4), (None, 1, 2), (None, 5000, 2000), (50, 4, 50), (7, 400, 7)]
)
def test_sample_counts_follow_the_data_unless_the_recipe_gives_one(wanted, held_out, count):
    assert sample_count(wanted, Few(held_out)) == count
    assert sample_count(wanted, Points()) == (wanted or 2000)


@pytest.mark.parametrize(
    ("metric", "dataset", "count", "caution"),
    [
        (Kinds(), Few(400), 100, None),
        (Kinds(), Points(), 100, None),
        (Kinds(), Few(4), 2000, "2,000 samples are compared with only 4 real ones, which repeat"),
        (Kinds(), Few(40), 40, "only 40 samples, and it needs 100"),
        (Kinds(), Points(), 99, "only 99 samples, and it needs 100"),
        (Demanding(), Points(), 299, "only 299 samples, and it needs 300"),
        (Demanding(), Points(), 300, None),
    ],
)
def test_values_of_few_samples_are_marked(metric, dataset, count, caution):
    assert sample_caution(metric, dataset, count) == caution
    label = ScheduledMetric("kinds", metric, 1, count, caution=caution).value_info["kinds"].label
    assert label == "different real samples" + (f" (unreliable: {caution})" if caution else "")


class Failing:
    value_info = {"": MetricInfo("a number", "lower")}

    def __init__(self, answer):
        self.answer = answer

    def measure(self, evaluation):
        print("measuring")
        return self.answer()


@pytest.mark.parametrize(
    ("answer", "messages"),
    [
        (lambda: {"": "high"}, r"TypeError: measure returned a str for '', expected a number"),
        (lambda: 3.0, r"TypeError: measure returned a float, expected a mapping with the keys \[''\]"),
        (lambda: {"": torch.zeros(2)}, "metric 'failing' failed"),
        (lambda: 1 / 0, "ZeroDivisionError"),
        (lambda: sys.exit(0), r"it called sys.exit\(0\)"),
    ],
    ids=["text", "no table", "several numbers", "error", "exit"],
)
def test_a_metric_that_fails_is_named_and_an_optional_one_left_out(answer, messages, capsys):
    def evaluator(*, optional):
        metrics = [
            ScheduledMetric("failing", Failing(answer), 1, 5, optional=optional, remedy="set optional = true"),
            ScheduledMetric("kinds", Kinds(), 1, 5),
        ]
        return Evaluator(
            game=TWO_PLAYER,
            dataset=Points(),
            data=Points.spec,
            sampler=Noise(),
            metrics=metrics,
            seed=0,
            device=torch.device("cpu"),
        )

    with pytest.raises(PluginError, match=messages) as caught:
        made = evaluator(optional=False)
        made.measure({"generator": Identity()}, made.metrics)
    assert "optional = true" in caught.value.remedy

    made = evaluator(optional=True)
    values, missing = made.measure({"generator": Identity()}, made.metrics)
    assert values == {"kinds": 5.0}
    assert list(missing) == ["failing"]
    assert capsys.readouterr().out == ""


class Identity(torch.nn.Module):
    def forward(self, latent):
        return latent.noise[:, :2]
