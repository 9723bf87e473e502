"""What feature-based metrics look at: raw values, or what a network that is known by its SHA-256 makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

from ganforge.plugin import DataSpec, Disagreement


class Features(Protocol):
    """Turns samples into rows of features.

    Attributes:
        protocol: name of the features, and the SHA-256 of the weights where there are any; part of every value's protocol.
    """

    protocol: Mapping[str, str]

    def __call__(self, values: Tensor) -> Tensor:
        """``(n, f)`` floats on the CPU for values ``(n, *shape)`` in the data's own units."""
        ...


class RawFeatures:
    """The values themselves, flattened."""

    protocol: Mapping[str, str] = {"features": "raw"}

    def __call__(self, values: Tensor) -> Tensor:
        """``(n, prod(shape))``."""
        return values.detach().cpu().flatten(1).float()


def features(name: str, data: DataSpec) -> Features:  # noqa: ARG001 - those of networks need it
    """The features of that name for data of that kind.

    Raises:
        Disagreement: no features are called so, or they do not fit the data.
    """
    if name == "raw":
        return RawFeatures()
    raise Disagreement(f"no features are called '{name}'", remedy="use 'raw'")
