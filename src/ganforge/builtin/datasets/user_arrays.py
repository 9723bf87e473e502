"""The data set ``arrays``: points or images from the user's .npy, .npz or text files, with optional labels.

Nothing is ever unpickled. Errors name the file, and the row or line. What is recognised rather than given is logged in one line.
"""

from __future__ import annotations

import logging
import os
import re
import tokenize
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganforge.builtin.datasets.csv_tables import read_csv
from ganforge.builtin.datasets.dataset_specs import ArraysParams, SplitDataset, split, training_shares
from ganforge.plugin import DataError, Dataset, DatasetContext, DataSpec

Array = NDArray[Any]

_SHAPES = "(n), (n, d), (n, height, width), (n, channels, height, width)"
_CHANNELS = (1, 2, 3, 4)
_NUMBERS = "biuf"
_TEXT = frozenset({".csv", ".tsv", ".txt", ".dat"})
_CSV_ONLY = ("label_column", "columns", "header", "delimiter", "decimal")
_NPZ_ONLY = ("values_array", "labels_array")
_OTHER_FILES = {
    ".xlsx": "a spreadsheet: save it as .csv",
    ".xls": "a spreadsheet: save it as .csv",
    ".ods": "a spreadsheet: save it as .csv",
    ".parquet": "a table of pandas: save it with DataFrame.to_csv(file, index=False)",
    ".feather": "a table of pandas: save it with DataFrame.to_csv(file, index=False)",
    ".pkl": "a pickle, which ganforge never loads: save numpy.savez(file, values=…, labels=…)",
    ".pickle": "a pickle, which ganforge never loads: save numpy.savez(file, values=…, labels=…)",
    ".pt": "a pickle of torch: save numpy.savez(file, values=tensor.numpy())",
    ".pth": "a pickle of torch: save numpy.savez(file, values=tensor.numpy())",
    ".zip": "an archive: unpack it",
    ".gz": "compressed: unpack it",
    ".bz2": "compressed: unpack it",
    ".xz": "compressed: unpack it",
    ".tar": "an archive: unpack it",
}
_STANDARD_RANGES = ((0.0, 1.0), (0.0, 255.0), (0.0, 4095.0), (0.0, 65535.0))
_NETWORK_SCALE = 10.0
"""Images whose values go beyond this do not train unless they are rescaled."""
_LEAST_SPREAD = 0.01
"""Share of the value range that images must use."""
_STEPS = 1000
"""Values within the range of a column that 32 bits must tell apart."""
_FEW_SAMPLES = 10
_SAVE_NUMBERS = "save plain numbers: array.astype('float32')"
_DAMAGED = (ValueError, TypeError, EOFError, OSError, MemoryError, SyntaxError, tokenize.TokenError, zipfile.BadZipFile, zlib.error)
"""Errors of NumPy and zipfile for files that are cut short, damaged or state a wrong size."""

_log = logging.getLogger(__name__)


def build_arrays(params: ArraysParams, context: DatasetContext) -> Dataset:
    """Factory of ``arrays``."""
    path = labels_path = _existing(params.file, context)
    raw, raw_labels = _read_file(path, params)
    values, spec = _values(path, raw, params.value_range)

    if params.labels_file is not None:
        if raw_labels is not None:
            raise DataError(f"{path}: labels are given twice", remedy="drop 'labels_file', or the labels beside the values")
        labels_path = _existing(params.labels_file, context)
        raw_labels = _read_npy(labels_path)
    if raw_labels is None:
        return SplitDataset(spec, *split(values, None, params.held_out))

    labels, names = _classes(labels_path, raw_labels, len(values))
    counts = labels.bincount().tolist()
    spec = replace(spec, classes=len(counts), class_names=names, class_shares=training_shares(counts, params.held_out))
    return SplitDataset(spec, *split(values, labels, params.held_out))


def _existing(file: Path, context: DatasetContext) -> Path:
    # An absolute path replaces the folder; an unknown ~user stays as it is and is then missing.
    path = context.recipe_folder / os.path.expanduser(file)  # noqa: PTH111 - Path.expanduser raises for an unknown ~user
    if path.is_dir():
        remedy = 'name a file in it; for a folder of pictures set dataset.use = "image-folder" and dataset.params.folder'
        raise DataError(f"{path} is a folder", remedy=remedy)
    if not path.is_file():
        raise DataError(f"there is no file {path}", remedy="fix it in dataset.params; it is relative to the recipe's folder")
    return path


def _read_file(path: Path, params: ArraysParams) -> tuple[Array, Array | None]:
    """Values ``(n, …)`` and, if the file has them, labels ``(n,)``; both unchecked."""
    kind = path.suffix.lower()
    if kind in _OTHER_FILES:
        raise DataError(f"{path} is {_OTHER_FILES[kind]}", remedy="then name the new file in dataset.params.file")
    if kind not in {".npy", ".npz", *_TEXT}:
        raise DataError(f"{path}: files of kind '{kind}' cannot be read", remedy="give a .npy, .npz or .csv file")
    for names, fits, what in ((_CSV_ONLY, kind in _TEXT, ".csv"), (_NPZ_ONLY, kind == ".npz", ".npz")):
        given = [name for name in names if getattr(params, name) not in (None, ())]
        if given and not fits:
            listed = " and ".join(f"'{name}'" for name in given)
            raise DataError(f"{path}: {listed} can be given for {what} files only", remedy="drop it from dataset.params")
    if kind in _TEXT:
        return read_csv(path, params)
    return (_read_npy(path), None) if kind == ".npy" else _read_npz(path, params)


def _read_npy(path: Path) -> Array:
    try:
        with path.open("rb") as stream:
            return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))
    except _DAMAGED as error:
        raise _unreadable(path, error) from error


def _read_npz(path: Path, params: ArraysParams) -> tuple[Array, Array | None]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = sorted(name.removesuffix(".npy") for name in archive.namelist())
        with np.load(path, allow_pickle=False) as arrays:
            values, labels = _array_names(path, arrays, names, params)
            return arrays[values], arrays[labels] if labels else None
    except _DAMAGED as error:
        raise _unreadable(path, error) from error


def _array_names(path: Path, arrays: Any, names: list[str], params: ArraysParams) -> tuple[str, str | None]:
    """The names of the arrays of values and labels: as given, ``values`` and ``labels``, or the only ones that can be meant."""
    for key in _NPZ_ONLY:
        wanted = getattr(params, key)
        if wanted is not None and wanted not in names:
            raise DataError(f"{path}: no array named '{wanted}'; found: {', '.join(names)}", remedy=f"fix dataset.params.{key}")

    values = params.values_array or ("values" if "values" in names else None)
    labels = params.labels_array or ("labels" if "labels" in names and values != "labels" else None)
    left = [name for name in names if name not in (values, labels)]
    if values is None and labels is None and len(left) == 2:
        found = [(a, b) for a, b in (left, left[::-1]) if _are_values_and_labels(arrays[a], arrays[b])]
        values, labels = found[0] if len(found) == 1 else (None, None)
    elif values is None and len(left) == 1:
        values = left[0]
    if values is None:
        raise DataError(
            f"{path}: no array named 'values'; found: {', '.join(names) or 'nothing'}",
            remedy="name the arrays in dataset.params.values_array and, if there are labels, labels_array",
        )
    if unused := [name for name in names if name not in (values, labels)]:
        _log.info("%s: values are '%s'%s; not used: %s", path.name, values, labels and f", labels '{labels}'", ", ".join(unused))
    elif (values, labels) not in (("values", "labels"), ("values", None)) and not params.values_array:
        _log.info("%s: array '%s' is read as values%s", path.name, values, f", '{labels}' as labels" if labels else "")
    return values, labels


def _are_values_and_labels(values: Array, labels: Array) -> bool:
    """Whether one array has samples of several numbers, and the other one integer or name for each."""
    one_each = labels.shape in ((len(labels),), (len(labels), 1)) if labels.ndim else False
    return (
        values.ndim > 1
        and values.dtype.kind in _NUMBERS
        and one_each
        and len(values) == len(labels)
        and labels.dtype.kind in "biuUS"
    )


def _unreadable(path: Path, error: Exception) -> DataError:
    if isinstance(error, PermissionError):
        return DataError(f"{path}: cannot be read: {error.strerror}", remedy="check the file's permissions")
    if "allow_pickle" in str(error) or "pickled" in str(error):
        problem = f"{path}: contains pickled Python objects, which ganforge never loads"
        return DataError(problem, remedy=f"{_SAVE_NUMBERS}, and text with array.astype(str)")
    return DataError(f"{path}: cannot be read: {str(error) or type(error).__name__}", remedy="save it again with NumPy")


def _values(path: Path, raw: Array, bounds: tuple[float, float] | None) -> tuple[Tensor, DataSpec]:
    """``(n, *shape)`` floats, images in [-1, 1] if their range is known, or images as bytes; and the spec of unlabelled data."""
    if raw.dtype.names:
        problem = f"{path}: values have named fields ({', '.join(raw.dtype.names)})"
        remedy = "save numpy.lib.recfunctions.structured_to_unstructured(array)"
        raise DataError(problem, remedy=remedy)
    if raw.dtype.kind not in _NUMBERS:
        raise DataError(f"{path}: values are of type {raw.dtype}, not numbers", remedy=_SAVE_NUMBERS)
    if raw.ndim not in (1, 2, 3, 4):
        raise DataError(f"{path}: values have shape {raw.shape}; expected one of {_SHAPES}")
    if raw.shape[0] < 2 or 0 in raw.shape:
        raise DataError(f"{path}: values have shape {raw.shape}; at least 2 samples of at least one number are needed")
    _check_axes(path, raw)
    _check_channels(path, raw.shape)

    raw = raw[:, None] if raw.ndim in (1, 3) else raw  # (n, d) or (n, c, h, w)
    is_image, shape = raw.ndim == 4, raw.shape[1:]
    is_bytes = is_image and raw.dtype == np.uint8
    if is_image and bounds is None and raw.dtype.kind != "f":
        bounds = {"b": (0.0, 1.0), "u": (0.0, 255.0) if is_bytes else None}.get(raw.dtype.kind)
    if is_bytes and bounds == (0.0, 255.0):
        _check_spread(path, raw, bounds)
        spec = DataSpec(shape, value_range=(-1.0, 1.0), own_range=bounds, own_type="uint8")
        return torch.from_numpy(np.ascontiguousarray(raw)), spec
    with np.errstate(over="ignore"):  # values too large for float32 become infinite and are reported below
        numbers = raw.astype(np.float32)
    _refuse_where(path, raw, ~np.isfinite(numbers), "is not a finite number (of float32)", "fix or drop these samples")
    _check_scale(path, raw, bounds)
    if bounds is None:
        return torch.from_numpy(numbers), DataSpec(shape)

    low, high = bounds
    beyond = (
        f"fix or drop these samples, or set dataset.params.value_range = {_bounds(_likely_range(raw))}, which contains all values"
    )
    _refuse_where(path, raw, (raw < low) | (raw > high), f"is outside value_range [{low:g}, {high:g}]", beyond)
    if not is_image:
        return torch.from_numpy(numbers), DataSpec(shape, value_range=bounds)
    _check_spread(path, raw, bounds)
    spec = DataSpec(shape, value_range=(-1.0, 1.0), own_range=bounds, own_type=_own_type(raw.dtype))
    return torch.from_numpy((numbers - low) * (2 / (high - low)) - 1).clamp(-1, 1), spec


def _check_axes(path: Path, raw: Array) -> None:
    """Refuse samples along another axis than the first; warn where that may be."""
    shape = raw.shape
    if len(shape) == 4 and shape[1] not in _CHANNELS and shape[2] in _CHANNELS and shape[3] not in _CHANNELS:
        problem = f"{path}: values of shape {shape} look like {shape[3]} images along the last axis, as MATLAB stores them"
        raise DataError(problem, remedy="save array.transpose(3, 2, 0, 1)")
    if len(shape) == 3 and shape[0] in (3, 4) and min(shape[1:]) >= 16:
        problem = f"{path}: values of shape {shape} look like a single image"
        raise DataError(problem, remedy="save many images as one array (n, channels, height, width)")
    if len(shape) == 3 and shape[0] == shape[1] != shape[2]:
        note = "%s: read as %d images of %d×%d; if they lie along the last axis, save array.transpose(2, 0, 1)"
        _log.warning(note, path.name, shape[0], shape[2], shape[1])
    if len(shape) == 2 and shape[0] < _FEW_SAMPLES <= shape[1]:
        note = "%s: read as %d samples of %d numbers; if the samples are columns, save array.T"
        _log.warning(note, path.name, shape[0], shape[1])
    if path.suffix.lower() in (".npy", ".npz") and len(shape) == 2 and shape[1] > 1 and shape[0] > 2:
        for column in (0, shape[1] - 1):
            steps = raw[:, column].astype(np.float64)
            if steps[0] in (0, 1) and np.array_equal(steps, steps[0] + np.arange(len(steps))):
                _log.warning(
                    "%s: column %d numbers the rows; networks see it as a value. Save the array without it", path.name, column
                )


def _check_scale(path: Path, raw: Array, bounds: tuple[float, float] | None) -> None:
    """Refuse points and images that 32-bit numbers or networks cannot use as they are."""
    if raw.ndim == 2:
        _check_precision(path, raw)
    elif bounds is None:
        _check_unknown_range(path, raw)


def _check_precision(path: Path, raw: Array) -> None:
    """Refuse columns whose values 32 bits cannot tell apart, such as times in seconds since 1970."""
    if raw.dtype.kind == "b" or raw.dtype.itemsize < 4 or raw.dtype == np.float32:
        return
    low, high = raw.min(axis=0), raw.max(axis=0)
    with np.errstate(over="ignore"):
        width = np.abs((high - low).astype(np.float64))
    step = np.spacing(np.maximum(np.abs(low.astype(np.float32)), np.abs(high.astype(np.float32)))).astype(np.float64)
    lost = np.flatnonzero((width > 0) & (step > width / _STEPS))
    if len(lost):
        column = int(lost[0])
        raise DataError(
            f"{path}: column {column} (counted from 0) goes from {low[column]} to {high[column]}: networks compute with 32 bits, "
            f"which tell apart such numbers in steps of {step[column]:.2g} only",
            remedy=f"subtract {low[column]} from this column",
        )


def _check_channels(path: Path, shape: tuple[int, ...]) -> None:
    """Refuse channels that come last; name what pictures show of unusual ones."""
    if len(shape) == 4 and shape[1] not in _CHANNELS and shape[3] in _CHANNELS:
        problem = f"{path}: images of shape {shape[1:]} have their channels last; expected (channels, height, width)"
        raise DataError(problem, remedy="save array.transpose(0, 3, 1, 2)")
    if len(shape) == 3 and shape[2] in (3, 4) and min(shape[:2]) >= 8:
        problem = f"{path}: values of shape {shape} look like a single image with its channels last"
        raise DataError(problem, remedy="save many images as one array (n, channels, height, width)")
    if len(shape) == 4 and shape[1] in (2, 4):
        colours = "grey" if shape[1] == 2 else "red, green and blue"
        _log.info(
            "%s: pictures show the channels as %s with transparency on white; networks see all %d", path.name, colours, shape[1]
        )
    if len(shape) == 4 and shape[1] > 4:
        _log.info("%s: pictures show the %d channels of an image side by side, in grey", path.name, shape[1])


def _own_type(dtype: np.dtype[Any]) -> Any:
    """The type of samples in the data's own units."""
    if dtype.kind == "f":
        return "float32"
    return {"uint32": "int64", "uint64": "int64"}.get(dtype.name, dtype.name)


def _likely_range(raw: Array) -> tuple[float, float]:
    """A usual range of images that contains all values, else their own extremes."""
    low, high = float(raw.min()), float(raw.max())
    usual = (bounds for bounds in _STANDARD_RANGES if bounds[0] <= low and high <= bounds[1])
    return next(usual, (low, high) if low < high else (low, low + 1))


def _bounds(bounds: tuple[float, float]) -> str:
    return f"[{bounds[0]:.9g}, {bounds[1]:.9g}]"


def _check_unknown_range(path: Path, raw: Array) -> None:
    """Refuse images of unknown range that networks could not learn as they are; warn of other units than [-1, 1]."""
    low, high = float(raw.min()), float(raw.max())
    text = f"the images' values go from {low:g} to {high:g}, and value_range is not set"
    remedy = f"set dataset.params.value_range = {_bounds(_likely_range(raw))} to rescale them to [-1, 1] for the networks"
    if max(-low, high) > _NETWORK_SCALE or low == high:
        reason = "all are equal" if low == high else "networks do not learn such values"
        raise DataError(f"{path}: {text}: {reason}", remedy=remedy if low < high else "choose other data")
    if low >= 0 or low < -1 or high > 1:
        _log.warning("%s: %s, so networks see them as they are; %s", path.name, text, remedy)


def _check_spread(path: Path, raw: Array, bounds: tuple[float, float]) -> None:
    """Refuse images that use next to nothing of their range, such as masks of 0 and 1 as bytes."""
    low, high = float(raw.min()), float(raw.max())
    if high - low >= _LEAST_SPREAD * (bounds[1] - bounds[0]):
        return
    problem = f"{path}: the images' values go from {low:g} to {high:g} only, in a value_range of {_bounds(bounds)}"
    likely = _likely_range(raw)
    remedy = (
        f"set dataset.params.value_range = {_bounds(likely)}" if low < high and likely != bounds else "choose images that differ"
    )
    raise DataError(problem, remedy=remedy)


def _refuse_where(path: Path, raw: Array, bad: NDArray[np.bool_], problem: str, remedy: str) -> None:
    if not bad.any():
        return
    row, *inside = (int(index) for index in np.argwhere(bad)[0])
    raise DataError(
        f"{path}: row {row}, index ({', '.join(map(str, inside))}): {raw[row, *inside]} {problem} "
        f"({int(bad.sum())} such values, counted from 0)",
        remedy=remedy,
    )


def _classes(path: Path, raw: Array, count: int) -> tuple[Tensor, tuple[str, ...]]:
    """``(n,)`` class numbers from 0 in the order of the labels, and the names of the classes unless they are those numbers."""
    labels = raw[:, 0] if raw.ndim == 2 and raw.shape[1] == 1 else raw
    if raw.ndim == 2 and raw.shape[1] > 1 and len(raw) == count and _is_one_hot(raw):
        _log.info("%s: labels are one-hot rows of %d classes", path.name, raw.shape[1])
        labels = raw.argmax(axis=1)
    if labels.shape != (count,):
        raise DataError(f"{path}: labels have shape {raw.shape} for {count} samples; expected ({count},)")

    kinds, numbers = np.unique(_integers_or_names(path, labels), return_inverse=True)
    if len(kinds) == count > 9:
        raise DataError(
            f"{path}: each of the {count} samples has a label of its own, such as {kinds[0]} and {kinds[1]}",
            remedy="name labels of classes, or drop dataset.params.label_column, labels_array or labels_file",
        )
    plain = kinds.dtype.kind in "iu" and kinds.tolist() == list(range(len(kinds)))
    return torch.from_numpy(numbers.astype(np.int64)), () if plain else tuple(map(str, kinds))


def _is_one_hot(raw: Array) -> bool:
    return raw.dtype.kind in _NUMBERS and bool(np.isin(raw, (0, 1)).all() and (raw.sum(axis=1) == 1).all())


def _integers_or_names(path: Path, labels: Array) -> Array:
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8", errors="replace")
    if labels.dtype.kind not in f"{_NUMBERS}U":
        raise DataError(f"{path}: labels are of type {labels.dtype}", remedy="give integers or names")
    if labels.dtype.kind == "u" and labels.dtype.itemsize == 8 and labels.max() > np.iinfo(np.int64).max:
        return labels.astype(np.str_)
    if labels.dtype.kind in "biu":
        return labels.astype(np.int64)
    if labels.dtype.kind == "f":
        return _whole_numbers(path, labels)

    kinds = np.unique(labels)
    empty = np.flatnonzero(np.isin(np.char.lower(np.char.strip(labels)), ("", "nan", "null")))
    if len(empty):
        raise DataError(
            f"{path}: sample {empty[0]} has no label (counted from 0; {len(empty)} such samples)",
            remedy="add the labels, or remove these samples",
        )
    if any(re.fullmatch(r"[+-]?0\d+", text) for text in kinds):  # 007 is a name
        return labels
    if all(re.fullmatch(r"[+-]?[0-9]{1,18}(\.0*)?", text) for text in kinds):
        return np.array([int(text.partition(".")[0]) for text in labels], dtype=np.int64)
    is_decimal = all(re.fullmatch(r"[+-]?[0-9]*\.?[0-9]+", text) for text in kinds)  # 1e3 is a name
    return _whole_numbers(path, labels.astype(np.float64)) if is_decimal and any("." in text for text in kinds) else labels


def _whole_numbers(path: Path, labels: Array) -> Array:
    """Labels that are stored as floats; those that are not whole, or too large to be exact, are refused."""
    odd = np.flatnonzero(~np.isfinite(labels) | (labels != np.round(labels)) | (np.abs(labels) > 2**53))
    if len(odd):
        raise DataError(
            f"{path}: label {labels[odd[0]]} of sample {odd[0]} (counted from 0) is neither an integer nor a name",
            remedy="labels are classes: round or group the numbers, or drop the labels",
        )
    return labels.astype(np.int64)
