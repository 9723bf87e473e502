"""The records that flow through one training iteration.

One set serves every kind of GAN: what a kind does not use stays ``None``, so nobody branches on the kind.
Shapes: n samples, z noise dimensions, k categorical and c continuous codes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ganforge.core.errors import IncompatiblePartsError

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class Codes:
    """The structured part of a latent (InfoGAN, Chen et al. 2016).

    Attributes:
        categorical: ``(n, k)`` int64 class indices, one column per categorical code.
        continuous: ``(n, c)`` floats, one column per continuous code.
    """

    categorical: Tensor
    continuous: Tensor


@dataclass(frozen=True, slots=True)
class Latent:
    """What a sampler draws and a generator turns into samples.

    Attributes:
        noise: ``(n, z)`` floats.
        labels: ``(n,)`` int64 classes asked of a conditional generator, or ``None``.
        codes: the structured codes, or ``None``.
    """

    noise: Tensor
    labels: Tensor | None = None
    codes: Codes | None = None

    def __len__(self) -> int:
        return len(self.noise)


@dataclass(frozen=True, slots=True)
class Samples:
    """Real or generated samples.

    Attributes:
        values: ``(n, *shape)`` floats; training images may be bytes until they are cut into batches.
        labels: ``(n,)`` int64 classes, or ``None`` for unlabelled data.
        latent: what the samples were generated from; ``None`` for real ones.
    """

    values: Tensor
    labels: Tensor | None = None
    latent: Latent | None = None

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True)
class DiscriminatorOutput:
    """What a discriminator says of samples.

    Attributes:
        logits: ``(n,)`` unbounded realness scores, before any sigmoid.
        heads: named further outputs, each ``(n, …)``: class logits, code posteriors.
        features: ``(n, f)`` activations before the last layer, where the network offers them.
    """

    logits: Tensor
    heads: Mapping[str, Tensor] = field(default_factory=dict)
    features: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """Named scalar parts of an objective, each with its weight.

    ``Terms({"real": a, "fake": b})`` weighs both 1; :meth:`weighted` scales all, ``+`` joins two of them.

    Raises:
        IncompatiblePartsError: when two joined terms carry one name, since a log would then show only one of them.
    """

    values: Mapping[str, Tensor]
    weights: Mapping[str, float] = field(default_factory=dict)

    @property
    def total(self) -> Tensor:
        """The weighted sum, a scalar: what the trainer descends."""
        parts = [value * self.weights[name] if name in self.weights else value for name, value in self.values.items()]
        if not parts:
            raise IncompatiblePartsError("no loss gave a term for this turn", remedy="add a [[loss]] with a term for both networks")
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    def weighted(self, weight: float) -> Terms:
        """The same terms, each counting ``weight`` times as much; the values that are logged stay as they are."""
        if weight == 1.0:
            return self
        return Terms(self.values, {name: self.weights.get(name, 1.0) * weight for name in self.values})

    def __add__(self, other: Terms) -> Terms:
        for name in other.values:
            if name in self.values:
                raise IncompatiblePartsError(f"two losses give a term named '{name}'", remedy="drop one of the two [[loss]] tables")
        return Terms({**self.values, **other.values}, {**self.weights, **other.weights})

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a metric compares, in the data's own units.

    Attributes:
        real: held-out real samples ``(n, *shape)``, with labels where the data has them.
        fake: as many generated ones; ``fake.latent`` holds the labels and codes that made them.
        generator: a random stream of this evaluation's own, for metrics that draw.
        training: gives at most so many training samples, evenly taken from the whole, on the CPU in the data's own units.
        validation: gives at most so many samples that are neither trained on nor held out; ``None`` where the data has none.
        critic: the discriminator in eval mode and without gradients: samples in the data's own units in, verdict on the CPU out.
    """

    real: Samples
    fake: Samples
    generator: torch.Generator
    training: Callable[[int], Samples] | None = None
    validation: Callable[[int], Samples] | None = None
    critic: Callable[[Samples], DiscriminatorOutput] | None = None


@dataclass(frozen=True, slots=True)
class LogitGrid:
    """The discriminator's logits over a regular grid of one- or two-dimensional points, in the data's own units.

    Attributes:
        points: ``(m, d)`` grid points.
        logits: ``(m,)`` the discriminator's logits there.
        sides: points per axis, so that ``prod(sides) == m``.
    """

    points: Tensor
    logits: Tensor
    sides: tuple[int, ...]
