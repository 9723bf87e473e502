"""Reading the user's files into plain arrays. Nothing is ever unpickled; whatever is wrong is said with file, and row or line."""

from __future__ import annotations

import csv
import math
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganforge.builtin.datasets.dataset_params import ArraysParams
from ganforge.plugin import DataError

Array = NDArray[Any]
Row = tuple[int, list[str]]
"""Line number and cells of a .csv row."""

# what numpy and zipfile raise on files that are cut short, damaged or lying about their size
_DAMAGED = (ValueError, TypeError, EOFError, OSError, MemoryError, SyntaxError, tokenize.TokenError, zipfile.BadZipFile, zlib.error)


def read_file(path: Path, params: ArraysParams) -> tuple[Array, Array | None]:
    """Values ``(n, …)`` and, where the file holds them, labels ``(n,)``; neither is checked yet.

    Raises:
        DataError: a file that is missing, of an unknown kind, damaged, or without the keys or columns asked for.
    """
    kind = path.suffix.lower()
    if kind not in {".npy", ".npz", ".csv"}:
        raise DataError(f"{path}: files of kind '{kind}' cannot be read", remedy="give a .npy, .npz or .csv file")
    if not path.is_file():
        raise DataError(
            f"there is no file {path}", remedy="mend dataset.params.file; a relative path is meant from the recipe's folder"
        )
    if kind == ".csv":
        return _read_csv(path, params)

    if params.label_column is not None or params.columns or params.header is not None:
        raise DataError(
            f"{path}: 'label_column', 'columns' and 'header' are for .csv files", remedy="drop them from dataset.params"
        )
    return (read_npy(path), None) if kind == ".npy" else _read_npz(path)


def read_npy(path: Path) -> Array:
    """The array in a .npy file.

    Raises:
        DataError: no such file, no such format, a damaged file, or one with pickled Python objects.
    """
    if not path.is_file():
        raise DataError(f"there is no file {path}")
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
                f"{path}: no array named 'values'; it holds: {', '.join(keys) or 'nothing'}",
                remedy="save it with numpy.savez(file, values=…, labels=…)",
            )
        with np.load(path, allow_pickle=False) as arrays:
            return arrays["values"], arrays["labels"] if "labels" in keys else None
    except _DAMAGED as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> DataError:
    if "allow_pickle" in str(error):
        return DataError(
            f"{path}: holds pickled Python objects, which ganforge never loads",
            remedy="save plain numbers: array.astype('float32')",
        )
    return DataError(f"{path}: cannot be read: {str(error) or type(error).__name__}", remedy="save it again with NumPy")


def _read_csv(path: Path, params: ArraysParams) -> tuple[Array, Array | None]:
    rows = _csv_rows(path, params.delimiter)
    header = params.header if params.header is not None else not any(map(_is_number, rows[0][1]))
    names = rows[0][1] if header else [str(column) for column in range(len(rows[0][1]))]
    body = rows[1:] if header else rows

    label = None if params.label_column is None else _column(path, names, params.label_column)
    chosen = [_column(path, names, name) for name in params.columns] or [column for column in range(len(names)) if column != label]
    if label in chosen:
        raise DataError(f"{path}: column '{names[chosen[chosen.index(label)]]}' is both label and value")

    values = np.array([[_number(path, row, column, names) for column in chosen] for row in body], dtype=np.float64)
    return values.reshape(len(body), len(chosen)), None if label is None else np.array(
        [cells[label] for _, cells in body], dtype=np.str_
    )


def _csv_rows(path: Path, delimiter: str) -> list[Row]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream, delimiter=delimiter)
            rows = [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if any(map(str.strip, cells))]
    except (csv.Error, UnicodeDecodeError, OSError) as error:
        raise DataError(f"{path}: is no readable .csv file: {error}", remedy="save it as UTF-8 text") from error

    if not rows:
        raise DataError(f"{path}: the file is empty")
    first, width = rows[0][0], len(rows[0][1])
    for line, cells in rows:
        if len(cells) != width:
            raise DataError(
                f"{path}, line {line}: {len(cells)} cells where line {first} has {width}", remedy="mend the file or 'delimiter'"
            )
    return rows


def _column(path: Path, names: Sequence[str], wanted: str | int) -> int:
    """Place of a column given by name or number."""
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
            f"{path}, line {line}, column '{names[column]}': {cells[column]!r} is no finite number",
            remedy="mend the cell, name the value columns in 'columns', or the class column in 'label_column'",
        )
    return float(cells[column])


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
