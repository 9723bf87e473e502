"""The two-player game: what it keeps of the discriminator's last turn."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from ganforge.core.records import DiscriminatorOutput, Latent, Samples, Terms
from ganforge.games.two_player import TwoPlayerGame, with_input_grad
from ganforge.train.turns import Batch, Objective, ScheduledOptimizer, WeightedLoss


class Generator(nn.Linear):
    def forward(self, latent: Latent) -> torch.Tensor:
        return super().forward(latent.noise)


class Discriminator(nn.Linear):
    def forward(self, samples: Samples) -> DiscriminatorOutput:
        return DiscriminatorOutput(super().forward(samples.values).squeeze(1))


class Wasserstein:
    second_order = False
    term_info = {"discriminator/gap": None, "generator/fake": None}

    def __init__(self, *, sees_real: bool) -> None:
        self.sees_real = sees_real

    def discriminator(self, critic, real: Samples, fake: Samples) -> Terms:
        gap = critic(fake).logits.mean()
        return Terms({"gap": gap - critic(real).logits.mean() if self.sees_real else gap})

    def generator(self, critic, real: Samples, fake: Samples) -> Terms:
        return Terms({"fake": -critic(fake).logits.mean()})


@pytest.fixture
def play(monkeypatch):
    """A game and a batch; ``sees_real`` says whether its loss runs the discriminator on real samples."""
    monkeypatch.setattr("ganforge.train.turns._term_info", lambda losses: {})

    def make(*, sees_real: bool) -> tuple[TwoPlayerGame, Batch]:
        torch.manual_seed(0)
        generator, discriminator = Generator(3, 2), Discriminator(2, 1)
        generator_optimizer, discriminator_optimizer = (
            ScheduledOptimizer(torch.optim.SGD(network.parameters(), 0.1)) for network in (generator, discriminator)
        )
        objective = Objective([WeightedLoss("wasserstein", Wasserstein(sees_real=sees_real))])
        game = TwoPlayerGame(
            generator,
            discriminator,
            objective,
            generator_optimizer=generator_optimizer,
            discriminator_optimizer=discriminator_optimizer,
            discriminator_steps=2,
        )
        return game, Batch(Samples(torch.randn(5, 2)), Latent(torch.randn(5, 3)))

    return make


def test_last_outputs_are_those_of_the_discriminators_last_turn(play):
    game, batch = play(sees_real=True)
    discriminator, generator = game.turns
    assert (discriminator.repeats, generator.repeats) == (2, 1)
    assert game.last_outputs is None
    terms = discriminator.update(batch, [1.0])
    last = game.last_outputs
    assert last.real is batch.real
    assert not last.real_logits.requires_grad
    torch.testing.assert_close(last.fake_logits.mean() - last.real_logits.mean(), terms["discriminator/gap"])
    generator.update(batch, [1.0])
    assert game.last_outputs is last


def test_losses_that_never_see_real_samples_leave_no_last_outputs(play):
    game, batch = play(sees_real=False)
    game.turns[0].update(batch, [1.0])
    assert game.last_outputs is None


def test_samples_with_input_grad_are_leaves():
    samples = with_input_grad(Samples(torch.ones(2, 2, requires_grad=True) * 2))
    assert samples.values.is_leaf
    assert samples.values.requires_grad
