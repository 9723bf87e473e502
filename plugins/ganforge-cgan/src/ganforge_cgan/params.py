"""Parameters of the conditional networks, fully connected and convolutional."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ganforge.plugin import Params
from ganforge_dcgan.params import DiscriminatorParams as DcganDiscriminatorParams
from ganforge_dcgan.params import GeneratorParams as DcganGeneratorParams


class NetworkParams(Params):
    """Parameters that both networks share."""

    hidden: tuple[Annotated[int, Field(ge=1)], ...] = (128, 128)
    """Units of each hidden layer, from input to output."""
    activation: Literal["relu", "leaky-relu"] = "leaky-relu"
    """Activation of each hidden layer."""
    slope: float = Field(0.2, ge=0, le=1)
    """Slope of leaky-relu below zero; ignored by relu."""
    dropout: float = Field(0.0, ge=0, lt=1)
    """Dropout rate of the hidden units; the paper used 0.5 in both networks."""


class GeneratorParams(NetworkParams):
    """Parameters of the conditional generator."""

    output: Literal["linear", "tanh", "sigmoid"] = "linear"
    """Activation of the last layer: linear for unbounded data, tanh for [-1, 1], sigmoid for [0, 1]."""


class DiscriminatorParams(NetworkParams):
    """Parameters of the conditional discriminator."""


class ConvGeneratorParams(DcganGeneratorParams):
    """Parameters of the convolutional generator."""

    embedding: int = Field(16, ge=1)
    """Width of the class embedding, which is concatenated with the noise."""


class ConvDiscriminatorParams(DcganDiscriminatorParams):
    """Parameters of the convolutional discriminators."""
