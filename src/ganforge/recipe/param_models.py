"""Which params models a key of a table may belong to, for suggestions."""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from ganforge.core.params import Params
from ganforge.recipe.dotted_keys import Key, step_into


def models_at(model: type[Params], table: object, key: Key) -> tuple[type[Params], ...]:
    """The models that the table at ``key`` may be meant for; those whose literal fields, such as ``use``, fit what is there."""
    models: tuple[type[Params], ...] = (model,)
    for step in key:
        table = step_into(table, step)
        if isinstance(step, str):
            models = tuple(
                found for parent in models if step in parent.model_fields for found in _models(parent.model_fields[step].annotation)
            )
        models = _fitting(models, table)
    return models


def _models(annotation: Any) -> tuple[type[Params], ...]:
    if isinstance(annotation, type) and issubclass(annotation, Params):
        return (annotation,)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _models(arguments[0])
    if origin in (Union, types.UnionType, tuple, list, dict):
        return tuple(model for argument in arguments for model in _models(argument))
    return ()


def _fitting(models: tuple[type[Params], ...], table: object) -> tuple[type[Params], ...]:
    if len(models) < 2 or not isinstance(table, Mapping):
        return models
    fitting = tuple(model for model in models if all(_fits(model, name, value) for name, value in table.items()))
    return fitting or models


def _fits(model: type[Params], name: str, value: object) -> bool:
    field = model.model_fields.get(name)
    return field is None or get_origin(field.annotation) is not Literal or value in get_args(field.annotation)
