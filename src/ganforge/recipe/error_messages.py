"""pydantic's errors in the words of someone who writes a recipe."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic_core import ErrorDetails

from ganforge.core.errors import did_you_mean
from ganforge.core.params import Params
from ganforge.recipe.dotted_keys import Key, format_key

_EXPECTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text in quotes",
    "path_type": "a path in quotes",
    "tuple_type": "a list",
    "list_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "dataclass_type": "a table",
    "date_type": "a date in quotes",
    "none_required": "left out",
}
"""What each of pydantic's type errors would have taken."""

_BOUNDS: dict[str, tuple[str, str]] = {
    "greater_than": ("must be above", "gt"),
    "greater_than_equal": ("must be at least", "ge"),
    "less_than": ("must be below", "lt"),
    "less_than_equal": ("must be at most", "le"),
    "multiple_of": ("must be a multiple of", "multiple_of"),
}
_TABLES = {
    "train": "[train] with iterations = 10_000",
    "dataset": '[dataset] with use = "moons"',
    "sampler": '[sampler] with use = "normal"',
    "generator": '[generator] with use = "mlp"',
    "discriminator": '[discriminator] with use = "mlp"',
    "loss": '[[loss]] with use = "non-saturating"',
}
"""The tables that every recipe has, and a beginning for each."""

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")


def is_type(details: ErrorDetails) -> bool:
    """Whether the error says that the value is of another type altogether."""
    return details["type"] in _EXPECTED


def either(errors: Iterable[ErrorDetails]) -> ErrorDetails:
    """One error for a value that fits no branch of a union."""
    errors = list(errors)
    expected = list(dict.fromkeys(_expected(error) for error in errors))
    return {"type": "either", "loc": (), "msg": " or ".join(expected), "input": errors[0]["input"]}


def _expected(error: ErrorDetails) -> str:
    return "a schedule table" if error.get("ctx", {}).get("class_name") == "Schedule" else _EXPECTED[error["type"]]


def worded(details: ErrorDetails, key: Key, parents: tuple[type[Params], ...]) -> tuple[str, str | None]:
    """Message and hint for an error at ``key``; ``parents`` are the models that its table may be meant for."""
    kind, value = details["type"], details["input"]
    context: Mapping[str, Any] = details.get("ctx", {})
    if kind in _EXPECTED or kind == "either":
        return _wrong_type(_expected(details) if kind in _EXPECTED else details["msg"], key, value)
    if kind in _BOUNDS:
        words, bound = _BOUNDS[kind]
        return f"{words} {_plain(context[bound])}, got {shown(value)}", None
    if worder := _WORDERS.get(kind):
        return worder(key, value, context, parents)
    text = str(context["error"]) if kind == "value_error" and "error" in context else details["msg"]
    return text[:1].lower() + text[1:] if kind != "value_error" else text, None


def shown(value: object) -> str:
    """A value as a message may show it: short, on one line, without control characters."""
    if isinstance(value, Mapping):
        return "a table"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value if not isinstance(value, str) or len(value) <= 60 else value[:59] + "…")


def near(name: str, known: Iterable[str]) -> str | None:
    """:func:`~ganforge.core.errors.did_you_mean`, for names of sane length."""
    return did_you_mean(name, known) if len(name) <= 100 else None


def _wrong_type(expected: str, key: Key, value: object) -> tuple[str, str | None]:
    if len(key) == 1 and key[0] in ("loss", "metric", "expect") and isinstance(value, Mapping):
        return f"is one table; a recipe holds a list of them: write [[{key[0]}]]", None
    hint = None
    if isinstance(value, str) and "number" in expected and _NUMBER.fullmatch(value):
        hint = "drop the quotes"
    if isinstance(value, str) and value.lower() in ("true", "false") and expected == "true or false":
        hint = "drop the quotes"
    if isinstance(value, float) and value.is_integer() and expected == "a whole number" and abs(value) < 1e15:
        hint = f"write {value:.0f}"
    if isinstance(value, int | float) and expected == "a list":
        hint = f"write [{shown(value)}]"
    return f"must be {expected}, got {shown(value)}", hint


def _missing(key: Key, _value: object, _context: Mapping[str, Any], _parents: object) -> tuple[str, str | None]:
    name = key[-1]
    if len(key) == 1 and name in _TABLES:
        header = _TABLES[name].partition(" ")[0]
        return f"the recipe has no {header} table", f"add {_TABLES[name]}"
    if isinstance(name, int):
        return f"the list is too short: element {name} is missing", None
    return "is missing", f"add {name} = …" + (f" to {format_key(key[:-1])}" if key[:-1] else "")


def _unknown(key: Key, _value: object, _context: Mapping[str, Any], parents: tuple[type[Params], ...]) -> tuple[str, str | None]:
    known = sorted({name for parent in parents for name in parent.model_fields})
    hint = near(str(key[-1]), known)
    if hint is None and "params" in known:
        hint = "a component's own parameters go into its params table"
    if hint is None:
        hint = f"known here: {', '.join(known)}" if known else "this component takes no parameters"
    return "unknown key", hint


def _literal(_key: Key, value: object, context: Mapping[str, Any], _parents: object) -> tuple[str, str | None]:
    expected = str(context["expected"]).replace("'", '"').replace(" or ", ", ").replace("True", "true").replace("False", "false")
    hint = near(value, re.findall(r'"([^"]*)"', expected)) if isinstance(value, str) else None
    one_of = "one of " if "," in expected else ""
    return f"must be {one_of}{expected}, got {shown(value)}", hint


def _optimizer(_key: Key, value: object, _context: object, _parents: object) -> tuple[str, str | None]:
    names = ("adam", "adamw", "sgd", "rmsprop")
    use = value.get("use") if isinstance(value, Mapping) else None
    if not isinstance(value, Mapping):
        return f"must be a table, got {shown(value)}", 'such as optimizer = { use = "adam", lr = 1e-3 }'
    hint = near(use, names) if isinstance(use, str) else None
    return f"no optimizer named {shown(use)}", hint or f"known: {', '.join(names)}"


def _too_short(key: Key, _value: object, context: Mapping[str, Any], _parents: object) -> tuple[str, str | None]:
    if key == ("loss",):
        return "the recipe has no [[loss]] table", f"add {_TABLES['loss']}"
    least = context.get("min_length", 1)
    return f"needs at least {least} element{'s' * (least != 1)}, got {context.get('actual_length', 0)}", None


def _too_long(_key: Key, _value: object, context: Mapping[str, Any], _parents: object) -> tuple[str, str | None]:
    most = context.get("max_length")
    return f"takes at most {most} element{'s' * (most != 1)}, got {context.get('actual_length', 'more')}", None


def _short_text(_key: Key, _value: object, context: Mapping[str, Any], _parents: object) -> tuple[str, str | None]:
    least = context["min_length"]
    return "must not be empty" if least == 1 else f"must have at least {least} characters", None


def _long_text(_key: Key, value: object, context: Mapping[str, Any], _parents: object) -> tuple[str, str | None]:
    return f"must have at most {context['max_length']} characters, has {len(str(value))}", None


def _pattern(key: Key, value: object, context: Mapping[str, Any], _parents: object) -> tuple[str, str | None]:
    if key[-1:] == ("name",):
        return f"may hold letters, digits, spaces and - _ . only, got {shown(value)}", None
    return f"does not match the pattern {context['pattern']}, got {shown(value)}", None


def _not_finite(_key: Key, _value: object, _context: object, _parents: object) -> tuple[str, str | None]:
    return "must be a finite number", None


def _plain(number: object) -> str:
    return f"{number:g}" if isinstance(number, float) else str(number)


_Worder = Callable[[Key, Any, Mapping[str, Any], tuple[type[Params], ...]], tuple[str, str | None]]
_WORDERS: dict[str, _Worder] = {
    "missing": _missing,
    "extra_forbidden": _unknown,
    "literal_error": _literal,
    "enum": _literal,
    "unknown_optimizer": _optimizer,
    "too_short": _too_short,
    "too_long": _too_long,
    "string_too_short": _short_text,
    "string_too_long": _long_text,
    "string_pattern_mismatch": _pattern,
    "finite_number": _not_finite,
}
