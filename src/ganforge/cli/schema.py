"""``ganforge schema``: write the JSON Schema of recipes, for completion and validation in TOML editors."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ganforge.cli import console
from ganforge.cli.components import load_registry


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
    """Write the JSON Schema of recipes, with all installed components, for TOML editors.

    It covers every table, key, component and parameter with its type and range; 'ganforge check' checks more. Write it again after
    you install, update or remove plugins.
    """
    import json

    from ganforge.core.errors import UsageError
    from ganforge.recipe import json_schema
    from ganforge.recipe.toml_file import load_toml
    from ganforge.storage import atomic_files

    if check is not None:
        if out or recipes:
            raise UsageError("--check writes nothing", remedy="use it without other options")
        _check(check)
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


def _check(schema: Path) -> None:
    from ganforge.recipe.json_schema import outdated_reason, update_command

    if behind := outdated_reason(schema, load_registry()):
        console.print_line(f"{schema} {behind}")
        console.print_line(f"  {update_command(schema)}")
        raise typer.Exit(1)
    console.success(f"{schema} is up to date")
