"""Records of one training iteration: latents, samples, network outputs, loss terms, and what metrics compare.

One set of records serves every kind of GAN: fields that a kind does not use stay ``None``.
Shapes: n samples, z noise dimensions, k categorical and c continuous codes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Self, TypeVar

from ganforge.core.errors import IncompatiblePartsError

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class _Rows:
    """Tensors with one row per sample, and nested records of the same kind."""

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> Self:
        """The same rows on ``device``; from pinned memory, ``non_blocking`` copies overlap with the device's work."""
        return _map([self], lambda parts: parts[0].to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Self:
        """The same rows in page-locked memory."""
        return _map([self], lambda parts: parts[0].pin_memory())

    def __getitem__(self, rows: slice | Tensor) -> Self:
        """The rows of a slice, of a boolean mask ``(n,)``, or at non-negative indices ``(m,)``, which may repeat."""
        return _map([self], lambda parts: _select(parts[0], rows))

    @classmethod
    def concatenate(cls, records: Sequence[Self]) -> Self:
        """The rows of one or more records, one after another; each field is ``None`` in all of them or in none."""
        import torch

        return _map(records, torch.cat)


_Record = TypeVar("_Record", bound=_Rows)


def _map(records: Sequence[_Record], function: Callable[[list[Tensor]], Tensor]) -> _Record:
    """A record in which each tensor is ``function`` of that field's tensors in ``records``."""
    kind, values = type(records[0]), {}
    for name in (one.name for one in fields(kind)):
        parts: list[Any] = [getattr(record, name) for record in records]
        missing = sum(part is None for part in parts)
        if missing not in (0, len(parts)):
            raise ValueError(f"{name} is None in {missing} of {len(parts)} records")
        values[name] = None if missing else _map(parts, function) if isinstance(parts[0], _Rows) else function(parts)
    return kind(**values)


def _select(tensor: Tensor, rows: slice | Tensor) -> Tensor:
    import torch

    if isinstance(rows, slice) or rows.dtype == torch.bool:
        return tensor[rows]
    return tensor.index_select(0, rows.to(tensor.device))  # several times faster than tensor[rows] for images


@dataclass(frozen=True, slots=True)
class Codes(_Rows):
    """The structured part of a latent (InfoGAN, Chen et al. 2016).

    Attributes:
        categorical: ``(n, k)`` int64 class indices, one column per categorical code.
        continuous: ``(n, c)`` floats, one column per continuous code.
    """

    categorical: Tensor
    continuous: Tensor


@dataclass(frozen=True, slots=True)
class Latent(_Rows):
    """A batch of latents: what a sampler draws and a generator maps to samples.

    Attributes:
        noise: ``(n, z)`` floats.
        labels: ``(n,)`` int64 classes for a conditional generator, or ``None``.
        codes: structured codes (InfoGAN), or ``None``.
    """

    noise: Tensor
    labels: Tensor | None = None
    codes: Codes | None = None

    def __len__(self) -> int:
        return len(self.noise)


@dataclass(frozen=True, slots=True)
class Samples(_Rows):
    """Real or generated samples.

    Attributes:
        values: ``(n, *shape)`` floats; training images may be bytes until they become batches.
        labels: ``(n,)`` int64 classes, or ``None`` for unlabelled data.
        latent: the latents they were generated from; ``None`` for real samples.
    """

    values: Tensor
    labels: Tensor | None = None
    latent: Latent | None = None

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True)
class DiscriminatorOutput:
    """The output of a discriminator.

    Attributes:
        logits: ``(n,)`` scores, higher for real samples, before any sigmoid.
        heads: further outputs by name, each ``(n, …)``: class logits, code posteriors.
        features: ``(n, f)`` activations before the last layer, if the network returns them.
    """

    logits: Tensor
    heads: Mapping[str, Tensor] = field(default_factory=dict)
    features: Tensor | None = None


Critic = Callable[[Samples], DiscriminatorOutput]
"""The discriminator as a loss sees it: samples in, output out. A second call with the same samples returns the cached output."""


@dataclass(frozen=True, slots=True)
class Step:
    """Where training stands.

    Attributes:
        iteration: number of iterations done before this one.
        iterations: number of iterations of the whole training.
    """

    iteration: int
    iterations: int

    @property
    def progress(self) -> float:
        """The share of the training that is done, from 0 to below 1."""
        return self.iteration / self.iterations


@dataclass(frozen=True, slots=True)
class Turn:
    """What a loss reads in one player's turn.

    Attributes:
        critic: the discriminator; losses of one turn share its outputs.
        real: a batch of real samples.
        fake: as many generated samples; in the turn of the player that generates them, with a graph to its weights.
        outputs: further outputs of the game by name, such as ``posterior``; a loss requires each as ``output:NAME``.
        step: where training stands.
    """

    critic: Critic
    real: Samples
    fake: Samples
    outputs: Mapping[str, Tensor] = field(default_factory=dict)
    step: Step = Step(0, 1)


@dataclass(frozen=True, slots=True)
class LossTerms:
    """Named scalar parts of an objective, each with its weight.

    In ``LossTerms({"real": a, "fake": b})`` both have weight 1; :meth:`weighted` scales all weights, ``+`` joins two records.

    Attributes:
        values: the scalar of each term by its name, before it is multiplied by its weight.
        weights: factors of terms in the total, by name; 1 for a term that is not named.

    Raises:
        IncompatiblePartsError: two joined records have a term of the same name, so that a log would show only one of them.
    """

    values: Mapping[str, Tensor]
    weights: Mapping[str, float] = field(default_factory=dict)

    @property
    def total(self) -> Tensor:
        """The weighted sum, a scalar that the trainer minimises."""
        parts = [value * self.weights[name] if name in self.weights else value for name, value in self.values.items()]
        if not parts:
            raise IncompatiblePartsError("no loss has a term for this network", remedy="add a [[loss]] that has terms for it")
        return sum(parts[1:], parts[0])

    def weighted(self, weight: float) -> LossTerms:
        """The same terms with their weights multiplied by ``weight``; logged values do not change."""
        if weight == 1.0:
            return self
        return LossTerms(self.values, {name: self.weights.get(name, 1.0) * weight for name in self.values})

    def __add__(self, other: LossTerms) -> LossTerms:
        for name in other.values:
            if name in self.values:
                raise IncompatiblePartsError(f"two losses have a term named '{name}'", remedy="drop one of the two [[loss]] tables")
        return LossTerms({**self.values, **other.values}, {**self.weights, **other.weights})

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The samples that a metric compares, in the data's own units, before normalization.

    Attributes:
        real: held-out real samples ``(n, *shape)``, with labels where the data has them.
        fake: as many generated samples; ``fake.latent`` holds the labels and codes they were generated from.
        generator: random stream of this evaluation, for metrics that draw random numbers.
        training: returns at most ``count`` training samples, evenly spaced over all of them, on the CPU.
        validation: returns at most ``count`` samples of the validation split; ``None`` if the data has none.
        critic: the discriminator in eval mode and without gradients; its output is on the CPU.
        encode: the same for the game's encoder; its output is ``(n, …)``.
        generate: generates further samples, in the data's own units, on the CPU.
    """

    real: Samples
    fake: Samples
    generator: torch.Generator
    training: Callable[[int], Samples] | None = None
    validation: Callable[[int], Samples] | None = None
    critic: Callable[[Samples], DiscriminatorOutput] | None = None
    encode: Callable[[Samples], Tensor] | None = None
    generate: Callable[[Latent], Samples] | None = None


@dataclass(frozen=True, slots=True)
class LogitGrid:
    """The discriminator's logits ``(m,)`` over a regular grid of points ``(m, d)`` with one or two axes, in the data's own units.

    ``sides`` is the number of points per axis, so that ``prod(sides) == m``. Points are sorted by the first axis, then the second.
    """

    points: Tensor
    logits: Tensor
    sides: tuple[int, ...]
