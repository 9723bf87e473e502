"""The two-player game of Goodfellow et al. 2014: a discriminator against a generator, with any adversarial loss and penalties."""

from __future__ import annotations

from dataclasses import replace

import torch

from ganforge.core.params import NoParams
from ganforge.core.records import LossTerms, Samples, Step, Turn
from ganforge.games.game import Batch, CriticOutputs, Game, GameContext, OutputCache, Player


class TwoPlayerGame(Game):
    """The discriminator's turn k times (Algorithm 1), then the generator's turn once.

    Fakes for the discriminator are generated without a graph but in train mode, so that batch norm sees batch statistics in both
    turns, as in DCGAN.
    """

    def __init__(self, _params: NoParams, context: GameContext) -> None:
        super().__init__(context)
        self.players = (
            Player("discriminator", ("discriminator",), self.discriminator_loss, steps=context.discriminator_steps),
            Player("generator", ("generator",), self.generator_loss),
        )

    def discriminator_loss(self, batch: Batch, step: Step) -> LossTerms:
        """The discriminator's loss terms on a batch."""
        with torch.no_grad():
            real, fake = batch.real, self._fake(batch)
        if self.objective.second_order:
            real, fake = with_input_grad(real), with_input_grad(fake)
        outputs: OutputCache = {}
        terms = self.objective.terms("discriminator", Turn(self.critic(outputs=outputs), real, fake, step=step))
        self.critic_outputs = None
        if (id(real), True) in outputs and (id(fake), True) in outputs:
            real_logits, fake_logits = (outputs[id(samples), True][1].logits.detach() for samples in (real, fake))
            self.critic_outputs = CriticOutputs(real, real_logits, fake, fake_logits)
        return terms

    def generator_loss(self, batch: Batch, step: Step) -> LossTerms:
        """The generator's loss terms on a batch."""
        fake = self._fake(batch)
        return self.objective.terms("generator", Turn(self.critic(), batch.real, fake, step=step))

    def _fake(self, batch: Batch) -> Samples:
        return self.generate(batch.latent, tuple(batch.real.values.shape[1:]))


def with_input_grad(samples: Samples) -> Samples:
    """The same samples as a leaf that requires gradients, so that a gradient penalty can share the other losses' forward pass."""
    return replace(samples, values=samples.values.detach().requires_grad_())
