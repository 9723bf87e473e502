"""``ganforge check`` and ``ganforge explain``: validate a recipe without training, and show where its values come from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from ganforge.cli import console, options
from ganforge.cli.components import load_registry

if TYPE_CHECKING:
    from ganforge.build.blueprint import Blueprint
    from ganforge.core.errors import GanforgeError
    from ganforge.core.specs import DataSpec, LatentSpec
    from ganforge.recipe.reader import ExplainedValue, RecipeSource


def check(
    recipe: options.Recipe,
    *,
    overrides: options.Overrides = None,
    shapes: Annotated[bool, typer.Option("--shapes", help="Also build the parts and do a dry run; takes a few seconds.")] = False,
    as_json: options.Json = False,
) -> None:
    """Check a recipe without training: its keys, components and parameters, and whether the components are compatible."""
    from ganforge.build.blueprint import resolve_recipe
    from ganforge.core.errors import GanforgeError
    from ganforge.recipe.reader import read_recipe

    try:
        source = read_recipe(recipe, overrides or ())
        blueprint = resolve_recipe(source, load_registry())
        built = _build(source, blueprint) if shapes else None
    except GanforgeError as error:
        if as_json:
            console.print_json({"recipe": recipe, "ok": False, "problems": _problems(error)})
        raise

    if as_json:
        console.print_json({"recipe": recipe, "ok": True, "problems": [], **_recipe_facts(blueprint, built)})
        return
    for problem in blueprint.warnings:
        console.warning(str(problem))
    for text in built.warnings if built else ():
        console.warning(text)
    console.print_line(blueprint.recipe.title or recipe.stem, style="bold")
    console.table(
        ("Table", "Component", "Version"),
        [(part.key, part.identity, part.component.plugin.version) for part in blueprint.parts],
    )
    facts = built or blueprint.specs
    for line in _sizes(facts.data, facts.latent):
        console.print_line(line)
    for name, number in (built.parameters if built else {}).items():
        console.print_line(f"{name}: {number:,} parameters")
    how = "built and dry-run" if built else "compatible as far as can be checked before building"
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
    """Show every value that a run would use and its origin: file and line, --set, or a default."""
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
        console.table(("Key", "Value", "Origin"), [(*_key_and_value(value), value.origin) for value in values])
    else:
        name, text = _key_and_value(values[0])
        console.print_line(f"{name} = {text or '… not set'}", style="bold")
        for line in filter(None, (values[0].origin, values[0].description)):
            console.print_line(f"  {line}")


@dataclass(frozen=True)
class _Built:
    """Facts about a recipe that are known once its parts are built."""

    data: DataSpec
    latent: LatentSpec
    parameters: dict[str, int]
    warnings: list[str]


def _build(source: RecipeSource, blueprint: Blueprint) -> _Built:
    from ganforge.session.run_plan import RunPlan, assemble
    from ganforge.terminal import show_messages

    warnings: list[str] = []
    with show_messages(console.note, warnings.append):
        trainer = assemble(RunPlan(source, blueprint), "cpu")
    sizes = {name: sum(weight.numel() for weight in network.parameters()) for name, network in trainer.networks.items()}
    return _Built(trainer.evaluator.data, trainer.sampler.spec, sizes, warnings)


def _recipe_facts(blueprint: Blueprint, built: _Built | None) -> dict[str, object]:
    from ganforge.build.lock import make_lock

    lock = make_lock(blueprint).to_plain()
    return {
        "title": blueprint.recipe.title,
        "iterations": blueprint.recipe.train.iterations,
        "fingerprint": lock["fingerprint"],
        "components": lock["components"],
        "warnings": [asdict(problem) for problem in blueprint.warnings],
        **({"parameters": built.parameters, "shape_warnings": built.warnings} if built else {}),
    }


def _problems(error: GanforgeError) -> list[dict[str, object]]:
    from ganforge.core.errors import Problem, RecipeError

    problems = error.problems if isinstance(error, RecipeError) else (Problem("", error.message, hint=error.remedy),)
    return [asdict(problem) for problem in problems]


def _sizes(data: DataSpec | None, latent: LatentSpec | None) -> list[str]:
    """The sizes of data and latents, one line each."""
    lines = []
    if data:
        size = "×".join(map(str, data.shape))
        kind = f"{size} images" if data.is_image else f"{size}-dimensional points"
        lines.append(f"data: {kind}" + (f", {data.classes} classes" if data.classes else ""))
    if latent:
        parts = [f"{latent.noise}-dimensional noise"]
        parts += [f"labels of {latent.classes} classes"] if latent.classes else []
        parts += [f"categorical codes of {', '.join(map(str, latent.categorical))} values"] if latent.categorical else []
        parts += [console.count(latent.continuous, "continuous code")] if latent.continuous else []
        lines.append(f"latent: {', '.join(parts)}")
    return lines


def _key_and_value(value: ExplainedValue) -> tuple[str, str | None]:
    from ganforge.recipe.toml_file import format_key
    from ganforge.recipe.toml_writer import format_default

    return format_key(value.key), None if value.value is None else format_default(value.value)


def _value_facts(value: ExplainedValue) -> dict[str, object]:
    place = value.place
    return {
        "key": _key_and_value(value)[0],
        "file": place and place.file,
        "line": place and place.line,
        **console.attributes(value, "value", "origin", "default_of", "description"),
    }
