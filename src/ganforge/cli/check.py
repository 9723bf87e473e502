"""``ganforge check``: everything about a recipe that can be known without building it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ganforge.assembly.blueprint import Blueprint
    from ganforge.core.errors import GanforgeError, Problem
    from ganforge.core.specs import DataSpec, LatentSpec


def check(
    recipe: Annotated[Path, typer.Argument(help="The recipe, a TOML file.", show_default=False)],
    *,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Replace one value, written as TOML. Repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check a recipe without training: its keys, its components, their parameters, and whether they fit each other."""
    from ganforge.assembly.blueprint import resolve
    from ganforge.cli import console, installed
    from ganforge.core.errors import GanforgeError
    from ganforge.recipe.reading import read

    try:
        blueprint = resolve(read(recipe, overrides or ()), installed.registry())
    except GanforgeError as error:
        if as_json:
            console.json_out({"schema": 1, "recipe": recipe, "ok": False, "problems": _complaints(error)})
        raise

    if as_json:
        console.json_out({"schema": 1, "recipe": recipe, "ok": True, "problems": [], **_facts(blueprint)})
        return
    for problem in blueprint.warnings:
        console.warning(str(problem))
    console.say(blueprint.recipe.title or recipe.stem, style="bold")
    console.table(
        ("Table", "Component", "Version"),
        [(part.key, f"{part.component.id}@{part.component.revision}", part.component.plugin.version) for part in blueprint.parts],
    )
    for line in _sizes(blueprint.facts.data, blueprint.facts.latent):
        console.say(line)
    console.success(
        f"{recipe} is right: {len(blueprint.parts)} components, which fit each other as far as they tell before building"
    )


def _facts(blueprint: Blueprint) -> dict[str, object]:
    lock = blueprint.lock()
    return {
        "title": blueprint.recipe.title,
        "iterations": blueprint.recipe.train.iterations,
        "fingerprint": lock["fingerprint"],
        "components": lock["components"],
        "warnings": _told(blueprint.warnings),
    }


def _complaints(error: GanforgeError) -> list[dict[str, object]]:
    from ganforge.core.errors import Problem, RecipeError

    problems = error.problems if isinstance(error, RecipeError) else (Problem("", error.message, hint=error.remedy),)
    return _told(problems)


def _told(problems: Iterable[Problem]) -> list[dict[str, object]]:
    return [
        {"key": problem.key, "message": problem.message, "file": problem.file, "line": problem.line, "hint": problem.hint}
        for problem in problems
    ]


def _sizes(data: DataSpec | None, latent: LatentSpec | None) -> list[str]:
    """What the parts tell of the sizes, in words."""
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
