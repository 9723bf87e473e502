"""Validate a table against a params model and report every problem in plain words.

pydantic finds the problems. This module maps their locations to the keys that the user wrote (pydantic adds the names of union
branches), reports one problem per mistake (pydantic reports one per union branch), and rewords messages for people who do not know
pydantic.
"""

from __future__ import annotations

import json
import re
import types
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from ganforge.core.errors import did_you_mean
from ganforge.core.params import Params, Schedule
from ganforge.core.redaction import mask_data
from ganforge.recipe.toml_file import Key, format_key, step_into

P = TypeVar("P", bound=Params)

MAX_ISSUES = 1000
"""Issues reported for one table, at most: a suggestion costs half a millisecond, and a hostile file may hold many misspelt keys."""

_EXPECTED = {
    "int_type": "an integer",
    "int_parsing": "an integer",
    "int_from_float": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text in quotes",
    "path_type": "a path in quotes",
    "tuple_type": "a list",
    "list_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
}
"""The type that each of pydantic's type errors expects."""
_MESSAGES = {
    "greater_than": "must be above {gt}, got {value}",
    "greater_than_equal": "must be at least {ge}, got {value}",
    "less_than": "must be below {lt}, got {value}",
    "less_than_equal": "must be at most {le}, got {value}",
    "multiple_of": "must be a multiple of {multiple_of}, got {value}",
    "finite_number": "must be a finite number",
    "too_long": "length must be at most {max_length}, got {actual_length}",
    "too_short": "length must be at least {min_length}, got {actual_length}",
    "string_too_long": "must have at most {max_length} characters, got {value}",
    "string_too_short": "must have at least {min_length} characters, got {value}",
    "string_pattern_mismatch": "must match the pattern {pattern}, got {value}",
}
"""Messages without a hint, by pydantic's type; the names in braces are those of pydantic's context."""
_TABLES = {
    "train": "[train] with iterations = 10_000",
    "dataset": '[dataset] with use = "moons"',
    "sampler": '[sampler] with use = "normal" and params = { size = 16 }',
    "generator": '[generator] with use = "mlp"',
    "discriminator": '[discriminator] with use = "mlp"',
    "loss": '[[loss]] with use = "non-saturating"',
}
"""The tables that every recipe needs, each with an example."""
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")


@dataclass(frozen=True, slots=True)
class ValidationIssue:
    """One problem with a table, before its place is known; ``joint`` if several values of the table do not fit together."""

    key: Key
    message: str
    hint: str | None = None
    joint: bool = False


@dataclass(frozen=True, slots=True)
class _Error:
    """One of pydantic's errors, with the part of its location that is not resolved yet."""

    key: Key
    rest: tuple[str | int, ...]
    details: ErrorDetails


OTHER_WORDS = {
    word: tuple(meant.split(", "))
    for meant, words in {
        "generator.optimizer.lr, discriminator.optimizer.lr": "lr learning_rate lr_g lr_d g_lr d_lr",
        "generator.optimizer.betas, discriminator.optimizer.betas": "betas beta1 beta2 b1 b2",
        "generator.optimizer.use, discriminator.optimizer.use": "optimizer optimiser optim",
        "train.iterations": "epoch epochs n_epochs num_epochs max_epochs steps n_steps num_steps max_steps iters n_iters niter",
        "train.batch_size": "batch batchsize bs minibatch mini_batch",
        "train.discriminator_steps": "n_critic critic_iters critic_steps d_steps n_dis",
        "train.ema_decay": "ema ema_beta ema_rate",
        "train.seed": "random_seed manual_seed",
        "sampler.params.size": "nz z_dim latent_dim latent_size noise_dim",
        "generator.use": "model netg net_g arch",
        "discriminator.use": "netd net_d critic",
        "dataset.use": "data dataset_name",
        "dataset.workers": "num_workers n_workers",
        "loss[0].weight": "gp_weight lambda lambda_gp gp_lambda r1_gamma",
        "checkpoints.every": "save_every save_interval save_freq checkpoint_every checkpoint_interval",
        "pictures.every": "sample_every sample_interval image_every",
        "metric[0].every": "eval_every eval_interval eval_freq",
        "tracking.experiment": "experiment_name project project_name",
        "--device cuda": "device cuda gpu gpus accelerator",
        "--runs-dir FOLDER, --out FILE": "out output outdir output_dir out_dir log_dir logdir save_dir results_dir",
        "--count 64": "num n_samples num_samples samples",
    }.items()
    for word in words.split()
}
"""Keys, or options of commands, by the words that other programs have for them."""


def keys_named(name: str, model: type[Params]) -> list[str]:
    """The dotted keys of a model that end in this name, without those of schedules; in lists, of the first element."""
    return [format_key(key) for key in _key_paths(model, ()) if key[-1] == name]


def _key_paths(model: type[Params], at: Key) -> Iterator[Key]:
    seen: set[Key] = set()
    for name, field in model.model_fields.items():
        key = (*at, name)
        yield key
        is_list = get_origin(field.annotation) in (tuple, list)
        for inner in _models_in(field.annotation):
            if inner is not Schedule:
                found = [one for one in _key_paths(inner, (*key, 0) if is_list else key) if one not in seen]
                seen.update(found)
                yield from found


def validate(model: type[P], table: Mapping[str, Any]) -> P | list[ValidationIssue]:
    """The table as an instance of the model, or every problem with it.

    The table is validated as JSON, whose strict mode does what a TOML author expects: ``"64"`` and ``64.0`` are not integers, a
    list is accepted as a tuple, and an integer as a float.
    """
    try:
        return model.model_validate_json(json.dumps(table))
    except ValidationError as error:
        errors = [_Error((), details["loc"], details) for details in error.errors(include_url=False)]
    return [_issue(model, table, error) for error in _resolve_unions(table, errors)[:MAX_ISSUES]]


def format_value(value: object) -> str:
    """A value for a message: short, on one line, without control characters."""
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value if not isinstance(value, str) or len(value) <= 60 else value[:59] + "…")


def _resolve_unions(table: Mapping[str, Any], errors: Iterable[_Error]) -> list[_Error]:
    """The errors with their full keys, those of one branch for every union."""
    resolved: list[_Error] = []
    unions: dict[Key, dict[str | int, list[_Error]]] = {}
    for error in errors:
        followed = _follow(table, error)
        if not followed.rest:
            resolved.append(followed)
            continue
        branch, rest = followed.rest[0], followed.rest[1:]
        unions.setdefault(followed.key, {}).setdefault(branch, []).append(_Error(followed.key, rest, followed.details))
    for branches in unions.values():
        resolved += _resolve_unions(table, _intended_branch(list(branches.values())))
    # pydantic calls a list too short when its elements are invalid
    parents = {error.key[:length] for error in resolved for length in range(len(error.key))}
    return [error for error in resolved if error.details["type"] != "too_short" or error.key not in parents]


def _follow(table: Mapping[str, Any], error: _Error) -> _Error:
    """The error after following its location through the table, up to a step that is missing there: the name of a union branch."""
    key, rest = error.key, error.rest
    value: Any = table
    for step in key:
        value = step_into(value, step)
    while rest:
        if step_into(value, rest[0]) is None:  # TOML has no null
            missing = error.details["type"] == "missing" and len(rest) == 1
            return _Error((*key, rest[0]), (), error.details) if missing else _Error(key, rest, error.details)
        key, value, rest = (*key, rest[0]), step_into(value, rest[0]), rest[1:]
    return _Error(key, (), error.details)


def _intended_branch(branches: list[list[_Error]]) -> list[_Error]:
    """The errors of the branch whose type fits, with the fewest errors; if no type fits, one error with the types of all."""
    fitting = [branch for branch in branches if not any(not error.rest and error.details["type"] in _EXPECTED for error in branch)]
    if fitting:
        return min(fitting, key=len)
    first = branches[0][0]
    expected = " or ".join(dict.fromkeys(_expected_type(branch[0].details) for branch in branches))
    return [_Error(first.key, (), {**first.details, "type": "no_branch", "msg": expected})]


def _expected_type(details: ErrorDetails) -> str:
    if details.get("ctx", {}).get("class_name") == "Schedule":
        return "a schedule table"
    return _EXPECTED.get(details["type"], details["msg"])


def _issue(model: type[Params], table: Mapping[str, Any], error: _Error) -> ValidationIssue:
    key, kind, value = error.key, error.details["type"], error.details["input"]
    message, hint = _message(error, _models_at(model, table, key[:-1]), model)
    if kind == "unknown_optimizer" and isinstance(value, Mapping):
        key = (*key, "use")
    return ValidationIssue(key, message, hint, joint=kind in ("value_error", "assertion_error") and isinstance(value, Mapping))


def _message(error: _Error, models: tuple[type[Params], ...], root: type[Params]) -> tuple[str, str | None]:
    """Message and hint; ``models`` are those that the table around the key may belong to, ``root`` is that of the whole table."""
    key, details = error.key, error.details
    kind, value, context = details["type"], mask_data(details["input"], str(key[-1]) if key else ""), details.get("ctx", {})
    match kind:
        case _ if kind == "no_branch" or kind in _EXPECTED:
            return _wrong_type(_expected_type(details), key, value)
        case "missing":
            return _missing(key)
        case "string_too_short" if context["min_length"] == 1:
            return "must not be empty", None
        case "extra_forbidden":
            return "unknown key", _suggest_key(key, models, root)
        case "literal_error" | "enum":
            return _wrong_choice(str(context["expected"]), value)
        case "unknown_optimizer" if isinstance(value, Mapping):
            return _wrong_choice(details["msg"], value.get("use"))
        case "unknown_optimizer":
            return f"must be a table, got {format_value(value)}", 'such as optimizer = { use = "adam", lr = 1e-3 }'
        case _ if kind in _MESSAGES:
            shown = {name: f"{bound:g}" if isinstance(bound, float) else bound for name, bound in context.items()}
            return _MESSAGES[kind].format(**{**shown, "value": format_value(value)}), None
    return str(context["error"]) if kind == "value_error" else details["msg"][:1].lower() + details["msg"][1:], None


def _wrong_type(expected: str, key: Key, value: object) -> tuple[str, str | None]:
    if len(key) == 1 and key[0] in ("loss", "metric", "expect") and isinstance(value, Mapping):
        return f"must be a list of tables, got one table: write [[{key[0]}]]", f"with --set, in brackets: {key[0]}='[{{ … }}]'"
    hint = None
    is_number = "number" in expected or "integer" in expected
    is_quoted = isinstance(value, str) and (_NUMBER.fullmatch(value) if is_number else value.lower() in ("true", "false"))
    if is_quoted and (is_number or expected == "true or false"):
        hint = "drop the quotes"
    elif isinstance(value, float) and value.is_integer() and expected == "an integer" and abs(value) < 1e15:
        hint = f"write {value:.0f}"
    elif isinstance(value, str) and expected == "a table" and len(key) == 1 and key[0] in _TABLES:
        hint = f"the name of a component is {key[0]}.use = {format_value(value)}"
    elif isinstance(value, int | float) and expected == "a list":
        hint = f"write a list, such as [{format_value(value)}]"
    return f"must be {expected}, got {format_value(value)}", hint


def missing_table(key: str) -> tuple[str, str]:
    """Message and hint if a recipe lacks a table that it needs."""
    example = _TABLES.get(key, f"[{key}] with use = ...")
    return f"the recipe has no {example.partition(' ')[0]} table", f"add {example}"


def _missing(key: Key) -> tuple[str, str | None]:
    name = key[-1]
    if len(key) == 1 and name in _TABLES:
        return missing_table(str(name))
    if isinstance(name, int):
        return f"the list is too short: element {name} is missing", None
    return "is missing", f"add {name} = …" + (f" to {format_key(key[:-1])}" if key[:-1] else "")


def _suggest_key(key: Key, models: tuple[type[Params], ...], root: type[Params]) -> str:
    """What may have been meant: a key of the same table, another program's word, or a key of another table."""
    name, known = str(key[-1]), sorted({field for model in models for field in model.model_fields})
    if hint := did_you_mean(name, known) or other_word(name):
        return hint
    if "params" in known:
        return f"put a component's own parameters into its params table: {format_key((*key[:-1], 'params', name))}"
    elsewhere = keys_named(name, root)
    if 0 < len(elsewhere) <= 2 and format_key(key) not in elsewhere:  # else it belongs to another ``use`` of this table
        return f"did you mean {' or '.join(elsewhere)}?"
    return f"known keys: {', '.join(known)}" if known else "this component takes no parameters"


def other_word(name: str) -> str | None:
    """What ganforge calls what other programs call so."""
    meant = OTHER_WORDS.get(name.lower().replace("-", "_"), ())
    options, keys = [one for one in meant if one.startswith("-")], [one for one in meant if not one.startswith("-")]
    if options:
        return f"use the option {options[0]} of the command"
    return f"the {'keys are' if len(keys) > 1 else 'key is'} {' and '.join(keys)}" if keys else None


def _wrong_choice(choices: str, value: object) -> tuple[str, str | None]:
    choices = choices.replace("'", '"').replace(" or ", ", ").replace("True", "true").replace("False", "false")
    hint = did_you_mean(value, re.findall(r'"([^"]*)"', choices)) if isinstance(value, str) else None
    return f"must be {'one of ' if ',' in choices else ''}{choices}, got {format_value(value)}", hint


def _models_at(model: type[Params], table: object, key: Key) -> tuple[type[Params], ...]:
    """The models that the table at ``key`` may belong to: those whose literal fields, such as ``use``, fit its values."""
    models: tuple[type[Params], ...] = (model,)
    for step in key:
        table = step_into(table, step)
        if isinstance(step, str):
            fields = [model.model_fields[step] for model in models if step in model.model_fields]
            models = tuple(found for field in fields for found in _models_in(field.annotation))
        if isinstance(table, Mapping):
            models = tuple(model for model in models if _fits(model, table)) or models
    return models


def _models_in(annotation: Any) -> tuple[type[Params], ...]:
    if isinstance(annotation, type) and issubclass(annotation, Params):
        return (annotation,)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _models_in(arguments[0])
    if origin in (Union, types.UnionType, tuple, list, dict):
        return tuple(model for argument in arguments for model in _models_in(argument))
    return ()


def _fits(model: type[Params], table: Mapping[str, object]) -> bool:
    literals = {name: field.annotation for name, field in model.model_fields.items() if get_origin(field.annotation) is Literal}
    return all(table[name] in get_args(annotation) for name, annotation in literals.items() if name in table)
