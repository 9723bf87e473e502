"""Parameters of the encoder and the losses."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ganforge.plugin import Params
from ganforge_vanilla.params import MlpParams


class MlpEncoderParams(MlpParams):
    """Parameters of the fully connected encoder."""


class ReconstructionParams(Params):
    """Parameters of the reconstruction error."""

    likelihood: Literal["gaussian", "bernoulli", "squared"] = "gaussian"
    """Distribution of the data around their reconstruction: normal with standard deviation ``std``; Bernoulli, for pixels with a
    value range, whose ends count as 0 and 1; or none: the squared error, averaged over the values of a sample."""
    std: float = Field(0.1, gt=0)
    """Standard deviation of the normal likelihood, in the units that the networks see."""


class KlDivergenceParams(Params):
    """Parameters of the divergence."""

    free_nats: float = Field(0.0, ge=0)
    """Nats of each latent dimension that cost nothing (Kingma et al. 2016), against a posterior that ignores the data."""
