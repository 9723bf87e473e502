"""Fully connected encoder (Kingma & Welling 2014, appendix C). Shapes: n samples, d numbers per sample."""

from __future__ import annotations

import math

from torch import Tensor, nn

from ganforge.plugin import EncoderContext, Samples
from ganforge_vae.params import MlpEncoderParams
from ganforge_vanilla.networks import hidden_layers, init_uniform


class MlpEncoder(nn.Module):
    """Flattened values through hidden layers to what the game reads, without an activation at the end."""

    def __init__(self, params: MlpEncoderParams, context: EncoderContext) -> None:
        super().__init__()
        self.output = context.output
        self.trunk, width = hidden_layers(context.data.size, params)
        self.last = nn.Linear(width, math.prod(context.output))
        init_uniform(self, params.initial_range)

    def forward(self, samples: Samples) -> Tensor:
        """Samples of n → ``(n, *output)``."""
        values: Tensor = self.last(self.trunk(samples.values.flatten(1)))  # (n, d) → (n, Π output)
        return values.reshape(len(values), *self.output)
