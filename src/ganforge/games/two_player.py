"""The two-player game of Goodfellow et al. 2014: a discriminator against a generator."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from ganforge.core.records import Samples, Terms
from ganforge.train.modules import generate
from ganforge.train.turns import Batch, LastOutputs, Objective, OutputCache, ScheduledOptimizer, Turn, cached


class TwoPlayerGame:
    """The discriminator's turn k times, then the generator's turn once.

    Fakes for the discriminator are generated without a graph but in train mode, so that batch norm sees batch statistics in both
    turns, as in DCGAN. Each network is frozen while the other learns.

    ``discriminator_steps`` is k of Algorithm 1, the discriminator's updates per iteration. ``last_outputs`` holds the logits of the
    discriminator's last turn, or ``None`` if the losses did not use both kinds of samples.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        objective: Objective,
        *,
        generator_optimizer: ScheduledOptimizer,
        discriminator_optimizer: ScheduledOptimizer,
        discriminator_steps: int = 1,
    ) -> None:
        self._generator, self._discriminator, self._objective = generator, discriminator, objective
        self.last_outputs: LastOutputs | None = None
        self.turns = (
            Turn(
                "discriminator",
                discriminator_steps,
                discriminator_optimizer,
                self.discriminator_loss,
                tuple(generator.parameters()),
            ),
            Turn("generator", 1, generator_optimizer, self.generator_loss, tuple(discriminator.parameters())),
        )

    def discriminator_loss(self, batch: Batch, weights: list[float]) -> Terms:
        """The discriminator's loss terms on a batch, each loss scaled by its entry in ``weights``."""
        with torch.no_grad():
            real, fake = batch.real, generate(self._generator, batch.latent)
        if self._objective.second_order:
            real, fake = with_input_grad(real), with_input_grad(fake)
        outputs: OutputCache = {}
        terms = self._objective.terms("discriminator", cached(self._discriminator, outputs), real, fake, weights)
        self.last_outputs = None
        if id(real) in outputs and id(fake) in outputs:
            real_logits, fake_logits = (outputs[id(samples)][1].logits.detach() for samples in (real, fake))
            self.last_outputs = LastOutputs(real, real_logits, fake, fake_logits)
        return terms

    def generator_loss(self, batch: Batch, weights: list[float]) -> Terms:
        """The generator's loss terms on a batch, each loss scaled by its entry in ``weights``."""
        fake = generate(self._generator, batch.latent)
        return self._objective.terms("generator", cached(self._discriminator), batch.real, fake, weights)


def with_input_grad(samples: Samples) -> Samples:
    """The same samples as a leaf that requires gradients, so that a gradient penalty can share the other losses' forward pass."""
    return replace(samples, values=samples.values.detach().requires_grad_())
