"""Parameters of the convolutional networks."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ganforge.plugin import Params


class ConvolutionParams(Params):
    """What generator and discriminator share."""

    width: int = Field(64, ge=1)
    """Channels of the maps next to the image; with every halving of the side they double. The paper's 64×64 networks have 128."""
    kernel: Literal[4, 5] = 4
    """Side of the kernels. 5 is the paper's; 4 is a multiple of the stride, so that all pixels get equally many products."""
    smallest: int = Field(4, ge=2, le=4)
    """The side is halved as long as it stays at least this: 64 ends at 4, and 28 at 7. With 2, images of 8×8 get a layer more."""


class GeneratorParams(ConvolutionParams):
    """Parameters of the convolutional generator."""

    upsample: Literal["transposed", "resize"] = "transposed"
    """How a map's side is doubled: by a transposed convolution, as in the paper, or by repeating each pixel and then convolving
    (Odena et al. 2016), which leaves no checkerboard; its kernels have side 3 for `kernel = 4`."""


class DiscriminatorParams(ConvolutionParams):
    """Parameters of the convolutional discriminator."""

    slope: float = Field(0.2, ge=0, le=1)
    """Slope of leaky-relu below zero."""
    normalisation: Literal["batch", "none"] = "batch"
    """What follows each hidden convolution but the first; none beside a gradient penalty, which looks at each sample alone."""
