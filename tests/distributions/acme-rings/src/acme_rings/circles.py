"""The data set. Training points follow from the run's data seed; held-out ones are always fresh."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from ganforge.plugin import DatasetContext, DataSpec, Samples
from torch import Generator

from acme_rings.params import ConcentricParams
from acme_rings.specs import concentric_spec, radii


def build_concentric(params: ConcentricParams, context: DatasetContext) -> Concentric:
    """Factory of ``concentric``."""
    return Concentric(concentric_spec(params), params, context.seed)


@dataclass(frozen=True)
class Concentric:
    """(r + ε)(cos t, sin t) with t uniform, ε normal, and a radius r that is drawn as often as its circle is long."""

    spec: DataSpec
    params: ConcentricParams
    seed: int

    def training(self) -> Samples:
        """All training points, the same at each call."""
        return self.held_out(self.params.samples, Generator().manual_seed(self.seed))

    def held_out(self, count: int, generator: Generator) -> Samples:
        """Fresh points."""
        lengths = torch.tensor(radii(self.params.circles))
        circle = torch.multinomial(lengths, count, replacement=True, generator=generator)  # (n,)
        radius = lengths[circle] + self.params.noise * torch.randn(count, generator=generator)
        angle = 2 * math.pi * torch.rand(count, generator=generator)
        points = radius.unsqueeze(1) * torch.stack([angle.cos(), angle.sin()], dim=1)  # (n, 2)
        return Samples(points, circle if self.params.labelled else None)
