"""``ganforge run`` and ``ganforge verify``: train and record a recipe; check that it still reaches its expected values."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ganforge.cli import console, options
from ganforge.core import formatting
from ganforge.core.errors import UsageError

if TYPE_CHECKING:
    from ganforge.recipe.config import Expectation
    from ganforge.session.result import Result, SweepResult
    from ganforge.session.run_plan import Options
    from ganforge.session.sweep import Verification
    from ganforge.storage.run_folder import RunFolder
    from ganforge.storage.value_info import StoredMetricInfo


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

    screen = console.open_console()
    if seeds is not None:
        from ganforge.session.sweep import sweep

        swept = sweep(settings, seeds=seeds, jobs=jobs, console=screen)
        _print_sweep(swept, settings)
        if as_json:
            console.print_json(swept.to_plain())
        raise typer.Exit(swept.exit_code)

    from ganforge.session.training_run import run as run_one

    result = run_one(settings, screen)
    _print_summary(result, settings)
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
    from ganforge.session.run_plan import Options
    from ganforge.session.sweep import verify as verify_recipe

    settings = Options(recipe, tuple(overrides or ()), device=device, runs_dir=runs_dir, tracking_uri=tracking_uri, plain=True)
    found = verify_recipe(settings, jobs=jobs, console=console.open_console())
    _print_sweep(found.sweep, settings)
    if as_json:
        console.print_json(found.to_plain())
    else:
        _print_bands(found)
    raise typer.Exit(found.exit_code)


def _print_summary(result: Result, settings: Options) -> None:
    """Print how a run ended, what it reached and where that is, and the commands that continue, to stderr."""
    from ganforge.registry.selection import next_command
    from ganforge.storage.run_folder import RunFolder

    folder = RunFolder(result.folder)
    console.note("")
    _print_outcome(result, folder)
    _print_facts(folder, result.metrics, _health_text(result.health))
    _print_mlflow(result.mlflow, [folder.reference], settings)
    if result.status == "finished":
        console.command("sample", next_command("sample", folder.reference))
    _print_resume(result, settings)


def _print_resume(result: Result, settings: Options) -> None:
    """Print the command that resumes a run that was stopped, with the options that it had."""
    from ganforge.registry.selection import next_command
    from ganforge.storage.run_folder import RunFolder

    if result.status != "stopped":
        return
    resume = ["run", "--resume", RunFolder(result.folder).reference, *_store(settings)]
    resume += ["--device", settings.device] if settings.device != "auto" else []
    resume += ["--unlocked"] if settings.unlocked else []
    if result.exit_code == 1:  # by a health check: it would stop again
        resume += ["--set", 'health.on_fail="warn"']
    console.command("resume", next_command(*resume))


def _print_outcome(result: Result, folder: RunFolder) -> None:
    from ganforge.storage.checkpoints import list_checkpoints

    match result.status:
        case "finished":
            took, count = formatting.duration(result.seconds), formatting.plural(result.iterations, "iteration")
            console.note(f"finished in {took}: {count}", style="bold")
        case "stopped" if result.exit_code == 1:
            console.warning(f"stopped at iteration {result.iterations:,}: {result.reason}")
        case "stopped":
            console.note(f"stopped at iteration {result.iterations:,}", style="bold")
        case _:
            console.warning(f"training diverged: {result.reason}")
            where = f"the last finite checkpoint is kept in {result.folder / 'checkpoints'}"
            state = where if list_checkpoints(folder) else "there is no checkpoint"
            console.note(f"  {state}; without changes, it diverges again:", style="")
            console.note('  start a new run with lower learning rates or a penalty such as [[loss]] use = "r1"', style="")


def _print_sweep(swept: SweepResult, settings: Options) -> None:
    """Print what the seeds reached, with the spread, and where that is, to stderr."""
    from ganforge.registry.selection import next_command
    from ganforge.storage import value_info
    from ganforge.storage.run_folder import RunFolder

    folder, count = RunFolder(swept.folder), len(swept.seeds)
    ended = [one for one in swept.seeds if one.status == "finished"]
    console.note("")
    took = formatting.duration(swept.seconds)
    console.note(f"{len(ended)} of {formatting.plural(count, 'seed')} finished in {took}", style="bold")
    if ended and swept.spread:
        info = value_info.read(RunFolder(ended[0].folder)).metrics
        rows = [
            (name, *map(formatting.number, spread.values()), f"{len(swept.values[name])} of {count}", _goal(info.get(name)))
            for name, spread in swept.spread.items()
        ]
        headings = ("Metric", "Median", "Least", "Greatest", "Seeds", "Good is")
        console.table(headings, rows, right=(1, 2, 3), optional=(4, 5), stream=sys.stderr)
    for one in swept.seeds:
        if one.status != "finished":
            console.warning(f"seed {one.seed}: {one.status}: {one.reason or 'see its log'} ({one.folder})")

    problems = [finding for one in swept.seeds for finding in one.health["findings"]]
    verdicts = ", ".join(f"{verdict} ({number} of {count})" for verdict, number in swept.verdicts.items())
    _print_facts(folder, {}, _health_text({"verdict": verdicts, "findings": problems}))
    waiting = [RunFolder(one.folder).reference for one in swept.seeds if one.mlflow.get("undelivered")]
    mlflow = {**swept.mlflow, "undelivered": swept.mlflow["undelivered"] or waiting}
    _print_mlflow(mlflow, [folder.reference, *waiting], settings)
    if ended:
        console.command("compare", next_command("compare", folder.reference))
    for one in swept.seeds:
        _print_resume(one, settings)


def _print_facts(folder: RunFolder, metrics: Mapping[str, float], health: str) -> None:
    """Print each metric's last value and which values are good, the verdict and where the report is."""
    from ganforge.storage import value_info

    info = value_info.read(folder).metrics if metrics else {}
    numbers = {formatting.clean(name): formatting.number(value) for name, value in metrics.items()}
    names, sizes = max(map(len, numbers), default=0), max(map(len, numbers.values()), default=0)
    for number, (name, text) in enumerate(numbers.items()):
        line = f"{name:<{names}}  {text:>{sizes}}  {_goal(info.get(name))}".rstrip()
        console.note(f"  {'' if number else 'metrics':<9} {line}", style="", indent=16 + names + sizes)
    facts = {"health": health, "report": str(folder.report) if folder.report.exists() else "", "folder": str(folder.path)}
    for name, fact in facts.items():
        if fact:
            console.note(f"  {name:<9} {fact}", style="", indent=12)


def _goal(info: StoredMetricInfo | None) -> str:
    """``lower is better, ideal 0``, and what a perfect generator gets with so few samples, where that differs."""
    from ganforge.core.contracts import describe_goal

    if info is None:
        return ""
    facts = [describe_goal(info.better, info.aim)]
    if info.better != "nearer":
        facts += [] if info.ideal is None else [f"ideal {formatting.number(info.ideal)}"]
        facts += [] if info.floor in (None, info.ideal) else [f"about {formatting.number(info.floor)} for a perfect generator"]
    return ", ".join(filter(None, facts))


def _health_text(health: Mapping[str, Any]) -> str:
    """``warn: mode collapse, near-duplicates``."""
    problems = ", ".join(dict.fromkeys(finding["problem"] for finding in health["findings"]))
    return f"{health['verdict']}: {problems}" if problems else str(health["verdict"])


def _print_mlflow(facts: Mapping[str, Any], runs: Sequence[str], settings: Options) -> None:
    """Print where the run is in MLflow, or how to send it, with its seeds."""
    from ganforge.registry.selection import next_command

    send = next_command("sync", *runs, *_store(settings))
    if not facts["undelivered"]:
        console.command("MLflow", facts["link"] or next_command("ui", *_store(settings)))
    elif facts["wanted"]:
        console.warning(f"MLflow did not receive everything ({facts['message'] or 'not sent yet'})")
        console.command("send", send)
    else:
        console.note("  MLflow    off", style="")
        console.command("send", send)


def _store(settings: Options) -> tuple[str, ...]:
    return ("--tracking-uri", settings.tracking_uri) if settings.tracking_uri else ()


def _print_bands(found: Verification) -> None:
    console.note("")
    rows = []
    for band in found.bands:
        values = "  ".join(f"{seed}: {'–' if value is None else f'{value:.4g}'}" for seed, value in band.values.items())
        counts = (f"{band.needed} of {band.expected.seeds}", f"{band.inside} of {band.expected.seeds}")
        rows.append((band.expected.metric, _band(band.expected), *counts, values, band.verdict))
    console.table(("Metric", "Band", "Needed", "Inside", "Values by seed", "Verdict"), rows)


def _band(expected: Expectation) -> str:
    if expected.min is None:
        return f"≤ {expected.max:g}"
    return f"≥ {expected.min:g}" if expected.max is None else f"{expected.min:g} to {expected.max:g}"
