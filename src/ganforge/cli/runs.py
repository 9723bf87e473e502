"""``ganforge runs`` and ``ganforge report``: the list of runs with what MLflow does not have yet, and an HTML page about one."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ganforge.cli import console, options
from ganforge.core import formatting

if TYPE_CHECKING:
    from ganforge.runs.run_index import RunSummary


def runs(
    *,
    runs_dir: options.RunsDir = Path("runs"),
    experiment: Annotated[str | None, typer.Option(help="Only runs of this experiment.", show_default=False)] = None,
    as_json: options.Json = False,
) -> None:
    """List the runs, newest first.

    Marks runs whose process has died as killed. Does not need MLflow.
    """
    from ganforge.runs.run_index import list_runs

    found = list_runs(runs_dir, experiment)
    if as_json:
        console.print_json({"runs_dir": runs_dir, "runs": found})
    elif found:
        _print(found)
    else:
        where = f"{runs_dir} has no runs" + (f" of the experiment '{experiment}'" if experiment else "")
        console.note(f"{where}; start one with `ganforge run RECIPE`, or name another folder with --runs-dir")


def report(
    run: options.Run,
    *,
    out: Annotated[Path | None, typer.Option(help="Output file. Default: report.html in the run folder.")] = None,
    browser: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
    runs_dir: options.RunsDir = Path("runs"),
    as_json: options.Json = False,
) -> None:
    """Write an HTML page about a run: health, samples, curves, metrics with their protocols, recipe and lock.

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


def _print(found: Sequence[RunSummary]) -> None:
    health = ("Health",) if any(run.health for run in found) else ()
    console.table(
        ("Run", "Experiment", "Status", *health, "Iteration", "Metrics", "Started", "Took", "Title"),
        [_row(run, with_health=bool(health)) for run in found],
        right=(3 + len(health), 6 + len(health)),
    )
    for run in found:
        if run.remark and run.status not in {"finished", "stopped"}:
            console.note(f"{run.run}: {run.remark}")
    if waiting := [run for run in found if run.undelivered]:
        console.note(_waiting(waiting))


def _row(run: RunSummary, *, with_health: bool) -> tuple[object, ...]:
    return (
        run.run,
        run.experiment,
        run.status,
        *([run.health] if with_health else []),
        f"{run.iteration:,}/{run.iterations:,}" if run.iterations else None,
        "  ".join(f"{name} {value:.4g}" for name, value in list(run.metrics.items())[:3]) or None,
        None if run.started is None else f"{datetime.fromtimestamp(run.started).astimezone():%Y-%m-%d %H:%M}",
        formatting.duration(run.seconds) if run.seconds else None,
        run.title,
    )


def _waiting(waiting: Sequence[RunSummary]) -> str:
    pending = [run.undelivered for run in waiting if run.undelivered]
    counts = {
        "point": sum(each.points for each in pending),
        "image": sum(each.images for each in pending),
        "other record": sum(each.others for each in pending),
    }
    what = ", ".join(formatting.plural(number, noun) for noun, number in counts.items() if number)
    names = ", ".join(run.run for run in waiting[:3]) + (f" and {len(waiting) - 3} more" if len(waiting) > 3 else "")
    return f"MLflow does not have {what} of {names} yet; send them with `ganforge sync`"
