"""Exact and sliced transport against POT, scipy, and cases computed by hand."""

from __future__ import annotations

import math
import sys

import numpy as np
import ot
import pytest
import torch
from scipy import stats
from torch import Tensor

from ganforge.core.errors import IncompatiblePartsError
from ganforge.metrics import random_directions, sliced_wasserstein, wasserstein, wasserstein1, wasserstein2


def points(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("shape", [(2,), (1,), (1, 4, 4)])
@pytest.mark.parametrize(("n", "m"), [(150, 150), (60, 90)])
def test_equals_pot(n: int, m: int, shape: tuple[int, ...]) -> None:
    real, fake = points(0, n, *shape), points(1, m, *shape) * 1.5 + 0.5
    a, b = real.flatten(1).double().numpy(), fake.flatten(1).double().numpy()

    assert wasserstein1(real, fake) == pytest.approx(ot.emd2([], [], ot.dist(a, b, metric="euclidean")), rel=1e-9)
    assert wasserstein2(real, fake) == pytest.approx(math.sqrt(ot.emd2([], [], ot.dist(a, b, metric="sqeuclidean"))), rel=1e-9)


def test_w1_on_the_line_equals_scipy() -> None:
    real, fake = points(0, 200, 1), points(1, 200, 1) + 1
    assert wasserstein1(real, fake) == pytest.approx(stats.wasserstein_distance(real[:, 0].numpy(), fake[:, 0].numpy()), rel=1e-6)


def test_w2_on_the_line_pairs_sorted_values() -> None:
    real, fake = points(0, 200, 1), points(1, 200, 1) * 3
    sorted_pairs = real.sort(0).values.double() - fake.sort(0).values.double()
    assert wasserstein2(real, fake) == pytest.approx(sorted_pairs.square().mean().sqrt().item(), rel=1e-9)


def test_a_shift_costs_its_length() -> None:
    real = points(0, 100, 2)
    shift = torch.tensor([3.0, 4.0])
    assert wasserstein1(real, real + shift) == pytest.approx(5, rel=1e-5)
    assert wasserstein2(real, real + shift) == pytest.approx(5, rel=1e-5)


def test_order_of_samples_does_not_matter_and_the_same_samples_are_exactly_nothing_apart() -> None:
    real = points(0, 500, 2).double() / 3 + 1e4  # far from the origin, where the matrix-product form of distances cancels
    assert wasserstein2(real, real[torch.randperm(500, generator=torch.Generator().manual_seed(0))]) == 0
    assert wasserstein1(real, real.flip(0)) == 0


def test_is_symmetric_and_no_smaller_than_w1() -> None:
    real, fake = points(0, 80, 2), points(1, 80, 2)
    assert wasserstein2(real, fake) == pytest.approx(wasserstein2(fake, real), rel=1e-12)
    assert wasserstein2(real, fake) >= wasserstein1(real, fake)


def test_collapse_costs_the_root_mean_square_distance_to_the_point() -> None:
    real = points(0, 100, 2)
    assert wasserstein2(real, torch.zeros(100, 2)) == pytest.approx(real.double().square().sum(1).mean().sqrt().item(), rel=1e-9)


def crowd(name: str) -> Tensor:
    """700 fakes of a kind that makes the search for the best matching long: enough for the head start to be taken."""
    blob = points(1, 700, 2)
    return {
        "near": blob,
        "collapsed nearly": blob * 1e-4,
        "collapsed": blob * 0 + 1,
        "far away": blob + 100,
        "on a line": blob[:, :1] * torch.tensor([1.0, 0.3]),
        "few places": blob.round(),
    }[name]


@pytest.mark.parametrize("name", ["near", "collapsed nearly", "collapsed", "far away", "on a line", "few places"])
def test_the_head_start_keeps_large_matchings_exact(name: str) -> None:
    real, fake = points(0, 700, 2), crowd(name)
    a, b = real.double().numpy(), fake.double().numpy()
    for function, costs, root in (
        (wasserstein1, ot.dist(a, b, metric="euclidean"), 1),
        (wasserstein2, ot.dist(a, b, metric="sqeuclidean"), 2),
    ):
        assert function(real, fake) == pytest.approx(ot.emd2([], [], costs, numItermax=10_000_000) ** (1 / root), rel=1e-9)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_values_that_are_not_finite_give_nan(bad: float) -> None:
    fake = points(0, 10, 2)
    fake[3, 1] = bad
    assert math.isnan(wasserstein2(points(1, 10, 2), fake))


def test_a_graph_does_no_harm() -> None:
    assert wasserstein2(points(0, 10, 2), points(0, 10, 2).requires_grad_()) == 0


@pytest.mark.parametrize(("real", "fake"), [((5, 2), (5, 3)), ((0, 2), (5, 2)), ((5, 2), (0, 2)), ((4, 1, 2, 2), (4, 4))])
def test_what_cannot_be_compared_is_refused(real: tuple, fake: tuple) -> None:
    with pytest.raises(IncompatiblePartsError, match="a Wasserstein distance needs"):
        wasserstein2(torch.zeros(real), torch.zeros(fake))


def test_unequal_numbers_need_pot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ot", None)  # as if POT were not installed
    with pytest.raises(
        IncompatiblePartsError, match=r"3 real and 2 generated samples needs POT \(compare equal numbers, or: pip install POT\)"
    ):
        wasserstein2(torch.zeros(3, 2), torch.zeros(2, 2))
    assert wasserstein2(torch.zeros(3, 2), torch.ones(3, 2)) == pytest.approx(np.sqrt(2))


@pytest.mark.parametrize("size", [1e77, 1e-150])
def test_values_of_any_size_are_matched(size: float) -> None:
    real, fake = points(0, 600, 2).double(), points(1, 600, 2).double()
    for function in (wasserstein1, wasserstein2):
        assert function(real * size, fake * size) == pytest.approx(size * function(real, fake), rel=1e-9)


@pytest.mark.parametrize("distance", [wasserstein1, wasserstein2])
@pytest.mark.parametrize(("n", "m", "size"), [(300_000, 300_000, "720 GB"), (20_001, 20_000, "3 GB"), (4_000_001, 100, "3 GB")])
def test_more_than_memory_holds_is_refused_with_what_to_do(distance, n: int, m: int, size: str) -> None:
    real, fake = torch.zeros(1, 2).expand(n, 2), torch.zeros(1, 2).expand(m, 2)
    with pytest.raises(
        IncompatiblePartsError, match=rf"{n:,} real and {m:,} .* {size}; the limit is 400,000,000 .*20,000 .*'sliced-wasserstein'"
    ):
        distance(real, fake)


def test_on_a_line_there_is_no_limit() -> None:
    assert wasserstein1(torch.zeros(30_000, 1), torch.ones(30_000, 1)) == 1


@pytest.mark.parametrize("chunk", [wasserstein._CHUNK, 1000])
@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize(("n", "m", "shape"), [(150, 150, (2,)), (60, 90, (1, 4, 4)), (101, 50, (3,))])
def test_it_is_pots_along_the_same_directions(n, m, shape, order, chunk, monkeypatch):
    monkeypatch.setattr(wasserstein, "_CHUNK", chunk)
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
    with pytest.raises(IncompatiblePartsError, match=r"a Wasserstein distance needs|cannot compare samples"):
        sliced_wasserstein(torch.zeros(real), torch.zeros(fake), torch.zeros(directions))
