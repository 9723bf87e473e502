"""Building blocks of DCGAN's networks (Radford et al. 2015), for this plugin and for others.

The paper's rules: strided and transposed convolutions instead of pooling; batch normalisation everywhere except at the generator's
output and the discriminator's input; no fully connected hidden layers; ReLU in the generator, whose output is bounded like
the data; LeakyReLU in the discriminator; weights from N(0, 0.02).

Shapes: n samples, w latent width, c channels, s side of the smallest map, C its channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from ganforge.plugin import DataSpec, IncompatiblePartsError
from ganforge_dcgan.params import ConvolutionParams, DiscriminatorParams, GeneratorParams

STD = 0.02
"""Standard deviation of the initial weights."""
_WIDEST = 7
"""Largest side of the smallest map: that of 28×28, halved twice. With larger ones the first layer has most of the weights."""
_OUTPUTS: dict[tuple[float, float], type[nn.Module]] = {(-1.0, 1.0): nn.Tanh, (0.0, 1.0): nn.Sigmoid}


@dataclass(frozen=True, slots=True)
class Pyramid:
    """The sizes of the maps between the smallest one and the image.

    Attributes:
        channels: channels of the image.
        smallest: side of the smallest map.
        widths: channels of each map from the smallest one up, without the image; each has half the side of the next.
    """

    channels: int
    smallest: int
    widths: tuple[int, ...]

    @classmethod
    def of(cls, data: DataSpec, params: ConvolutionParams, *, part: str) -> Pyramid:
        """The maps for images of a data set.

        28×28 becomes 7, 14, 28, as in InfoGAN and most other work on MNIST. Padding it to 32×32 would make networks learn a border
        that metrics of 784 pixels do not expect.

        Args:
            data: spec of the images.
            params: widths of the maps, and how small they become.
            part: name of the network in error messages, such as ``"generator 'dcgan'"``.

        Raises:
            IncompatiblePartsError: points, images that are not square, or a side that cannot be halved to a small map.
        """
        if not data.is_image:
            raise IncompatiblePartsError(
                f"{part} needs images (channels, height, width), but the data have the shape {data.shape}",
                remedy="choose a data set of images, or a fully connected network such as 'mlp'",
            )
        channels, height, width = data.shape
        if height != width:
            raise IncompatiblePartsError(f"{part} needs square images, got {height}×{width}", remedy="crop or resize them")

        side, halvings = height, 0
        while side % 2 == 0 and side // 2 >= params.smallest:
            side, halvings = side // 2, halvings + 1
        if not halvings or side > _WIDEST:
            raise IncompatiblePartsError(
                f"{part} cannot halve a side of {height} down to a map of {params.smallest} to {_WIDEST}",
                remedy="resize the images: 8, 16, 32, 64 and 128 fit, and so do others such as 28 and 48",
            )
        return cls(channels, side, tuple(params.width << step for step in reversed(range(halvings))))


def upsampling_layers(latent: int, pyramid: Pyramid, params: GeneratorParams, data: DataSpec) -> nn.Sequential:
    """``(n, w, 1, 1)`` latents → ``(n, c, side, side)`` images in the data's value range."""
    # the projection of the paper: on a 1×1 map a transposed convolution is a matrix product
    first = nn.ConvTranspose2d(latent, pyramid.widths[0], pyramid.smallest, bias=False)
    layers = [first, nn.BatchNorm2d(pyramid.widths[0]), nn.ReLU()]
    for inputs, outputs in pairwise(pyramid.widths):
        layers += [*_upsample(inputs, outputs, params, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
    layers += _upsample(pyramid.widths[-1], pyramid.channels, params, bias=True)
    if data.value_range in _OUTPUTS:
        layers.append(_OUTPUTS[data.value_range]())
    return nn.Sequential(*layers)


def downsampling_layers(channels: int, pyramid: Pyramid, params: DiscriminatorParams) -> nn.Sequential:
    """``(n, channels, side, side)`` images, possibly with additional maps → ``(n, C, s, s)``."""
    widths = (channels, *reversed(pyramid.widths))
    layers: list[nn.Module] = []
    for step, (inputs, outputs) in enumerate(pairwise(widths)):
        normalised = step > 0 and params.normalisation == "batch"
        # padding 1 for kernels of 4 and 2 for those of 5: half the side in both cases; batch norm would cancel a bias
        layers.append(nn.Conv2d(inputs, outputs, params.kernel, stride=2, padding=(params.kernel - 1) // 2, bias=not normalised))
        if normalised:
            layers.append(nn.BatchNorm2d(outputs))
        layers.append(nn.LeakyReLU(negative_slope=params.slope))
    return nn.Sequential(*layers)


def output_layer(pyramid: Pyramid, outputs: int) -> nn.Conv2d:
    """``(n, C, s, s)`` → ``(n, outputs, 1, 1)``: an output layer, as a convolution over the whole smallest map."""
    return nn.Conv2d(pyramid.widths[0], outputs, pyramid.smallest)


@torch.no_grad()
def init_normal(network: nn.Module) -> None:
    """Weights from N(0, 0.02), those of batch normalisation from N(1, 0.02), biases 0; embeddings stay unchanged."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            module.weight.normal_(0.0, STD)
        elif isinstance(module, nn.BatchNorm2d):
            module.weight.normal_(1.0, STD)
        else:
            continue
        if module.bias is not None:
            module.bias.zero_()


def _upsample(inputs: int, outputs: int, params: GeneratorParams, *, bias: bool) -> list[nn.Module]:
    """Layers that double the side."""
    around = (params.kernel - 1) // 2
    if params.upsample == "resize":
        kernel = 2 * around + 1  # only odd kernels have a centre
        return [nn.Upsample(scale_factor=2), nn.Conv2d(inputs, outputs, kernel, padding=around, bias=bias)]
    beyond = params.kernel % 2
    return [nn.ConvTranspose2d(inputs, outputs, params.kernel, stride=2, padding=around, output_padding=beyond, bias=bias)]
