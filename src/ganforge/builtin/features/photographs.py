"""Images of a data set as networks trained on photographs want them, and the files of weights of such networks."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from ganforge.plugin import DataError, DataSpec, IncompatiblePartsError

_CHUNK = 64


def need_images(features: str, data: DataSpec) -> None:
    """Refuse data that is no picture in grey or colour of a known range.

    Raises:
        IncompatiblePartsError: says which it is.
    """
    if not data.is_image:
        raise IncompatiblePartsError(
            f"features '{features}' look at images, and the data are points", remedy="use features = 'raw'"
        )
    if data.shape[0] not in (1, 3):
        raise IncompatiblePartsError(
            f"features '{features}' look at images of 1 or 3 channels, and the data have {data.shape[0]}",
            remedy="use features = 'raw' or 'classifier'",
        )
    if data.value_range is None:
        raise IncompatiblePartsError(
            f"features '{features}' must know which values are black and white",
            remedy="give dataset.params.value_range, or use features = 'raw'",
        )


def to_photographs(values: Tensor, data: DataSpec) -> Tensor:
    """``(n, 3, height, width)`` floats from 0 to 255, what lies outside cut off; grey images in three equal channels."""
    low, high = data.value_range or (0.0, 1.0)
    scaled = (values.detach().cpu().float() - low) * (255 / (high - low))
    return scaled.clamp(0, 255).expand(-1, 3, -1, -1)


def in_chunks(network: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
    """What a network gives for values, some at a time and without gradients."""
    with torch.no_grad():
        return torch.cat([network(part) for part in torch.split(values, _CHUNK)])


def checked_file(path: Path, remedy: str, sha256: str | None = None) -> str:
    """The SHA-256 of a file of weights.

    Raises:
        DataError: it cannot be read, or is not the one that is meant.
    """
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"{path}: the weights cannot be read: {error.strerror or error}", remedy=remedy) from error
    if sha256 is not None and found != sha256:
        raise DataError(f"{path}: is not the file of weights that is meant: its SHA-256 is {found}", remedy=remedy)
    return found
