"""Parameters of the fully connected networks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ganforge.plugin import Params

Activation = Literal["relu", "leaky-relu", "tanh", "elu", "silu", "softplus"]
Width = Annotated[int, Field(ge=1)]
Rate = Annotated[float, Field(ge=0, lt=1)]


class MlpParams(Params):
    """Parameters that both MLPs share."""

    hidden: tuple[Width, ...] = (128, 128)
    """Units of each hidden layer, from input to output."""
    activation: Activation = "leaky-relu"
    """Activation of each hidden layer."""
    slope: float = Field(0.2, ge=0, le=1)
    """Slope of leaky-relu below zero; ignored by the other activations."""
    batch_norm: bool = False
    """Whether each hidden layer has batch normalisation before its activation (Ioffe & Szegedy 2015)."""
    dropout: Rate = 0.0
    """Dropout rate of the hidden units (Srivastava et al. 2014)."""
    initial_range: float | None = Field(None, gt=0)
    """Initial weights are uniform between minus and plus this, biases 0; by default PyTorch's initialisation."""


class MlpGeneratorParams(MlpParams):
    """Parameters of the fully connected generator."""

    output: Literal["linear", "tanh", "sigmoid"] = "linear"
    """Activation of the last layer: linear for unbounded data, tanh for [-1, 1], sigmoid for [0, 1]."""
    start_at_mean: bool = False
    """Whether the initial biases of the last layer give the training data's mean as output, as in the 2014 code."""


class MlpDiscriminatorParams(MlpParams):
    """Parameters of the fully connected discriminator."""


class MaxoutParams(Params):
    """Parameters of the maxout discriminator; the defaults are those of the 2014 paper's code on MNIST."""

    units: tuple[Width, ...] = Field((240, 240), min_length=1)
    """Units of each maxout layer."""
    pieces: int = Field(5, ge=1)
    """Linear pieces of each unit, which returns their maximum."""
    input_dropout: Rate = 0.2
    """Dropout rate of the inputs."""
    dropout: Rate = 0.5
    """Dropout rate of the hidden units."""
    initial_range: float | None = Field(0.005, gt=0)
    """Initial weights are uniform between minus and plus this, biases 0."""
