"""What is measured of samples whose fault is known."""

from __future__ import annotations

import math
import re

import pytest
import torch

from ganforge.core.events import HealthSamples
from ganforge.core.health_config import Health
from ganforge.core.records import Codes, DiscriminatorOutput, Evaluation, Latent, Samples
from ganforge.core.specs import LatentSpec
from ganforge.health.checks import CHECKS, CheckInputs
from ganforge.health.sample_statistics import measure_samples, sliced_distance

NOISE = LatentSpec(2)
DUPLICATES = next(check for check in CHECKS if check.name == "duplicates")
N = 256


def measured(samples: HealthSamples, latent: LatentSpec) -> dict[str, float]:
    """The values of samples of which everything can be measured."""
    values, errors = measure_samples(samples, latent)
    assert errors == {}
    return values


def drawn(count: int, seed: int) -> torch.Tensor:
    """Points of a ring of eight modes."""
    stream = torch.Generator().manual_seed(seed)
    angle = torch.randint(8, (count,), generator=stream) * math.pi / 4
    return torch.stack([angle.cos(), angle.sin()], dim=1) + 0.05 * torch.randn(count, 2, generator=stream)


TRAINING = drawn(2000, 1)


def probe(fake: torch.Tensor, *, raw=None, latent=None, critic=None, real_labels=None, real=None) -> HealthSamples:
    latent = latent or Latent(torch.zeros(len(fake), 2))
    real = Samples(drawn(N, 2) if real is None else real, real_labels)
    evaluation = Evaluation(
        real, Samples(fake, latent.labels, latent), torch.Generator(), training=lambda most: Samples(TRAINING[:most]), critic=critic
    )
    return HealthSamples(10, evaluation, Samples(fake if raw is None else raw, latent.labels, latent))


def test_a_perfect_sampler_is_found_healthy():
    values = measured(probe(drawn(N, 3)), NOISE)
    assert values["collapse"] == pytest.approx(1, abs=0.08)
    assert values["collapse/precision"] > 0.9
    assert values["duplicates"] < 3
    assert values["duplicates/same"] == 0
    assert values["separation"] == pytest.approx(0.5, abs=0.1)
    assert values["memorisation"] < 0.1
    assert values["oscillation/raw"] == values["oscillation/average"]
    assert not {"labels", "codes", "overfitting"} & values.keys()


def test_samples_come_near_the_data_or_do_not():
    perfect, far = measured(probe(drawn(N, 3)), NOISE), measured(probe(drawn(N, 3) + 9), NOISE)
    assert perfect["convergence"] > 0.9
    assert perfect["convergence/distance"] < 0.15
    assert far["convergence"] == 0
    assert far["convergence/distance"] > 5
    one = measured(probe(drawn(N, 3) + 9, raw=drawn(N, 3)), NOISE)  # the generator without EMA is enough
    assert one["convergence"] == perfect["convergence"]
    assert one["convergence/distance"] == pytest.approx(perfect["convergence/distance"])


def test_one_point_among_the_data_is_not_near_them():
    point = drawn(1, 3).expand(N, 2) + 1e-4 * torch.randn(N, 2, generator=torch.Generator().manual_seed(0))
    values = measured(probe(point), NOISE)
    assert values["collapse/precision"] == 1
    assert values["convergence"] == values["collapse"] < 0.1


def test_one_mode_of_eight_covers_an_eighth():
    one = 0.05 * torch.randn(N, 2, generator=torch.Generator().manual_seed(4)) + torch.tensor([1.0, 0.0])
    values = measured(probe(one), NOISE)
    assert values["collapse"] == pytest.approx(1 / 8, abs=0.06)
    assert values["collapse/precision"] > 0.9


def test_ten_samples_repeated_are_counted():
    values = measured(probe(drawn(10, 5)[torch.arange(N) % 10]), NOISE)
    assert values["duplicates/same"] == pytest.approx(1 / 10, abs=0.01)


def test_repeats_are_no_fault_where_the_latent_has_few_values():
    values = measured(probe(drawn(10, 5)[torch.arange(N) % 10]), LatentSpec(0, categorical=(10,)))
    assert values["duplicates/same"] == values["duplicates"] == 0


def test_held_out_samples_that_were_drawn_twice_count_once():
    few = drawn(60, 2)[torch.randint(60, (N,), generator=torch.Generator().manual_seed(8))]
    values = measured(probe(drawn(N, 3), real=few), NOISE)
    assert values["collapse"] == pytest.approx(1, abs=0.08)
    assert values["duplicates"] < 3


def test_copies_of_training_samples_are_recognised():
    copies = TRAINING[:N] + 1e-5 * torch.randn(N, 2, generator=torch.Generator().manual_seed(6))
    assert measured(probe(copies), NOISE)["memorisation"] == 1
    assert measured(probe(copies, raw=drawn(N, 3)), NOISE)["memorisation"] < 0.1, "the raw generator does not copy"


def test_one_of_two_generators_that_is_varied_is_enough():
    one = torch.ones(N, 2)
    values = measured(probe(one, raw=drawn(N, 3)), NOISE)
    assert values["collapse"] > 0.9
    assert values["duplicates/same"] == 0


def test_a_generator_that_circles_is_farther_away_than_its_average():
    values = measured(probe(drawn(N, 3), raw=drawn(N, 3) + 1.0), NOISE)
    assert values["oscillation/raw"] / values["oscillation/average"] > 5


def test_over_fitting_is_how_far_held_out_samples_are_taken_for_fakes():
    known = {tuple(row) for row in TRAINING.tolist()}

    def by_heart(samples: Samples) -> DiscriminatorOutput:
        return DiscriminatorOutput(torch.tensor([2.0 if tuple(row) in known else -1.0 for row in samples.values.tolist()]))

    values = measured(probe(drawn(N, 3) + 5, critic=by_heart), NOISE)
    assert values["overfitting"] == pytest.approx(1)
    assert values["overfitting/sign"] == 1

    honest = measured(probe(drawn(N, 3) + 5, critic=lambda samples: DiscriminatorOutput(2 - samples.values.norm(dim=1))), NOISE)
    assert honest["overfitting"] == pytest.approx(0, abs=0.05)


def test_labels_count_from_chance():
    stream = torch.Generator().manual_seed(7)
    fake, real_labels = drawn(N, 3), (drawn(N, 2)[:, 0] > 0).long()
    asked = (fake[:, 0] > 0).long()
    right = measured(probe(fake, latent=Latent(torch.zeros(N, 2), labels=asked), real_labels=real_labels), NOISE)
    assert right["labels"] == pytest.approx(1, abs=0.1)
    wild = asked[torch.randperm(N, generator=stream)]
    assert measured(probe(fake, latent=Latent(torch.zeros(N, 2), labels=wild), real_labels=real_labels), NOISE)[
        "labels"
    ] == pytest.approx(0, abs=0.2)


def test_codes_are_read_in_shares_of_their_entropy():
    codes = Codes(torch.stack([torch.arange(N) % 2, torch.arange(N) % 3], dim=1), torch.zeros(N, 0))
    latent, spec = Latent(torch.zeros(N, 2), codes=codes), LatentSpec(2, categorical=(2, 3))

    def reader(first: float) -> dict[str, float]:
        hot = [torch.nn.functional.one_hot(codes.categorical[:, column], count) for column, count in enumerate((2, 3))]
        head = torch.cat([hot[0] * first, hot[1] * 0.0], dim=1)
        return measured(
            probe(
                drawn(N, 3), latent=latent, critic=lambda samples: DiscriminatorOutput(-samples.values.norm(dim=1), {"code": head})
            ),
            spec,
        )

    assert reader(0.0)["codes"] == pytest.approx(0, abs=1e-6)
    assert reader(50.0)["codes"] == pytest.approx(math.log(2) / math.log(6), abs=1e-6)


def test_of_samples_that_are_not_finite_only_their_share_is_measured():
    half = drawn(N, 3)
    half[: N // 2, 1] = math.nan
    assert measured(probe(drawn(N, 3), raw=half), NOISE) == {"finite/samples": 0.5}
    assert measured(probe(drawn(N, 3)), NOISE)["finite/samples"] == 1


@pytest.mark.parametrize("count", [50, 60, 100, 200])
def test_the_nearest_neighbour_is_at_chance_for_a_perfect_generator_whatever_the_held_out_part(count):
    few = drawn(count, 2)
    found = measured(probe(drawn(512, 3), real=few[torch.arange(512) % count]), NOISE)
    assert found["separation"] == pytest.approx(0.5, abs=0.13)


def test_the_nearest_neighbour_of_very_few_samples_says_nothing():
    few = drawn(49, 2)
    assert "separation" not in measured(probe(drawn(512, 3), real=few[torch.arange(512) % 49]), NOISE)


def test_what_cannot_be_measured_is_named_and_the_rest_is_measured():
    def broken(samples: Samples) -> DiscriminatorOutput:
        raise RuntimeError("no eval mode here")

    values, errors = measure_samples(probe(drawn(N, 3), critic=broken), NOISE)
    assert errors == {"overfitting": "RuntimeError: no eval mode here"}
    assert values["collapse"] > 0.9
    assert measure_samples(probe(drawn(N, 3), critic=broken), NOISE, skip=errors)[1] == {}, "it is not tried again"


def test_the_sliced_distance_of_a_shift_is_the_mean_of_its_projections():
    points = drawn(N, 3).double()
    shift = torch.tensor([3.0, 4.0], dtype=torch.float64)
    assert sliced_distance(points, points) == 0
    assert sliced_distance(points, points + shift) == pytest.approx(5 * 2 / math.pi, rel=0.15)  # E|cos| = 2/π, of 64 directions


def counts(seed: int, rate: float = 3.0) -> torch.Tensor:
    return torch.poisson(torch.full((N, 1), rate), generator=torch.Generator().manual_seed(seed))


def of_counts(fake: torch.Tensor, real: torch.Tensor, training: torch.Tensor) -> HealthSamples:
    latent = Latent(torch.zeros(N, 2))
    evaluation = Evaluation(
        Samples(real), Samples(fake, None, latent), torch.Generator(), training=lambda most: Samples(training[:most])
    )
    return HealthSamples(10, evaluation, Samples(fake, None, latent))


@pytest.mark.parametrize("rate", [0.5, 3.0, 20.0])
def test_data_that_repeat_by_themselves_are_no_collapse(rate):
    for seed in range(20):
        probe = of_counts(counts(seed, rate), counts(seed + 100, rate), counts(seed + 200, rate))
        found, _ = measure_samples(probe, NOISE)
        assert DUPLICATES.observe(CheckInputs(Health(), "generator", None, found)) is None, seed
        assert found["duplicates/same"] == pytest.approx(found["duplicates/usual"], rel=0.3)


def test_of_data_that_repeat_more_repeats_than_that_are_reported():
    same = torch.full((N, 1), 20.0)
    found, _ = measure_samples(of_counts(same, counts(1, 20.0), counts(2, 20.0)), NOISE)
    messages = DUPLICATES.observe(CheckInputs(Health(), "generator", None, found))
    assert (messages.level, messages.problem) == ("fail", "mode collapse")
    assert messages.evidence.startswith("samples repeat exactly: about 1 different ones, and ")


def test_of_data_that_repeat_neighbours_tell_nothing_and_that_is_reported():
    found, errors = measure_samples(of_counts(counts(1), counts(2), counts(3)), NOISE)
    assert "collapse" not in found
    assert "separation" not in found
    assert re.search(r"only \d+ of 256 real samples are distinct", errors["collapse"])


def test_an_average_that_lags_behind_a_runaway_is_not_near_the_data():
    values = measured(probe(drawn(N, 3) + 5, raw=drawn(N, 3) + 50), NOISE)
    assert values["oscillation/away"] > 1
    assert measured(probe(drawn(N, 3), raw=drawn(N, 3) + 1), NOISE)["oscillation/away"] < 0.2
