"""``ganforge list`` and ``ganforge describe``: installed components and their parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from ganforge.cli import console, installed, options

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ganforge.registry.component import Component
    from ganforge.registry.params_description import Parameter
    from ganforge.registry.registry import Registry


def list_components(
    kind: Annotated[str | None, typer.Argument(help="Only this kind: generators, discriminators, losses, …")] = None,
    *,
    tag: Annotated[list[str] | None, typer.Option("--tag", help="Only those with this tag. Repeatable.")] = None,
    as_json: options.Json = False,
) -> None:
    """List the installed components: generators, losses, data sets and so on."""
    wanted = installed.kind_named(kind) if kind else None
    registry = installed.registry()
    components = [component for component in registry.components(wanted) if set(tag or ()) <= component.tags]

    if as_json:
        console.json_out({"schema": 1, "components": [component_facts(component, registry) for component in components]})
        return
    if not components:
        console.note("no installed component matches")
        return
    console.table(
        ("Kind", "Name", "What it is", "From"),
        [(one.kind, registry.name_of(one), _summary(one), f"{one.plugin.distribution} {one.plugin.version}") for one in components],
    )


def describe(
    kind: Annotated[str, typer.Argument(help="generator, discriminator, loss, sampler, dataset or metric.")],
    name: Annotated[str, typer.Argument(help="Name of the component, as in a recipe.")],
    *,
    toml: Annotated[bool, typer.Option("--toml", help="Print a table to paste into a recipe.")] = False,
    as_json: options.Json = False,
) -> None:
    """Show one component: its parameters, requirements and source."""
    from ganforge.core.errors import UsageError
    from ganforge.recipe.toml_writer import component_template
    from ganforge.registry.params_description import describe_params

    if toml and as_json:
        raise UsageError("--toml and --json cannot be combined", remedy="use one of them")
    wanted = installed.kind_named(kind)
    registry = installed.registry()
    component = registry.find(wanted, name, usable=False)
    parameters = describe_params(component.load_params())

    if as_json:
        console.json_out(
            {**component_facts(component, registry), "schema": 1, "parameters": [parameter_facts(one) for one in parameters]}
        )
    elif toml:
        console.say(component_template(component, registry.name_of(component)))
    else:
        _show(component, registry, parameters)


def _show(component: Component, registry: Registry, parameters: tuple[Parameter, ...]) -> None:

    plugin = component.plugin
    console.say(f"{component.kind} {component.name}@{component.revision}", style="bold")
    console.say(f"  {component.summary}")
    if component.deprecated:
        console.say(f"  deprecated: {component.deprecated}", style="yellow")
    if component.missing:
        console.say(f"  unavailable: needs {', '.join(component.missing)}", style="yellow")

    console.say()
    facts = {
        "id": f"{component.id}@{component.revision}",
        "from": f"{plugin.distribution} {plugin.version} ({_source(component, registry)}; {component.source() or 'no file'})",
        "requires": ", ".join(component.requires),
        "provides": ", ".join(component.provides),
        "needs": ", ".join(component.needs),
        "tags": ", ".join(sorted(component.tags)),
        "cost": component.cost,
    }
    for name, text in facts.items():
        if text:
            console.say(f"  {name:<9} {text}")
    for reference in component.references:
        console.say(f"  {'paper':<9} {reference}")

    console.say()
    if not parameters:
        console.say("  No parameters.")
    else:
        parameter_table(parameters)


def parameter_table(parameters: Iterable[Parameter]) -> None:
    """Print parameters with types, defaults, ranges and descriptions."""
    console.table(
        ("Parameter", "Type", "Default", "Range", "Meaning"),
        [(one.name, one.type, _default_text(one), one.range, " ".join(one.description.split())) for one in parameters],
    )


def _source(component: Component, registry: Registry) -> str:
    """How its distribution was installed, such as from an index or editable."""
    plugin = component.plugin
    records = (one for one in registry.plugins if (one.name, one.distribution) == (plugin.name, plugin.distribution))
    return next((record.source for record in records), "unknown")


def _default_text(parameter: Parameter) -> str | None:
    from ganforge.recipe.toml_writer import format_default

    if parameter.required:
        return "required"
    return None if parameter.default is None else format_default(parameter.default)


def _summary(component: Component) -> str:
    if component.missing:
        return f"{component.summary} (unavailable: needs {', '.join(component.missing)})"
    return f"{component.summary} (deprecated: {component.deprecated})" if component.deprecated else component.summary


def component_facts(component: Component, registry: Registry) -> dict[str, object]:
    """A component as JSON-able data, without parameters."""
    return {
        "kind": component.kind,
        "name": component.name,
        "use": registry.name_of(component),
        "id": component.id,
        "revision": component.revision,
        "summary": component.summary,
        "distribution": component.plugin.distribution,
        "version": component.plugin.version,
        "source": _source(component, registry),
        "file": component.source(),
        "requires": component.requires,
        "provides": component.provides,
        "needs": component.needs,
        "missing": component.missing,
        "tags": component.tags,
        "references": component.references,
        "deprecated": component.deprecated,
        "cost": component.cost,
    }


def parameter_facts(parameter: Parameter) -> dict[str, object]:
    """A parameter as JSON-able data."""
    return {
        "name": parameter.name,
        "type": parameter.type,
        "default": parameter.default,
        "required": parameter.required,
        "range": parameter.range,
        "description": parameter.description,
    }
