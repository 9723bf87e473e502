"""The Fréchet distance against torchmetrics, POT, scipy and a closed form."""

from __future__ import annotations

import math

import numpy as np
import ot
import pytest
import torch
from scipy.linalg import sqrtm
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance

from ganforge.core.errors import IncompatiblePartsError
from ganforge.metrics import frechet_distance, frechet_distance_of_moments


def features(seed: int, n: int, d: int) -> Tensor:
    stream = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=stream, dtype=torch.float64) @ torch.randn(d, d, generator=stream, dtype=torch.float64)


class Flat(nn.Module):
    """Gives images back as features, for torchmetrics."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.num_features = d

    def forward(self, values: Tensor) -> Tensor:
        return values.flatten(1)


@pytest.mark.parametrize(("n", "m"), [(300, 200), (300, 12), (15, 12)], ids=["many", "one singular", "both singular"])
def test_equals_torchmetrics(n: int, m: int) -> None:
    real, fake = features(0, n, 20), features(1, m, 20) + 0.3
    oracle = FrechetInceptionDistance(feature=Flat(20), normalize=True).set_dtype(torch.float64)
    oracle.update(real[:, :, None, None], real=True)
    oracle.update(fake[:, :, None, None], real=False)
    assert frechet_distance(real, fake) == pytest.approx(float(oracle.compute()), rel=1e-4)


def test_equals_pot_and_scipy_also_from_moments() -> None:
    real, fake = features(0, 200, 8), features(1, 150, 8) * 1.5 + 0.3
    (m1, c1), (m2, c2) = ((part.mean(0).numpy(), np.cov(part.numpy().T)) for part in (real, fake))
    by_scipy = ((m1 - m2) ** 2).sum() + np.trace(c1) + np.trace(c2) - 2 * np.trace(sqrtm(c1 @ c2).real)

    found = frechet_distance(real, fake)
    assert found == pytest.approx(by_scipy, rel=1e-9)
    assert found == pytest.approx(ot.gaussian.bures_wasserstein_distance(m1, m2, c1, c2) ** 2, rel=1e-9)
    assert found == pytest.approx(frechet_distance_of_moments(*map(torch.from_numpy, (m1, c1, m2, c2))), rel=1e-9)


def test_of_independent_features_it_is_the_distance_of_means_and_deviations() -> None:
    mean, deviations = torch.tensor([3.0, 4.0]), torch.tensor([2.0, 5.0])
    found = frechet_distance_of_moments(torch.zeros(2), torch.eye(2), mean, torch.diag(deviations**2))
    assert found == pytest.approx(25 + 1 + 16)


def test_the_same_samples_are_nothing_apart_though_their_covariance_is_singular() -> None:
    real = features(0, 10, 40)
    assert frechet_distance(real, real.flip(0)) == pytest.approx(0, abs=1e-10 * float(real.square().sum()))
    collapsed = torch.zeros(10, 40)
    expected = real.mean(0).square().sum() + real.var(0).sum()
    assert frechet_distance(real, collapsed) == pytest.approx(float(expected), rel=1e-9)


def test_what_is_left_between_equal_distributions_falls_as_one_over_n() -> None:
    def floor(n: int) -> float:
        return float(
            np.mean([frechet_distance(*torch.randn(2, n, 10, generator=torch.Generator().manual_seed(s))) for s in range(20)])
        )

    assert floor(100) / floor(1000) == pytest.approx(10, rel=0.25)


def test_images_are_flattened_and_the_order_of_sets_does_not_matter() -> None:
    real, fake = features(0, 30, 12), features(1, 40, 12)
    assert frechet_distance(real.reshape(30, 3, 2, 2), fake) == frechet_distance(real, fake)
    assert frechet_distance(fake, real) == pytest.approx(frechet_distance(real, fake), rel=1e-9)


@pytest.mark.parametrize("n", [5, 50])
def test_features_that_are_not_finite_give_nan(n: int) -> None:
    broken = features(0, n, 10)
    broken[2, 3] = math.inf
    assert math.isnan(frechet_distance(features(1, 50, 10), broken))
    assert math.isnan(frechet_distance_of_moments(torch.zeros(2), torch.eye(2), torch.zeros(2), torch.full((2, 2), math.nan)))


def test_what_cannot_be_compared_is_refused() -> None:
    with pytest.raises(IncompatiblePartsError, match="10 real with 9 generated"):
        frechet_distance(torch.zeros(5, 10), torch.zeros(5, 9))
    with pytest.raises(IncompatiblePartsError, match="a covariance needs at least 2"):
        frechet_distance(torch.zeros(1, 10), torch.zeros(5, 10))
    with pytest.raises(IncompatiblePartsError, match="do not fit"):
        frechet_distance_of_moments(torch.zeros(2), torch.eye(2), torch.zeros(2), torch.eye(3))
