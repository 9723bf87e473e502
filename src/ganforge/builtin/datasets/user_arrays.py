"""The data set ``arrays``: points or images from the user's .npy, .npz or .csv files, with optional labels.

Nothing is ever unpickled. Errors name the file, and the row or line.
"""

from __future__ import annotations

import csv
import math
import os
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganforge.builtin.datasets.dataset_specs import ArraysParams, SplitDataset, split, training_shares
from ganforge.plugin import DataError, Dataset, DatasetContext, DataSpec

Array = NDArray[Any]
Row = tuple[int, list[str]]
"""Line number and cells of a .csv row."""

_SHAPES = "(n), (n, d), (n, height, width), (n, channels, height, width)"
_CHANNELS = (1, 2, 3, 4)
_NUMBERS = "biuf"
_SAVE_NUMBERS = "save plain numbers: array.astype('float32')"
_DAMAGED = (ValueError, TypeError, EOFError, OSError, MemoryError, SyntaxError, tokenize.TokenError, zipfile.BadZipFile, zlib.error)
"""Errors of NumPy and zipfile for files that are cut short, damaged or state a wrong size."""


def build_arrays(params: ArraysParams, context: DatasetContext) -> Dataset:
    """Factory of ``arrays``."""
    path = labels_path = _existing(params.file, context)
    raw, raw_labels = _read_file(path, params)
    values, value_range = _values(path, raw, params.value_range)

    if params.labels_file is not None:
        if raw_labels is not None:
            raise DataError(f"{path}: labels are given twice", remedy="drop 'labels_file', or the labels beside the values")
        labels_path = _existing(params.labels_file, context)
        raw_labels = _read_npy(labels_path)
    shape = tuple(values.shape[1:])
    if raw_labels is None:
        return SplitDataset(DataSpec(shape, value_range=value_range), *split(values, None, params.held_out))

    labels, names = _classes(labels_path, raw_labels, len(values))
    counts = labels.bincount().tolist()
    spec = DataSpec(shape, len(counts), names, training_shares(counts, params.held_out), value_range)
    return SplitDataset(spec, *split(values, labels, params.held_out))


def _existing(file: Path, context: DatasetContext) -> Path:
    # An absolute path replaces the folder; an unknown ~user stays as it is and is then missing.
    path = context.recipe_folder / os.path.expanduser(file)  # noqa: PTH111 - Path.expanduser raises for an unknown ~user
    if not path.is_file():
        raise DataError(f"there is no file {path}", remedy="fix it in dataset.params; it is relative to the recipe's folder")
    return path


def _read_file(path: Path, params: ArraysParams) -> tuple[Array, Array | None]:
    """Values ``(n, …)`` and, if the file has them, labels ``(n,)``; both unchecked."""
    kind = path.suffix.lower()
    if kind not in {".npy", ".npz", ".csv"}:
        raise DataError(f"{path}: files of kind '{kind}' cannot be read", remedy="give a .npy, .npz or .csv file")
    if kind == ".csv":
        return _read_csv(path, params)
    if params.label_column is not None or params.columns or params.header is not None:
        problem = f"{path}: 'label_column', 'columns' and 'header' are for .csv files"
        raise DataError(problem, remedy="drop them from dataset.params")
    return (_read_npy(path), None) if kind == ".npy" else _read_npz(path)


def _read_npy(path: Path) -> Array:
    try:
        with path.open("rb") as stream:
            return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))
    except _DAMAGED as error:
        raise _unreadable(path, error) from error


def _read_npz(path: Path) -> tuple[Array, Array | None]:
    try:
        with zipfile.ZipFile(path) as archive:
            keys = sorted(name.removesuffix(".npy") for name in archive.namelist())
        if "values" not in keys:
            raise DataError(
                f"{path}: no array named 'values'; found: {', '.join(keys) or 'nothing'}",
                remedy="save it with numpy.savez(file, values=…, labels=…)",
            )
        with np.load(path, allow_pickle=False) as arrays:
            return arrays["values"], arrays["labels"] if "labels" in keys else None
    except _DAMAGED as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> DataError:
    if "allow_pickle" in str(error):
        return DataError(f"{path}: contains pickled Python objects, which ganforge never loads", remedy=_SAVE_NUMBERS)
    return DataError(f"{path}: cannot be read: {str(error) or type(error).__name__}", remedy="save it again with NumPy")


def _read_csv(path: Path, params: ArraysParams) -> tuple[Array, Array | None]:
    rows = _csv_rows(path, params.delimiter)
    header = params.header if params.header is not None else not any(map(_is_number, rows[0][1]))
    names = rows[0][1] if header else [str(column) for column in range(len(rows[0][1]))]
    body = rows[1:] if header else rows

    label = None if params.label_column is None else _column(path, names, params.label_column)
    chosen = [_column(path, names, name) for name in params.columns] or [column for column in range(len(names)) if column != label]
    if label is not None and label in chosen:
        raise DataError(f"{path}: column '{names[label]}' is both label and value")

    cells = [[_number(path, row, column, names) for column in chosen] for row in body]
    values = np.array(cells, dtype=np.float64).reshape(len(body), len(chosen))
    return values, None if label is None else np.array([row[label] for _, row in body], dtype=np.str_)


def _csv_rows(path: Path, delimiter: str) -> list[Row]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream, delimiter=delimiter)
            rows = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if any(map(str.strip, cells))]
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise DataError(f"{path}: not a readable .csv file: {error}", remedy="save it as UTF-8 text") from error

    if not rows:
        raise DataError(f"{path}: the file is empty")
    first, width = rows[0][0], len(rows[0][1])
    for line, cells in rows:
        if len(cells) != width:
            problem = f"{path}, line {line}: {len(cells)} cells, but line {first} has {width}"
            raise DataError(problem, remedy="fix the file or 'delimiter'")
    return rows


def _column(path: Path, names: Sequence[str], wanted: str | int) -> int:
    """Index of a column given by name or number."""
    if isinstance(wanted, int):
        if not -len(names) <= wanted < len(names):
            raise DataError(f"{path}: there is no column {wanted}; it has {len(names)} columns, counted from 0")
        return wanted % len(names)
    if names.count(wanted) != 1:
        found = "no column is" if wanted not in names else "several columns are"
        raise DataError(f"{path}: {found} named '{wanted}'; the columns are: {', '.join(names)}")
    return names.index(wanted)


def _number(path: Path, row: Row, column: int, names: Sequence[str]) -> float:
    line, cells = row
    if not _is_number(cells[column]) or not math.isfinite(float(cells[column])):
        raise DataError(
            f"{path}, line {line}, column '{names[column]}': {cells[column]!r} is not a finite number",
            remedy="fix the cell, name the value columns in 'columns', or the class column in 'label_column'",
        )
    return float(cells[column])


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _values(path: Path, raw: Array, bounds: tuple[float, float] | None) -> tuple[Tensor, tuple[float, float] | None]:
    """``(n, *shape)`` floats, images in [-1, 1] if their range is known, or images as bytes; and the range that networks see."""
    if raw.dtype.kind not in _NUMBERS:
        raise DataError(f"{path}: values are of type {raw.dtype}, not numbers", remedy=_SAVE_NUMBERS)
    if raw.ndim not in (1, 2, 3, 4):
        raise DataError(f"{path}: values have shape {raw.shape}; expected one of {_SHAPES}")
    if raw.shape[0] < 2 or 0 in raw.shape:
        raise DataError(f"{path}: values have shape {raw.shape}; at least 2 samples of at least one number are needed")

    if raw.ndim == 4 and raw.shape[1] not in _CHANNELS and raw.shape[3] in _CHANNELS:
        problem = f"{path}: images of shape {raw.shape[1:]} have their channels last; expected (channels, height, width)"
        raise DataError(problem, remedy="save array.transpose(0, 3, 1, 2)")

    raw = raw[:, None] if raw.ndim in (1, 3) else raw  # (n, d) or (n, c, h, w)
    is_image = raw.ndim == 4
    if is_image and raw.dtype == np.uint8 and bounds in (None, (0.0, 255.0)):
        return torch.from_numpy(np.ascontiguousarray(raw)), (-1.0, 1.0)
    with np.errstate(over="ignore"):  # values too large for float32 become infinite and are reported below
        numbers = raw.astype(np.float32)
    _refuse_where(path, raw, ~np.isfinite(numbers), "is not a finite number (of float32)")
    if bounds is None:
        return torch.from_numpy(numbers), None

    low, high = bounds
    _refuse_where(path, raw, (raw < low) | (raw > high), f"is outside value_range [{low:g}, {high:g}]")
    if not is_image:
        return torch.from_numpy(numbers), bounds
    return torch.from_numpy((numbers - low) * (2 / (high - low)) - 1).clamp(-1, 1), (-1.0, 1.0)


def _refuse_where(path: Path, raw: Array, bad: NDArray[np.bool_], problem: str) -> None:
    if not bad.any():
        return
    row, *inside = (int(index) for index in np.argwhere(bad)[0])
    raise DataError(
        f"{path}: row {row}, index ({', '.join(map(str, inside))}): {raw[row, *inside]} {problem} "
        f"({int(bad.sum())} such values, counted from 0)",
        remedy="fix or drop these samples",
    )


def _classes(path: Path, raw: Array, count: int) -> tuple[Tensor, tuple[str, ...]]:
    """``(n,)`` class numbers from 0 in the order of the labels, and the names of the classes unless they are those numbers."""
    labels = raw[:, 0] if raw.ndim == 2 and raw.shape[1] == 1 else raw
    if labels.shape != (count,):
        raise DataError(f"{path}: labels have shape {raw.shape} for {count} samples; expected ({count},)")

    kinds, numbers = np.unique(_integers_or_names(path, labels), return_inverse=True)
    plain = kinds.dtype.kind in "iu" and kinds.tolist() == list(range(len(kinds)))
    return torch.from_numpy(numbers.astype(np.int64)), () if plain else tuple(map(str, kinds))


def _integers_or_names(path: Path, labels: Array) -> Array:
    if labels.dtype.kind not in f"{_NUMBERS}U":
        raise DataError(f"{path}: labels are of type {labels.dtype}", remedy="give integers or names")
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
        raise DataError(f"{path}: label {labels[odd[0]]} of sample {odd[0]} (counted from 0) is neither an integer nor a name")
    return numbers.astype(np.int64)
