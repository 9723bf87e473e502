"""Sizes and facts that are said once: the data set's and the sampler's, handed to all that need them. Torch-free."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ganforge.core.errors import IncompatiblePartsError

if TYPE_CHECKING:
    from torch import Tensor

    from ganforge.core.records import Latent


@dataclass(frozen=True, slots=True)
class GaussianMixture:
    """A density that is known: Gaussians of one standard deviation, as rings, grids and bells are made of.

    Attributes:
        means: one point per mode.
        std: standard deviation along every axis.
        weights: share of each mode; empty means equal shares.
    """

    means: tuple[tuple[float, ...], ...]
    std: float
    weights: tuple[float, ...] = ()

    @property
    def shares(self) -> tuple[float, ...]:
        """The modes' shares, summing to 1."""
        return self.weights or tuple(1 / len(self.means) for _ in self.means)


@dataclass(frozen=True, slots=True)
class Scaling:
    """How the values that networks see follow from the data's own units: ``seen = (own - offset) / scale``, feature by feature."""

    offset: tuple[float, ...]
    scale: tuple[float, ...]

    def to_own(self, values: Tensor) -> Tensor:
        """``(n, *shape)`` values as networks see them → the data's own units."""
        offset, scale = values.new_tensor(self.offset), values.new_tensor(self.scale)
        return (values.flatten(1) * scale + offset).reshape(values.shape)

    def from_own(self, values: Tensor) -> Tensor:
        """``(n, *shape)`` values in the data's own units → what networks see."""
        offset, scale = values.new_tensor(self.offset), values.new_tensor(self.scale)
        return ((values.flatten(1) - offset) / scale).reshape(values.shape)


@dataclass(frozen=True, slots=True)
class DataSpec:
    """What a data set says of itself.

    Attributes:
        shape: shape of one sample: ``(d,)`` for points, ``(channels, height, width)`` for images.
        classes: number of classes, or ``None`` for unlabelled data.
        class_names: names of the classes, where they have any.
        class_shares: share of each class in the training data; empty for equal shares or unlabelled data.
        value_range: least and greatest value that networks see, or ``None`` when unbounded.
        density: the true density in the data's own units, where it is known.
        scaling: how the values that networks see follow from the data's own units; ``None`` when they are the same.
    """

    shape: tuple[int, ...]
    classes: int | None = None
    class_names: tuple[str, ...] = ()
    class_shares: tuple[float, ...] = ()
    value_range: tuple[float, float] | None = None
    density: GaussianMixture | None = None
    scaling: Scaling | None = None

    @property
    def size(self) -> int:
        """Numbers per sample: the product of the shape."""
        return math.prod(self.shape)

    @property
    def is_image(self) -> bool:
        """Whether one sample is an image, ``(channels, height, width)``."""
        return len(self.shape) == 3

    def to_plain(self) -> dict[str, Any]:
        """The spec as JSON-able data, for the run folder."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> DataSpec:
        """The spec that :meth:`to_plain` wrote, read back from JSON."""
        parts = {key: _as_tuple(value) for key, value in plain.items()}
        if parts.get("density"):
            parts["density"] = GaussianMixture(**{key: _as_tuple(value) for key, value in parts["density"].items()})
        if parts.get("scaling"):
            parts["scaling"] = Scaling(**{key: _as_tuple(value) for key, value in parts["scaling"].items()})
        return cls(**parts)

    def scaled(self, scaling: Scaling) -> DataSpec:
        """The same data, seen by networks through ``scaling``; a declared value range no longer holds then."""
        return replace(self, scaling=scaling, value_range=None)

    def to_own(self, values: Tensor) -> Tensor:
        """``(n, *shape)`` values as networks see them → the data's own units."""
        return self.scaling.to_own(values) if self.scaling else values

    def from_own(self, values: Tensor) -> Tensor:
        """``(n, *shape)`` values in the data's own units → what networks see."""
        return self.scaling.from_own(values) if self.scaling else values

    def unpacked(self, values: Tensor) -> Tensor:
        """Bytes (uint8) → floats in :attr:`value_range`, 0 its least and 255 its greatest value; floats stay as they are.

        Raises:
            IncompatiblePartsError: bytes of data whose range is not declared.
        """
        if values.is_floating_point():
            return values
        if self.value_range is None:
            raise IncompatiblePartsError(
                "bytes stand for a range of values, and the data set declares none", remedy="give value_range"
            )
        low, high = self.value_range
        # in this order 0 and 255 become the ends of the range exactly
        return values.float().div_(255).mul_(high - low).add_(low)


@dataclass(frozen=True, slots=True)
class LatentSpec:
    """What a sampler draws.

    Attributes:
        noise: width z of the noise.
        classes: number of classes that labels are drawn from, or ``None`` when no labels are drawn.
        categorical: number of values of each categorical code.
        continuous: number of continuous codes, each in [-1, 1].
    """

    noise: int
    classes: int | None = None
    categorical: tuple[int, ...] = ()
    continuous: int = 0

    def to_plain(self) -> dict[str, Any]:
        """The spec as JSON-able data, for the run folder."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> LatentSpec:
        """The spec that :meth:`to_plain` wrote, read back from JSON."""
        return cls(**{key: _as_tuple(value) for key, value in plain.items()})

    @property
    def has_codes(self) -> bool:
        """Whether there is any structured code."""
        return bool(self.categorical) or self.continuous > 0

    @property
    def width(self) -> int:
        """Width of :meth:`flatten`'s result: noise, one-hot categorical codes and continuous codes side by side (no labels)."""
        return self.noise + sum(self.categorical) + self.continuous

    def flatten(self, latent: Latent) -> Tensor:
        """``(n, width)``: noise, one-hot categorical codes and continuous codes side by side; labels are left out.

        Raises:
            IncompatiblePartsError: the latent lacks the codes that this spec promises.
        """
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


def _as_tuple(value: Any) -> Any:
    return tuple(map(_as_tuple, value)) if isinstance(value, list) else value
