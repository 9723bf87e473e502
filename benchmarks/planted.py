"""Generators with known failures, as a local plugin: test cases for the health checks.

    ganforge run recipes/vanilla_ring.toml --plugin benchmarks/planted.py --set generator.use=local/planted \
        --set 'generator.params={ failure = "one-mode" }'

They return training samples that they were initialised with, so only ``constant``, a point that moves, learns anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ganforge.plugin import BuildContext, Latent, Params, Registrar, Samples, hookimpl

if TYPE_CHECKING:
    from torch import Tensor, nn


class PlantedParams(Params):
    """Which failure."""

    failure: Literal["constant", "one-mode", "ten-images", "memorised"]
    """One point; one mode of eight; ten training samples; all training samples, a ten-thousandth of their spread off."""


def build(params: PlantedParams, context: BuildContext) -> nn.Module:
    """The generator that fails so."""
    import torch
    from torch import nn

    class Planted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.point = nn.Parameter(torch.zeros(context.data.shape))
            self.register_buffer("known", torch.zeros(_kept(params.failure), *context.data.shape))

        def init_from_data(self, real: Samples) -> None:
            values = real.values.float()
            if params.failure == "one-mode":
                nearest = (values - values[0]).flatten(1).norm(dim=1).argsort()
                values = values[nearest[: len(values) // 10]]
                values = torch.stack([values.mean(0), values.std(0)])
            rows = torch.arange(len(self.known)) * len(values) // len(self.known)
            self.known.copy_(values[rows])

        def forward(self, latent: Latent) -> Tensor:
            count = len(latent)
            if params.failure == "constant":
                return self.point.expand(count, *self.point.shape)
            if params.failure == "one-mode":
                centre, spread = self.known
                return centre + spread * latent.noise[:, : context.data.size].reshape(count, *self.point.shape) + 0 * self.point
            which = (latent.noise.sum(1) * 1e4).sin().mul(43758.5453).frac().abs() * len(self.known)
            chosen = self.known[which.long().clamp_max(len(self.known) - 1)]
            off = 1e-4 * latent.noise[:, :1].reshape(count, *[1] * self.point.dim())
            return chosen + (off if params.failure == "memorised" else 0) + 0 * self.point

    return Planted()


def _kept(failure: str) -> int:
    return {"constant": 1, "one-mode": 2, "ten-images": 10, "memorised": 1000}[failure]


@hookimpl
def ganforge_register_generators(register: Registrar) -> None:
    """Announce the generator."""
    register("planted", build, params=PlantedParams, summary="Fails in a way that is known.", check_params={"failure": "constant"})
