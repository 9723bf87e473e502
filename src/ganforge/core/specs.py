"""Specs of data, latents and games: what data set, sampler and game declare for all components. Does not import torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from ganforge.core.errors import IncompatiblePartsError, UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from ganforge.core.contracts import BuildContext
    from ganforge.core.records import Latent


OwnType = Literal["float32", "bool", "uint8", "int8", "uint16", "int16", "int32", "int64"]
"""Type of the values in the data's files."""


@dataclass(frozen=True, slots=True)
class GaussianMixture:
    """A known density: isotropic Gaussians of equal standard deviation, such as rings and grids.

    Attributes:
        means: the centre of each Gaussian, d numbers.
        std: standard deviation of each along every axis.
        weights: mixture weights; empty for equal ones.
    """

    means: tuple[tuple[float, ...], ...]
    std: float
    weights: tuple[float, ...] = ()

    @property
    def shares(self) -> tuple[float, ...]:
        """The mixture weights, summing to 1."""
        return self.weights or tuple(1 / len(self.means) for _ in self.means)


@dataclass(frozen=True, slots=True)
class Normalization:
    """Normalization of data for the networks, feature by feature: ``normalized = (value - offset) / scale``.

    Attributes:
        offset: what is subtracted, one number per feature.
        scale: what the difference is divided by, one number per feature.
    """

    offset: tuple[float, ...]
    scale: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class DataSpec:
    """Shape, classes and range of a data set.

    Attributes:
        shape: shape of one sample: ``(d,)`` for points, ``(channels, height, width)`` for images.
        classes: number of classes, or ``None`` for unlabelled data.
        class_names: the data's own label of each class, in the order of the class numbers; empty if the numbers are the labels.
        class_shares: share of each class in the training data; empty for equal shares or unlabelled data.
        value_range: smallest and largest value that networks see, or ``None`` if unbounded.
        density: the true density in the data's own units, if it is known.
        normalization: how values are normalized for the networks; ``None`` if they see the data's own units.
        own_range: the values in the data's own units that the ends of ``value_range`` stand for, such as 0 and 255; ``None`` if
            metrics and networks see these units.
        own_type: type of samples in the data's own units: ``float32``, ``bool``, or a type of integers such as ``uint8``, to which
            they are rounded.
    """

    shape: tuple[int, ...]
    classes: int | None = None
    class_names: tuple[str, ...] = ()
    class_shares: tuple[float, ...] = ()
    value_range: tuple[float, float] | None = None
    density: GaussianMixture | None = None
    normalization: Normalization | None = None
    own_range: tuple[float, float] | None = None
    own_type: OwnType = "float32"

    @property
    def size(self) -> int:
        """Elements per sample, the product of the shape."""
        return math.prod(self.shape)

    @property
    def is_image(self) -> bool:
        """Whether one sample is an image, ``(channels, height, width)``."""
        return len(self.shape) == 3

    def class_index(self, label: int | str) -> int:
        """The class that a label of the user's names: the name of a class, or its number where no name is a number.

        Raises:
            UsageError: there is no such class.
        """
        text, names = str(label), self.class_names
        if text in names:
            return names.index(text)
        if text.isdecimal() and int(text) < (self.classes or 0) and not any(map(_is_number, names)):
            return int(text)
        raise UsageError(f"there is no label {label!r}", remedy=f"labels: {self.describe_labels()}")

    def describe_labels(self, most: int = 20) -> str:
        """The labels in one line: at most so many names, or the range of the numbers."""
        names = self.class_names
        if not names:
            return f"0 to {(self.classes or 1) - 1}"
        return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")

    @property
    def labels(self) -> tuple[int, ...] | tuple[str, ...]:
        """The label of each class as the data has it: its number, or its name if not all names are numbers."""
        if not self.class_names:
            return tuple(range(self.classes or 0))
        return tuple(map(int, self.class_names)) if all(map(_is_number, self.class_names)) else self.class_names

    def denormalize(self, values: Tensor) -> Tensor:
        """Undo :attr:`normalization` of values ``(n, *shape)``."""
        if self.normalization is None:
            return values
        offset, scale = values.new_tensor(self.normalization.offset), values.new_tensor(self.normalization.scale)
        return (values.flatten(1) * scale + offset).reshape(values.shape)

    def normalize(self, values: Tensor) -> Tensor:
        """Normalize values ``(n, *shape)`` in the data's own units."""
        if self.normalization is None:
            return values
        offset, scale = values.new_tensor(self.normalization.offset), values.new_tensor(self.normalization.scale)
        return ((values.flatten(1) - offset) / scale).reshape(values.shape)

    def to_own_units(self, values: Tensor, *, rounded: bool = True) -> Tensor:
        """Convert denormalized values, or real ones as metrics see them, to the units and, if ``rounded``, the type of the data."""
        if self.own_range is None or self.value_range is None:
            return values
        (low, high), (own_low, own_high) = self.value_range, self.own_range
        exact = values.double() if rounded else values
        own = (exact - low) * ((own_high - own_low) / (high - low)) + own_low
        if not rounded or self.own_type == "float32":
            return own.float()

        import torch

        whole = own.nan_to_num(own_low).round().clamp(own_low, own_high)
        return whole.to(getattr(torch, self.own_type))

    def to_float(self, values: Tensor) -> Tensor:
        """Convert bytes (uint8) to floats, 0 and 255 to the ends of :attr:`value_range`; floats are returned unchanged."""
        if values.is_floating_point():
            return values
        if self.value_range is None:
            raise IncompatiblePartsError("the data are bytes, but the data set has no value range", remedy="set value_range")
        low, high = self.value_range
        # in this order, 0 and 255 become exactly the ends of the range
        return values.float().div_(255).mul_(high - low).add_(low)


def _is_number(name: str) -> bool:
    """Whether a name is an integer of 64 bits as Python writes it, so that ``007`` is text."""
    digits = name.removeprefix("-")
    return len(digits) < 20 and digits.isdecimal() and str(int(name)) == name and abs(int(name)) < 2**63


@dataclass(frozen=True, slots=True)
class LatentSpec:
    """Widths of the latents that a sampler draws.

    Attributes:
        noise: width z of the noise.
        classes: number of classes of the labels, or ``None`` without labels.
        categorical: number of values of each categorical code.
        continuous: number of continuous codes, each in [-1, 1].
    """

    noise: int
    classes: int | None = None
    categorical: tuple[int, ...] = ()
    continuous: int = 0

    @property
    def has_codes(self) -> bool:
        """Whether there are structured codes."""
        return bool(self.categorical) or self.continuous > 0

    @property
    def code_ranges(self) -> tuple[str, ...]:
        """The values of each code as training draws them, categorical codes first: ``0 to 9``, ``-1 to 1``."""
        return (*(f"0 to {values - 1}" for values in self.categorical), *("-1 to 1",) * self.continuous)

    def describe_codes(self) -> str:
        """The codes with their ranges, in one line."""
        return ", ".join(f"code {at}: {values}" for at, values in enumerate(self.code_ranges))

    @property
    def width(self) -> int:
        """Width of the output of :meth:`flatten`."""
        return self.noise + sum(self.categorical) + self.continuous

    def flatten(self, latent: Latent) -> Tensor:
        """``(n, width)``: noise, one-hot categorical codes and continuous codes, concatenated; labels are left out."""
        if not self.has_codes:
            return latent.noise
        if latent.codes is None:
            raise IncompatiblePartsError("the generator expects codes, the latent has none", remedy="use the 'structured' sampler")

        import torch
        from torch.nn import functional

        hot = [
            functional.one_hot(latent.codes.categorical[:, column], count).to(latent.noise.dtype)
            for column, count in enumerate(self.categorical)
        ]
        return torch.cat([latent.noise, *hot, latent.codes.continuous], dim=1)  # (n, z + Σ one-hot + c)


NetworkKind = Literal["generator", "discriminator", "encoder"]
"""The kinds of components that are networks."""


def network_key(role: str) -> str:
    """The recipe's table of a network: ``generator``, or ``networks.generator_ab``."""
    return role if role in get_args(NetworkKind) else f"networks.{role}"


@dataclass(frozen=True, slots=True)
class NetworkRole:
    """One network of a game.

    Attributes:
        kind: the kind of component that can fill the role.
        sizes: the build context of the network, from that of the run: for a discriminator of latents, their width as data shape,
            or the output shape of an encoder. Without it, networks get the run's context.
    """

    kind: NetworkKind
    sizes: Callable[[BuildContext], BuildContext] | None = None


@dataclass(frozen=True, slots=True)
class GameSpec:
    """What a game consists of, so that recipes can be checked without building it.

    Attributes:
        networks: the networks by role, which names their table in the recipe.
        players: the networks that each player trains, by the player's name.
        generator: role of the network that makes samples from latents.
        critic: role of the network that tells real from generated samples, or ``None`` if there is none; health checks of the
            critic and the decision field of pictures are then left out.
        encoder: role of the encoder that metrics may use, or ``None``.
        averaged: roles of the networks of which a moving average is kept, besides ``generator``.
        outputs: names of what losses can read in ``Turn.outputs``.
        needs_loss: whether each player needs a ``[[loss]]``; otherwise the game has terms of its own.

    Raises:
        ValueError: a role is not among the networks, no player trains a network, or a name is not an identifier.
    """

    networks: Mapping[str, NetworkRole]
    players: Mapping[str, tuple[str, ...]]
    generator: str = "generator"
    critic: str | None = None
    encoder: str | None = None
    averaged: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    needs_loss: bool = True

    def __post_init__(self) -> None:
        taught = {role for roles in self.players.values() for role in roles}
        named = {self.generator, *filter(None, [self.critic, self.encoder]), *self.averaged, *taught}
        if unknown := sorted(named.difference(self.networks)):
            raise ValueError(f"the game has no network {', '.join(map(repr, unknown))}")
        if untaught := sorted(self.networks.keys() - taught):
            raise ValueError(f"no player trains {', '.join(map(repr, untaught))}")
        if wrong := [name for name in (*self.players, *self.networks) if not name.isidentifier()]:
            raise ValueError(f"{wrong[0]!r} is not a Python identifier, which names of players and networks must be")

    @property
    def all_averaged(self) -> tuple[str, ...]:
        """The networks of which a moving average is kept."""
        return (self.generator, *(role for role in self.averaged if role != self.generator))
