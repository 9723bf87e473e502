"""A params model described: each parameter's type, default, range and meaning, and whether it is plain data."""

from __future__ import annotations

import enum
import types
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import PurePath
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import ImportString
from pydantic.fields import FieldInfo

from ganforge.core.params import Params

_BOUNDS = {
    "ge": "≥ {}",
    "gt": "> {}",
    "le": "≤ {}",
    "lt": "< {}",
    "multiple_of": "multiple of {}",
    "pattern": "matches {}",
    "min_length": "at least {} long",
    "max_length": "at most {} long",
}
_UNIONS = (Union, types.UnionType)
_LISTS = (tuple, list, set, frozenset)
_IMPORT: Any = ImportString


@dataclass(frozen=True, slots=True)
class ParamInfo:
    """One parameter of a component."""

    name: str  # its key; dotted within a nested table, with [] for the tables of a list and .* for those of a table
    type: str  # in words, such as "list of int"
    default: object  # as plain data; None also if there is none
    required: bool
    range: str  # in words, such as "≥ 1"; empty if unbounded
    description: str
    parent: str | None = None  # name of the parameter that holds its table


def describe_params(model: type[Params]) -> tuple[ParamInfo, ...]:
    """The parameters of a model, nested tables included, in the order of their declaration."""
    return tuple(
        ParamInfo(
            name=name,
            type=type_name(info.annotation),
            default=None if info.is_required() else plain_value(info.get_default(call_default_factory=True, validated_data={})),
            required=info.is_required(),
            range=", ".join(dict.fromkeys(f"{node.words}{bound}" for node in _walk(info) for bound in _bounds(node))),
            description=info.description or "",
            parent=parent,
        )
        for name, info, parent in iter_fields(model)
    )


@cache
def non_plain_fields(model: type[Params]) -> tuple[str, ...]:
    """The fields that are not plain data, each with the types at fault: ``"layer (Callable)"``.

    Recipes are data and must never name code. Plain are numbers, booleans, text, ``Literal``, ``Enum``, paths, tuples, lists and
    dicts of those, and nested params. ``Any``, ``Callable``, ``type`` and ``ImportString`` are not: the last one looks like text in
    a schema and imports whatever a recipe names.
    """
    found = ((name, list(_non_plain(info))) for name, info, _ in iter_fields(model))
    return tuple(f"{name} ({', '.join(dict.fromkeys(faults))})" for name, faults in found if faults)


def type_name(annotation: Any) -> str:
    """A type in the words of a recipe's author."""
    annotation = getattr(annotation, "__value__", annotation)  # a named alias, such as pydantic's JsonValue
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return type_name(arguments[0])
    if origin is Literal:
        return " or ".join(f'"{value}"' if isinstance(value, str) else str(value) for value in arguments)
    if origin in _UNIONS:
        return " or ".join(dict.fromkeys(type_name(part) for part in arguments if part is not types.NoneType))
    if origin in _LISTS:
        names = [type_name(item) for item in arguments if item is not Ellipsis]
        return f"list of {names[0]}" if len(names) == 1 else f"[{', '.join(names)}]"
    if origin is dict:
        return f"table of {type_name(arguments[1])}"
    return _class_name(annotation)


def _class_name(annotation: Any) -> str:
    if not isinstance(annotation, type):
        return str(annotation)
    if issubclass(annotation, enum.Enum):
        return " or ".join(f'"{member.value}"' for member in annotation)
    if issubclass(annotation, PurePath):
        return "path"
    return "table" if issubclass(annotation, Params) else annotation.__name__


def plain_value(value: object) -> object:
    """A default as plain data, as in JSON and TOML."""
    match value:
        case Params():
            return value.model_dump(mode="json", exclude_none=True)
        case enum.Enum():
            return value.value
        case PurePath():
            return str(value)
        case tuple() | list() | set() | frozenset():
            return [plain_value(item) for item in value]
        case dict():
            return {str(key): plain_value(item) for key, item in value.items()}
    return value


def iter_fields(
    model: type[Params], prefix: str = "", parent: str | None = None, within: tuple[type[Params], ...] = ()
) -> Iterator[tuple[str, FieldInfo, str | None]]:
    """Name, field and parent of every parameter, as in :class:`ParamInfo`; a model that contains itself is not entered again."""
    if not model.__pydantic_complete__:  # it refers to a class that its module defines later
        model.model_rebuild(raise_errors=False)
    within = (*within, model)
    for name, info in model.model_fields.items():
        yield prefix + name, info, parent
        tables = dict.fromkeys((node.type, node.keys) for node in _walk(info) if _is_model(node.type))
        for inner, keys in tables:
            if inner not in within:
                yield from iter_fields(inner, f"{prefix}{name}{keys}.", prefix + name, within)


@dataclass(frozen=True, slots=True)
class _Node:
    """A part of a field's annotation; ``keys`` (``[]`` or ``.*``) and ``words`` (``each`` or ``item 0``) lead to it."""

    type: Any
    marks: tuple[object, ...] = ()
    keys: str = ""
    words: str = ""


def _walk(info: FieldInfo) -> Iterator[_Node]:
    """All parts of a field's annotation, from the outside in."""
    return _parts(_Node(info.annotation, tuple(info.metadata)))


def _parts(node: _Node) -> Iterator[_Node]:
    origin, arguments = get_origin(node.type), get_args(node.type)
    children: list[tuple[Any, str, str]] = []
    if origin is Annotated:
        marks = [mark for part in arguments[1:] for mark in (part.metadata if isinstance(part, FieldInfo) else [part])]
        yield from _parts(_Node(arguments[0], (*node.marks, *marks), node.keys, node.words))
        return
    if origin in _UNIONS:
        children = [(part, "", "") for part in arguments]
    elif origin in _LISTS:
        items = [item for item in arguments if item is not Ellipsis]
        alike = len({repr(item) for item in items}) == 1
        children = [(item, "[]", "each " if alike else f"item {index} ") for index, item in enumerate(items)]
    elif origin is dict:
        children = [(arguments[0], ".*", "each key "), (arguments[1], ".*", "each ")]

    yield node
    for part, keys, words in children:
        yield from _parts(_Node(part, (), node.keys + keys, node.words + words))


def _is_model(annotation: Any) -> bool:
    return isinstance(annotation, type) and get_origin(annotation) is None and issubclass(annotation, Params)


def _non_plain(info: FieldInfo) -> Iterator[str]:
    for node in _walk(info):
        if any(mark is _IMPORT or isinstance(mark, _IMPORT) for mark in node.marks):
            yield "ImportString"
        elif not _is_plain(node.type):
            yield getattr(node.type, "__name__", None) or str(node.type)


def _is_plain(annotation: Any) -> bool:
    if origin := get_origin(annotation):
        return origin in (*_UNIONS, *_LISTS, dict, Literal)
    if not isinstance(annotation, type):
        return False
    return annotation in (bool, int, float, str, types.NoneType) or issubclass(annotation, (enum.Enum, PurePath, Params))


def _bounds(node: _Node) -> Iterator[str]:
    for mark in node.marks:
        for attribute, words in _BOUNDS.items():
            value = getattr(mark, attribute, None)
            if value is not None:
                yield "not empty" if (attribute, value) == ("min_length", 1) else words.format(value)
