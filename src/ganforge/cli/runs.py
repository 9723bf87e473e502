"""``ganforge runs`` and ``ganforge report``: the list of runs with what MLflow does not have yet, and an HTML page about one."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ganforge.cli import console, options
from ganforge.core import formatting
from ganforge.core.errors import GanforgeError, did_you_mean

if TYPE_CHECKING:
    from ganforge.core.specs import DataSpec, LatentSpec
    from ganforge.runs.run_index import RunSummary


def runs(
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="Show this run alone; for a sweep, its seeds.")] = None,
    *,
    runs_dir: options.RunsDir = Path("runs"),
    experiment: Annotated[str | None, typer.Option(help="Only runs of this experiment.", show_default=False)] = None,
    as_json: options.Json = False,
) -> None:
    """List the runs, newest first, or show one.

    One run is shown with the labels and codes that its generator takes.

    Marks runs whose process has died as killed. Does not need MLflow.
    """
    from ganforge.runs.run_index import find, identify, list_runs, members, summarize

    if run is not None:
        folder = find(run, runs_dir)
        found = [summarize(identify(one)) for one in members(folder)]
        if found[0].folder == folder.path:
            _show(found[0], as_json=as_json)
            return
    else:
        found = list_runs(runs_dir, experiment)
    if as_json:
        console.print_json({"runs_dir": runs_dir, "runs": found})
    elif found:
        _print(found, runs_dir)
    else:
        where = f"{runs_dir} has no runs" + (f" of the experiment '{experiment}'" if experiment else "")
        hint = did_you_mean(experiment, {one.experiment for one in list_runs(runs_dir)}) if experiment else None
        console.note(f"{where}; {hint or 'start one with `ganforge run RECIPE`, or name another folder with --runs-dir'}")


def report(
    run: options.Run,
    *,
    out: Annotated[Path | None, typer.Option(help="Output file. Default: report.html in the run folder.")] = None,
    browser: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    runs_dir: options.RunsDir = Path("runs"),
    as_json: options.Json = False,
) -> None:
    """Write an HTML page about a run or a sweep.

    It shows health, samples, curves, metrics with their protocols, recipe and lock.

    The page is self-contained and runs no scripts. It works for any run, including one that failed or is still running; for a
    sweep it compares the seeds.
    """
    from ganforge.report.page import write_report
    from ganforge.runs.run_index import find
    from ganforge.runs.sample_files import check_paths

    check_paths([out] if out else [], (".html", ".htm"))
    folder = find(run, runs_dir)
    page = write_report(folder, out)
    name, size = folder.path.resolve().name, page.stat().st_size
    if as_json:
        console.print_json({"run": name, "file": page, "bytes": size})
    else:
        console.success(f"wrote the report on {name} to {page} ({size / 2**20:.1f} MiB)")
    if browser:
        import webbrowser

        webbrowser.open(page.resolve().as_uri())


def _show(run: RunSummary, *, as_json: bool) -> None:
    """Print everything about one run, with the inputs of its generator."""
    data, latent = _inputs(run)
    labels = data.labels if data and latent and latent.classes else ()
    codes = latent.code_ranges if latent else ()
    if as_json:
        console.print_json({"runs_dir": run.folder.parent.parent, "runs": [run], "labels": labels, "codes": codes})
        return
    facts = {
        "title": run.title,
        "experiment": run.experiment,
        "folder": run.folder,
        "status": run.status + (f": {run.remark}" if run.remark else ""),
        "health": run.health,
        "iteration": _progress(run),
        "metrics": "  ".join(f"{name} {value:.4g}" for name, value in run.metrics.items()),
        "started": _start(run),
        "took": formatting.duration(run.seconds) if run.seconds else None,
        "samples": formatting.data(data) if data else None,
        "noise": formatting.plural(latent.noise, "number") if latent else None,
        "labels": data.describe_labels(1000) if data and labels else None,
        "codes": latent.describe_codes() if latent else None,
    }
    console.print_line(run.run, style="bold")
    console.print_facts(facts, 10)
    if run.undelivered:
        console.note(_waiting([run], run.folder.parent.parent))


def _inputs(run: RunSummary) -> tuple[DataSpec, LatentSpec] | tuple[None, None]:
    from ganforge.runs.run_index import read_specs

    try:
        return read_specs(run.folder)
    except GanforgeError as error:
        console.note(str(error))
        return None, None


def _print(found: Sequence[RunSummary], runs_dir: Path) -> None:
    health = ("Health",) if any(run.health for run in found) else ()
    console.table(
        ("Run", "Experiment", "Status", *health, "Iteration", "Metrics", "Started", "Took", "Title"),
        [_row(run, with_health=bool(health)) for run in found],
        right=(3 + len(health), 6 + len(health)),
        optional=(*(place + len(health) for place in (7, 6, 5)), 1, 3 + len(health)),
    )
    for run in found:
        if run.remark and run.status not in {"finished", "stopped"}:
            console.note(f"{run.run}: {run.remark}")
    if waiting := [run for run in found if run.undelivered]:
        console.note(_waiting(waiting, runs_dir))


def _row(run: RunSummary, *, with_health: bool) -> tuple[object, ...]:
    return (
        run.run,
        run.experiment,
        run.status,
        *([run.health] if with_health else []),
        _progress(run),
        "  ".join(f"{name} {value:.4g}" for name, value in list(run.metrics.items())[:3]) or None,
        _start(run),
        formatting.duration(run.seconds) if run.seconds else None,
        run.title,
    )


def _progress(run: RunSummary) -> str | None:
    return f"{run.iteration:,}/{run.iterations:,}" if run.iterations else None


def _start(run: RunSummary) -> str | None:
    return None if run.started is None else f"{datetime.fromtimestamp(run.started).astimezone():%Y-%m-%d %H:%M}"


def _waiting(waiting: Sequence[RunSummary], runs_dir: Path) -> str:
    pending = [run.undelivered for run in waiting if run.undelivered]
    counts = {
        "point": sum(each.points for each in pending),
        "image": sum(each.images for each in pending),
        "other record": sum(each.others for each in pending),
    }
    what = ", ".join(formatting.plural(number, noun) for noun, number in counts.items() if number)
    names = ", ".join(run.run for run in waiting[:3]) + (f" and {len(waiting) - 3} more" if len(waiting) > 3 else "")
    where = "" if runs_dir == Path("runs") else f" --runs-dir {shlex.quote(str(runs_dir))}"
    return f"MLflow does not have {what} of {names} yet; send them with `ganforge sync{where}`"
