"""JSON for plain data: always valid JSON, and loading returns what was dumped.

JSON has neither NaN nor Infinity; they are written as ``{"$float": "nan"}``. Keys that begin with ``$`` get a second one, so that
data is never mistaken for such a marker. Tuples are loaded as lists.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

_FLOAT = "$float"


def dumps(data: object, *, indent: int | None = None) -> str:
    """Dump plain data as JSON: None, booleans, numbers, strings, and lists, tuples and string-keyed mappings of them.

    A :class:`TypeError` says where the data holds anything else.
    """
    separators = (",", ":") if indent is None else (",", ": ")
    return json.dumps(_encode(data, "data"), allow_nan=False, indent=indent, separators=separators)


def loads(text: str | bytes) -> Any:
    """Load what :func:`dumps` wrote; raises a :class:`ValueError` for anything else."""
    try:
        return json.loads(text, object_hook=_decode)
    except (RecursionError, TypeError, OverflowError) as error:
        raise ValueError(f"not JSON of plain data: {error}") from error


def _encode(data: object, where: str) -> object:
    match data:
        case None | bool() | str():
            return data
        case Integral():
            return int(data)
        case Real():
            number = float(data)
            return number if math.isfinite(number) else {_FLOAT: repr(number)}
        case list() | tuple():
            return [_encode(item, f"{where}[{index}]") for index, item in enumerate(data)]
        case Mapping():
            return {_encode_key(key, where): _encode(value, f"{where}.{key}") for key, value in data.items()}
        case _:
            raise TypeError(f"{where} is a {type(data).__name__}, which is not plain data")


def _encode_key(key: object, where: str) -> str:
    if not isinstance(key, str):
        raise TypeError(f"{where} has the key {key!r}; keys of plain data must be strings")
    return f"${key}" if key.startswith("$") else key


def _decode(table: dict[str, Any]) -> Any:
    if _FLOAT in table:
        return float(table[_FLOAT])
    return {key.removeprefix("$"): value for key, value in table.items()}
