"""``ganforge list``, ``describe`` and ``schema``: installed components, their parameters, and the JSON Schema of recipes."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ganforge.cli import console, options
from ganforge.core.errors import PluginError, UsageError, unknown_name
from ganforge.terminal import palette

if TYPE_CHECKING:
    from ganforge.registry.component import Component, Kind
    from ganforge.registry.params_description import ParamInfo
    from ganforge.registry.registry import Registry


def list_components(
    kind: Annotated[
        str | None, typer.Argument(metavar="KIND", help="Only this kind: generators, discriminators, losses, …")
    ] = None,
    *,
    tag: Annotated[list[str] | None, typer.Option("--tag", help="Only those with this tag. Repeatable.")] = None,
    as_json: options.Json = False,
) -> None:
    """List the installed generators, losses, data sets and so on."""
    wanted = kind_named(kind) if kind else None
    registry = load_registry()
    components = [component for component in registry.components(wanted) if set(tag or ()) <= component.tags]

    if as_json:
        console.print_json({"components": [component_facts(component, registry) for component in components]})
    elif components:
        console.table(
            ("Kind", "Name", "What it is", "From"),
            [
                (one.kind, registry.name_of(one), _summary(one), f"{one.plugin.distribution} {one.plugin.version}")
                for one in components
            ],
            optional=(3,),
        )
    else:
        console.note("no installed component matches")


def describe(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="generator, discriminator, loss, sampler, dataset or metric.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the component, as in a recipe.")],
    *,
    toml: Annotated[bool, typer.Option("--toml", help="Print a table to paste into a recipe.")] = False,
    as_json: options.Json = False,
) -> None:
    """Show one component: its parameters, requirements and source."""
    from ganforge.recipe.toml_writer import component_template

    if toml and as_json:
        raise UsageError("--toml and --json cannot be combined", remedy="use one of them")
    wanted = kind_named(kind, name)
    registry = load_registry()
    component = registry.find(wanted, name, usable=False)
    component.load_params()  # raises if they cannot be loaded

    if as_json:
        console.print_json({**component_facts(component, registry), "parameters": load_parameters(component)[0]})
    elif toml:
        console.print_whole(component_template(component, registry.name_of(component)))
    else:
        show_component(component, registry)


def schema(
    recipes: Annotated[
        list[Path] | None,
        typer.Argument(metavar="RECIPE", help="Recipes that get a #:schema line at the top, for taplo and tombi."),
    ] = None,
    *,
    out: Annotated[
        Path | None,
        typer.Option(help="Output file. Default: .ganforge/recipe.schema.json if something refers to it, else stdout."),
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Only check that this schema is up to date; if not, exit with 1 and print the command to run."
        ),
    ] = None,
) -> None:
    """Write the JSON Schema of recipes for TOML editors.

    It covers every table, key, component and parameter with its type and range; 'ganforge check' checks more. Write it again after
    you install, update or remove plugins.
    """
    from ganforge.recipe import json_schema
    from ganforge.recipe.toml_file import load_toml
    from ganforge.storage import atomic_files

    if check is not None:
        if out or recipes:
            raise UsageError("--check writes nothing", remedy="use it without other options")
        _check_schema(check)
        return
    if out is not None and out.is_dir():
        raise UsageError(f"--out {out} is a folder", remedy=f"name a file, such as --out {out / json_schema.DEFAULT_SCHEMA.name}")
    made, complaints = json_schema.build_schema(load_registry())
    for complaint in complaints:
        console.warning(complaint)
    if out is None and not recipes:
        sys.stdout.write(json.dumps(made, indent=1) + "\n")  # ASCII: not every locale can encode λ
        return

    out = out or json_schema.DEFAULT_SCHEMA
    for recipe in recipes or ():
        load_toml(recipe)  # reject an invalid file before anything is written
    atomic_files.write_text(out, json.dumps(made, indent=1, ensure_ascii=False) + "\n")
    console.print_line(f"wrote {out}")
    for recipe in recipes or ():
        changed = json_schema.write_schema_directive(recipe, out)
        console.print_line(f"{recipe}: {'#:schema line added' if changed else 'already has its #:schema line'}")


def _check_schema(schema: Path) -> None:
    from ganforge.recipe.json_schema import outdated_reason, update_command

    if behind := outdated_reason(schema, load_registry()):
        console.print_line(f"{schema} {behind}")
        console.print_whole(f"  {update_command(schema)}")
        raise typer.Exit(1)
    console.success(f"{schema} is up to date")


def load_registry(*, warn: bool = True) -> Registry:
    """Load the installed plugins; print one warning line about those that fail."""
    from ganforge.registry.plugin_loader import load_plugins

    registry = load_plugins()
    if warn and registry.warning:
        console.warning(registry.warning)
    return registry


def kind_named(text: str, name: str = "") -> Kind:
    """Find a kind by its singular or plural name, such as ``loss`` or ``losses``; ``name`` is a component's, given after it.

    Raises:
        UsageError: no such kind.
    """
    from ganforge.registry.component import Kind

    names = {name: kind for kind in Kind for name in (kind.value, kind.plural)}
    if text.lower() not in names:
        listed = f"kinds: {', '.join(kind.plural for kind in Kind)}"
        if name.lower() in names:
            listed = f"the kind comes first: `ganforge describe {shlex.join([name, text])}`"
        raise unknown_name(f"no component kind is named '{text}'", text, names, listed)
    return names[text.lower()]


def show_component(component: Component, registry: Registry) -> None:
    """Print everything known about a component."""
    console.print_line(f"{component.kind} {component.name}@{component.revision}", style="bold")
    console.print_line(f"  {component.summary}")
    for problem, text in (("deprecated: ", component.deprecated), ("unavailable: needs ", ", ".join(component.missing))):
        if text:
            console.print_line(f"  {problem}{text}", style=palette.WARNING)
    plugin = component.plugin
    console.print_line()
    facts = {
        "use": registry.name_of(component),
        "id": f"{component.id}@{component.revision}",
        "from": f"{plugin.distribution} {plugin.version} ({plugin.source}; {component.source() or 'no file'})",
        **{name: ", ".join(getattr(component, name)) for name in ("requires", "provides", "needs")},
        "tags": ", ".join(sorted(component.tags)),
        "cost": component.cost,
    }
    console.print_facts(facts, 9)
    for reference in component.references:
        console.print_facts({"paper": reference}, 9)
    parameters, problem = load_parameters(component)
    console.print_line()
    if parameters:
        console.table(
            ("Parameter", "Type", "Default", "Range", "Meaning"),
            [(one.name, one.type, _default_text(one), one.range, " ".join(one.description.split())) for one in parameters],
        )
    else:
        console.print_line(f"  params    {problem}" if problem else "  No parameters.")


def load_parameters(component: Component) -> tuple[tuple[ParamInfo, ...] | None, str]:
    """The parameters; ``None`` and the reason if they cannot be loaded."""
    from ganforge.registry.params_description import describe_params

    try:
        return describe_params(component.load_params()), ""
    except PluginError as error:
        return None, error.message


def component_facts(component: Component, registry: Registry) -> dict[str, object]:
    """A component as JSON-able data, without parameters."""
    return {
        **console.attributes(component, "kind", "name"),
        "use": registry.name_of(component),
        **console.attributes(component, "id", "revision", "summary"),
        **console.attributes(component.plugin, "distribution", "version", "source"),
        "file": component.source(),
        **console.attributes(component, "requires", "provides", "needs", "missing", "references", "deprecated", "cost"),
        "tags": sorted(component.tags),
    }


def _default_text(parameter: ParamInfo) -> str | None:
    from ganforge.recipe.toml_writer import format_default

    if parameter.required:
        return "required"
    return None if parameter.default is None else format_default(parameter.default)


def _summary(component: Component) -> str:
    if component.missing:
        return f"{component.summary} (unavailable: needs {', '.join(component.missing)})"
    return f"{component.summary} (deprecated: {component.deprecated})" if component.deprecated else component.summary
