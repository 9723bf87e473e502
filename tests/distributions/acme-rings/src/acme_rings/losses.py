"""The f-GAN loss (Nowozin et al. 2016): a game for each divergence that is the expected f of a density ratio.

The discriminator's logit v becomes T = g(v), which lies where the conjugate f* is defined. It raises E T(real) - E f*(T(fake)),
a lower bound of the divergence, which is reached at T = f'(p/q). The generator raises E T(fake), the paper's way out of
vanishing gradients (section 3.2). Both players settle at T = f'(1), where the bound is 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ganforge.plugin import BuildContext, LossTerms, TermInfo, Turn
from torch import Tensor
from torch.nn.functional import softplus

from acme_rings.params import Divergence, FGanParams


@dataclass(frozen=True)
class Game:
    """One divergence (table 2 of the paper and its table 6).

    Attributes:
        believed: g(v).
        conjugate: f*(g(v)), in one expression that stays finite where f* of g does not.
        settled: f'(1), which is f*(f'(1)) too, since f(1) = 0.
    """

    believed: Callable[[Tensor], Tensor]
    conjugate: Callable[[Tensor], Tensor]
    settled: float


GAMES: Mapping[Divergence, Game] = {
    "kl": Game(lambda v: v, lambda v: (v - 1).exp(), 1.0),
    "reverse-kl": Game(lambda v: -(-v).exp(), lambda v: v - 1, -1.0),
    "pearson": Game(lambda v: v, lambda v: v.square() / 4 + v, 0.0),
    "jensen-shannon": Game(lambda v: math.log(2) - softplus(-v), lambda v: softplus(v) - math.log(2), 0.0),
}


def build_f_gan(params: FGanParams, _context: BuildContext) -> FGan:
    """Factory of ``f-gan``."""
    return FGan(params.divergence)


class FGan:
    """The game of one divergence."""

    second_order = False

    def __init__(self, divergence: Divergence) -> None:
        self.game = GAMES[divergence]
        settled = self.game.settled
        self.term_info: Mapping[str, TermInfo] = {
            "discriminator/real": TermInfo("minus the belief that real samples are real", -settled),
            "discriminator/fake": TermInfo("price of believing in fakes", settled),
            "generator/adversarial": TermInfo("minus the belief that fakes are real", -settled),
        }

    def discriminator(self, turn: Turn) -> LossTerms:
        """-E T(real) and E f*(T(fake)): minus their sum bounds the divergence from below."""
        believed = self.game.believed(turn.critic(turn.real).logits).mean()
        return LossTerms({"real": -believed, "fake": self.game.conjugate(turn.critic(turn.fake).logits).mean()})

    def generator(self, turn: Turn) -> LossTerms:
        """-E T(fake)."""
        return LossTerms({"adversarial": -self.game.believed(turn.critic(turn.fake).logits).mean()})
