"""What the kit cannot know: the circles are circles, the waves are waves, and the bound is the divergence."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from ganforge.plugin import BuildContext, DatasetContext, DataSpec, DiscriminatorOutput, Latent, LatentSpec, Samples, Turn
from torch import Generator, Tensor

from acme_rings.circles import build_concentric
from acme_rings.losses import FGan
from acme_rings.networks import FourierFeatures, build_fourier
from acme_rings.params import ConcentricParams, Divergence, FourierParams
from acme_rings.specs import concentric_spec

CONTEXT = DatasetContext(seed=3, recipe_folder=Path(), data_folder=Path())
P, Q = torch.tensor([0.1, 0.2, 0.7]), torch.tensor([0.5, 0.3, 0.2])  # two distributions on the points 0, 1, 2

# For each divergence: its value by the book, and the logit at which the bound is reached, g⁻¹(f'(p/q)).
BOOK: dict[Divergence, tuple[Tensor, Callable[[Tensor], Tensor]]] = {
    "kl": ((P * (P / Q).log()).sum(), lambda u: 1 + u.log()),
    "reverse-kl": ((Q * (Q / P).log()).sum(), torch.log),
    "pearson": (((P - Q).square() / Q).sum(), lambda u: 2 * (u - 1)),
    "jensen-shannon": ((P * (2 * P / (P + Q)).log() + Q * (2 * Q / (P + Q)).log()).sum(), torch.log),
}


def test_points_lie_on_their_circles() -> None:
    data = build_concentric(ConcentricParams(circles=4, noise=0.0, labelled=True, samples=500), CONTEXT)
    drawn = data.training()
    assert drawn.labels is not None
    torch.testing.assert_close(drawn.values.norm(dim=1), (drawn.labels + 1) / 4)


def test_each_circle_has_the_share_of_its_length() -> None:
    data = build_concentric(ConcentricParams(labelled=True), CONTEXT)
    drawn = data.held_out(60_000, Generator().manual_seed(0))
    assert drawn.labels is not None
    shares = torch.bincount(drawn.labels, minlength=3) / 60_000
    torch.testing.assert_close(shares, torch.tensor(data.spec.class_shares), atol=0.01, rtol=0)
    assert concentric_spec(ConcentricParams(circles=3, labelled=True)).class_shares == pytest.approx((1 / 6, 2 / 6, 3 / 6))


def test_features_are_waves_of_the_directions() -> None:
    features = FourierFeatures(2, 5, bandwidth=1.0)
    waves = features(torch.zeros(1, 2))
    torch.testing.assert_close(waves, torch.tensor([[1.0] * 5 + [0.0] * 5]))
    assert torch.std(FourierFeatures(50, 200, bandwidth=3.0).directions).item() == pytest.approx(3.0, rel=0.05)


def test_directions_are_saved_and_not_learnt() -> None:
    generator = build_fourier(FourierParams(), BuildContext(DataSpec((2,)), LatentSpec(2)))
    assert "features.directions" in generator.state_dict()
    assert "features.directions" not in dict(generator.named_parameters())


def test_images_come_in_their_shape() -> None:
    generator = build_fourier(FourierParams(width=8), BuildContext(DataSpec((1, 4, 5)), LatentSpec(3)))
    assert generator(Latent(torch.zeros(7, 3))).shape == (7, 1, 4, 5)


@pytest.mark.parametrize("divergence", BOOK)
def test_the_best_discriminator_reaches_the_divergence_and_no_other_does(divergence: Divergence) -> None:
    value, best = BOOK[divergence]
    reached = bound(divergence, best(P / Q))
    torch.testing.assert_close(reached, value)
    for shift in (torch.tensor([0.1, 0.0, 0.0]), torch.tensor([0.0, -0.3, 0.2])):
        assert bound(divergence, best(P / Q) + shift) < reached


@pytest.mark.parametrize("divergence", BOOK)
def test_terms_settle_where_the_readings_say(divergence: Divergence) -> None:
    loss = FGan(divergence)
    logit = BOOK[divergence][1](torch.ones(1))
    samples = Samples(torch.zeros(1, 1))
    terms = {
        **{
            f"discriminator/{name}": value
            for name, value in loss.discriminator(Turn(says(logit), samples, samples)).values.items()
        },
        **{f"generator/{name}": value for name, value in loss.generator(Turn(says(logit), samples, samples)).values.items()},
    }
    messages = {name: reading.equilibrium for name, reading in loss.term_info.items()}
    assert {name: value.item() for name, value in terms.items()} == pytest.approx(messages, abs=1e-6)


@pytest.mark.parametrize("divergence", BOOK)
def test_terms_stay_finite_for_a_sure_discriminator(divergence: Divergence) -> None:
    sure = says(torch.tensor([-80.0, 80.0]))
    samples = Samples(torch.zeros(2, 1))
    loss = FGan(divergence)
    for terms in (loss.discriminator(Turn(sure, samples, samples)), loss.generator(Turn(sure, samples, samples))):
        assert math.isfinite(terms.total.item())


def bound(divergence: Divergence, logits: Tensor) -> Tensor:
    """The bound under P and Q of a discriminator that gives each of the three points its logit."""
    real, fake = (Samples(torch.arange(3).repeat_interleave((10 * weights).round().int())) for weights in (P, Q))
    terms = FGan(divergence).discriminator(Turn(lambda samples: DiscriminatorOutput(logits[samples.values]), real, fake))
    return -terms.total


def says(logits: Tensor) -> Callable[[Samples], DiscriminatorOutput]:
    return lambda _: DiscriminatorOutput(logits)
