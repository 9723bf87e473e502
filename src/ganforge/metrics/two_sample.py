"""Could anyone tell the generated samples from real ones? Tests of two samples."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ganforge.metrics.pairwise_distances import blocks, comparable, own_blocks


@dataclass(frozen=True, slots=True)
class OneNearestNeighbour:
    """What :func:`one_nearest_neighbour` finds; each is NaN where a value is not finite.

    Attributes:
        accuracy: share of all samples that their nearest neighbour tells the kind of; 0.5 for a perfect generator.
        real: the same of real samples alone.
        fake: the same of generated samples alone.
    """

    accuracy: float
    real: float
    fake: float


def one_nearest_neighbour(real: Tensor, fake: Tensor) -> OneNearestNeighbour:
    """Leave-one-out accuracy of telling real from generated samples by the nearest other one (Xu et al. 2018).

    Near 1 the two lie apart, or the generated ones sit close together; near 0 each generated sample sits upon a real one. With
    unequal counts a perfect generator is no longer at 0.5. Where the nearest of both kinds are as near, the sample counts half,
    so that the order of samples decides nothing.

    Args:
        real: ``(n, *shape)`` samples or features.
        fake: ``(m, *shape)``.

    Raises:
        IncompatiblePartsError: fewer than 2 of either kind, or shapes that differ.
    """
    here, there = comparable("a 1-nearest-neighbour test", 2, real, fake)
    if not bool(here.isfinite().all() and there.isfinite().all()):
        return OneNearestNeighbour(math.nan, math.nan, math.nan)

    to_fake, to_real = _across(here, there)
    told_real, told_fake = _told(_own(here), to_fake), _told(_own(there), to_real)
    total = float(told_real.sum() + told_fake.sum()) / (len(here) + len(there))
    return OneNearestNeighbour(total, float(told_real.mean()), float(told_fake.mean()))


def _own(samples: Tensor) -> Tensor:
    """``(n,)`` distance to the nearest other one."""
    return torch.cat([distances.amin(1) for _, distances in own_blocks(samples)])


def _across(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """``(n,)`` and ``(m,)``: the distance of each to the nearest of the other set."""
    there, back = [], torch.full((len(other),), torch.inf, device=one.device)
    for _, distances in blocks(one, other):
        there.append(distances.amin(1))
        back = torch.minimum(back, distances.amin(0))
    return torch.cat(there), back


def _told(own: Tensor, others: Tensor) -> Tensor:
    """1 where the nearest is of the sample's own kind, 0 where it is not, and a half where both are as near."""
    return (own < others).double() + (own == others).double() / 2
