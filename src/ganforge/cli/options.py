"""Options and arguments that several commands share, so that each is described once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ganforge.cli import console


def _keep_stdout(context: typer.Context, wanted: object) -> object:
    if wanted:
        context.with_resource(console.stdout_for_json())
    return wanted


Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.", callback=_keep_stdout, is_eager=True)]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")]
RunsDir = Annotated[Path, typer.Option(help="Folder that holds the run folders.")]
Jobs = Annotated[int, typer.Option(min=1, help="How many seeds run in parallel.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a key; the value is read as TOML. Repeatable.")
]
Recipe = Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe, a TOML file.", show_default=False)]
Run = Annotated[
    str, typer.Argument(metavar="RUN", help="Run name (of several, the newest), id prefix or folder; or that of a sweep.")
]
Runs = Annotated[list[str], typer.Argument(metavar="RUN", help="Run names, id prefixes or folders; a sweep stands for its seeds.")]
GeneratorRun = Annotated[
    str, typer.Argument(metavar="RUN", help="Run name (of several, the newest), id prefix or folder, or an exported generator.")
]

Seed = Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Seed of the latents.")]
Label = Annotated[
    str | None,
    typer.Option(help="Label for a conditional generator; 'ganforge runs RUN' lists them. Default: drawn at random."),
]
Rows = Annotated[int, typer.Option(min=1, help="Number of rows, unless labels or codes determine it.")]
Steps = Annotated[int | None, typer.Option(min=2, help="Images per row. Default: 10 in a PNG, 24 in a GIF.")]
Figures = Annotated[
    list[Path] | None, typer.Option(help="Output file, .png or .gif. Repeatable. Default: one of each in the run folder.")
]

TrackingUri = Annotated[
    str | None,
    typer.Option(
        help="MLflow store. Default: $MLFLOW_TRACKING_URI, settings, sqlite:///mlflow.db in this folder.", show_default=False
    ),
]
RunTrackingUri = Annotated[
    str | None, typer.Option("--tracking-uri", help="MLflow store. Default: the one the run uses.", show_default=False)
]
