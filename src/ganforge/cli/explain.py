"""``ganforge explain``: show where each value of a recipe comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ganforge.cli import console, installed, options

if TYPE_CHECKING:
    from ganforge.recipe.reader import ExplainedValue


def explain(
    recipe: options.Recipe,
    key: Annotated[
        str | None,
        typer.Argument(help="Only this key and the keys below it, such as train.seed or generator.params.", show_default=False),
    ] = None,
    *,
    overrides: options.Overrides = None,
    as_json: options.Json = False,
) -> None:
    """Show every value that a run would use and its origin: file and line, --set, or a default."""
    from ganforge.build.blueprint import resolve_recipe
    from ganforge.recipe.reader import explain_values, read_recipe, select_values

    blueprint = resolve_recipe(read_recipe(recipe, overrides or ()), installed.registry())
    owners = {part.key: (part.identity, part.params) for part in blueprint.parts}
    values = explain_values(blueprint.source, blueprint.resolved, owners)
    if key is not None:
        values = select_values(values, key)

    if as_json:
        console.json_out({"schema": 1, "recipe": recipe, "values": [_facts(value) for value in values]})
    elif len(values) == 1:
        _show(values[0])
    else:
        console.table(("Key", "Value", "Origin"), [(_key(value), _value(value), value.origin) for value in values])


def _show(value: ExplainedValue) -> None:

    console.say(f"{_key(value)} = {_value(value) or '… not set'}", style="bold")
    console.say(f"  {value.origin}")
    if value.description:
        console.say(f"  {value.description}")


def _key(value: ExplainedValue) -> str:
    from ganforge.recipe.toml_file import format_key

    return format_key(value.key)


def _value(value: ExplainedValue) -> str | None:
    from ganforge.recipe.toml_writer import format_default

    return None if value.value is None else format_default(value.value)


def _facts(value: ExplainedValue) -> dict[str, object]:
    return {
        "key": _key(value),
        "value": value.value,
        "origin": value.origin,
        "file": value.place and value.place.file,
        "line": value.place and value.place.line,
        "default_of": value.default_of,
        "description": value.description,
    }
