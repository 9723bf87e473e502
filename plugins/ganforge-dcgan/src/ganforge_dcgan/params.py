"""Parameters of the convolutional networks."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ganforge.plugin import Params


class ConvolutionParams(Params):
    """Parameters that generator and discriminator share."""

    width: int = Field(64, ge=1)
    """Channels of the maps next to the image; doubled with every halving of the side. The paper's 64×64 networks have 128."""
    kernel: Literal[4, 5] = 4
    """Side of the kernels. 5 is the paper's; 4 is a multiple of the stride, so that all pixels are covered equally often."""
    smallest: int = Field(4, ge=2, le=4)
    """The side is halved while it stays at least this: 64 ends at 4, and 28 at 7. With 2, images of 8×8 get one more layer."""


class GeneratorParams(ConvolutionParams):
    """Parameters of the convolutional generator."""

    upsample: Literal["transposed", "resize"] = "transposed"
    """How to double the side of a map: by a transposed convolution, as in the paper, or by repeating each pixel, then a convolution
    (Odena et al. 2016), which avoids checkerboard artifacts; its kernels have side 3 for `kernel = 4`."""


class DiscriminatorParams(ConvolutionParams):
    """Parameters of the convolutional discriminator."""

    slope: float = Field(0.2, ge=0, le=1)
    """Slope of leaky-relu below zero."""
    normalisation: Literal["batch", "none"] = "batch"
    """Normalisation of each hidden convolution except the first; use none with a gradient penalty, which is defined per sample."""
