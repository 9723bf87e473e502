"""Data from the user's own files: points or images, with labels if there are any."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganforge.builtin.datasets.array_files import Array, read_file, read_npy
from ganforge.builtin.datasets.dataset_params import ArraysParams
from ganforge.builtin.datasets.held_out_split import Kept, split
from ganforge.builtin.datasets.split_sizes import training_shares
from ganforge.plugin import DataError, Dataset, DatasetContext, DataSpec

_SHAPES: Mapping[int, str] = {1: "n", 2: "n, d", 3: "n, height, width", 4: "n, channels, height, width"}
_CHANNELS = (1, 2, 3, 4)
_BYTES = (0.0, 255.0)


def build_arrays(params: ArraysParams, context: DatasetContext) -> Dataset:
    """Factory of ``arrays``.

    Raises:
        DataError: a file that cannot be read, values that are no finite numbers, or labels that do not fit.
    """
    path = _resolved(params.file, context)
    raw, raw_labels = read_file(path, params)
    values, value_range = _values(path, raw, params.value_range)

    labels_path = path
    if params.labels_file is not None:
        if raw_labels is not None:
            raise DataError(f"{path}: labels are given twice", remedy="drop 'labels_file', or the labels beside the values")
        labels_path = _resolved(params.labels_file, context)
        raw_labels = read_npy(labels_path)
    if raw_labels is None:
        spec = DataSpec(tuple(values.shape[1:]), value_range=value_range)
        return Kept(spec, *split(values, None, params.held_out))

    labels, names = _classes(labels_path, raw_labels, len(values))
    counts = labels.bincount().tolist()
    spec = DataSpec(
        tuple(values.shape[1:]),
        classes=len(counts),
        class_names=names,
        class_shares=training_shares(counts, params.held_out),
        value_range=value_range,
    )
    return Kept(spec, *split(values, labels, params.held_out))


def _resolved(file: Path, context: DatasetContext) -> Path:
    # An absolute path replaces the folder; ~nobody stays as it is, and is not there.
    return context.recipe_folder / os.path.expanduser(file)  # noqa: PTH111 - Path.expanduser raises for ~nobody


def _values(path: Path, raw: Array, bounds: tuple[float, float] | None) -> tuple[Tensor, tuple[float, float] | None]:
    """``(n, *shape)`` floats, images in [-1, 1] where their range is known, or images as bytes; and the range that networks see."""
    if raw.dtype.kind not in "biuf":
        raise DataError(
            f"{path}: values are of type {raw.dtype}, not numbers", remedy="save plain numbers: array.astype('float32')"
        )
    if raw.ndim not in _SHAPES:
        expected = ", ".join(f"({shape})" for shape in _SHAPES.values())
        raise DataError(f"{path}: values have shape {raw.shape}; expected one of {expected}")
    if raw.shape[0] < 2 or 0 in raw.shape:
        raise DataError(f"{path}: values have shape {raw.shape}; at least 2 samples of at least one number are needed")

    raw = _shaped(path, raw)
    if raw.ndim == 4 and raw.dtype == np.uint8 and bounds in (None, _BYTES):
        return torch.from_numpy(np.ascontiguousarray(raw)), (-1.0, 1.0)
    with np.errstate(over="ignore"):  # what is too great for float32 becomes infinite and is reported below
        numbers = raw.astype(np.float32)
    _refuse_where(path, raw, ~np.isfinite(numbers), "is no finite number (of float32)")

    is_image = numbers.ndim == 4
    if bounds is None:
        return torch.from_numpy(numbers), None

    low, high = bounds
    _refuse_where(path, raw, (raw < low) | (raw > high), f"is outside value_range [{low:g}, {high:g}]")
    if not is_image:
        return torch.from_numpy(numbers), bounds
    return torch.from_numpy((numbers - low) * (2 / (high - low)) - 1).clamp(-1, 1), (-1.0, 1.0)


def _shaped(path: Path, raw: Array) -> Array:
    """``(n, d)`` or ``(n, c, h, w)``."""
    if raw.ndim == 1:
        return raw[:, None]
    if raw.ndim == 3:
        return raw[:, None]
    if raw.ndim == 4 and raw.shape[1] not in _CHANNELS and raw.shape[3] in _CHANNELS:
        raise DataError(
            f"{path}: images of shape {raw.shape[1:]} have their channels last; expected (channels, height, width)",
            remedy="save array.transpose(0, 3, 1, 2)",
        )
    return raw


def _refuse_where(path: Path, raw: Array, bad: NDArray[np.bool_], what: str) -> None:
    if not bad.any():
        return
    place = tuple(int(index) for index in np.argwhere(bad)[0])
    inside = ", ".join(map(str, place[1:]))
    raise DataError(
        f"{path}: row {place[0]}, place ({inside}): {raw[place]} {what} ({int(bad.sum())} such in all, counted from 0)",
        remedy="mend or drop these samples",
    )


def _classes(path: Path, raw: Array, count: int) -> tuple[Tensor, tuple[str, ...]]:
    """``(n,)`` class numbers from 0 in the labels' order, and the classes' names where they are not just those numbers."""
    labels = raw[:, 0] if raw.ndim == 2 and raw.shape[1] == 1 else raw
    if labels.shape != (count,):
        raise DataError(f"{path}: labels have shape {raw.shape} for {count} samples; expected ({count},)")

    kinds, numbers = np.unique(_whole(path, labels), return_inverse=True)
    plain = kinds.dtype.kind in "iu" and kinds.tolist() == list(range(len(kinds)))
    return torch.from_numpy(numbers.astype(np.int64)), () if plain else tuple(map(str, kinds))


def _whole(path: Path, labels: Array) -> Array:
    """Labels as whole numbers where they are numbers, else as text."""
    if labels.dtype.kind not in "biufU":
        raise DataError(f"{path}: labels are of type {labels.dtype}", remedy="give whole numbers or names")
    if labels.dtype.kind in "biu":
        return labels.astype(np.int64)
    empty = np.flatnonzero(labels == "")
    if labels.dtype.kind == "U" and len(empty):
        raise DataError(f"{path}: sample {empty[0]} has no label (counted from 0)")
    try:
        numbers = labels.astype(np.float64)
    except ValueError:  # names
        return labels
    odd = np.flatnonzero(~np.isfinite(numbers) | (numbers != np.round(numbers)))
    if len(odd):
        raise DataError(f"{path}: label {labels[odd[0]]} of sample {odd[0]} (counted from 0) is no whole number and no name")
    return numbers.astype(np.int64)
