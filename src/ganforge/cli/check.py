"""``ganforge check`` and ``ganforge explain``: validate a recipe without training, and show where its values come from."""

from __future__ import annotations

import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ganforge.cli import console, options
from ganforge.cli.components import load_registry
from ganforge.core import formatting
from ganforge.core.errors import GanforgeError, Problem, RecipeError

if TYPE_CHECKING:
    from ganforge.build.blueprint import Blueprint
    from ganforge.build.compatibility import KnownSpecs
    from ganforge.core.specs import LatentSpec
    from ganforge.recipe.reader import ExplainedValue, RecipeSource
    from ganforge.train.trainer import Trainer


def check(
    recipe: options.Recipe,
    *,
    overrides: options.Overrides = None,
    shapes: Annotated[bool, typer.Option("--shapes", help="Also build the parts and do a dry run; takes a few seconds.")] = False,
    data: Annotated[bool, typer.Option(help="Read the data set, if it consists of files.")] = True,
    as_json: options.Json = False,
) -> None:
    """Check a recipe without training.

    Checks its keys, components and parameters, whether the components are compatible, and data that are files.
    """
    from ganforge.build.blueprint import resolve_recipe
    from ganforge.recipe.reader import read_recipe
    from ganforge.tracking.tracking_store import resolve_store

    try:
        source = read_recipe(recipe, overrides or ())
        blueprint = resolve_recipe(source, load_registry())
        store = resolve_store()
        if blueprint.recipe.tracking.mode != "off":
            store.check()
        trainer, shape_warnings = _build(source, blueprint) if shapes else (None, [])
        read = _read_data(source, blueprint) if data and not shapes and _has_files(blueprint) else None
    except GanforgeError as error:
        if as_json:
            console.print_json({"recipe": recipe, "ok": False, "problems": _problems(error)})
        raise

    networks = trainer.networks if trainer else {}
    sizes = {name: sum(weight.numel() for weight in network.parameters()) for name, network in networks.items()}
    if as_json:
        built = {"parameters": sizes, "shape_warnings": shape_warnings} if trainer else {}
        console.print_json({"recipe": recipe, "ok": True, "problems": [], **_recipe_facts(blueprint), **built})
        return
    for warning in (*blueprint.warnings, *shape_warnings):
        console.warning(str(warning))
    console.print_line(blueprint.recipe.title or recipe.stem, style="bold")
    console.table(
        ("Table", "Component", "Version"),
        [(part.key, part.identity, part.component.plugin.version) for part in blueprint.parts],
        optional=(2,),
    )
    specs = read or blueprint.specs
    values, latent = (trainer.evaluator.data, trainer.sampler.spec) if trainer else (specs.data, specs.latent)
    if values:
        console.print_line(f"data: {formatting.data(values)}")
    if latent:
        console.print_line(f"latent: {_latent_text(latent)}")
    for name, number in sizes.items():
        console.print_line(f"{name}: {number:,} parameters")
    how = "built and dry-run" if trainer else "compatible as far as can be checked before building"
    how = "compatible; the data were read and the networks built" if read else how
    console.success(f"{recipe} is valid: {len(blueprint.parts)} components, {how}")


def explain(
    recipe: options.Recipe,
    key: Annotated[
        str | None,
        typer.Argument(
            metavar="KEY", help="Only this key and the keys below it, such as train.seed or generator.params.", show_default=False
        ),
    ] = None,
    *,
    overrides: options.Overrides = None,
    as_json: options.Json = False,
) -> None:
    """Show every value that a run would use and its origin.

    The origin is a file and line, --set, or a default.
    """
    from ganforge.build.blueprint import resolve_recipe
    from ganforge.recipe.reader import explain_values, read_recipe, select_values

    blueprint = resolve_recipe(read_recipe(recipe, overrides or ()), load_registry())
    owners = {part.key: (part.identity, part.params) for part in blueprint.parts}
    values = explain_values(blueprint.source, blueprint.resolved, owners)
    if key is not None:
        values = select_values(values, key)

    if as_json:
        console.print_json({"recipe": recipe, "values": [_value_facts(value) for value in values]})
    elif len(values) > 1:
        console.table(("Key", "Value", "Origin"), [(*_short_key_and_value(value), value.origin) for value in values])
    else:
        name, text = _key_and_value(values[0])
        console.print_line(f"{name} = {text or '… not set'}", style="bold")
        for line in filter(None, (values[0].origin, values[0].description)):
            console.print_line(f"  {line}")


def _build(source: RecipeSource, blueprint: Blueprint) -> tuple[Trainer, list[str]]:
    """Build the parts and do a dry run; also return its warnings."""
    from ganforge.session.run_plan import RunPlan, assemble
    from ganforge.terminal.log_handler import show_messages

    warnings: list[str] = []
    with show_messages(console.note, warnings.append):
        return assemble(RunPlan(source, blueprint), "cpu"), warnings


def _has_files(blueprint: Blueprint) -> bool:
    """Whether files decide if the data set can be built: prepared ones, ones that its params name, or unknown ones of a plugin."""
    part = blueprint.dataset
    return (
        blueprint.specs.data is None
        or bool(part.component.load_checksums())
        or any(isinstance(one, Path) for _, one in part.params)
    )


def _read_data(source: RecipeSource, blueprint: Blueprint) -> KnownSpecs:
    """Read the data, and build sampler and networks, with the same checks as a run; the sizes of data and latents."""
    from ganforge.build.builder import build_network, build_sampler, choose_device, load_data
    from ganforge.build.compatibility import KnownSpecs
    from ganforge.core.contracts import BuildContext, StreamingDataset
    from ganforge.session.run_plan import RunPlan, component_folders

    device = choose_device("cpu")
    dataset, _, data = load_data(blueprint, device=device, folders=component_folders(RunPlan(source, blueprint)))
    latent = build_sampler(blueprint.sampler, data).spec
    for part in blueprint.networks.values():
        build_network(part, blueprint.spec, BuildContext(data, latent), seed=0)
    if isinstance(dataset, StreamingDataset):
        console.note("the data are streamed: only what a run reads before training was read")
    return KnownSpecs(data, latent)


def _recipe_facts(blueprint: Blueprint) -> dict[str, object]:
    from ganforge.build.lock import make_lock

    lock = make_lock(blueprint).to_plain()
    return {
        "title": blueprint.recipe.title,
        "iterations": blueprint.recipe.train.iterations,
        "fingerprint": lock["fingerprint"],
        "components": lock["components"],
        "warnings": [asdict(problem) for problem in blueprint.warnings],
    }


def _problems(error: GanforgeError) -> list[dict[str, object]]:
    problems = error.problems if isinstance(error, RecipeError) else (Problem("", error.message, hint=error.remedy),)
    return [asdict(problem) for problem in problems]


def _latent_text(latent: LatentSpec) -> str:
    parts = [f"{latent.noise}-dimensional noise"]
    parts += [f"labels of {latent.classes} classes"] if latent.classes else []
    parts += [f"categorical codes of {', '.join(map(str, latent.categorical))} values"] if latent.categorical else []
    parts += [formatting.plural(latent.continuous, "continuous code")] if latent.continuous else []
    return ", ".join(parts)


def _key_and_value(value: ExplainedValue) -> tuple[str, str | None]:
    from ganforge.recipe.toml_file import format_key
    from ganforge.recipe.toml_writer import format_default

    return format_key(value.key), None if value.value is None else format_default(value.value)


def _short_key_and_value(value: ExplainedValue) -> tuple[str, str | None]:
    """In a table, a text of several lines is shown by its first words."""
    key, text = _key_and_value(value)
    return key, f'"{textwrap.shorten(value.value, 48, placeholder=" …")}"' if text and text.startswith('"""') else text


def _value_facts(value: ExplainedValue) -> dict[str, object]:
    place = value.place
    return {
        "key": _key_and_value(value)[0],
        "file": place and place.file,
        "line": place and place.line,
        **console.attributes(value, "value", "origin", "default_of", "description"),
    }
