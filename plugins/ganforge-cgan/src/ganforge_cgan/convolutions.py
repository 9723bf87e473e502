"""Conditional networks for images, built from DCGAN's blocks: one generator, and three discriminators that use classes differently.

Shapes: n samples, w flattened latent width, e width of the embedding, k classes, c channels, s side of the smallest map, C its
channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganforge.plugin import BuildContext, DiscriminatorOutput, Latent, Samples
from ganforge_cgan.networks import drawn_classes, known_classes, missing_labels, one_hot, wrong_label
from ganforge_cgan.params import ConvDiscriminatorParams, ConvGeneratorParams
from ganforge_dcgan.blocks import STD, Pyramid, downsampling_layers, init_normal, output_layer, upsampling_layers


class ConvGenerator(nn.Module):
    """Latent and embedded label side by side as a map of one pixel, upsampled to an image of that class.

    Raises:
        IncompatiblePartsError: the sampler draws no labels, or the data are not images of a side that fits.
    """

    def __init__(self, params: ConvGeneratorParams, context: BuildContext) -> None:
        super().__init__()
        classes = drawn_classes(context.latent, part="generator 'cgan-conv'")
        pyramid = Pyramid.of(context.data, params, part="generator 'cgan-conv'")
        self.latent = context.latent
        # embeddings start from N(0, 1), so that the class has the scale of the noise
        self.embedding = nn.Embedding(classes, params.embedding)
        self.layers = upsampling_layers(context.latent.width + params.embedding, pyramid, params, context.data)
        init_normal(self)

    def forward(self, latent: Latent) -> Tensor:
        """Labelled latents of n → values ``(n, c, side, side)``.

        Raises:
            IncompatiblePartsError: the latents have no labels, or a label is not a class.
        """
        joined = torch.cat([self.latent.flatten(latent), embedded(latent.labels, self.embedding)], dim=1)  # (n, w + e)
        values: Tensor = self.layers(joined[:, :, None, None])
        return values


class ConvDiscriminator(nn.Module):
    """DCGAN's discriminator with one additional input map per class: ones for the image's class, zeros for the others.

    Raises:
        IncompatiblePartsError: the data set has no classes, or its samples are not images of a side that fits.
    """

    def __init__(self, params: ConvDiscriminatorParams, context: BuildContext) -> None:
        super().__init__()
        self.classes = known_classes(context.data, part="discriminator 'cgan-conv'")
        pyramid = Pyramid.of(context.data, params, part="discriminator 'cgan-conv'")
        self.trunk = downsampling_layers(pyramid.channels + self.classes, pyramid, params)
        self.realness = output_layer(pyramid, 1)
        init_normal(self)

    def forward(self, samples: Samples) -> DiscriminatorOutput:
        """Labelled samples of n → logits ``(n,)`` and features ``(n, C·s·s)``.

        Raises:
            IncompatiblePartsError: the samples have no labels, or a label is not a class.
        """
        values = samples.values
        maps = one_hot(samples.labels, self.classes).to(values.dtype)[:, :, None, None]  # (n, k, 1, 1)
        features = self.trunk(torch.cat([values, maps.expand(-1, -1, *values.shape[2:])], dim=1))  # (n, c + k, …) → (n, C, s, s)
        return DiscriminatorOutput(logits=self.realness(features).flatten(), features=features.flatten(1))


class ProjectionDiscriminator(nn.Module):
    """``ψ(φ(x)) + ⟨v(y), φ(x)⟩`` (Miyato & Koyama 2018): the class enters as an inner product with the pooled features.

    Raises:
        IncompatiblePartsError: the data set has no classes, or its samples are not images of a side that fits.
    """

    def __init__(self, params: ConvDiscriminatorParams, context: BuildContext) -> None:
        super().__init__()
        classes = known_classes(context.data, part="discriminator 'projection-conv'")
        pyramid = Pyramid.of(context.data, params, part="discriminator 'projection-conv'")
        self.trunk = downsampling_layers(pyramid.channels, pyramid, params)
        self.realness = nn.Linear(pyramid.widths[0], 1)
        self.embedding = nn.Embedding(classes, pyramid.widths[0])
        init_normal(self)
        nn.init.normal_(self.embedding.weight, std=STD)  # an output layer selected by the label, so it starts like the other one

    def forward(self, samples: Samples) -> DiscriminatorOutput:
        """Labelled samples of n → logits ``(n,)`` and features ``(n, C)``.

        Raises:
            IncompatiblePartsError: the samples have no labels, or a label is not a class.
        """
        features = self.trunk(samples.values).sum(dim=(2, 3))  # (n, C, s, s) → (n, C)
        agreement = (embedded(samples.labels, self.embedding) * features).sum(dim=1)
        return DiscriminatorOutput(logits=self.realness(features).squeeze(1) + agreement, features=features)


class AcganDiscriminator(nn.Module):
    """One trunk, two outputs: realness, without the class as input, and the logits of the classes, head ``class`` (AC-GAN).

    Raises:
        IncompatiblePartsError: the data set has no classes, or its samples are not images of a side that fits.
    """

    def __init__(self, params: ConvDiscriminatorParams, context: BuildContext) -> None:
        super().__init__()
        classes = known_classes(context.data, part="discriminator 'acgan-conv'")
        pyramid = Pyramid.of(context.data, params, part="discriminator 'acgan-conv'")
        self.trunk = downsampling_layers(pyramid.channels, pyramid, params)
        self.realness = output_layer(pyramid, 1)
        self.classifier = output_layer(pyramid, classes)
        init_normal(self)

    def forward(self, samples: Samples) -> DiscriminatorOutput:
        """Samples of n → logits ``(n,)``, head ``class`` ``(n, k)`` and features ``(n, C·s·s)``."""
        features = self.trunk(samples.values)  # (n, c, side, side) → (n, C, s, s)
        return DiscriminatorOutput(
            logits=self.realness(features).flatten(),
            heads={"class": self.classifier(features).flatten(1)},
            features=features.flatten(1),
        )


def embedded(labels: Tensor | None, embedding: nn.Embedding) -> Tensor:
    """``(n,)`` labels → ``(n, e)`` learnt vectors.

    Raises:
        IncompatiblePartsError: there are no labels, or one is not a class.
    """
    if labels is None:
        raise missing_labels()
    try:
        vectors: Tensor = embedding(labels)
    except (IndexError, RuntimeError) as error:
        raise wrong_label(embedding.num_embeddings, error) from error
    return vectors
