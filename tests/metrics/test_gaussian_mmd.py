"""The kernel distance against scikit-learn's kernels, and a closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist
from sklearn.metrics.pairwise import rbf_kernel
from torch import Tensor

from ganforge.core.errors import IncompatiblePartsError
from ganforge.metrics import MMD_SCALES, median_distance, mmd, pairwise_distances


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
