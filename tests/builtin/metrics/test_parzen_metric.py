"""The 2014 protocol as a run sees it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

from ganforge.metrics import PARZEN_WIDTHS, parzen_log_likelihood
from ganforge.plugin import DataSpec, Evaluation, IncompatiblePartsError, Samples

IMAGES = DataSpec((1, 4, 4), value_range=(-1.0, 1.0))


def images(seed: int, count: int = 60) -> Samples:
    return Samples(torch.rand(count, 1, 4, 4, generator=torch.Generator().manual_seed(seed)) * 2 - 1)


def evaluation() -> Evaluation:
    return Evaluation(
        images(0), images(1), torch.Generator(), training=lambda most: images(2, most), validation=lambda most: images(3, most)
    )


def test_images_are_scaled_to_one_and_the_width_is_chosen_on_the_samples_set_aside(metric):
    given = evaluation()
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
    given = replace(evaluation(), validation=None)
    ones = [samples.values / 2 + 0.5 for samples in (given.fake, images(2, 1000), given.real)]
    assert metric("parzen", IMAGES).measure(given)["log-likelihood"] == pytest.approx(parzen_log_likelihood(*ones).mean, rel=1e-5)

    with pytest.raises(IncompatiblePartsError, match="neither validation nor training"):
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


def test_the_default_widths_are_those_of_2014(metric):
    assert metric("parzen", IMAGES).widths == PARZEN_WIDTHS


def test_the_samples_that_are_measured_stay_as_they_were(metric):
    given = evaluation()
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
