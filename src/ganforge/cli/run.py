"""``ganforge run``: check, build, train, record."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ganforge.cli import console, options

if TYPE_CHECKING:
    from ganforge.session.result import Result


def run(
    recipe: Annotated[Path | None, typer.Argument(help="The recipe; may be left out with --resume.", show_default=False)] = None,
    *,
    overrides: options.Overrides = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Run this many seeds, from the recipe's on; prints their spread.")
    ] = None,
    jobs: options.Jobs = 1,
    device: options.Device = "auto",
    resume: Annotated[
        str | None, typer.Option(metavar="RUN", help="Go on with a run: its folder, name or beginning of its id.")
    ] = None,
    runs_dir: options.RunsDir = Path("runs"),
    tracking_uri: options.TrackingUri = None,
    locked: Annotated[
        Path | None,
        typer.Option(metavar="LOCK", exists=True, help="Refuse other components or data than this lock.json, or run folder, says."),
    ] = None,
    unlocked: Annotated[
        bool, typer.Option("--unlocked", help="With --resume: go on with other versions, files or data than the run began with.")
    ] = False,
    plain: Annotated[bool, typer.Option("--plain", help="Plain lines instead of the live view.")] = False,
    parent: Annotated[str | None, typer.Option(hidden=True)] = None,
    json: options.Json = False,
) -> None:
    """Train what a recipe describes, and record it.

    A recipe with mistakes is refused before anything is built. Ctrl-C finishes the iteration, saves, and tells how to go on.
    """
    from rich.console import Console

    from ganforge.core.errors import UsageError
    from ganforge.session.run_plan import Options

    settings = Options(
        recipe=recipe,
        overrides=tuple(overrides or ()),
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
        raise UsageError("--unlocked is for --resume", remedy="drop it: a new run takes what is installed")
    if seeds is not None and resume is not None:
        raise UsageError(
            "--seeds and --resume do not go together", remedy="resume the seeds one by one; `ganforge runs` lists them"
        )

    screen = Console(stderr=True)
    if seeds is not None:
        from ganforge.session.sweep import sweep

        swept = sweep(settings, seeds=seeds, jobs=jobs, console=screen)
        if json:
            console.json_out(swept.to_plain())
        raise typer.Exit(swept.exit_code)

    from ganforge.session.training_run import run as run_one

    result = run_one(settings, screen)
    _farewell(result)
    if json:
        console.json_out(result.to_plain())
    raise typer.Exit(result.exit_code)


def _farewell(result: Result) -> None:
    """How it ended and what can be done now, on stderr."""
    from ganforge.storage.checkpoints import list_checkpoints
    from ganforge.storage.run_folder import RunFolder

    console.note("")
    match result.status:
        case "finished":
            console.note(f"finished in {_duration(result.seconds)}: {result.folder}")
            console.note(f"  samples   ganforge sample {result.run}")
        case "stopped" if result.exit_code == 1:  # nobody asked for it: the health watch did
            console.warning(f"stopped at iteration {result.iterations}: {result.reason}")
            console.note(f"  kept in   {result.folder}")
            console.note(f"  go on     ganforge run --resume {result.run} --set 'health.on_fail=\"warn\"'")
        case "stopped":
            console.note(f"stopped at iteration {result.iterations}: {result.folder}")
            console.note(f"  go on     ganforge run --resume {result.run}")
        case _:
            console.warning(f"training diverged: {result.reason}")
            if list_checkpoints(RunFolder(result.folder)):
                kept = f"the last finite checkpoint is kept in {result.folder / 'checkpoints'}; resumed unchanged it diverges again"
            else:
                kept = "it came to no checkpoint, so there is nothing to sample or resume; run again it diverges again"
            console.note(f"  {kept}:")
            console.note('  lower the learning rates, or add a penalty such as [[loss]] use = "r1"')
    if result.mlflow["undelivered"] and not result.mlflow["wanted"]:
        console.note(f"  MLflow    off; ganforge sync {result.run} delivers the run")
    elif result.mlflow["undelivered"]:
        console.warning(f"MLflow did not get all of it ({result.mlflow['message'] or 'not delivered yet'})")
        console.note(f"  deliver   ganforge sync {result.run}")
    else:
        console.note(f"  MLflow    {result.mlflow['link'] or 'ganforge ui'}   ({result.mlflow['tracking_uri']})")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
