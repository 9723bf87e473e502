"""Games that train, and break one promise each."""

import itertools
import time
from dataclasses import replace

import torch
from torch import nn

from ganforge.games.two_player import TwoPlayerGame


class build_a01(TwoPlayerGame):
    """Moves the generator after the discriminator's update."""

    def __init__(self, params, context):
        super().__init__(params, context)
        discriminator, generator = self.players
        self.players = (replace(discriminator, after=self.push), generator)

    def push(self):
        next(self.networks["generator"].parameters()).mul_(1.01)


class build_a02(TwoPlayerGame):
    """Has a parameter of its own."""

    def __init__(self, params, context):
        super().__init__(params, context)
        self.scale = nn.Parameter(torch.ones(()))


class build_a03(TwoPlayerGame):
    """Draws numbers that no seed reaches."""

    def generator_loss(self, batch, step):
        terms = super().generator_loss(batch, step)
        return terms.weighted(1.0 + time.perf_counter_ns() % 1000 / 1000)


class build_a04(TwoPlayerGame):
    """Counts in an attribute, which no checkpoint contains."""

    def __init__(self, params, context):
        super().__init__(params, context)
        self.turns = itertools.count(1)

    def generator_loss(self, batch, step):
        return super().generator_loss(batch, step).weighted(float(next(self.turns)))
