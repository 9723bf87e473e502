"""A params model in words: for each parameter its type, default, range and description."""

from __future__ import annotations

import enum
import types
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from ganforge.core.params import Params

_BOUNDS = {"ge": "≥ {}", "gt": "> {}", "le": "≤ {}", "lt": "< {}", "multiple_of": "multiple of {}", "pattern": "matches {}"}
_UNIONS = (Union, types.UnionType)
_LISTS = (tuple, list, set, frozenset)
_WORDS = {bool: "bool", int: "int", float: "float", str: "str"}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a component.

    Attributes:
        name: its key; dotted within a nested table, with ``[]`` for the tables of a list and ``.*`` for those of a table.
        type: in words, such as ``list of int``.
        default: as plain data; ``None`` also when there is none.
        required: whether a recipe must give it.
        range: in words, such as ``≥ 1``; empty when unbounded.
        description: what it means.
        parent: name of the parameter in whose table it stands, or ``None``.
    """

    name: str
    type: str
    default: object
    required: bool
    range: str
    description: str
    parent: str | None = None


def describe_params(model: type[Params]) -> tuple[Parameter, ...]:
    """The parameters of a model, nested tables included, in the order of their declaration."""
    return tuple(_described(model, "", None, (model,)))


def _described(model: type[Params], prefix: str, parent: str | None, within: tuple[type[Params], ...]) -> Iterator[Parameter]:
    for name, info in model.model_fields.items():
        default = None if info.is_required() else plain(info.get_default(call_default_factory=True, validated_data={}))
        yield Parameter(
            name=prefix + name,
            type=type_words(info.annotation),
            default=default,
            required=info.is_required(),
            range=", ".join(dict.fromkeys([*_bounds(info.metadata), *_ranges(info.annotation)])),
            description=info.description or "",
            parent=parent,
        )
        for inner, step in _tables(info.annotation, "."):
            if inner not in within:  # a table that may hold one of its own kind is told once
                yield from _described(inner, f"{prefix}{name}{step}", prefix + name, (*within, inner))


def _tables(annotation: Any, step: str) -> Iterator[tuple[type[Params], str]]:
    """The models of the tables that a value may hold, and how their keys are reached from it."""
    if isinstance(annotation, type) and issubclass(annotation, Params):
        yield annotation, step
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        yield from _tables(arguments[0], step)
    elif origin in _UNIONS:
        for part in arguments:
            yield from _tables(part, step)
    elif origin in _LISTS:
        for part in dict.fromkeys(arguments):
            yield from _tables(part, f"[]{step}")
    elif origin is dict:
        yield from _tables(arguments[1], f".*{step}")


def type_words(annotation: Any) -> str:
    """A type as a recipe's author would say it."""
    annotation = getattr(annotation, "__value__", annotation)  # a named alias, such as pydantic's JsonValue
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_words(arguments[0])
    if origin is Literal:
        return " or ".join(f'"{value}"' if isinstance(value, str) else str(value) for value in arguments)
    if origin in _UNIONS:
        return " or ".join(dict.fromkeys(type_words(part) for part in arguments if part is not types.NoneType))
    if origin in _LISTS:
        return _list_words(arguments)
    if origin is dict:
        return f"table of {type_words(arguments[1])}"
    return _plain_words(annotation)


def plain(value: object) -> object:
    """A default as plain data, as JSON and TOML have it."""
    match value:
        case Params():
            return value.model_dump(mode="json", exclude_none=True)
        case enum.Enum():
            return value.value
        case PurePath():
            return str(value)
        case tuple() | list() | set() | frozenset():
            return [plain(item) for item in value]
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
    return value


def _list_words(arguments: tuple[Any, ...]) -> str:
    items = [argument for argument in arguments if argument is not Ellipsis]
    if len(items) == 1:
        return f"list of {type_words(items[0])}"
    return f"[{', '.join(map(type_words, items))}]"


def _plain_words(annotation: Any) -> str:
    if not isinstance(annotation, type):
        return str(annotation)
    if annotation in _WORDS:
        return _WORDS[annotation]
    if issubclass(annotation, enum.Enum):
        return " or ".join(f'"{member.value}"' for member in annotation)
    if issubclass(annotation, PurePath):
        return "path"
    return "table" if issubclass(annotation, Params) else annotation.__name__


def _ranges(annotation: Any) -> Iterator[str]:
    """The bounds that stand within a type: of one of its alternatives, or of each item of a list."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        marks = [mark for part in arguments[1:] for mark in (part.metadata if isinstance(part, FieldInfo) else [part])]
        yield from _bounds(marks)
        yield from _ranges(arguments[0])
    elif origin in _UNIONS:
        for part in arguments:
            yield from _ranges(part)
    elif origin in _LISTS:
        yield from _item_ranges([part for part in arguments if part is not Ellipsis])
    elif origin is dict:
        yield from (f"each {bound}" for bound in _ranges(arguments[1]))


def _item_ranges(items: Sequence[Any]) -> Iterator[str]:
    told = [tuple(_ranges(item)) for item in items]
    if len(set(told)) == 1:
        yield from (f"each {bound}" for bound in told[0])
        return
    for number, bounds in enumerate(told):
        yield from (f"item {number} {bound}" for bound in bounds)


def _bounds(metadata: Iterable[object]) -> Iterator[str]:
    metadata = tuple(metadata)
    for bound in metadata:
        for attribute, words in _BOUNDS.items():
            value = getattr(bound, attribute, None)
            if value is not None:
                yield words.format(value)
    least, most = (_first(metadata, attribute) for attribute in ("min_length", "max_length"))
    if least is not None and least == most:
        yield f"{least} long"
    elif least == 1:
        yield "not empty"
    elif least is not None:
        yield f"at least {least} long"
    if most is not None and least != most:
        yield f"at most {most} long"


def _first(metadata: Iterable[object], attribute: str) -> object:
    return next((value for bound in metadata if (value := getattr(bound, attribute, None)) is not None), None)
