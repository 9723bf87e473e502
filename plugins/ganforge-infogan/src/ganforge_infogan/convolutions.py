"""InfoGAN's discriminator for images, built from DCGAN's blocks. Its generator is DCGAN's, which takes noise and codes.

Shapes: n samples, s side of the smallest map, C its channels, q = Σ values of the categorical codes + number of continuous codes.
"""

from __future__ import annotations

from torch import nn

from ganforge.plugin import BuildContext, DiscriminatorOutput, Samples
from ganforge_dcgan.blocks import Pyramid, downsampling_layers, init_normal, output_layer
from ganforge_infogan.networks import check_codes
from ganforge_infogan.params import ConvDiscriminatorParams


class InfoganConvDiscriminator(nn.Module):
    """A shared trunk of convolutions with two heads: one logit for realness, and the code reader Q.

    The head ``code`` is that of ``infogan-mlp``: the logits of each categorical code side by side, then the mean of each
    continuous one.

    Raises:
        IncompatiblePartsError: the sampler draws no codes, or the data are not images of a side that fits.
    """

    def __init__(self, params: ConvDiscriminatorParams, context: BuildContext) -> None:
        super().__init__()
        check_codes("discriminator 'infogan-conv'", context.latent)
        pyramid = Pyramid.of(context.data, params, part="discriminator 'infogan-conv'")
        self.trunk = downsampling_layers(pyramid.channels, pyramid, params)
        self.realness = output_layer(pyramid, 1)
        self.reader = reader_layers(pyramid, params, sum(context.latent.categorical) + context.latent.continuous)
        init_normal(self)

    def forward(self, samples: Samples) -> DiscriminatorOutput:
        """Samples of n → logits ``(n,)``, head ``code`` ``(n, q)`` and features ``(n, C·s·s)``."""
        features = self.trunk(samples.values)  # (n, c, side, side) → (n, C, s, s)
        return DiscriminatorOutput(
            logits=self.realness(features).flatten(),
            heads={"code": self.reader(features).flatten(1)},
            features=features.flatten(1),
        )


def reader_layers(pyramid: Pyramid, params: ConvDiscriminatorParams, outputs: int) -> nn.Sequential:
    """``(n, C, s, s)`` → ``(n, q, 1, 1)``: layers of the reader alone; the first covers the whole map."""
    normalised = params.normalisation == "batch"
    layers: list[nn.Module] = []
    inputs, kernel = pyramid.widths[0], pyramid.smallest
    for width in params.reader:
        layers.append(nn.Conv2d(inputs, width, kernel, bias=not normalised))
        if normalised:
            layers.append(nn.BatchNorm2d(width))
        layers.append(nn.LeakyReLU(negative_slope=params.slope))
        inputs, kernel = width, 1
    return nn.Sequential(*layers, nn.Conv2d(inputs, outputs, kernel))
