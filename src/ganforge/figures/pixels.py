"""Images as pixels: from values to bytes, and how large."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ganforge.core.records import Samples
from ganforge.core.specs import DataSpec

Bytes = NDArray[np.uint8]


def value_range(data: DataSpec, samples: Samples) -> tuple[float, float]:
    """The least and greatest value of an image: as declared, else as found in ``samples``, where they are finite."""
    if data.value_range is not None:
        return data.value_range
    finite = samples.values[samples.values.isfinite()] if samples.values.is_floating_point() else samples.values
    low, high = (float(finite.min()), float(finite.max())) if finite.numel() else (0.0, 1.0)
    return (low, high) if high > low else (low, low + 1.0)


def pixels(samples: Samples, limits: tuple[float, float]) -> Bytes:
    """``(n, c, h, w)`` values in ``limits`` → ``(n, h, w, 3)`` bytes; values outside are cut off, NaN becomes black.

    One channel becomes grey; of two, or more than three, the first is shown as grey.
    """
    low, high = limits
    values = samples.values.detach().double().numpy()
    shades = np.clip(np.nan_to_num((values - low) / (high - low), nan=0.0), 0.0, 1.0)
    bytes_ = np.rint(255 * shades).astype(np.uint8).transpose(0, 2, 3, 1)  # (n, h, w, c)
    return bytes_ if bytes_.shape[3] == 3 else np.repeat(bytes_[..., :1], 3, axis=3)


def square_columns(count: int) -> int:
    """Columns that make ``count`` equal images about a square."""
    return max(1, math.ceil(math.sqrt(count)))


def enlarged(picture: Bytes, factor: int) -> Bytes:
    """Every pixel ``factor`` times as wide and high, with hard edges."""
    return picture.repeat(factor, axis=0).repeat(factor, axis=1)


def fitting_factor(picture: Bytes, side: int) -> int:
    """The greatest whole factor at which ``picture`` stays within ``side`` pixels; at least 1."""
    return max(1, side // int(max(picture.shape[:2])))
