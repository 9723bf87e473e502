"""The generator. Shapes: n samples, w numbers of a flattened latent, m frequencies, d numbers of a sample."""

from __future__ import annotations

import math

import torch
from ganforge.plugin import BuildContext, Latent
from torch import Tensor, nn

from acme_rings.params import FourierParams


def build_fourier(params: FourierParams, context: BuildContext) -> nn.Module:
    """Factory of ``fourier``."""
    return FourierGenerator(params, context)


class FourierGenerator(nn.Module):
    """Latents seen through random waves, which lets a small network draw thin shapes (Tancik et al. 2020, equation 5)."""

    def __init__(self, params: FourierParams, context: BuildContext) -> None:
        super().__init__()
        self.latent = context.latent
        self.shape = context.data.shape
        self.features = FourierFeatures(context.latent.width, params.frequencies, params.bandwidth)
        self.entry = nn.Linear(2 * params.frequencies, params.width)
        self.residual = nn.Sequential(*(Residual(params.width) for _ in range(params.layers)))
        self.exit = nn.Linear(params.width, context.data.size)

    def forward(self, latent: Latent) -> Tensor:
        """Latents of n to values ``(n, *shape)``."""
        waves = self.features(self.latent.flatten(latent))  # (n, w) to (n, 2m)
        values: Tensor = self.exit(self.residual(self.entry(waves)))
        return values.reshape(len(values), *self.shape)


class FourierFeatures(nn.Module):
    """``[cos 2πBz, sin 2πBz]`` with a fixed B of independent normal numbers: saved with the weights, but not learnt."""

    directions: Tensor

    def __init__(self, inputs: int, frequencies: int, bandwidth: float) -> None:
        super().__init__()
        self.register_buffer("directions", bandwidth * torch.randn(inputs, frequencies))

    def forward(self, values: Tensor) -> Tensor:
        """``(n, w)`` to ``(n, 2m)``."""
        phase = 2 * math.pi * values @ self.directions
        return torch.cat([phase.cos(), phase.sin()], dim=1)


class Residual(nn.Module):
    """A layer that adds to what it is given (He et al. 2016)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.layer = nn.Linear(width, width)

    def forward(self, values: Tensor) -> Tensor:
        """``(n, width)`` to the same."""
        return values + nn.functional.silu(self.layer(values))
