"""Convolutional networks (Radford et al. 2015) for square images of any number of channels.

Shapes: n samples, w flattened latent width, c channels, s side of the smallest map, C its channels.
"""

from __future__ import annotations

from torch import Tensor, nn

from ganforge.plugin import BuildContext, DiscriminatorOutput, Latent, Samples
from ganforge_dcgan.blocks import Pyramid, downsampling_layers, init_normal, output_layer, upsampling_layers
from ganforge_dcgan.params import DiscriminatorParams, GeneratorParams


class DcganGenerator(nn.Module):
    """Noise and codes as a map of one pixel, upsampled to the side of the images.

    The output follows the data's value range: tanh for [-1, 1], sigmoid for [0, 1], else linear.

    Raises:
        IncompatiblePartsError: the data are not images, or their side does not fit.
    """

    def __init__(self, params: GeneratorParams, context: BuildContext) -> None:
        super().__init__()
        self.latent = context.latent
        pyramid = Pyramid.of(context.data, params, part="generator 'dcgan'")
        self.layers = upsampling_layers(context.latent.width, pyramid, params, context.data)
        init_normal(self)

    def forward(self, latent: Latent) -> Tensor:
        """Latents of n → values ``(n, c, side, side)``."""
        values: Tensor = self.layers(self.latent.flatten(latent)[:, :, None, None])  # (n, w, 1, 1) → (n, c, side, side)
        return values


class DcganDiscriminator(nn.Module):
    """Strided convolutions down to a small map, and one logit from all of it; that map is returned as features.

    Raises:
        IncompatiblePartsError: the data are not images, or their side does not fit.
    """

    def __init__(self, params: DiscriminatorParams, context: BuildContext) -> None:
        super().__init__()
        pyramid = Pyramid.of(context.data, params, part="discriminator 'dcgan'")
        self.trunk = downsampling_layers(pyramid.channels, pyramid, params)
        self.realness = output_layer(pyramid, 1)
        init_normal(self)

    def forward(self, samples: Samples) -> DiscriminatorOutput:
        """Samples of n → logits ``(n,)`` and features ``(n, C·s·s)``."""
        features = self.trunk(samples.values)  # (n, c, side, side) → (n, C, s, s)
        return DiscriminatorOutput(logits=self.realness(features).flatten(), features=features.flatten(1))
