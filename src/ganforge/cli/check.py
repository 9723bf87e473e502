"""``ganforge check``: validate a recipe without training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from ganforge.cli import console, installed, options

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ganforge.build.blueprint import Blueprint
    from ganforge.core.errors import GanforgeError, Problem
    from ganforge.core.specs import DataSpec, LatentSpec
    from ganforge.recipe.reader import RecipeSource


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
        blueprint = resolve_recipe(source, installed.registry())
        built = _built(source, blueprint) if shapes else None
    except GanforgeError as error:
        if as_json:
            console.json_out({"schema": 1, "recipe": recipe, "ok": False, "problems": _complaints(error)})
        raise

    if as_json:
        console.json_out({"schema": 1, "recipe": recipe, "ok": True, "problems": [], **_facts(blueprint, built)})
        return
    for problem in blueprint.warnings:
        console.warning(str(problem))
    for text in built.warnings if built else ():
        console.warning(text)
    console.say(blueprint.recipe.title or recipe.stem, style="bold")
    console.table(
        ("Table", "Component", "Version"),
        [(part.key, f"{part.component.id}@{part.component.revision}", part.component.plugin.version) for part in blueprint.parts],
    )
    facts = blueprint.specs
    for line in _sizes(built.data if built else facts.data, built.latent if built else facts.latent):
        console.say(line)
    for name, count in (built.parameters if built else {}).items():
        console.say(f"{name}: {count:,} parameters")
    how = "built and dry-run" if built else "compatible as far as can be checked before building"
    console.success(f"{recipe} is valid: {len(blueprint.parts)} components, {how}")


@dataclass(frozen=True)
class Built:
    """Facts about a recipe that are known once its parts are built."""

    data: DataSpec
    latent: LatentSpec
    parameters: dict[str, int]
    warnings: list[str]


def _built(source: RecipeSource, blueprint: Blueprint) -> Built:
    from ganforge.session.run_plan import RunPlan, assemble
    from ganforge.terminal.log_handler import show_messages

    warnings: list[str] = []
    with show_messages(console.note, warnings.append):
        trainer = assemble(RunPlan(source, blueprint), "cpu")
    sizes = {name: sum(weight.numel() for weight in network.parameters()) for name, network in trainer.networks.items()}
    return Built(trainer.evaluator.data, trainer.sampler.spec, sizes, warnings)


def _facts(blueprint: Blueprint, built: Built | None) -> dict[str, object]:
    from ganforge.build.lock import make_lock

    lock = make_lock(blueprint).to_plain()
    facts: dict[str, object] = {
        "title": blueprint.recipe.title,
        "iterations": blueprint.recipe.train.iterations,
        "fingerprint": lock["fingerprint"],
        "components": lock["components"],
        "warnings": _problems_to_plain(blueprint.warnings),
    }
    if built:
        facts["parameters"] = built.parameters
        facts["shape_warnings"] = built.warnings
    return facts


def _complaints(error: GanforgeError) -> list[dict[str, object]]:
    from ganforge.core.errors import Problem, RecipeError

    problems = error.problems if isinstance(error, RecipeError) else (Problem("", error.message, hint=error.remedy),)
    return _problems_to_plain(problems)


def _problems_to_plain(problems: Iterable[Problem]) -> list[dict[str, object]]:
    return [
        {"key": problem.key, "message": problem.message, "file": problem.file, "line": problem.line, "hint": problem.hint}
        for problem in problems
    ]


def _sizes(data: DataSpec | None, latent: LatentSpec | None) -> list[str]:
    """The sizes of data and latents, one line each."""
    lines = []
    if data:
        classes = f", {data.classes} classes" if data.classes else ""
        lines.append(f"data: {'×'.join(map(str, data.shape))}{classes}")
    if latent:
        parts = [f"noise {latent.noise}"]
        parts += ["labels"] if latent.classes else []
        parts += [f"categorical codes of {', '.join(map(str, latent.categorical))} values"] if latent.categorical else []
        parts += [f"continuous codes: {latent.continuous}"] if latent.continuous else []
        lines.append(f"latent: {', '.join(parts)}")
    return lines
