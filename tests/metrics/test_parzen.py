"""The Parzen window against a closed form, scipy's kernel density, and the known values on real MNIST."""

import gzip
import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.special import logsumexp
from scipy.stats import gaussian_kde, multivariate_normal

from ganforge.builtin.datasets.image_datasets import decode_idx as decode
from ganforge.core.errors import IncompatiblePartsError
from ganforge.metrics.parzen import PARZEN_WIDTHS, log_densities, parzen_log_likelihood


def test_the_widths_are_those_of_the_2014_code():
    assert np.allclose(PARZEN_WIDTHS, np.logspace(-1, 0, 10), rtol=1e-12)


def test_one_sample_is_one_gaussian():
    points = torch.randn(20, 3)
    centre = torch.randn(1, 3)
    known = multivariate_normal(centre[0].numpy(), 0.4**2 * np.eye(3)).logpdf(points.numpy())
    assert np.allclose(log_densities(centre, points, [0.4])[0], known, atol=1e-5)


def test_the_density_is_scipys():
    samples, points = torch.randn(200, 1).double(), torch.randn(30, 1).double()
    kernel = gaussian_kde(samples[:, 0].numpy(), bw_method=lambda _: 0.3 / samples[:, 0].std().item())
    assert np.allclose(log_densities(samples, points, [0.3])[0], kernel.logpdf(points[:, 0].numpy()), atol=1e-5)


def test_in_high_dimensions_nothing_underflows():
    samples, points = torch.rand(700, 28, 28), torch.rand(600, 28, 28)  # more than a chunk
    distances = cdist(points.flatten(1).double().numpy(), samples.flatten(1).double().numpy(), "sqeuclidean")
    known = logsumexp(-distances / (2 * 0.1**2), axis=1) - math.log(700) - 784 * math.log(0.1 * math.sqrt(2 * math.pi))

    found = log_densities(samples, points, [0.1, 0.5])

    assert found.shape == (2, 600)
    assert np.allclose(found[0], known, rtol=1e-4)
    assert known.max() < -500  # what exp() would make 0 of


def test_the_mean_its_error_and_the_width_follow_the_protocol():
    generator = torch.Generator().manual_seed(0)
    samples, validation, test = (torch.randn(count, 2, generator=generator) for count in (400, 50, 100))

    found = parzen_log_likelihood(samples, validation, test)

    by_width = log_densities(samples, validation, PARZEN_WIDTHS).mean(1)
    assert found.width == PARZEN_WIDTHS[int(by_width.argmax())]
    values = log_densities(samples, test, [found.width])[0].numpy()
    assert found.mean == pytest.approx(values.mean())
    assert found.standard_error == pytest.approx(values.std() / 10)
    assert found.mean == pytest.approx(-math.log(2 * math.pi) - 1, abs=0.25)  # the entropy of the plane's normal


def test_values_that_are_not_finite_give_nan():
    samples = torch.tensor([[0.0], [math.nan]])
    assert math.isnan(parzen_log_likelihood(samples, torch.zeros(3, 1), torch.zeros(3, 1)).mean)


@pytest.mark.parametrize(
    ("samples", "validation", "test", "widths"),
    [
        (torch.zeros(0, 2), torch.zeros(3, 2), torch.zeros(3, 2), (1.0,)),
        (torch.zeros(3, 2), torch.zeros(0, 2), torch.zeros(3, 2), (1.0,)),
        (torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(1, 2), (1.0,)),
        (torch.zeros(3, 2), torch.zeros(3, 1), torch.zeros(3, 2), (1.0,)),
        (torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(3, 2), ()),
        (torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(3, 2), (0.1, 0.0)),
        (torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(3, 2), (0.1, 1e-200)),  # its square is 0
        (torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(3, 2), (1e300,)),  # its square is none
        (torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(3, 2), (math.nan,)),
        (torch.zeros(3, 2), torch.zeros(3, 2), torch.zeros(3, 2), (math.inf,)),
    ],
)
def test_what_cannot_be_estimated_is_refused(samples, validation, test, widths):
    with pytest.raises(IncompatiblePartsError):
        parzen_log_likelihood(samples, validation, test, widths)


@pytest.mark.parametrize("widths", [(), (0.0,), (1e-200,), (1e300,), (math.nan,)])
def test_densities_have_widths(widths):
    with pytest.raises(IncompatiblePartsError, match="σ of a window must be from 1e-50 to 1e"):
        log_densities(torch.zeros(3, 2), torch.zeros(3, 2), widths)


@pytest.mark.parametrize("width", [1e-50, 1e50])
@pytest.mark.parametrize("dimensions", [2, 40])
def test_windows_at_the_limits_have_numbers(width, dimensions):
    samples, test = torch.rand(20, dimensions), torch.rand(20, dimensions)
    found = parzen_log_likelihood(samples, test, test, (width,))
    assert math.isfinite(found.mean)
    assert math.isfinite(found.standard_error)


@pytest.mark.parametrize("width", [1.0, 0.1, 0.03, 0.01, 0.003, 1e-5, 1e-7])
def test_narrow_windows_in_high_dimensions_are_as_right_as_wide_ones(width):
    """Rounding of products in single precision would be 0.1 nats at 0.01, and far more than the rest at 1e-7."""
    generator = torch.Generator().manual_seed(0)
    samples = torch.rand(300, 784, generator=generator, dtype=torch.float64)
    points = samples[:40] + width * torch.randn(40, 784, generator=generator, dtype=torch.float64)
    squares = cdist(points.numpy(), samples.numpy(), "sqeuclidean")
    known = logsumexp(-squares / (2 * width**2), axis=1) - math.log(300) - 784 * math.log(width * math.sqrt(2 * math.pi))

    assert np.abs(log_densities(samples, points, [width])[0].numpy() - known).max() < 5e-3


@pytest.mark.slow
def test_real_mnist_images_as_samples_give_the_known_value(mnist_files):
    """242.72 ± 2.11 at σ = 0.1668 by an independent implementation; other 10,000 images give 238 to 244."""
    files = [mnist_files / name for name in ("train-images-idx3-ubyte.gz", "t10k-images-idx3-ubyte.gz")]
    train, test = (decode(gzip.decompress(file.read_bytes()), file, 3).float() / 255 for file in files)
    chosen = torch.randperm(50_000, generator=torch.Generator().manual_seed(0))[:10_000]

    found = parzen_log_likelihood(train[chosen], train[50_000:51_000], test)

    assert found.width == pytest.approx(0.1668, abs=1e-4)
    assert found.mean == pytest.approx(242.72, abs=0.02)
    assert found.standard_error == pytest.approx(2.11, abs=0.01)


@pytest.mark.parametrize("shape", [(1,), (3,), (8, 8)])
@pytest.mark.parametrize("offset", [1e3, -1e6])
def test_it_does_not_matter_where_the_origin_is(shape, offset):
    """Products of values far from it lose all digits of their differences."""
    generator = torch.Generator().manual_seed(0)
    samples, points = (torch.randn(count, *shape, generator=generator, dtype=torch.float64) for count in (300, 40))
    assert np.allclose(log_densities(samples + offset, points + offset, [0.4]), log_densities(samples, points, [0.4]), rtol=1e-4)
