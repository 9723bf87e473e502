"""InfoGAN's networks (Chen et al. 2016): a generator of noise and codes, and a discriminator that also recovers the codes.

Shapes: n samples, w flattened latent width, d numbers per sample, h units of a hidden layer,
q = Σ values of the categorical codes + number of continuous codes.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from ganforge.plugin import BuildContext, DataSpec, DiscriminatorOutput, IncompatiblePartsError, Latent, LatentSpec, Samples
from ganforge_infogan.params import DiscriminatorParams, GeneratorParams, NetworkParams

_OUTPUTS: dict[str, Callable[[], nn.Module]] = {"linear": nn.Identity, "tanh": nn.Tanh, "sigmoid": nn.Sigmoid}
_RANGES: dict[tuple[float, float], str] = {(-1.0, 1.0): "tanh", (0.0, 1.0): "sigmoid"}


class InfoganGenerator(nn.Module):
    """Noise, one-hot categorical codes and continuous codes side by side through hidden layers to one sample.

    Raises:
        IncompatiblePartsError: the sampler draws no codes, or the output activation does not fit the data's value range.
    """

    def __init__(self, params: GeneratorParams, context: BuildContext) -> None:
        super().__init__()
        check_codes("generator 'infogan-mlp'", context.latent)
        check_range(params.output, context.data)
        self.latent = context.latent
        self.shape = context.data.shape
        self.trunk, width = hidden_layers(context.latent.width, params.hidden, params)
        self.last = nn.Linear(width, context.data.size)
        self.output = _OUTPUTS[params.output]()

    def forward(self, latent: Latent) -> Tensor:
        """Coded latents of n → values ``(n, *shape)``."""
        values: Tensor = self.output(self.last(self.trunk(self.latent.flatten(latent))))  # (n, w) → (n, d)
        return values.reshape(len(values), *self.shape)


class InfoganDiscriminator(nn.Module):
    """A shared trunk with two heads: one logit for realness, and the code reader Q.

    The head ``code`` is ``(n, q)``: the logits of each categorical code side by side, in the sampler's order, then the mean of each
    continuous code. Logits let the loss reach zero when the reader is certain and right.

    Raises:
        IncompatiblePartsError: the sampler draws no codes.
    """

    def __init__(self, params: DiscriminatorParams, context: BuildContext) -> None:
        super().__init__()
        check_codes("discriminator 'infogan-mlp'", context.latent)
        self.trunk, width = hidden_layers(context.data.size, params.hidden, params)
        self.realness = nn.Linear(width, 1)
        reader, reader_width = hidden_layers(width, params.reader, params)
        self.reader = nn.Sequential(*reader, nn.Linear(reader_width, sum(context.latent.categorical) + context.latent.continuous))

    def forward(self, samples: Samples) -> DiscriminatorOutput:
        """Samples of n → logits ``(n,)``, head ``code`` ``(n, q)`` and features ``(n, h)``."""
        features = self.trunk(samples.values.flatten(1))  # (n, d) → (n, h)
        return DiscriminatorOutput(
            logits=self.realness(features).squeeze(1),
            heads={"code": self.reader(features)},
            features=features,
        )


def hidden_layers(width: int, hidden: tuple[int, ...], params: NetworkParams) -> tuple[nn.Sequential, int]:
    """The hidden layers, and the width of their output."""
    layers: list[nn.Module] = []
    for units in hidden:
        layers.append(nn.Linear(width, units))
        layers.append(nn.ReLU() if params.activation == "relu" else nn.LeakyReLU(negative_slope=params.slope))
        width = units
    return nn.Sequential(*layers), width


def check_codes(part: str, latent: LatentSpec) -> None:
    """Reject a latent without codes.

    Raises:
        IncompatiblePartsError: the error names the sampler that draws them.
    """
    if not latent.has_codes:
        raise IncompatiblePartsError(
            f"{part} needs codes, but the sampler draws none",
            remedy='set sampler.use = "structured" with categorical or continuous codes',
        )


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
            f"generator 'infogan-mlp' ends in {output}, but the data lie in [{low:g}, {high:g}]",
            remedy=f'set generator.params.output = "{fitting}"',
        )
