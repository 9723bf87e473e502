"""Text tables as spreadsheets, pandas and NumPy write them: their separator, decimal mark, header and row numbers are recognised.

What is recognised is logged in one line; what may mean two things is an error that names the key of ``dataset.params`` to set.
Nothing here imports torch.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import math
import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ganforge.builtin.datasets.dataset_specs import ArraysParams
from ganforge.plugin import DataError

Array = NDArray[Any]
Row = tuple[int, list[str]]
"""Line number and cells of a row."""

_SEPARATORS = {";": "semicolons", "\t": "tabs", "|": "bars", ",": "commas", " ": "spaces"}
_SAMPLE = 50
"""Lines from which the separator is recognised."""
_MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "none", "nil", "-", "?", "missing"})
_BOOLEANS = {"true": 1.0, "false": 0.0}
_LABEL_NAMES = frozenset({"label", "labels", "class", "classes", "category", "target", "targets", "cluster"})
_INDEX_NAMES = frozenset({"id", "index", "row", "rownames", "rowid", "row_id", "nr", "no", "#"})
_GROUPED = {".": re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?"), ",": re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+(,\d*)?")}
"""Numbers with thousands separators, by their decimal mark."""
_INTEGER, _COUNT = re.compile(r"[+-]?\d+"), re.compile(r"\d+(\.0*)?")
_AFTER_A_COMMA = re.compile(r"[+-]?0\d+|-0")
"""Integers that look like parts of numbers with a decimal comma."""
_MANY, _FEW = 10, 20
"""Rows that increase before a column is taken for row numbers, and values, at most, before one is taken for labels."""
_SPACES = str.maketrans("", "", "\u00a0\u202f")
"""No-break spaces, which separate thousands in French and Swiss spreadsheets."""

_log = logging.getLogger(__name__)


def read_csv(path: Path, params: ArraysParams) -> tuple[Array, Array | None]:
    """Values ``(n, d)``, and the labels ``(n,)`` as text if a column of labels is named; a DataError names line and column."""
    rows, separator = _rows(path, params.delimiter)
    names, body = _header(path, rows, params)
    label = None if params.label_column is None else _column(path, names, params.label_column)
    chosen = [_column(path, names, name) for name in params.columns]
    if label is not None and label in chosen:
        raise DataError(f"{path}: column '{names[label]}' is both label and value")
    if not chosen:
        chosen = _value_columns(path, names, body, label)
    values = _numbers(path, names, body, chosen, params.decimal, separator)
    return values, None if label is None else _labels(path, names, body, label)


def _labels(path: Path, names: Sequence[str], body: Sequence[Row], label: int) -> Array:
    missing = [line for line, row in body if row[label].lower() in ("", "nan", "null", "#n/a")]
    if missing:
        raise DataError(
            f"{path}, line {missing[0]}, column '{names[label]}': the row has no label ({len(missing)} of {len(body)} rows)",
            remedy="fill in or remove such rows",
        )
    return np.array([row[label] for _, row in body], dtype=np.str_)


def _rows(path: Path, delimiter: str | None) -> tuple[list[Row], str]:
    """The rows, all of one width, and what separates their cells."""
    lines = list(io.StringIO(_text(path), newline=""))
    if lines and (declared := re.fullmatch(r'"?sep=(.)"?', lines[0].strip("\r\n "))):  # by and for Excel
        delimiter, lines[0] = delimiter or declared[1], ""
    comments = [at for at, line in enumerate(lines) if re.match(r"#[ \t]*(\w|$)", line)]
    for at in comments:
        lines[at] = ""
    if comments:
        _log.info("%s: %d lines that begin with # are left out, from line %d", path.name, len(comments), comments[0] + 1)
    separator = delimiter or _separator(path, lines)
    try:
        rows = _parse(lines, separator)
    except csv.Error as error:
        raise DataError(f"{path}: not a readable .csv file: {error}", remedy="fix the file or 'delimiter'") from error

    if not rows:
        raise DataError(f"{path}: all lines begin with #, which marks comments" if comments else f"{path}: the file is empty")
    rows = _same_width(rows)
    first, width = rows[0][0], len(rows[0][1])
    for line, cells in rows:
        if len(cells) != width:
            problem = f"{path}, line {line}: {len(cells)} cells, but line {first} has {width}"
            raise DataError(problem, remedy="fix the file, or set dataset.params.delimiter to what separates its cells")
    if separator == "," and delimiter is None:
        _check_decimal_commas(path, rows)
    return rows, separator


def _same_width(rows: list[Row]) -> list[Row]:
    """The rows without a last separator that the header lacks, and with a name for the row names of R, whose column has none."""
    if len(rows) < 2:
        return rows
    (line, head), *body = rows
    if {len(cells) for _, cells in body} != {len(head) + 1}:
        return rows
    if not any(cells[-1] for _, cells in body):
        return [rows[0], *((at, cells[:-1]) for at, cells in body)]
    is_header = len(head) > 1 and not any(map(_is_numeric, head))
    return [(line, ["", *head]), *body] if is_header and _are_row_names([cells[0] for _, cells in body]) else rows


def _are_row_names(cells: Sequence[str]) -> bool:
    """Whether the cells of a column without a name are whole numbers, or different texts."""
    if all(map(_COUNT.fullmatch, cells)):
        return True
    return len(set(cells)) == len(cells) and not any(map(_is_numeric, cells))


def _check_decimal_commas(path: Path, rows: Sequence[Row]) -> None:
    """Refuse cells that may be the halves of numbers with a decimal comma, such as 1,0321."""
    body = rows if all(map(_INTEGER.fullmatch, rows[0][1])) else rows[1:]
    if not all(_INTEGER.fullmatch(cell) for _, cells in body for cell in cells):
        return
    for line, cells in body:
        if odd := next(filter(_AFTER_A_COMMA.fullmatch, cells), None):
            raise DataError(
                f"{path}, line {line}: {','.join(cells[:4])} may be numbers with a decimal comma, because of {odd!r}",
                remedy='set dataset.params.delimiter = "," if commas separate the cells; else save the file with another separator',
            )


def _text(path: Path) -> str:
    """The file's text: UTF-8, UTF-16 with its mark, else Windows-1252."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read: {error.strerror or error}", remedy="check the file and its permissions"
        ) from error
    if raw.startswith((b"\xff\xfe\0\0", b"\0\0\xfe\xff")):
        return raw.decode("utf-32", errors="replace")
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", errors="replace")
    if b"\0" in raw:
        raise DataError(f"{path}: not a readable .csv file: contains zero bytes", remedy="save it as UTF-8 text")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        _log.info("%s: line %d is not UTF-8; read as Windows-1252", path.name, line)
        return raw.decode("cp1252", errors="replace")


def _parse(lines: Iterable[str], delimiter: str) -> list[Row]:
    stripped = (line.strip(" ") for line in lines) if delimiter == " " else lines
    reader = csv.reader(stripped, delimiter=delimiter, skipinitialspace=True)
    return [(reader.line_num, [cell.strip() for cell in cells]) for cells in reader if any(map(str.strip, cells))]


def _separator(path: Path, lines: Sequence[str]) -> str:
    """The separator that gives equally many cells, at least two, in each of the first lines; a comma if none does."""
    head = [line for line in lines if line.strip()][:_SAMPLE]

    def splits(separator: str) -> bool:
        try:
            widths = {len(cells) for _, cells in _same_width(_parse(head, separator))}
        except csv.Error:
            return False
        return len(widths) == 1 and widths.pop() > 1

    found = next(filter(splits, _SEPARATORS), ",")
    if found != ",":
        _log.info("%s: cells are separated by %s", path.name, _SEPARATORS[found])
    return found


def _header(path: Path, rows: Sequence[Row], params: ArraysParams) -> tuple[list[str], Sequence[Row]]:
    """The names of the columns, by default their numbers, and the rows below."""
    first = rows[0][1]
    has_header = params.header if params.header is not None else _has_header(path, rows)
    names, body = (first, rows[1:]) if has_header else ([str(column) for column in range(len(first))], rows)
    if not body:
        raise DataError(
            f"{path}: line {rows[0][0]} names the columns, and no rows follow", remedy="set dataset.params.header = false"
        )
    return list(names), body


def _has_header(path: Path, rows: Sequence[Row]) -> bool:
    """Whether the first line names the columns: none of its cells is a number, or it numbers them as pandas does."""
    line, first = rows[0]
    below = rows[1 : _SAMPLE + 1]
    numbers = [str(column) for column in range(len(first))]
    if not any(_is_numeric(cell) or cell.lower() == "nan" for cell in first):
        return True
    if len(first) > 1 and not first[0] and first[1:] == numbers[:-1]:
        return True
    ask = "set dataset.params.header = true if it names the columns, or false if it is a sample"
    if len(first) > 1 and all(map(_INTEGER.fullmatch, first)) and _may_name(first, below):
        raise DataError(f"{path}, line {line}: {', '.join(first[:4])} may name the columns, or be a sample", remedy=ask)
    odd = [
        at for at, cell in enumerate(first) if cell and not _is_value(cell) and below and all(_is_value(c[at]) for _, c in below)
    ]
    if odd:
        raise DataError(f"{path}, line {line}: {first[odd[0]]!r} is text above a column of numbers", remedy=ask)
    return False


def _may_name(first: Sequence[str], below: Sequence[Row]) -> bool:
    """Whether integers may be the names of columns: they count, or stand above columns without any integer."""
    counts = [int(cell) for cell in first]
    if counts == list(range(counts[0], counts[0] + len(counts))) and (counts[0] == 0 or len(counts) > 2):
        return True
    return (
        len(below) > 1
        and len(set(counts)) == len(counts)
        and not any(map(_INTEGER.fullmatch, (c for _, row in below for c in row)))
    )


def _value_columns(path: Path, names: Sequence[str], body: Sequence[Row], label: int | None) -> list[int]:
    """All columns but the labels, those without name and content, and pandas' row numbers, which have no name."""
    empty = {at for at, name in enumerate(names) if name in ("", str(at)) and not any(row[at] for _, row in body)}
    columns = [column for column in range(len(names)) if column != label and column not in empty]
    if not columns:
        raise DataError(f"{path}: there are no columns of values", remedy="list them in dataset.params.columns")
    if label is None and (found := _label_column(names, body, columns)) is not None:
        raise DataError(
            f"{path}: column '{names[found]}' may contain labels or values",
            remedy=f"set dataset.params.label_column = {_toml(names[found], found)}, or list the value columns in "
            "dataset.params.columns",
        )
    if len(columns) == 1 or len(body) < 3:
        return columns
    cells = [row[columns[0]] for _, row in body]
    is_unnamed = not names[columns[0]] or re.fullmatch(r"unnamed: ?0", names[columns[0]].lower())
    if is_unnamed and _are_row_names(cells):
        _log.info("%s: the first column has no name and is left out as row numbers", path.name)
        return columns[1:]
    for at in columns:
        cells = [row[at] for _, row in body]
        if (is_unnamed and at == columns[0]) or _numbers_rows(names[at], cells):
            others = [names[other] for other in columns if other != at]
            listed = ", ".join(json.dumps(name, ensure_ascii=False) for name in others[:20]) + (", …" if len(others) > 20 else "")
            raise DataError(
                f"{path}: column '{names[at]}' may number the rows ({', '.join(cells[:3])}, …), or be a value",
                remedy=f"list the value columns: dataset.params.columns = [{listed}]",
            )
    return columns


def _label_column(names: Sequence[str], body: Sequence[Row], columns: Sequence[int]) -> int | None:
    """A column that may contain labels: by its name, or as the first or last one, of few integers beside fractions."""
    if (named := next((at for at in columns if names[at].lower() in _LABEL_NAMES), None)) is not None:
        return named
    if len(columns) < 2:
        return None
    for at in (columns[-1], columns[0]):
        kinds = {row[at] for _, row in body}
        if not 1 < len(kinds) <= min(_FEW, len(body) // 4) or not all(map(_COUNT.fullmatch, kinds)):
            continue
        if all(any(not _COUNT.fullmatch(row[other]) for _, row in body) for other in columns if other != at):
            return at
    return None


def _numbers_rows(name: str, cells: Sequence[str]) -> bool:
    """Whether a column numbers the rows: it counts from 0 or 1, only increases over many rows, or has the name of such a column."""
    if not all(map(_COUNT.fullmatch, cells)) or len(set(cells)) < len(cells):
        return False
    counts = [int(float(cell)) for cell in cells]
    is_counting = counts in (list(range(len(counts))), list(range(1, len(counts) + 1)))
    is_rising = len(counts) >= _MANY and all(before < after for before, after in pairwise(counts))
    return is_counting or is_rising or name.lower() in _INDEX_NAMES


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


def _numbers(
    path: Path, names: Sequence[str], body: Sequence[Row], chosen: Sequence[int], decimal: str | None, separator: str
) -> Array:
    cells = [[row[column] for column in chosen] for _, row in body]
    flat = [cell for row in cells for cell in row]
    if decimal is None and separator != ",":
        _check_thousands(path, flat)
    if decimal is None and not any("_" in cell for cell in flat):
        try:  # numbers as programs write them
            plain = np.array(cells, dtype=np.str_).astype(np.float64)
        except ValueError:
            plain = np.empty(0)
        if plain.size and np.isfinite(plain).all():
            return plain.reshape(len(body), len(chosen))

    values = np.empty((len(body), len(chosen)))
    mark = decimal or _decimal_mark(path, flat)
    converted: list[str] = []
    for place, column in enumerate(chosen):
        texts = [row[place] for row in cells]
        is_boolean = {text.lower() for text in texts} <= _BOOLEANS.keys()
        converted += [names[column]] if is_boolean else []
        numbers = [_BOOLEANS[text.lower()] if is_boolean else _to_number(text, mark) for text in texts]
        if None in numbers:
            raise _not_numbers(path, names, column, body, numbers)
        values[:, place] = numbers
    if converted:
        _log.info("%s: true and false are read as 1 and 0 in column %s", path.name, ", ".join(f"'{name}'" for name in converted))
    return values


def _not_numbers(path: Path, names: Sequence[str], column: int, body: Sequence[Row], numbers: Sequence[float | None]) -> DataError:
    """The error for a column with cells that are no numbers: missing ones, single ones, or all of them."""
    bad = [(line, row[column]) for (line, row), number in zip(body, numbers, strict=True) if number is None]
    line, cell = bad[0]
    name = names[column]
    where = f"{path}, line {line}, column '{name}': {cell!r} is not a finite number"
    if cell.lower() in _MISSING:
        missing = sum(text.lower() in _MISSING for _, text in bad)
        return DataError(
            f"{where}: {missing} of {len(body)} rows lack a value in this column",
            remedy="fill in or remove such rows, or leave the column out by listing the others in dataset.params.columns",
        )
    if len(bad) > len(body) / 2:
        return DataError(
            f"{where}: the column is text",
            remedy=f"set dataset.params.label_column = {_toml(name, column)} if it contains labels, or list the value columns in "
            "dataset.params.columns",
        )
    return DataError(
        f"{where} ({len(bad)} such cells)",
        remedy="fix the cell, or leave the column out by listing the others in dataset.params.columns",
    )


def _toml(name: str, column: int) -> str:
    return str(column) if name == str(column) else json.dumps(name, ensure_ascii=False)


def _check_thousands(path: Path, cells: Iterable[str]) -> None:
    """Refuse numbers that are all of the form 1.234, and none of a form that only one decimal mark gives."""
    unclear = ""
    for cell in cells:
        if "," in cell or ("." in cell and (not _GROUPED[","].fullmatch(cell) or cell.count(".") > 1)):
            return
        unclear = unclear or (cell if "." in cell else "")
    if unclear:
        raise DataError(
            f"{path}: {unclear!r} may be a number of thousands, or one with a decimal point",
            remedy='set dataset.params.decimal = "." or ","',
        )


def _decimal_mark(path: Path, cells: Iterable[str]) -> str:
    """The decimal mark of the numbers that have a comma; an error if 1,234 may be a thousand or one."""
    marks, unclear = set[str](), ""
    for cell in (cell.translate(_SPACES) for cell in cells if "," in cell or cell.count(".") > 1):
        as_point, as_comma = (_to_number(cell, mark) is not None for mark in ".,")
        if as_point and as_comma:
            unclear = unclear or cell
        elif as_point or as_comma:
            marks.add("." if as_point else ",")
    if not marks and unclear:
        raise DataError(
            f"{path}: {unclear!r} may be a number of thousands, or one with a decimal comma",
            remedy='set dataset.params.decimal = "." or ","',
        )
    if marks == {","}:
        _log.info("%s: numbers have a decimal comma", path.name)
        return ","
    return "."


def _to_number(cell: str, mark: str) -> float | None:
    """The finite number in a cell, which may have thousands separators; ``None`` if there is none."""
    text = cell.translate(_SPACES)
    if _GROUPED[mark].fullmatch(text):
        text = text.replace("," if mark == "." else ".", "")
    elif mark == "," and "." in text:
        return None
    text = text.replace("'", "") if re.fullmatch(r"[+-]?\d{1,3}('\d{3})+([.,]\d*)?", text) else text
    text = text.replace(",", ".") if mark == "," else text
    return float(text) if _is_number(text) and math.isfinite(float(text)) else None


def _is_value(cell: str) -> bool:
    """Whether a cell is numeric or missing."""
    return cell.lower() in _MISSING or _is_numeric(cell)


def _is_numeric(cell: str) -> bool:
    """Whether a cell is a number in any notation, or a truth value."""
    return cell.lower() in _BOOLEANS or any(_to_number(cell, mark) is not None for mark in ".,")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell  # which Python allows in its own numbers
