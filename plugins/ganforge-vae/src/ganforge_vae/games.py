"""Autoencoders: an encoder and a generator that learn together. Shapes: n samples, z latent dimensions."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from ganforge.plugin import Batch, DiscriminatorOutput, Game, GameContext, LossTerms, NoParams, Player, Samples, Step, Turn
from ganforge_vae.specs import AUTOENCODER, POSTERIOR, RECONSTRUCTION


class Autoencoder(Game):
    """The latent of a sample is the encoder's output; nothing makes it resemble what the sampler draws.

    Samples that are generated from random latents are therefore worse than reconstructions.
    """

    def __init__(self, _params: NoParams, context: GameContext) -> None:
        super().__init__(context)
        self.players = (Player(AUTOENCODER, ("encoder", "generator"), self.loss),)

    def loss(self, batch: Batch, step: Step) -> LossTerms:
        """The weighted sum of the recipe's losses on a batch."""
        encoded = self.encode(batch.real)
        made, outputs = self._reconstruct(batch, encoded)
        return self.objective.terms(AUTOENCODER, Turn(_no_critic, batch.real, made, outputs, step))

    def _reconstruct(self, batch: Batch, encoded: Tensor) -> tuple[Samples, dict[str, Tensor]]:
        """The reconstruction, and what losses can read."""
        return self._decode(batch, encoded), {RECONSTRUCTION: encoded}

    def _decode(self, batch: Batch, noise: Tensor) -> Samples:
        return self.generate(replace(batch.latent, noise=noise), tuple(batch.real.values.shape[1:]))


class Vae(Autoencoder):
    """The encoder gives a normal posterior, of which one latent per sample is drawn: z = μ + σε (Kingma & Welling 2014)."""

    def _reconstruct(self, batch: Batch, encoded: Tensor) -> tuple[Samples, dict[str, Tensor]]:
        mean, log_variance = encoded.chunk(2, dim=1)  # (n, z) each
        noise = mean + (log_variance / 2).exp() * batch.latent.noise
        return self._decode(batch, noise), {RECONSTRUCTION: noise, POSTERIOR: encoded}


def _no_critic(_samples: Samples) -> DiscriminatorOutput:
    raise NotImplementedError("an autoencoder has no discriminator")
