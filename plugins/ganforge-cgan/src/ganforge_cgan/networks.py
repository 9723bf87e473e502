"""Conditional networks (Mirza & Osindero 2014): the one-hot label joins the input of both, and nothing else changes.

Shapes: n samples, w flattened latent width, d numbers per sample, k classes, h units of a hidden layer.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganforge.plugin import BuildContext, DataSpec, DiscriminatorOutput, IncompatiblePartsError, Latent, LatentSpec, Samples
from ganforge_cgan.params import DiscriminatorParams, GeneratorParams, NetworkParams

_OUTPUTS: dict[str, Callable[[], nn.Module]] = {"linear": nn.Identity, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
_RANGES: dict[tuple[float, float], str] = {(-1.0, 1.0): "tanh", (0.0, 1.0): "sigmoid"}


class ConditionalGenerator(nn.Module):
    """Latent and label side by side through hidden layers to one sample of that class.

    Raises:
        IncompatiblePartsError: the sampler draws no labels, or the output activation does not fit the data's value range.
    """

    def __init__(self, params: GeneratorParams, context: BuildContext) -> None:
        super().__init__()
        check_range(params.output, context.data)
        self.latent = context.latent
        self.classes = drawn_classes(context.latent, part="generator 'cgan-mlp'")
        self.shape = context.data.shape
        self.trunk, width = hidden_layers(context.latent.width + self.classes, params)
        self.last = nn.Linear(width, context.data.size)
        self.output = _OUTPUTS[params.output]()

    def forward(self, latent: Latent) -> Tensor:
        """Labelled latents of n → values ``(n, *shape)``.

        Raises:
            IncompatiblePartsError: the latents have no labels, or a label is not a class.
        """
        label = one_hot(latent.labels, self.classes).to(latent.noise.dtype)
        joined = torch.cat([self.latent.flatten(latent), label], dim=1)  # (n, w + k)
        values: Tensor = self.output(self.last(self.trunk(joined)))  # (n, d)
        return values.reshape(len(values), *self.shape)


class ConditionalDiscriminator(nn.Module):
    """Values and label side by side through hidden layers to one logit: does this sample look real *for its class*?

    Raises:
        IncompatiblePartsError: the data set has no classes.
    """

    def __init__(self, params: DiscriminatorParams, context: BuildContext) -> None:
        super().__init__()
        self.classes = known_classes(context.data, part="discriminator 'cgan-mlp'")
        self.trunk, width = hidden_layers(context.data.size + self.classes, params)
        self.realness = nn.Linear(width, 1)

    def forward(self, samples: Samples) -> DiscriminatorOutput:
        """Labelled samples of n → logits ``(n,)`` and features ``(n, h)``.

        Raises:
            IncompatiblePartsError: the samples have no labels, or a label is not a class.
        """
        label = one_hot(samples.labels, self.classes).to(samples.values.dtype)
        features = self.trunk(torch.cat([samples.values.flatten(1), label], dim=1))  # (n, d + k) → (n, h)
        return DiscriminatorOutput(logits=self.realness(features).squeeze(1), features=features)


def drawn_classes(latent: LatentSpec, *, part: str) -> int:
    """Number of classes that the sampler draws from.

    Raises:
        IncompatiblePartsError: it draws none.
    """
    if latent.classes is None:
        raise IncompatiblePartsError(f"{part} needs labels, but the sampler draws none", remedy='set sampler.use = "labelled"')
    return latent.classes


def known_classes(data: DataSpec, *, part: str) -> int:
    """Number of classes of the data set.

    Raises:
        IncompatiblePartsError: it has none.
    """
    if data.classes is None:
        raise IncompatiblePartsError(f"{part} needs labels, but the data set has none", remedy="choose labelled data")
    return data.classes


def one_hot(labels: Tensor | None, classes: int) -> Tensor:
    """``(n,)`` labels → ``(n, classes)`` of zeros and ones.

    Raises:
        IncompatiblePartsError: there are no labels, or one lies outside 0 … classes − 1.
    """
    if labels is None:
        raise missing_labels()

    try:
        return F.one_hot(labels, classes)
    except RuntimeError as error:  # one_hot checks every label anyway; a second check would slow down each step
        raise wrong_label(classes, error) from error


def missing_labels() -> IncompatiblePartsError:
    """The error for missing labels."""
    return IncompatiblePartsError(
        "a conditional network needs labels, but got no labels", remedy='set sampler.use = "labelled" and choose labelled data'
    )


def wrong_label(classes: int, error: Exception) -> IncompatiblePartsError:
    """The error for a label that is not a class."""
    return IncompatiblePartsError(
        f"a label lies outside the {classes} classes: {error}", remedy=f"use labels 0 to {classes - 1}, as integers"
    )


def hidden_layers(width: int, params: NetworkParams) -> tuple[nn.Sequential, int]:
    """The hidden layers, and the width of their output."""
    layers: list[nn.Module] = []
    for units in params.hidden:
        layers.append(nn.Linear(width, units))
        layers.append(nn.ReLU() if params.activation == "relu" else nn.LeakyReLU(negative_slope=params.slope))
        if params.dropout:
            layers.append(nn.Dropout(p=params.dropout))
        width = units
    return nn.Sequential(*layers), width


def check_range(output: str, data: DataSpec) -> None:
    """Reject a bounded output that does not match a declared value range.

    Raises:
        IncompatiblePartsError: it does not match; the error names the output that fits.
    """
    if output == "linear" or data.value_range is None:
        return
    fitting = _RANGES.get(data.value_range, "linear")
    if output != fitting:
        low, high = data.value_range
        raise IncompatiblePartsError(
            f"generator 'cgan-mlp' ends in {output}, but the data lie in [{low:g}, {high:g}]",
            remedy=f'set generator.params.output = "{fitting}"',
        )
