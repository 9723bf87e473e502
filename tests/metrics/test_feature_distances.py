"""Fréchet and kernel distances against scikit-learn, torchmetrics, POT, scipy, sums over all pairs, and closed forms."""

from __future__ import annotations

import math

import numpy as np
import ot
import pytest
import torch
from scipy.linalg import sqrtm
from scipy.spatial.distance import pdist
from sklearn.metrics.pairwise import rbf_kernel
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from ganforge.core.errors import IncompatiblePartsError
from ganforge.metrics import (
    MMD_SCALES,
    feature_distances,
    frechet_distance,
    kernel_distance,
    kernel_distance_of_subsets,
    mmd,
    pairwise_distances,
)
from ganforge.metrics.feature_distances import median_distance


def points(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("chunk", [pairwise_distances._CHUNK, 500])
@pytest.mark.parametrize(("n", "m", "shape"), [(60, 60, (2,)), (71, 40, (1, 7, 7))])
def test_it_is_the_sum_over_scikit_learns_kernels(n, m, shape, chunk, monkeypatch):
    monkeypatch.setattr(pairwise_distances, "_CHUNK", chunk)
    real, fake = points(0, n, *shape), points(1, m, *shape) + 0.4

    a, b = real.flatten(1).double().numpy(), fake.flatten(1).double().numpy()
    median = np.sort(pdist(a))[(len(pdist(a)) - 1) // 2]
    expected = 0.0
    for scale in MMD_SCALES:
        gamma = 1 / (2 * (scale * median) ** 2)
        within, among, across = rbf_kernel(a, a, gamma), rbf_kernel(b, b, gamma), rbf_kernel(a, b, gamma)
        expected += (within.sum() - n) / (n * (n - 1)) + (among.sum() - m) / (m * (m - 1)) - 2 * across.mean()
    assert mmd(real, fake) == pytest.approx(expected / len(MMD_SCALES), rel=1e-5, abs=1e-7)


def test_two_gaussians_have_the_closed_form():
    """For N(0, I) and N(s, I) in d dimensions and one kernel of σ: 2 (σ²/(σ²+2))^(d/2) (1 - exp(-|s|²/(2(σ²+2))))."""
    real, fake = points(0, 3000, 2), points(1, 3000, 2) + torch.tensor([1.0, 0.0])
    variance = (1.0 * median_distance(real)) ** 2
    expected = 2 * variance / (variance + 2) * (1 - math.exp(-1 / (2 * (variance + 2))))
    assert mmd(real, fake, (1.0,)) == pytest.approx(expected, rel=0.1)


def test_a_perfect_sampler_is_at_nothing_in_the_mean_at_any_count():
    for count in (5, 100):
        runs = [mmd(points(seed, count, 2), points(500 + seed, count, 2)) for seed in range(80)]
        assert np.mean(runs) == pytest.approx(0, abs=3 * np.std(runs) / math.sqrt(80))
        assert min(runs) < 0 < max(runs)


def test_the_median_distance_is_scipys_and_takes_samples_from_the_whole():
    assert median_distance(points(0, 50, 3)) == pytest.approx(np.median(pdist(points(0, 50, 3).double())), rel=1e-6)
    halves = torch.cat([torch.zeros(5000, 1), torch.ones(5000, 1)])
    assert median_distance(halves) == 1


def test_real_samples_that_are_the_same_are_refused_and_bad_values_give_nan():
    with pytest.raises(IncompatiblePartsError, match="real samples that differ"):
        mmd(torch.zeros(5, 2), points(0, 5, 2))
    assert math.isnan(mmd(points(0, 5, 2), torch.full((5, 2), math.inf)))


@pytest.mark.parametrize(("real", "fake"), [((1, 2), (5, 2)), ((5, 2), (1, 2)), ((5, 2), (5, 3))])
def test_what_cannot_be_compared_is_refused(real, fake):
    with pytest.raises(IncompatiblePartsError, match="a kernel distance needs"):
        mmd(torch.zeros(real), torch.zeros(fake))


def features(seed: int, n: int, d: int = 6) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_equals_the_sum_over_all_pairs(monkeypatch) -> None:
    monkeypatch.setattr(feature_distances, "_CHUNK", 300)
    real, fake = features(0, 50), features(1, 70) + 0.5

    def k(x: Tensor, y: Tensor) -> float:
        return (float(x @ y) / 6 + 1) ** 3

    def within(rows: Tensor) -> float:
        pairs = [k(x, y) for i, x in enumerate(rows) for j, y in enumerate(rows) if i != j]
        return sum(pairs) / len(pairs)

    across = sum(k(x, y) for x in real for y in fake) / (50 * 70)
    assert kernel_distance(real, fake) == pytest.approx(within(real) + within(fake) - 2 * across, rel=1e-10)


class Flat(nn.Module):
    num_features = 6

    def forward(self, values: Tensor) -> Tensor:
        return values.flatten(1)


@pytest.mark.filterwarnings("ignore:.*will save all extracted features")
def test_equals_torchmetrics_on_the_whole_and_nearly_on_subsets() -> None:
    real, fake = features(0, 300), features(1, 300) * 1.3
    oracle = KernelInceptionDistance(feature=Flat(), subsets=1, subset_size=300, normalize=True)
    oracle.update(real.float()[:, :, None, None], real=True)
    oracle.update(fake.float()[:, :, None, None], real=False)
    assert kernel_distance(real, fake) == pytest.approx(float(oracle.compute()[0]), rel=1e-4)

    found = kernel_distance_of_subsets(real, fake, generator=torch.Generator().manual_seed(0), subsets=200, size=100)
    assert found.mean == pytest.approx(kernel_distance(real, fake), abs=4 * found.deviation / math.sqrt(200) + 0.01)


def test_of_gaussians_that_differ_in_the_mean_it_is_the_known_value() -> None:
    """With d = 1 and k = (xy + 1)³, the MMD² is the squared distance of the moments 1 to 3, weighted 3, 3 and 1."""
    real, fake = features(0, 4000, 1), features(1, 4000, 1) + 1
    moments = torch.tensor([1.0, 1.0, 4.0])  # E x, x², x³ of N(1, 1) less those of N(0, 1): 1, 2 − 1, 4 − 0
    assert kernel_distance(real, fake) == pytest.approx(float((torch.tensor([3.0, 3.0, 1.0]) * moments.square()).sum()), rel=0.1)


def test_it_has_no_bias() -> None:
    found = torch.tensor([kernel_distance(features(2 * seed, 20), features(2 * seed + 1, 30)) for seed in range(300)])
    assert float(found.mean()) == pytest.approx(0, abs=4 * float(found.std()) / math.sqrt(300))
    assert (found < 0).any()


def test_subsets_follow_from_the_stream() -> None:
    def found(seed: int) -> float:
        stream = torch.Generator().manual_seed(seed)
        return kernel_distance_of_subsets(features(0, 60), features(1, 60), generator=stream, subsets=3, size=10).mean

    assert found(0) == found(0) != found(1)


def test_subsets_of_everything_have_no_spread() -> None:
    found = kernel_distance_of_subsets(features(0, 20), features(1, 20), generator=torch.Generator(), subsets=4, size=20)
    assert found.mean == pytest.approx(kernel_distance(features(0, 20), features(1, 20)), rel=1e-5)
    assert found.deviation == pytest.approx(0, abs=1e-6)


def test_features_that_are_not_finite_give_nan() -> None:
    broken = features(0, 10)
    broken[2, 3] = math.inf
    assert math.isnan(kernel_distance(features(1, 10), broken))


def test_what_cannot_be_compared_is_refused_by_the_cubic_kernel() -> None:
    with pytest.raises(IncompatiblePartsError, match="a distance of features needs samples of one shape"):
        kernel_distance(features(0, 10), features(0, 10, 5))
    with pytest.raises(IncompatiblePartsError, match="needs at least 2 samples of each kind"):
        kernel_distance(features(0, 10), features(0, 1))
    with pytest.raises(IncompatiblePartsError, match="100 subsets of 1000 samples cannot be drawn from 10 real"):
        kernel_distance_of_subsets(features(0, 10), features(0, 10), generator=torch.Generator())


def correlated(seed: int, n: int, d: int) -> Tensor:
    stream = torch.Generator().manual_seed(seed)
    return torch.randn(n, d, generator=stream, dtype=torch.float64) @ torch.randn(d, d, generator=stream, dtype=torch.float64)


class FlatFid(nn.Module):
    """Gives images back as features, for torchmetrics."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.num_features = d

    def forward(self, values: Tensor) -> Tensor:
        return values.flatten(1)


@pytest.mark.parametrize(("n", "m"), [(300, 200), (300, 12), (15, 12)], ids=["many", "one singular", "both singular"])
def test_fid_equals_torchmetrics(n: int, m: int) -> None:
    real, fake = correlated(0, n, 20), correlated(1, m, 20) + 0.3
    oracle = FrechetInceptionDistance(feature=FlatFid(20), normalize=True).set_dtype(torch.float64)
    oracle.update(real[:, :, None, None], real=True)
    oracle.update(fake[:, :, None, None], real=False)
    assert frechet_distance(real, fake) == pytest.approx(float(oracle.compute()), rel=1e-4)


def test_equals_pot_and_scipy() -> None:
    real, fake = correlated(0, 200, 8), correlated(1, 150, 8) * 1.5 + 0.3
    (m1, c1), (m2, c2) = ((part.mean(0).numpy(), np.cov(part.numpy().T)) for part in (real, fake))
    by_scipy = ((m1 - m2) ** 2).sum() + np.trace(c1) + np.trace(c2) - 2 * np.trace(sqrtm(c1 @ c2).real)

    found = frechet_distance(real, fake)
    assert found == pytest.approx(by_scipy, rel=1e-9)
    assert found == pytest.approx(ot.gaussian.bures_wasserstein_distance(m1, m2, c1, c2) ** 2, rel=1e-9)


def test_the_same_samples_are_nothing_apart_though_their_covariance_is_singular() -> None:
    real = correlated(0, 10, 40)
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
    real, fake = correlated(0, 30, 12), correlated(1, 40, 12)
    assert frechet_distance(real.reshape(30, 3, 2, 2), fake) == frechet_distance(real, fake)
    assert frechet_distance(fake, real) == pytest.approx(frechet_distance(real, fake), rel=1e-9)


@pytest.mark.parametrize("n", [5, 50])
def test_the_frechet_distance_of_features_that_are_not_finite_is_nan(n: int) -> None:
    broken = correlated(0, n, 10)
    broken[2, 3] = math.inf
    assert math.isnan(frechet_distance(correlated(1, 50, 10), broken))


def test_what_has_no_frechet_distance_is_refused() -> None:
    with pytest.raises(IncompatiblePartsError, match="a distance of features needs samples of one shape"):
        frechet_distance(torch.zeros(5, 10), torch.zeros(5, 9))
    with pytest.raises(IncompatiblePartsError, match="needs at least 2 samples"):
        frechet_distance(torch.zeros(1, 10), torch.zeros(5, 10))
