"""Conditional networks for images, made of DCGAN's blocks: one generator, and three ways for a discriminator to know of classes.

Shapes: n samples, w flattened latent width, e width of the embedding, k classes, c channels, s side of the smallest map, C its
channels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ganforge.plugin import BuildContext, DataSpec, DiscriminatorOutput, IncompatiblePartsError, Latent, LatentSpec, Samples
from ganforge_cgan.networks import missing_labels, one_hot, wrong_label
from ganforge_cgan.params import ConvDiscriminatorParams, ConvGeneratorParams
from ganforge_dcgan.blocks import STD, Pyramid, downward, outlook, start_normal, upward


def build_generator(params: ConvGeneratorParams, context: BuildContext) -> ConvGenerator:
    """The ``cgan-conv`` generator for the context's latent, classes and images."""
    return ConvGenerator(params, context)


def build_discriminator(params: ConvDiscriminatorParams, context: BuildContext) -> ConvDiscriminator:
    """The ``cgan-conv`` discriminator for the context's classes and images."""
    return ConvDiscriminator(params, context)


def build_projection(params: ConvDiscriminatorParams, context: BuildContext) -> ProjectionDiscriminator:
    """The ``projection-conv`` discriminator for the context's classes and images."""
    return ProjectionDiscriminator(params, context)


def build_classifying(params: ConvDiscriminatorParams, context: BuildContext) -> ClassifyingDiscriminator:
    """The ``acgan-conv`` discriminator for the context's classes and images."""
    return ClassifyingDiscriminator(params, context)


class ConvGenerator(nn.Module):
    """Latent and embedded label side by side as a map of one pixel, which grows to an image of that class.

    Raises:
        IncompatiblePartsError: the sampler draws no labels, or the data are no images of a fitting side.
    """

    def __init__(self, params: ConvGeneratorParams, context: BuildContext) -> None:
        super().__init__()
        classes = drawn_classes(context.latent, part="generator 'cgan-conv'")
        pyramid = Pyramid.of(context.data, params, part="generator 'cgan-conv'")
        self.latent = context.latent
        # Embeddings start from N(0, 1), so that the class weighs as much as the noise that it stands beside.
        self.embedding = nn.Embedding(classes, params.embedding)
        self.layers = upward(context.latent.width + params.embedding, pyramid, params, context.data)
        start_normal(self)

    def forward(self, latent: Latent) -> Tensor:
        """Labelled latents of n → values ``(n, c, side, side)``.

        Raises:
            IncompatiblePartsError: the latents carry no labels, or a label that is no class.
        """
        joined = torch.cat([self.latent.flatten(latent), embedded(latent.labels, self.embedding)], dim=1)  # (n, w + e)
        values: Tensor = self.layers(joined[:, :, None, None])
        return values


class ConvDiscriminator(nn.Module):
    """One map for each class joins the image's channels, ones for the image's own and zeros for the others; then as in DCGAN.

    Raises:
        IncompatiblePartsError: the data set has no classes, or no images of a fitting side.
    """

    def __init__(self, params: ConvDiscriminatorParams, context: BuildContext) -> None:
        super().__init__()
        self.classes = known_classes(context.data, part="discriminator 'cgan-conv'")
        pyramid = Pyramid.of(context.data, params, part="discriminator 'cgan-conv'")
        self.trunk = downward(pyramid.channels + self.classes, pyramid, params)
        self.realness = outlook(pyramid, 1)
        start_normal(self)

    def forward(self, samples: Samples) -> DiscriminatorOutput:
        """Labelled samples of n → logits ``(n,)`` and features ``(n, C·s·s)``.

        Raises:
            IncompatiblePartsError: the samples carry no labels, or a label that is no class.
        """
        values = samples.values
        maps = one_hot(samples.labels, self.classes).to(values.dtype)[:, :, None, None]  # (n, k, 1, 1)
        features = self.trunk(torch.cat([values, maps.expand(-1, -1, *values.shape[2:])], dim=1))  # (n, c + k, …) → (n, C, s, s)
        return DiscriminatorOutput(logits=self.realness(features).flatten(), features=features.flatten(1))


class ProjectionDiscriminator(nn.Module):
    """``ψ(φ(x)) + ⟨v(y), φ(x)⟩`` (Miyato & Koyama 2018): the class takes part by an inner product with the pooled features.

    Raises:
        IncompatiblePartsError: the data set has no classes, or no images of a fitting side.
    """

    def __init__(self, params: ConvDiscriminatorParams, context: BuildContext) -> None:
        super().__init__()
        classes = known_classes(context.data, part="discriminator 'projection-conv'")
        pyramid = Pyramid.of(context.data, params, part="discriminator 'projection-conv'")
        self.trunk = downward(pyramid.channels, pyramid, params)
        self.realness = nn.Linear(pyramid.widths[0], 1)
        self.embedding = nn.Embedding(classes, pyramid.widths[0])
        start_normal(self)
        nn.init.normal_(self.embedding.weight, std=STD)  # an output layer that the label chooses, so it starts like the other one

    def forward(self, samples: Samples) -> DiscriminatorOutput:
        """Labelled samples of n → logits ``(n,)`` and features ``(n, C)``.

        Raises:
            IncompatiblePartsError: the samples carry no labels, or a label that is no class.
        """
        features = self.trunk(samples.values).sum(dim=(2, 3))  # (n, C, s, s) → (n, C)
        agreement = (embedded(samples.labels, self.embedding) * features).sum(dim=1)
        return DiscriminatorOutput(logits=self.realness(features).squeeze(1) + agreement, features=features)


class ClassifyingDiscriminator(nn.Module):
    """One trunk, two outputs: realness, which is not told the class, and the logits of the classes, head ``class`` (AC-GAN).

    Raises:
        IncompatiblePartsError: the data set has no classes, or no images of a fitting side.
    """

    def __init__(self, params: ConvDiscriminatorParams, context: BuildContext) -> None:
        super().__init__()
        classes = known_classes(context.data, part="discriminator 'acgan-conv'")
        pyramid = Pyramid.of(context.data, params, part="discriminator 'acgan-conv'")
        self.trunk = downward(pyramid.channels, pyramid, params)
        self.realness = outlook(pyramid, 1)
        self.classifier = outlook(pyramid, classes)
        start_normal(self)

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
        IncompatiblePartsError: there are no labels, or one is no class.
    """
    if labels is None:
        raise missing_labels()
    try:
        vectors: Tensor = embedding(labels)
    except (IndexError, RuntimeError) as error:
        raise wrong_label(embedding.num_embeddings, error) from error
    return vectors


def drawn_classes(latent: LatentSpec, *, part: str) -> int:
    """How many classes the sampler draws from.

    Raises:
        IncompatiblePartsError: it draws none.
    """
    if latent.classes is None:
        raise IncompatiblePartsError(f"{part} needs labels, the sampler draws none", remedy='set sampler.use = "labelled"')
    return latent.classes


def known_classes(data: DataSpec, *, part: str) -> int:
    """How many classes the data set has.

    Raises:
        IncompatiblePartsError: it has none.
    """
    if data.classes is None:
        raise IncompatiblePartsError(f"{part} needs labels, the data set has none", remedy="choose labelled data")
    return data.classes
