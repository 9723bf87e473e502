"""What metrics of neighbours say of failures of every GAN course, on real digits: the calibration of the health watch."""

from __future__ import annotations

import gzip
import math

import pytest
import torch

from ganforge.builtin.datasets.image_datasets import decode_idx as decode
from ganforge.metrics import expected_coverage, memorisation, near_duplicates, one_nearest_neighbour, precision_recall

COUNT = 600


@pytest.fixture(scope="module")
def digits(mnist_files):
    """Real digits held out, others held out, training digits, and their classes."""
    names = ("t10k-images-idx3-ubyte.gz", "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz")
    test, train, labels = (
        decode(gzip.decompress((mnist_files / name).read_bytes()), mnist_files / name, 1 if "labels" in name else 3)
        for name in names
    )
    chosen = torch.randperm(10_000, generator=torch.Generator().manual_seed(0))
    return test[chosen[:COUNT]] / 255, test[chosen[COUNT : 2 * COUNT]] / 255, train[:1500] / 255, labels[:20_000], train[:20_000]


def test_other_real_digits_are_a_perfect_generator(digits):
    real, other, train, *_ = digits
    found, messages, repeats = precision_recall(real, other), one_nearest_neighbour(real, other), near_duplicates(real, other)
    assert found.coverage == pytest.approx(expected_coverage(COUNT, COUNT, 5), abs=0.02)
    assert min(found.precision, found.recall, found.density) > 0.9
    assert messages.accuracy == pytest.approx(0.5, abs=0.05)
    assert 1 / 3 < repeats.pairs / repeats.expected_pairs < 3
    assert repeats.exact == 0
    assert abs(memorisation(train, real, other).copying) < 3


def test_one_class_covers_little_of_what_it_should(digits):
    real, _, _, labels, train = digits
    ones = train[labels == 1][:COUNT] / 255
    found = precision_recall(real, ones)
    assert found.precision > 0.9
    assert found.coverage / expected_coverage(COUNT, COUNT, 5) < 0.3
    assert one_nearest_neighbour(real, ones).accuracy > 0.8


def test_ten_images_repeated_are_ten_images(digits):
    real, _, train, *_ = digits
    ten = train[:10].repeat(COUNT // 10, 1, 1)
    found, repeats = precision_recall(real, ten), near_duplicates(real, ten)
    assert (found.recall, found.coverage < 0.1) == (0, True)
    assert one_nearest_neighbour(real, ten).accuracy > 0.98
    assert repeats.exact >= 10 * math.comb(COUNT // 10, 2)
    assert repeats.support == pytest.approx(10, rel=0.1)


def test_a_constant_generator_makes_one_image(digits):
    real, _, train, *_ = digits
    repeats = near_duplicates(real, train[:1].repeat(COUNT, 1, 1))
    assert (repeats.exact, repeats.support) == (math.comb(COUNT, 2), 1)


def test_training_images_in_disguise_are_copies(digits):
    real, other, train, *_ = digits
    copies = train[:COUNT] + 0.01 * torch.randn(COUNT, 28, 28, generator=torch.Generator().manual_seed(1))
    found, honest = memorisation(train, real, copies), memorisation(train, real, other)
    assert found.copying < -20
    assert (found.close, found.ratio < 0.1) == (1, True)
    assert honest.close < 0.03
    assert one_nearest_neighbour(train[:COUNT], copies).accuracy < 0.01


def test_noise_on_real_digits_is_reported_and_is_no_copy(digits):
    real, other, train, *_ = digits
    noisy = other + 0.2 * torch.randn(COUNT, 28, 28, generator=torch.Generator().manual_seed(1))
    found = precision_recall(real, noisy)
    assert found.density < 0.5
    assert found.coverage < 0.5
    assert one_nearest_neighbour(real, noisy).real > 0.8
    assert memorisation(train, real, noisy).copying > 3
