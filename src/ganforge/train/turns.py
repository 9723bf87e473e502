"""The two-player game as turns. The trainer knows turns, not GANs: another game is another tuple of turns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from ganforge.core.records import Latent, Samples, Terms
from ganforge.train.module_modes import Descent, frozen
from ganforge.train.objective import Heard, Objective, Side, remembering


@dataclass(frozen=True, slots=True)
class Draw:
    """What one turn plays with.

    Attributes:
        real: a batch of real samples.
        latent: as many latents.
    """

    real: Samples
    latent: Latent


@dataclass(slots=True)
class Said:
    """What the discriminator said in its last turn, for who watches training; nobody learns from it.

    Attributes:
        real: the real samples, and their logits ``(n,)`` without graph; ``None`` where no loss asked.
        fake: the same of generated ones.
    """

    real: tuple[Samples, Tensor] | None = None
    fake: tuple[Samples, Tensor] | None = None

    def keep(self, heard: Heard, real: Samples, fake: Samples) -> None:
        """Take over what was ``heard`` of these samples."""
        self.real, self.fake = _logits(heard, real), _logits(heard, fake)


def _logits(heard: Heard, samples: Samples) -> tuple[Samples, Tensor] | None:
    found = heard.get(id(samples))
    return None if found is None else (samples, found[1].logits.detach())


@dataclass(frozen=True, slots=True)
class Turn:
    """One network's chance to learn.

    Attributes:
        name: the network that learns, as logs name it.
        times: how often it is taken per iteration (k of Algorithm 1 for the discriminator).
        descent: what moves its weights.
        terms: what it descends, for a draw under the loss weights given; all other networks are frozen while it is asked.
        still: the parameters that must not move, found once since a network's tree is slow to walk.
        said: what the discriminator said when it was last its turn.
    """

    name: str
    times: int
    descent: Descent
    terms: Callable[[Draw, list[float]], Terms]
    still: tuple[nn.Parameter, ...]
    said: Said = field(default_factory=Said)

    def gather(self, draw: Draw, weights: list[float]) -> dict[str, Tensor]:
        """Compute the gradients of one turn without taking the step; returns every term and the total, detached."""
        with frozen(self.still):
            terms = self.terms(draw, weights)
            total = terms.total
            self.descent.gather(total)
        found = {f"{self.name}/{name}": value.detach() for name, value in terms.values.items()}
        found[f"{self.name}/total"] = total.detach()
        return found

    def take(self, draw: Draw, weights: list[float]) -> dict[str, Tensor]:
        """Compute the gradients and take the step."""
        terms = self.gather(draw, weights)
        self.descent.step()
        return terms


def imagine(generator: nn.Module, latent: Latent) -> Samples:
    """Generated samples: the generator's values ``(n, *shape)`` with the labels and the latent that they were asked with."""
    return Samples(generator(latent), latent.labels, latent)


def open_to_gradients(samples: Samples) -> Samples:
    """The same samples as a leaf that takes gradients, so that a penalty on the slope can share other losses' forward pass."""
    return replace(samples, values=samples.values.detach().requires_grad_())


def two_players(
    generator: nn.Module,
    discriminator: nn.Module,
    objective: Objective,
    *,
    generator_descent: Descent,
    discriminator_descent: Descent,
    discriminator_steps: int = 1,
) -> tuple[Turn, Turn]:
    """The game of Goodfellow et al. 2014: the discriminator's turn k times, then the generator's once.

    Fakes for the discriminator are made without a graph but in train mode, so that batch-norm sees batch statistics in both turns,
    as in DCGAN. Each network is frozen while the other learns.
    """
    said = Said()

    def judge(draw: Draw, weights: list[float]) -> Terms:
        with torch.no_grad():
            real, fake = draw.real, imagine(generator, draw.latent)
        if objective.second_order:
            real, fake = open_to_gradients(real), open_to_gradients(fake)
        heard: Heard = {}
        found = terms("discriminator", real, fake, weights, heard)
        said.keep(heard, real, fake)
        return found

    def answer(draw: Draw, weights: list[float]) -> Terms:
        return terms("generator", draw.real, imagine(generator, draw.latent), weights, {})

    def terms(side: Side, real: Samples, fake: Samples, weights: list[float], heard: Heard) -> Terms:
        return objective.terms(side, remembering(discriminator, heard), real, fake, weights)

    return (
        Turn("discriminator", discriminator_steps, discriminator_descent, judge, tuple(generator.parameters()), said),
        Turn("generator", 1, generator_descent, answer, tuple(discriminator.parameters())),
    )
