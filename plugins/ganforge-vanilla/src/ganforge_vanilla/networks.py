"""Fully connected networks (Goodfellow et al. 2014).

Shapes: n samples, w flattened latent width, d numbers per sample, h units of a hidden layer, p pieces.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor, nn

from ganforge.plugin import BuildContext, DataSpec, DiscriminatorOutput, IncompatiblePartsError, Latent, Samples
from ganforge_vanilla.params import Activation, MaxoutParams, MlpDiscriminatorParams, MlpGeneratorParams, MlpParams

_OUTPUTS: dict[str, Callable[[], nn.Module]] = {"linear": nn.Identity, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
_INVERSES: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda mean: mean,
    "tanh": lambda mean: torch.logit((mean + 1) / 2, eps=1e-7) / 2,  # artanh
    "sigmoid": lambda mean: torch.logit(mean, eps=1e-7),
}
_RANGES: dict[tuple[float, float], str] = {(-1.0, 1.0): "tanh", (0.0, 1.0): "sigmoid"}


def build_generator(params: MlpGeneratorParams, context: BuildContext) -> MlpGenerator:
    """The ``mlp`` generator for the context's latent and data."""
    return (MlpGeneratorFromMean if params.start_at_mean else MlpGenerator)(params, context)


class MlpGenerator(nn.Module):
    """Noise and codes side by side through hidden layers to one sample.

    Raises:
        IncompatiblePartsError: the output activation cannot reach the data's value range, or exceeds it.
    """

    def __init__(self, params: MlpGeneratorParams, context: BuildContext) -> None:
        super().__init__()
        check_range(params.output, context.data)
        self.latent = context.latent
        self.shape = context.data.shape
        self.trunk, width = hidden_layers(context.latent.width, params)
        self.last = nn.Linear(width, context.data.size)
        self.output = _OUTPUTS[params.output]()
        init_uniform(self, params.initial_range)

    def forward(self, latent: Latent) -> Tensor:
        """Latents of n → values ``(n, *shape)``."""
        values: Tensor = self.output(self.last(self.trunk(self.latent.flatten(latent))))  # (n, w) → (n, d)
        return values.reshape(len(values), *self.shape)


class MlpGeneratorFromMean(MlpGenerator):
    """The same, with last biases whose outputs are the training data's mean; a class of its own, since only this one reads data."""

    def __init__(self, params: MlpGeneratorParams, context: BuildContext) -> None:
        super().__init__(params, context)
        self.inverse_output = _INVERSES[params.output]

    def init_from_data(self, real: Samples) -> None:
        """Set the last biases so that their outputs are the mean of ``real`` ``(n, *shape)``.

        Means at an end of the range, whose bias would be infinite, are moved inwards by 1e-7 of the range, as in pylearn2.
        """
        mean = real.values.flatten(1).mean(0, dtype=torch.float64)  # (d,)
        self.last.bias.copy_(self.inverse_output(mean))


class MlpDiscriminator(nn.Module):
    """Flattened values through hidden layers to one logit; the last hidden layer is returned as features."""

    def __init__(self, params: MlpDiscriminatorParams, context: BuildContext) -> None:
        super().__init__()
        self.trunk, width = hidden_layers(context.data.size, params)
        self.realness = nn.Linear(width, 1)
        init_uniform(self, params.initial_range)

    def forward(self, samples: Samples) -> DiscriminatorOutput:
        """Samples of n → logits ``(n,)`` and features ``(n, h)``."""
        features = self.trunk(samples.values.flatten(1))  # (n, d) → (n, h)
        return DiscriminatorOutput(logits=self.realness(features).squeeze(1), features=features)


class MaxoutDiscriminator(nn.Module):
    """Maxout layers with dropout before each, to one logit (the 2014 paper's discriminator on MNIST).

    Dropout is inverted: the remaining units are scaled up in training (with the paper's rates by 1.25 at the input and 2 at the
    hidden layers), so that evaluation needs no scaling.
    """

    def __init__(self, params: MaxoutParams, context: BuildContext) -> None:
        super().__init__()
        widths = (context.data.size, *params.units)
        rates = (params.input_dropout, *(params.dropout for _ in params.units))
        self.dropouts = nn.ModuleList(nn.Dropout(rate) for rate in rates)
        self.layers = nn.ModuleList(Maxout(width, units, pieces=params.pieces) for width, units in pairwise(widths))
        self.realness = nn.Linear(widths[-1], 1)
        init_uniform(self, params.initial_range)

    def forward(self, samples: Samples) -> DiscriminatorOutput:
        """Samples of n → logits ``(n,)`` and features ``(n, h)``, the last maxout layer before its dropout."""
        features = samples.values.flatten(1)  # (n, d)
        for dropout, layer in zip(self.dropouts[:-1], self.layers, strict=True):
            features = layer(dropout(features))  # (n, h)
        return DiscriminatorOutput(logits=self.realness(self.dropouts[-1](features)).squeeze(1), features=features)


class Maxout(nn.Module):
    """``out[u] = max over p of (W x + b)[u, p]`` (Goodfellow et al. 2013)."""

    def __init__(self, inputs: int, units: int, *, pieces: int) -> None:
        super().__init__()
        self.units = units
        self.pieces = pieces
        self.linear = nn.Linear(inputs, units * pieces)

    def forward(self, values: Tensor) -> Tensor:
        """``(n, inputs)`` → ``(n, units)``."""
        pieces: Tensor = self.linear(values).reshape(len(values), self.units, self.pieces)  # (n, h, p)
        return pieces.amax(dim=2)

    def extra_repr(self) -> str:
        """Units and pieces."""
        return f"units={self.units}, pieces={self.pieces}"


def hidden_layers(width: int, params: MlpParams) -> tuple[nn.Sequential, int]:
    """The hidden layers, and the width of their output."""
    layers: list[nn.Module] = []
    for units in params.hidden:
        layers.append(nn.Linear(width, units, bias=not params.batch_norm))  # batch norm would cancel a bias
        if params.batch_norm:
            layers.append(nn.BatchNorm1d(units))
        layers.append(activation(params.activation, slope=params.slope))
        if params.dropout:
            layers.append(nn.Dropout(p=params.dropout))
        width = units
    return nn.Sequential(*layers), width


def activation(name: Activation, *, slope: float) -> nn.Module:
    """The activation of that name; ``slope`` is that of leaky-relu below zero."""
    made: dict[Activation, Callable[[], nn.Module]] = {
        "relu": nn.ReLU,
        "leaky-relu": lambda: nn.LeakyReLU(negative_slope=slope),
        "tanh": nn.Tanh,
        "elu": nn.ELU,
        "silu": nn.SiLU,
        "softplus": nn.Softplus,
    }
    return made[name]()


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
            f"generator 'mlp' ends in {output}, but the data lie in [{low:g}, {high:g}]",
            remedy=f'set generator.params.output = "{fitting}"',
        )


@torch.no_grad()
def init_uniform(network: nn.Module, bound: float | None) -> None:
    """Set linear weights uniform in ±bound and biases to 0, like ``irange`` in the 2014 code; ``None`` keeps PyTorch's default."""
    if bound is None:
        return
    for module in network.modules():
        if isinstance(module, nn.Linear):
            module.weight.uniform_(-bound, bound)
            if module.bias is not None:
                module.bias.zero_()
