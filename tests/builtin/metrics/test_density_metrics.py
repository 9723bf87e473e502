"""Metrics of densities: the optimal discriminator and the Parzen estimate."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from ganforge.builtin.metrics.function_metric import ParzenParams
from ganforge.metrics.parzen import PARZEN_WIDTHS, parzen_log_likelihood
from ganforge.plugin import DataSpec, DiscriminatorOutput, Evaluation, GaussianMixture, IncompatiblePartsError, LatentSpec, Samples

LINE = DataSpec((1,), density=GaussianMixture(((0.0,),), std=1.0))


def evaluation(shift: float, slope: float) -> Evaluation:
    """A generator that is N(shift, 1), and a discriminator of that logit slope around the middle."""
    fake = Samples(shift + torch.randn(5000, 1, generator=torch.Generator().manual_seed(0)))

    def critic(samples: Samples) -> DiscriminatorOutput:
        return DiscriminatorOutput(slope * (shift / 2 - samples.values[:, 0]))

    return Evaluation(fake, fake, torch.Generator(), critic=critic)


def test_the_optimal_discriminator_has_no_gap_and_others_have(metric):
    built = metric("optimal-discriminator", LINE)
    best, blind, wrong = (built.measure(evaluation(2.0, slope)) for slope in (2.0, 0.0, -2.0))

    assert best["gap"] < 0.02 < blind["gap"] < wrong["gap"]
    assert blind["gap"] == pytest.approx(0.341, abs=0.02)  # half the total variation
    assert best["kl"] == pytest.approx(2, rel=0.1)  # 2² / 2, a little less for the smoothing
    assert best["js"] == blind["js"] == pytest.approx(0.337, abs=0.02)
    assert best["total-variation"] == pytest.approx(0.683, abs=0.02)


def test_a_perfect_generator_is_near_nothing(metric):
    found = metric("optimal-discriminator", LINE).measure(evaluation(0.0, 0.0))
    assert max(found.values()) < 0.04
    assert min(found.values()) >= 0


def test_keys_protocol_and_cells(metric):
    built = metric("optimal-discriminator", LINE, cells=32)
    assert built.measure(evaluation(1.0, 1.0)).keys() == built.value_info.keys()
    assert "Scott" in built.protocol["density"]
    assert all(len(measure.label) > 20 for measure in built.value_info.values())


@pytest.mark.parametrize(
    ("data", "latent", "message"),
    [
        (DataSpec((2,)), LatentSpec(2), "whose density is known .*'gaussian-1d'"),
        (replace(LINE, shape=(3,), density=GaussianMixture(((0.0,) * 3,), std=1.0)), LatentSpec(2), "one- or two-dimensional"),
        (LINE, LatentSpec(2, classes=3), "without labels, but here it takes labels .*'normal'"),
    ],
)
def test_what_does_not_fit_is_refused_when_built(data, latent, message, metric):
    with pytest.raises(IncompatiblePartsError, match=message):
        metric("optimal-discriminator", data, latent)


def test_without_a_discriminator_there_is_no_gap_and_the_divergences_are_the_same(metric):
    built = metric("optimal-discriminator", LINE)
    whole, alone = (built.measure(replace(evaluation(1.0, 1.0), critic=critic)) for critic in (evaluation(1.0, 1.0).critic, None))
    assert whole == {"gap": whole["gap"], **alone}
    assert len(alone) == 4


def test_a_generator_that_diverged_gives_nan(metric):
    fake = Samples(torch.full((10, 1), math.inf))
    found = metric("optimal-discriminator", LINE).measure(replace(evaluation(0.0, 1.0), fake=fake))
    assert all(math.isnan(value) for value in found.values())


IMAGES = DataSpec((1, 4, 4), value_range=(-1.0, 1.0))


def images(seed: int, count: int = 60) -> Samples:
    return Samples(torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(seed)) * 2 - 1)


def parzen_evaluation() -> Evaluation:
    return Evaluation(
        images(0), images(1), torch.Generator(), training=lambda most: images(2, most), validation=lambda most: images(3, most)
    )


def test_images_are_scaled_to_one_and_the_width_is_chosen_on_the_samples_set_aside(metric):
    given = parzen_evaluation()
    ones = [samples.values / 2 + 0.5 for samples in (given.fake, images(3, 20), given.real)]
    expected = parzen_log_likelihood(*ones)

    found = metric("parzen", IMAGES, validation=20).measure(given)

    assert found == {
        "log-likelihood": pytest.approx(expected.mean, rel=1e-5),
        "standard-error": pytest.approx(expected.standard_error, rel=1e-4),
        "width": expected.width,
    }
    assert expected.width > min(PARZEN_WIDTHS)


def test_without_samples_set_aside_training_samples_choose_it(metric):
    given = replace(parzen_evaluation(), validation=None)
    ones = [samples.values / 2 + 0.5 for samples in (given.fake, images(2, 1000), given.real)]
    assert metric("parzen", IMAGES).measure(given)["log-likelihood"] == pytest.approx(parzen_log_likelihood(*ones).mean, rel=1e-5)

    with pytest.raises(IncompatiblePartsError, match=r"needs validation or training samples .* got neither"):
        metric("parzen", IMAGES).measure(replace(given, training=None))


def test_points_keep_their_units_and_widths_can_be_given(metric):
    stream = torch.Generator().manual_seed(0)
    real, fake, aside = (Samples(100 * torch.randn(50, 2, generator=stream)) for _ in range(3))

    built = metric("parzen", DataSpec((2,)), widths=(20.0, 50.0))
    found = built.measure(Evaluation(real, fake, stream, validation=lambda most: aside))

    assert found["width"] in (20.0, 50.0)
    assert found["log-likelihood"] == pytest.approx(-2 * math.log(100 * math.sqrt(2 * math.pi * math.e)), abs=0.5)
    assert built.protocol["values"] == "as they are"
    assert metric("parzen", IMAGES).protocol["values"] == "scaled to [0, 1]"


def test_the_default_widths_are_those_of_2014():
    assert ParzenParams().widths == PARZEN_WIDTHS


def test_the_samples_that_are_measured_stay_as_they_were(metric):
    given = parzen_evaluation()
    metric("parzen", IMAGES).measure(given)
    assert torch.equal(given.real.values, images(0).values)


@pytest.mark.slow
def test_real_mnist_images_as_samples_give_the_known_value(dataset, metric, tmp_path, mnist_files):
    """242.72 ± 2.11 at σ = 0.1668 by an independent implementation; other 10,000 training images give 238 to 244."""
    (tmp_path / "mnist").symlink_to(mnist_files)
    data = dataset("mnist", split="train-50k")
    chosen = torch.randperm(50_000, generator=torch.Generator().manual_seed(0))[:10_000]
    fake = Samples(data.spec.to_float(data.training().values[chosen]))
    real = data.held_out(10_000, torch.Generator().manual_seed(1))

    found = metric("parzen", data.spec).measure(Evaluation(real, fake, torch.Generator(), validation=data.validation))

    assert found["width"] == pytest.approx(0.1668, abs=1e-4)
    assert found["log-likelihood"] == pytest.approx(242.7, abs=0.5)
    assert found["standard-error"] == pytest.approx(2.11, abs=0.01)
