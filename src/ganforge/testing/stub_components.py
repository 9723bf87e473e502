"""Minimal networks and a loss that use labels and codes, for tests of other components.

Shapes: n samples, w flattened latent width, d numbers per sample.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ganforge.core.contracts import BuildContext, EncoderContext, TermInfo
from ganforge.core.errors import IncompatiblePartsError
from ganforge.core.params import NoParams
from ganforge.core.records import DiscriminatorOutput, Latent, LossTerms, Samples, Turn

_FEATURES = 6


class LinearGenerator(nn.Module):
    """One linear layer from noise, codes and one-hot labels to a sample, squashed into the data's value range if any."""

    def __init__(self, _params: NoParams, context: BuildContext) -> None:
        super().__init__()
        self.latent = context.latent
        self.data = context.data
        self.layer = nn.Linear(context.latent.width + (context.latent.classes or 0), context.data.size)

    def forward(self, latent: Latent) -> Tensor:
        """Latents of n → values ``(n, *shape)``."""
        seen = [self.latent.flatten(latent), *_hot(latent.labels, self.latent.classes)]
        values: Tensor = self.layer(torch.cat(seen, dim=1))  # (n, w) → (n, d)
        if self.data.value_range is not None:
            low, high = self.data.value_range
            values = low + (high - low) * torch.sigmoid(values)
        return values.reshape(len(values), *self.data.shape)


class LinearDiscriminator(nn.Module):
    """Linear features of a sample and its one-hot label, a logit, and heads for codes and classes.

    Heads: ``code``, the logits of each categorical code side by side and then the continuous codes' means, and ``class``, the class
    logits; each only if the context has codes or classes.
    """

    def __init__(self, _params: NoParams, context: BuildContext) -> None:
        super().__init__()
        self.classes = context.latent.classes and context.data.classes  # fakes have labels only if the sampler draws them
        self.features = nn.Linear(context.data.size + (self.classes or 0), _FEATURES)
        self.realness = nn.Linear(_FEATURES, 1)
        widths = {"code": sum(context.latent.categorical) + context.latent.continuous, "class": context.data.classes or 0}
        self.heads = nn.ModuleDict({name: nn.Linear(_FEATURES, width) for name, width in widths.items() if width})

    def forward(self, samples: Samples) -> DiscriminatorOutput:
        """Samples of n → logits ``(n,)``, heads and features ``(n, f)``."""
        features = self.features(torch.cat([samples.values.flatten(1), *_hot(samples.labels, self.classes)], dim=1))
        heads = {name: head(features) for name, head in self.heads.items()}
        return DiscriminatorOutput(self.realness(features).squeeze(1), heads=heads, features=features)


class LinearEncoder(nn.Module):
    """One linear layer from samples to what the game wants."""

    def __init__(self, _params: NoParams, context: EncoderContext) -> None:
        super().__init__()
        self.output = context.output
        self.layer = nn.Linear(context.data.size, math.prod(context.output))

    def forward(self, samples: Samples) -> Tensor:
        """``(n, *output)``."""
        values: Tensor = self.layer(samples.values.flatten(1))
        return values.reshape(-1, *self.output)


class StubLoss:
    """The non-saturating loss, with unique term names: ``stand-in``."""

    term_info: Mapping[str, TermInfo] = {
        "discriminator/stand-in": TermInfo("cost of misjudging"),
        "generator/stand-in": TermInfo("cost of being recognised"),
    }
    second_order = False

    def discriminator(self, turn: Turn) -> LossTerms:
        """-log D(x) - log(1 - D(G(z)))."""
        return LossTerms(
            {"stand-in": F.softplus(-turn.critic(turn.real).logits).mean() + F.softplus(turn.critic(turn.fake).logits).mean()}
        )

    def generator(self, turn: Turn) -> LossTerms:
        """-log D(G(z))."""
        return LossTerms({"stand-in": F.softplus(-turn.critic(turn.fake).logits).mean()})


def _hot(labels: Tensor | None, classes: int | None) -> list[Tensor]:
    if classes is None:
        return []
    if labels is None:
        raise IncompatiblePartsError("a conditional stub received no labels", remedy="pass labels, or use a spec without classes")
    return [F.one_hot(labels, classes).float()]
