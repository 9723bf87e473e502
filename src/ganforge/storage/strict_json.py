"""JSON for plain data that is always valid JSON and always comes back as it went in.

JSON knows neither NaN nor Infinity; here they are written as ``{"$float": "nan"}``. Keys that begin with ``$`` get a second one, so
no data can be taken for such a mark. Tuples come back as lists.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from numbers import Integral, Real
from typing import Any

_FLOAT = "$float"


def dumps(data: object, *, indent: int | None = None) -> str:
    """Plain data as JSON text: None, booleans, numbers, strings, and lists, tuples and string-keyed mappings of them.

    Raises:
        TypeError: anything else; the message names where it stands.
    """
    separators = (",", ":") if indent is None else (",", ": ")
    return json.dumps(_encoded(data, "data"), allow_nan=False, indent=indent, separators=separators)


def loads(text: str | bytes) -> Any:
    """What :func:`dumps` was given.

    Raises:
        ValueError: not JSON, or not UTF-8.
    """
    return json.loads(text, object_hook=_decoded)


def _encoded(data: object, where: str) -> object:
    match data:
        case None | bool() | str():
            return data
        case Integral():
            return int(data)
        case Real():
            number = float(data)
            return number if math.isfinite(number) else {_FLOAT: repr(number)}
        case list() | tuple():
            return [_encoded(item, f"{where}[{index}]") for index, item in enumerate(data)]
        case Mapping():
            return {_encoded_key(key, where): _encoded(value, f"{where}.{key}") for key, value in data.items()}
        case _:
            raise TypeError(f"{where} is a {type(data).__name__}, which is no plain data")


def _encoded_key(key: object, where: str) -> str:
    if not isinstance(key, str):
        raise TypeError(f"{where} has the key {key!r}; the keys of plain data are strings")
    return f"${key}" if key.startswith("$") else key


def _decoded(table: dict[str, Any]) -> Any:
    if _FLOAT in table:
        return float(table[_FLOAT])
    return {key.removeprefix("$"): value for key, value in table.items()}
