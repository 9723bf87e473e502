import math

import pytest
import torch

from ganforge.plugin import BuildContext, DataSpec, DiscriminatorOutput, IncompatiblePartsError, LatentSpec, Samples, Turn
from ganforge_vae.losses import KlDivergence, Reconstruction
from ganforge_vae.params import KlDivergenceParams, ReconstructionParams


def turn(real, made, **outputs):
    return Turn(lambda samples: DiscriminatorOutput(samples.values), Samples(real), Samples(made), outputs)


def test_bernoulli_needs_a_range_and_counts_in_nats():

    params = ReconstructionParams(likelihood="bernoulli")
    with pytest.raises(IncompatiblePartsError, match="value range"):
        Reconstruction(params, BuildContext(DataSpec((2,)), LatentSpec(2)))
    loss = Reconstruction(params, BuildContext(DataSpec((1, 1, 2), value_range=(-1.0, 1.0)), LatentSpec(2)))
    real, made = torch.tensor([[[[1.0, -1.0]]]]), torch.tensor([[[[0.5, 0.0]]]])
    assert float(loss.autoencoder(turn(real, made)).total) == pytest.approx(-math.log(0.75) - math.log(0.5), rel=1e-5)


def test_the_gaussian_likelihood_has_its_constants():
    loss = Reconstruction(ReconstructionParams(std=0.5), BuildContext(DataSpec((2,)), LatentSpec(2)))
    real, made = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 0.0]])
    expected = 1 / (2 * 0.25) + 2 * math.log(0.5) + math.log(2 * math.pi)
    assert float(loss.autoencoder(turn(real, made)).total) == pytest.approx(expected, rel=1e-6)


def test_the_squared_error_is_a_mean():
    loss = Reconstruction(ReconstructionParams(likelihood="squared"), BuildContext(DataSpec((2,)), LatentSpec(2)))
    assert float(loss.autoencoder(turn(torch.ones(3, 2), torch.zeros(3, 2))).total) == 1.0


@pytest.mark.parametrize(("free", "expected"), [(0.0, 0.5), (0.75, 1.5)])
def test_free_nats_are_a_floor_for_each_dimension(free, expected):
    loss = KlDivergence(KlDivergenceParams(free_nats=free), BuildContext(DataSpec((2,)), LatentSpec(2)))
    posterior = torch.tensor([[1.0, 0.0, 0.0, 0.0]])  # means 1 and 0, log variances 0: ½ and 0 nats
    assert float(loss.autoencoder(turn(torch.zeros(1, 2), torch.zeros(1, 2), posterior=posterior)).total) == expected
