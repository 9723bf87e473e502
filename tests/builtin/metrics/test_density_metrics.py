"""The gap to the optimal discriminator as a run sees it."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch

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
        (LINE, LatentSpec(2, classes=3), "without labels, and here it is told labels .*'normal'"),
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
