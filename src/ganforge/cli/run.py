"""``ganforge run`` and ``ganforge verify``: train and record a recipe; check that it still reaches its expected values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ganforge.cli import console, options
from ganforge.core import formatting
from ganforge.core.errors import UsageError

if TYPE_CHECKING:
    from ganforge.recipe.config import Expectation
    from ganforge.session.result import Result
    from ganforge.session.sweep import Verification


def run(
    recipe: Annotated[
        Path | None, typer.Argument(metavar="RECIPE", help="The recipe; optional with --resume.", show_default=False)
    ] = None,
    *,
    overrides: options.Overrides = None,
    seeds: Annotated[int | None, typer.Option(min=1, help="Run this many seeds, starting at the recipe's seed.")] = None,
    jobs: options.Jobs = 1,
    device: options.Device = "auto",
    resume: Annotated[str | None, typer.Option(metavar="RUN", help="Resume a run: its name, id prefix or folder.")] = None,
    runs_dir: options.RunsDir = Path("runs"),
    tracking_uri: options.TrackingUri = None,
    locked: Annotated[
        Path | None,
        typer.Option(metavar="LOCK", exists=True, help="Require the components and data of this lock.json or run folder."),
    ] = None,
    unlocked: Annotated[bool, typer.Option("--unlocked", help="With --resume: accept different versions, files or data.")] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Print plain lines instead of the live view.")] = False,
    parent: Annotated[str | None, typer.Option(hidden=True)] = None,
    as_json: options.Json = False,
) -> None:
    """Train a recipe and record the run.

    An invalid recipe is rejected before anything is built. Ctrl-C finishes the iteration, saves a
    checkpoint, and prints how to resume.
    """
    from rich.console import Console

    from ganforge.session.run_plan import Options

    settings = Options(
        recipe,
        tuple(overrides or ()),
        device=device,
        resume=resume,
        runs_dir=runs_dir,
        tracking_uri=tracking_uri,
        plain=plain,
        parent=parent,
        locked=locked,
        unlocked=unlocked,
    )
    if unlocked and resume is None:
        raise UsageError("--unlocked requires --resume", remedy="remove it: a new run uses what is installed")
    if seeds is not None and resume is not None:
        raise UsageError("--seeds and --resume cannot be combined", remedy="resume each seed; `ganforge runs` lists them")

    screen = Console(stderr=True)
    if seeds is not None:
        from ganforge.session.sweep import sweep

        swept = sweep(settings, seeds=seeds, jobs=jobs, console=screen)
        if as_json:
            console.print_json(swept.to_plain())
        raise typer.Exit(swept.exit_code)

    from ganforge.session.training_run import run as run_one

    result = run_one(settings, screen)
    _print_summary(result)
    if as_json:
        console.print_json(result.to_plain())
    raise typer.Exit(result.exit_code)


def verify(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A recipe with [[expect]] tables.")],
    *,
    overrides: options.Overrides = None,
    jobs: options.Jobs = 1,
    device: options.Device = "auto",
    runs_dir: options.RunsDir = Path("runs"),
    tracking_uri: options.TrackingUri = None,
    as_json: options.Json = False,
) -> None:
    """Run a recipe's seeds again and check its [[expect]] bands.

    Runs as many seeds as the bands require, starting at the recipe's seed, like `ganforge run --seeds`. Exits with 0 if every band
    is met and with 1 otherwise.
    """
    from rich.console import Console

    from ganforge.session.run_plan import Options
    from ganforge.session.sweep import verify as verify_recipe

    settings = Options(recipe, tuple(overrides or ()), device=device, runs_dir=runs_dir, tracking_uri=tracking_uri, plain=True)
    found = verify_recipe(settings, jobs=jobs, console=Console(stderr=True))
    if as_json:
        console.print_json(found.to_plain())
    else:
        _print_bands(found)
    raise typer.Exit(found.exit_code)


def _print_summary(result: Result) -> None:
    """Print the outcome and the next commands to stderr."""
    from ganforge.storage.checkpoints import list_checkpoints
    from ganforge.storage.run_folder import RunFolder

    console.note("")
    match result.status:
        case "finished":
            console.note(f"finished in {formatting.duration(result.seconds)}: {result.folder}")
            console.note(f"  samples   ganforge sample {result.run}")
        case "stopped" if result.exit_code == 1:  # stopped by a health check, not by the user
            console.warning(f"stopped at iteration {result.iterations}: {result.reason}")
            console.note(f"  folder    {result.folder}")
            console.note(f"  resume    ganforge run --resume {result.run} --set 'health.on_fail=\"warn\"'")
        case "stopped":
            console.note(f"stopped at iteration {result.iterations}: {result.folder}")
            console.note(f"  resume    ganforge run --resume {result.run}")
        case _:
            console.warning(f"training diverged: {result.reason}")
            kept = list_checkpoints(RunFolder(result.folder))
            state = f"the last finite checkpoint is kept in {result.folder / 'checkpoints'}" if kept else "there is no checkpoint"
            console.note(f"  {state}; without changes, it diverges again:")
            console.note('  start a new run with lower learning rates or a penalty such as [[loss]] use = "r1"')
    if result.mlflow["undelivered"] and not result.mlflow["wanted"]:
        console.note(f"  MLflow    off; ganforge sync {result.run} sends the run")
    elif result.mlflow["undelivered"]:
        console.warning(f"MLflow did not receive everything ({result.mlflow['message'] or 'not sent yet'})")
        console.note(f"  send      ganforge sync {result.run}")
    else:
        console.note(f"  MLflow    {result.mlflow['link'] or 'ganforge ui'}   ({result.mlflow['tracking_uri']})")


def _print_bands(found: Verification) -> None:
    rows = []
    for band in found.bands:
        values = "  ".join(f"{seed}: {'–' if value is None else f'{value:.4g}'}" for seed, value in band.values.items())
        counts = (f"{band.needed} of {band.expected.seeds}", f"{band.inside} of {band.expected.seeds}")
        rows.append((band.expected.metric, _band(band.expected), *counts, values, band.verdict))
    console.table(("Metric", "Band", "Needed", "Inside", "Values by seed", "Verdict"), rows)
    for one in found.sweep.seeds:
        if one.status != "finished":
            console.warning(f"seed {one.seed}: {one.status}: {one.reason or 'see its log'} ({one.folder})")


def _band(expected: Expectation) -> str:
    if expected.min is None:
        return f"≤ {expected.max:g}"
    return f"≥ {expected.min:g}" if expected.max is None else f"{expected.min:g} to {expected.max:g}"
