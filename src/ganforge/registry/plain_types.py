"""Which parameters are plain data: a recipe must never name code, whatever a params model would make of its text."""

from __future__ import annotations

import enum
import types
from collections.abc import Iterator
from functools import cache
from pathlib import PurePath
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import ImportString
from pydantic.fields import FieldInfo

from ganforge.core.params import Params

_PLAIN = (bool, int, float, str, types.NoneType)
_GROUPS = (Union, types.UnionType, tuple, list, set, frozenset, dict)
_IMPORT: Any = ImportString


@cache
def unplain(model: type[Params]) -> tuple[str, ...]:
    """The fields of a params model that are not plain data, each with the types at fault: ``"layer (Callable)"``.

    Numbers, booleans, text, ``Literal``, ``Enum``, paths, tuples, lists and dicts of those, and nested params are plain. ``Any``,
    ``Callable``, ``type`` and ``ImportString`` are not: the last looks like text in a schema and imports whatever a recipe names.
    """
    found = ((name, [*_imports(info.metadata), *_forbidden(info.annotation)]) for name, info in fields(model))
    return tuple(f"{name} ({', '.join(dict.fromkeys(words))})" for name, words in found if words)


def fields(model: type[Params]) -> Iterator[tuple[str, FieldInfo]]:
    """Every field of a model by its dotted name, those of nested params included; a model within itself is told once."""
    yield from _fields(model, "", (model,))


def _fields(model: type[Params], prefix: str, within: tuple[type[Params], ...]) -> Iterator[tuple[str, FieldInfo]]:
    if not model.__pydantic_complete__:  # it names a class that its module defines further down
        model.model_rebuild(raise_errors=False)
    for name, info in model.model_fields.items():
        yield prefix + name, info
        for inner in _nested(info.annotation):
            if inner not in within:
                yield from _fields(inner, f"{prefix}{name}.", (*within, inner))


def _nested(annotation: Any) -> Iterator[type[Params]]:
    if isinstance(annotation, type) and get_origin(annotation) is None:
        if issubclass(annotation, Params):
            yield annotation
        return
    if get_origin(annotation) is not Literal:
        for argument in get_args(annotation):
            yield from _nested(argument)


def _imports(marks: Any) -> Iterator[str]:
    if any(mark is _IMPORT or isinstance(mark, _IMPORT) for mark in marks):
        yield "ImportString"


def _forbidden(annotation: Any) -> Iterator[str]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Literal or annotation is Ellipsis:
        return
    if origin is Annotated:
        yield from _imports(arguments[1:])
        yield from _forbidden(arguments[0])
    elif origin in _GROUPS:
        for argument in arguments:
            yield from _forbidden(argument)
    elif not _is_plain(annotation):
        yield getattr(annotation, "__name__", None) or str(annotation)


def _is_plain(annotation: Any) -> bool:
    if not isinstance(annotation, type) or get_origin(annotation) is not None:
        return False
    return annotation in _PLAIN or issubclass(annotation, (enum.Enum, PurePath, Params))
