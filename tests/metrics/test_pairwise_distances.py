"""Distances of samples whose squares a float does not hold: far away is no copy, and a copy is one however far away."""

from __future__ import annotations

import math

import pytest
import torch

from ganforge.metrics import memorisation, near_duplicates, one_nearest_neighbour, precision_recall
from ganforge.metrics.pairwise_distances import FEW, blocks

WIDTHS = [FEW, FEW + 8]


def points(seed: int, count: int, width: int) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("size", [1e153, 1e160, 1e300])
def test_what_lies_infinitely_far_away_is_no_copy_of_real_samples(width, size):
    real, far = points(0, 60, width), size * points(1, 60, width)

    found, messages = precision_recall(real, far), one_nearest_neighbour(real, far)

    assert (found.precision, found.recall, found.density, found.coverage) == (0, 0, 0, 0)
    assert (messages.real, messages.fake >= 0.5) == (1, True)
    assert near_duplicates(real, far).pairs == 0
    assert memorisation(points(2, 60, width), real, far).close == 0


@pytest.mark.parametrize("width", WIDTHS)
def test_copies_far_away_are_at_distance_zero_and_what_is_near_the_origin_stays_exact(width):
    usual = points(0, 6, width)
    rows = torch.cat([usual, 1e200 * usual[:2], 1e200 * usual[:1]])

    (_, found), *_ = blocks(rows, rows)

    assert torch.equal(found[6:, 6:], torch.tensor([[0, math.inf, 0], [math.inf, 0, math.inf], [0, math.inf, 0]]))
    assert bool(found[:6, 6:].isinf().all())
    assert torch.allclose(found[:6, :6], torch.cdist(usual, usual).float(), atol=1e-6)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_has_no_distance_beside_what_is_too_large(width, bad):
    rows = torch.cat([points(0, 3, width), 1e200 * points(1, 2, width)])
    rows[1, 4] = bad

    (_, found), *_ = blocks(rows, rows)

    unknown = found.isnan() | found.isinf() if width <= FEW else found.isnan()  # cdist takes infinity for far away
    assert bool(unknown[1].all())
    assert not bool(found[[0, 2, 3, 4]][:, [0, 2, 3, 4]].isnan().any())
