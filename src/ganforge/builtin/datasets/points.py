"""Synthetic points from known distributions. The run's data seed determines the training points; held-out ones are always fresh."""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Generator, Tensor

from ganforge.builtin.datasets.dataset_specs import (
    DrawnDataset,
    GaussianParams,
    GridParams,
    MoonsParams,
    RingParams,
    SwissRollParams,
)
from ganforge.plugin import Dataset, DatasetContext, GaussianMixture, Samples


def build_moons(params: MoonsParams, context: DatasetContext) -> Dataset:
    """Factory of ``moons``."""
    return DrawnDataset(params.spec(), params.samples, context.seed, partial(draw_moons, params.noise))


def build_mixture(params: GaussianParams | RingParams | GridParams, context: DatasetContext) -> Dataset:
    """Factory of ``gaussian-1d``, ``ring`` and ``grid``."""
    spec = params.spec()
    return DrawnDataset(spec, params.samples, context.seed, partial(draw_mixture, params.density(), spec.classes is not None))


def build_swiss_roll(params: SwissRollParams, context: DatasetContext) -> Dataset:
    """Factory of ``swiss-roll``."""
    return DrawnDataset(params.spec(), params.samples, context.seed, partial(draw_swiss_roll, params.noise))


def draw_moons(noise: float, count: int, generator: Generator) -> Samples:
    """Two interleaved half circles, as in scikit-learn's ``make_moons``: evenly spaced angles, then noise, in random order.

    With t in [0, π], the upper moon, label 0, has ``count // 2`` points (cos t, sin t), the lower, label 1, the rest at
    (1 - cos t, ½ - sin t).
    """
    upper, lower = (_unit_steps(points) * math.pi for points in (count // 2, count - count // 2))
    arcs = torch.cat([torch.stack([upper.cos(), upper.sin()], 1), torch.stack([1 - lower.cos(), 0.5 - lower.sin()], 1)])
    labels = torch.cat([torch.zeros_like(upper), torch.ones_like(lower)]).long()

    order = torch.randperm(count, generator=generator)
    values = arcs[order] + noise * torch.randn(count, 2, generator=generator, dtype=arcs.dtype)
    return Samples(values.float(), labels[order])


def draw_mixture(mixture: GaussianMixture, labelled: bool, count: int, generator: Generator) -> Samples:  # noqa: FBT001  bound by partial
    """Independent draws from a mixture of Gaussians; the mode's number is the label."""
    modes = torch.multinomial(torch.tensor(mixture.shares), count, replacement=True, generator=generator)
    means = torch.tensor(mixture.means)
    noise = torch.randn(count, means.shape[1], generator=generator)
    return Samples(means[modes] + mixture.std * noise, modes if labelled else None)


def draw_swiss_roll(noise: float, count: int, generator: Generator) -> Samples:
    """The first and third axis of scikit-learn's ``make_swiss_roll`` over 7.5, the toy data of WGAN-GP (Gulrajani et al. 2017)."""
    angle = 1.5 * math.pi * (1 + 2 * torch.rand(count, generator=generator))
    roll = torch.stack([angle * angle.cos(), angle * angle.sin()], dim=1)
    return Samples((roll + noise * torch.randn(count, 2, generator=generator)) / 7.5)


def _unit_steps(points: int) -> Tensor:
    """Evenly spaced from 0 to 1, both ends included."""
    return torch.linspace(0, 1, points, dtype=torch.float64)
