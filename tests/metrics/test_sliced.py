"""Sliced transport against POT with the same directions, and against the exact distance on a line."""

from __future__ import annotations

import math

import ot
import pytest
import torch
from torch import Tensor

from ganforge.core.errors import IncompatiblePartsError
from ganforge.metrics import random_directions, sliced, sliced_wasserstein, wasserstein1, wasserstein2


def points(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("chunk", [sliced._CHUNK, 1000])
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(("n", "m", "shape"), [(150, 150, (2,)), (60, 90, (1, 4, 4)), (101, 50, (3,))])
def test_it_is_pots_along_the_same_directions(n, m, shape, order, chunk, monkeypatch):
    monkeypatch.setattr(sliced, "_CHUNK", chunk)
    real, fake = points(0, n, *shape), points(1, m, *shape) * 1.5 + 0.5
    directions = random_directions(math.prod(shape), 40, torch.Generator().manual_seed(2))

    found = sliced_wasserstein(real, fake, directions, order)

    a, b = real.flatten(1).double().numpy(), fake.flatten(1).double().numpy()
    assert found == pytest.approx(ot.sliced_wasserstein_distance(a, b, p=order, projections=directions.numpy()), rel=1e-9)


def test_on_a_line_it_is_the_exact_distance():
    real, fake = points(0, 80, 1), points(1, 120, 1) * 3
    both_ways = torch.tensor([[1.0, -1.0]])
    assert sliced_wasserstein(real, fake, both_ways) == pytest.approx(wasserstein2(real, fake), rel=1e-9)
    assert sliced_wasserstein(real, fake, both_ways, 1) == pytest.approx(wasserstein1(real, fake), rel=1e-9)


def test_a_shift_costs_its_length_by_the_root_of_the_dimensions():
    """E[⟨u, s⟩²] = |s|²/d for u on the sphere."""
    real = points(0, 50, 4)
    directions = random_directions(4, 20_000, torch.Generator().manual_seed(0))
    assert sliced_wasserstein(real, real + torch.tensor([3.0, 0, 4, 0]), directions) == pytest.approx(2.5, rel=0.02)


def test_directions_are_unit_and_even():
    directions = random_directions(3, 20_000, torch.Generator().manual_seed(0))
    assert directions.shape == (3, 20_000)
    assert torch.allclose(directions.norm(dim=0), torch.ones(20_000).double())
    assert torch.allclose(directions @ directions.T / 20_000, torch.eye(3).double() / 3, atol=0.01)


def test_the_same_samples_are_nothing_apart_and_bad_values_give_nan():
    real, directions = points(0, 50, 2), random_directions(2, 5, torch.Generator())
    assert sliced_wasserstein(real, real.flip(0), directions) == 0
    assert math.isnan(sliced_wasserstein(real, real / 0, directions))


@pytest.mark.parametrize(
    ("real", "fake", "directions"), [((5, 2), (5, 3), (2, 4)), ((0, 2), (5, 2), (2, 4)), ((5, 2), (5, 2), (3, 4))]
)
def test_what_does_not_fit_is_refused(real, fake, directions):
    with pytest.raises(IncompatiblePartsError, match="cannot compare samples"):
        sliced_wasserstein(torch.zeros(real), torch.zeros(fake), torch.zeros(directions))
