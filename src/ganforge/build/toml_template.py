"""A component as a recipe's table to paste: every parameter with a value, explained above it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from ganforge.build.parts import MANY
from ganforge.core.params import Params
from ganforge.recipe import toml_writer
from ganforge.recipe.validation import validate
from ganforge.registry.component import Component
from ganforge.registry.params_description import Parameter, describe_params, plain

WIDTH = 110
"""Columns of a comment."""


def component_template(component: Component, name: str) -> str:
    """TOML that a recipe can take over as it stands.

    What must be given, and what the defaults alone do not agree about, stands there with the value that the component's own check
    uses, marked as an example. Where the component has none, the line is commented out.

    Args:
        component: what to paste.
        name: how a recipe names it.
    """
    model = component.load_params()
    examples = _examples(model, component.check_params)
    table = component.kind.value
    told = [
        component.summary,
        f"deprecated: {component.deprecated}" if component.deprecated else "",
        f"{component.id}@{component.revision}, {component.plugin.distribution} {component.plugin.version}",
        *component.references,
    ]
    lines = [
        *(line for text in told if text for line in _comment(text)),
        f"[[{table}]]" if component.kind in MANY else f"[{table}]",
        f"use = {toml_writer.value(name)}",
    ]
    parameters = describe_params(model)
    if parameters:
        lines += ["", f"[{table}.params]"]
    for parameter in parameters:
        if parameter.parent is None:
            lines += [*_comment(_explained(parameter)), *_inner(parameter, parameters), _assignment(parameter, examples)]
    return "\n".join(lines)


def _examples(model: type[Params], check_params: Mapping[str, Any]) -> Mapping[str, object]:
    """The fewest of the check's parameters with which the model is content; none where even all of them do not help."""
    needed = {
        name: check_params[name] for name, field in model.model_fields.items() if field.is_required() and name in check_params
    }
    for table in (needed, check_params):
        given = {key: plain(item) for key, item in table.items()}
        if isinstance(validate(model, given), model):
            return given
    return {}


def _explained(parameter: Parameter) -> str:
    kind = ", ".join(part for part in (parameter.type, parameter.range) if part)
    return f"{parameter.description} ({kind})" if parameter.description else kind


def _inner(parameter: Parameter, parameters: Iterable[Parameter]) -> Iterable[str]:
    """What the keys of a nested table mean."""
    for other in parameters:
        if other.parent == parameter.name:
            given = "must be given" if other.required else f"{format_default(other.default)} unless given"
            yield from _comment(f"{other.name}: {_explained(other)}; {given}", indent="  ")
            yield from _inner(other, parameters)


def _assignment(parameter: Parameter, examples: Mapping[str, object]) -> str:
    key = toml_writer.key(parameter.name)
    why = "must be given" if parameter.required else f"{format_default(parameter.default)} unless given"
    if parameter.name in examples:
        return f"{key} = {toml_writer.value(examples[parameter.name])} # {why}; this is an example"
    if parameter.required or not _sayable(parameter.default):
        return f"# {key} = … {why}"
    return f"{key} = {toml_writer.value(parameter.default)}"


def format_default(default: object) -> str:
    """A default in TOML, or in words where TOML has none for it."""
    if default is None:
        return "not set"
    return toml_writer.value(default) if _sayable(default) else str(default)


def _sayable(value: object) -> bool:
    try:
        toml_writer.value(value)
    except ValueError:  # None, or an infinity that only a default may be
        return False
    return True


def _comment(text: str, *, indent: str = "") -> list[str]:
    """Lines of a width to read, without the control characters that TOML forbids."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    lines = textwrap.wrap(" ".join(printable.split()), WIDTH, break_long_words=False, break_on_hyphens=False)
    return [f"# {indent}{line}" for line in lines]
