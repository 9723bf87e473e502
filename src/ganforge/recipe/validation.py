"""Tables judged by a params model, every problem found at once and told in plain words.

pydantic finds the problems; this module gives each the key that the user wrote (pydantic adds the names of union branches), one
message for one mistake (pydantic gives one for each branch of a union), and words for people who do not know pydantic.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ganforge.core.params import Params
from ganforge.recipe import error_messages
from ganforge.recipe.dotted_keys import Key, step_into
from ganforge.recipe.param_models import models_at

P = TypeVar("P", bound=Params)

_JOINT = ("value_error", "assertion_error")
"""pydantic's types of what a validator of a whole model raises."""
FAULTS = 1000
"""Faults that are worded, at most: a suggestion costs half a millisecond, and a hostile file may hold many misspelt keys."""


@dataclass(frozen=True, slots=True)
class ValidationIssue:
    """One thing wrong with a table, before its place in a file is known.

    Attributes:
        key: where, from the root of the judged table.
        message: what is wrong.
        hint: a suggestion, or ``None``.
        joint: whether it is about several values of the table at ``key``, each of which would be right beside others.
    """

    key: Key
    message: str
    hint: str | None = None
    joint: bool = False


@dataclass(frozen=True, slots=True)
class _Error:
    """One of pydantic's errors, with the part of its location that is not walked yet."""

    key: Key
    rest: tuple[str | int, ...]
    details: ErrorDetails


def validate(model: type[P], table: Mapping[str, Any]) -> P | list[ValidationIssue]:
    """The table as an instance of the model, or all that is wrong with it.

    Validated as JSON, in which strictness means what a TOML author expects: ``"64"`` and ``64.0`` are not whole numbers, while a
    list serves as a tuple and a whole number as a float.
    """
    try:
        return model.model_validate_json(json.dumps(table))
    except ValidationError as error:
        errors = [_Error((), details["loc"], details) for details in error.errors(include_url=False)]
    return [_fault(model, table, error) for error in _settled(table, errors)[:FAULTS]]


def _settled(table: Mapping[str, Any], errors: Iterable[_Error]) -> list[_Error]:
    """The errors with their keys, one branch chosen for every union."""
    settled: list[_Error] = []
    unions: dict[Key, dict[str | int, list[_Error]]] = {}
    for error in errors:
        walked = _walked(table, error)
        if not walked.rest:
            settled.append(walked)
            continue
        branch, rest = walked.rest[0], walked.rest[1:]
        unions.setdefault(walked.key, {}).setdefault(branch, []).append(_Error(walked.key, rest, walked.details))
    for branches in unions.values():
        settled += _settled(table, _chosen(list(branches.values())))
    return _without_echoes(settled)


def _without_echoes(errors: list[_Error]) -> list[_Error]:
    """The errors but for lists that are called too short only because their elements are wrong."""
    around = {error.key[:length] for error in errors for length in range(len(error.key))}
    return [error for error in errors if error.details["type"] != "too_short" or error.key not in around]


def _walked(table: Mapping[str, Any], error: _Error) -> _Error:
    """The error after following its location through the table, up to a step that is not there: the name of a union's branch."""
    key, rest = error.key, error.rest
    value: Any = table
    for step in key:
        value = step_into(value, step)
    while rest:
        if not _has(value, rest[0]):
            missing = error.details["type"] == "missing" and len(rest) == 1
            return _Error((*key, rest[0]), (), error.details) if missing else _Error(key, rest, error.details)
        key, value, rest = (*key, rest[0]), step_into(value, rest[0]), rest[1:]
    return _Error(key, (), error.details)


def _has(value: object, step: str | int) -> bool:
    if isinstance(value, Mapping):
        return step in value
    return isinstance(value, Sequence) and not isinstance(value, str) and isinstance(step, int) and step < len(value)


def _chosen(branches: list[list[_Error]]) -> list[_Error]:
    """The branch of a union that was meant: the one whose type fits, and of those the one with the fewest errors.

    When no type fits, one error stands for all, and tells what each branch would have taken.
    """
    fitting = [
        branch for branch in branches if not any(not error.rest and error_messages.is_type(error.details) for error in branch)
    ]
    if fitting:
        return min(fitting, key=len)
    leaves = [branch[0] for branch in branches]
    return [_Error(leaves[0].key, (), error_messages.either([leaf.details for leaf in leaves]))]


def _fault(model: type[Params], table: Mapping[str, Any], error: _Error) -> ValidationIssue:
    key = error.key
    parent = models_at(model, table, key[:-1])
    message, hint = error_messages.worded(error.details, key, parent)
    if error.details["type"] == "unknown_optimizer" and isinstance(error.details["input"], Mapping):
        key = (*key, "use")
    return ValidationIssue(
        key, message, hint, joint=error.details["type"] in _JOINT and isinstance(error.details["input"], Mapping)
    )
