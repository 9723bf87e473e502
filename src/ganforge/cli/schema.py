"""``ganforge schema``: the JSON Schema of recipes, with which TOML editors complete and judge them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ganforge.cli import console, installed


def schema(
    recipes: Annotated[
        list[Path] | None, typer.Argument(help="Recipes that get a #:schema line on top, which taplo and tombi follow.")
    ] = None,
    *,
    out: Annotated[
        Path | None,
        typer.Option(help="Where to write the schema; .ganforge/recipe.schema.json where something refers to it, else stdout."),
    ] = None,
    associate: Annotated[
        list[str] | None,
        typer.Option(
            metavar="GLOB",
            help="Have taplo and tombi judge the files that match, by .taplo.toml and tombi.toml in this folder. Repeatable.",
        ),
    ] = None,
    check: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Only say whether this schema knows what is installed; exit with 1, and the line to run, if not."
        ),
    ] = None,
) -> None:
    """Write the JSON Schema of recipes, with all installed components, for TOML editors.

    It knows every table, key, component and parameter with its type and range; 'ganforge check' knows more. Write it again after
    plugins were installed, updated or removed.
    """
    import json

    from ganforge.core.errors import UsageError
    from ganforge.recipe import editor_config
    from ganforge.recipe.json_schema import build_schema
    from ganforge.recipe.toml_file import load_toml
    from ganforge.storage import atomic_files

    if check is not None:
        if out or recipes or associate:
            raise UsageError("--check writes nothing", remedy="give it alone")
        _check(check)
        return
    if out is not None and out.is_dir():
        raise UsageError(f"--out {out} is a folder", remedy=f"name a file, such as --out {out / editor_config.DEFAULT_SCHEMA.name}")
    made, complaints = build_schema(installed.registry())
    for complaint in complaints:
        console.warning(complaint)
    if out is None and not recipes and not associate:
        sys.stdout.write(json.dumps(made, indent=1) + "\n")  # in ASCII: not every locale has a word for λ
        return

    out = out or editor_config.DEFAULT_SCHEMA
    for recipe in recipes or ():
        load_toml(recipe)  # what is no recipe is told before anything is written
    settings = editor_config.updated_settings(associate, out, Path()) if associate else {}
    atomic_files.write_text(out, json.dumps(made, indent=1, ensure_ascii=False) + "\n")
    console.say(f"wrote {out}")
    for recipe in recipes or ():
        changed = editor_config.write_schema_directive(recipe, out)
        console.say(f"{recipe}: {'#:schema line put on top' if changed else 'has its #:schema line'}")
    for path, changed_text in settings.items():
        atomic_files.write_text(path, changed_text)
        console.say(f"rule added to {path}")


def _check(schema: Path) -> None:
    from ganforge.recipe.json_schema import outdated_reason, update_command

    behind = outdated_reason(schema, installed.registry())
    if behind:
        console.say(f"{schema} {behind}")
        console.say(f"  {update_command(schema)}")
        raise typer.Exit(1)
    console.success(f"{schema} knows all that is installed")
