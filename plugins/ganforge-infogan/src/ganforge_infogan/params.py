"""Parameters of InfoGAN's networks and of its loss."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ganforge.plugin import Params
from ganforge_dcgan.params import DiscriminatorParams as DcganDiscriminatorParams

Widths = tuple[Annotated[int, Field(ge=1)], ...]


class NetworkParams(Params):
    """Parameters that both networks share."""

    hidden: Widths = (128, 128)
    """Units of each hidden layer, from input to output."""
    activation: Literal["relu", "leaky-relu"] = "leaky-relu"
    """Activation of each hidden layer."""
    slope: float = Field(0.2, ge=0, le=1)
    """Slope of leaky-relu below zero; ignored by relu."""


class GeneratorParams(NetworkParams):
    """Parameters of the generator."""

    output: Literal["linear", "tanh", "sigmoid"] = "linear"
    """Activation of the last layer: linear for unbounded data, tanh for [-1, 1], sigmoid for [0, 1]."""


class DiscriminatorParams(NetworkParams):
    """Parameters of the discriminator and its code reader."""

    reader: Widths = ()
    """Units of hidden layers of the code reader alone; the paper used one of 128 on MNIST."""


class ConvDiscriminatorParams(DcganDiscriminatorParams):
    """Parameters of the convolutional discriminator and its code reader."""

    reader: Widths = (128,)
    """Channels of hidden layers of the code reader alone; the paper used one of 128 on MNIST."""


class MutualInformationParams(Params):
    """Parameters of the information loss; its weight λ is the `weight` of the loss table."""

    continuous_std: float = Field(1.0, gt=0)
    """Standard deviation of the Gaussian that the reader predicts around each continuous code; fixed, as in the paper's code."""
    continuous_weight: float = Field(1.0, ge=0)
    """Weight of the continuous codes, relative to the categorical ones."""
