"""``ganforge runs``: list runs, their status, and what MLflow does not have yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ganforge.cli import console, options

if TYPE_CHECKING:
    from ganforge.runs.run_index import RunSummary


def runs(
    *,
    runs_dir: options.RunsDir = Path("runs"),
    experiment: Annotated[str | None, typer.Option(help="Only runs of this experiment.", show_default=False)] = None,
    json: options.Json = False,
) -> None:
    """List the runs, newest first.

    Marks runs whose process has died as killed. Does not need MLflow.
    """
    from ganforge.runs.run_index import list_runs

    found = list_runs(runs_dir, experiment)
    if json:
        console.json_out({"schema": 1, "runs_dir": str(runs_dir), "runs": [_to_plain(run) for run in found]})
        return
    if not found:
        console.note(_nothing(runs_dir, experiment))
        return
    _print(found)


def _print(found: Sequence[RunSummary]) -> None:
    from ganforge.core import formatting

    watched = any(run.health for run in found)
    health = ("Health",) if watched else ()
    console.table(
        ("Run", "Experiment", "Status", *health, "Iteration", "Metrics", "Started", "Took", "Title"),
        [
            (
                run.run,
                run.experiment,
                run.status,
                *([run.health] if watched else []),
                f"{run.iteration:,}/{run.iterations:,}" if run.iterations else None,
                _metrics(run.metrics) or None,
                _moment(run.started),
                formatting.duration(run.seconds) if run.seconds else None,
                run.title,
            )
            for run in found
        ],
        right=(3 + len(health), 6 + len(health)),
    )
    for run in found:
        if run.remark and run.status not in {"finished", "stopped"}:
            console.note(f"{run.run}: {run.remark}")
    waiting = [run for run in found if run.undelivered]
    if waiting:
        console.note(_waiting(waiting))


def _waiting(waiting: Sequence[RunSummary]) -> str:
    pending = [run.undelivered for run in waiting if run.undelivered]
    counts = {
        "point": sum(each.points for each in pending),
        "image": sum(each.images for each in pending),
        "other record": sum(each.others for each in pending),
    }
    what = ", ".join(f"{count:,} {name}{'' if count == 1 else 's'}" for name, count in counts.items() if count)
    names = ", ".join(run.run for run in waiting[:3]) + (f" and {len(waiting) - 3} more" if len(waiting) > 3 else "")
    return f"MLflow does not have {what} of {names} yet; send them with `ganforge sync`"


def _nothing(runs_dir: Path, experiment: str | None) -> str:
    where = f"{runs_dir} has no runs" + (f" of the experiment '{experiment}'" if experiment else "")
    return f"{where}; start one with `ganforge run RECIPE`, or name another folder with --runs-dir"


def _to_plain(run: RunSummary) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(run)


def _metrics(values: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in list(values.items())[:3])


def _moment(seconds: float | None) -> str | None:
    from datetime import datetime

    return None if seconds is None else f"{datetime.fromtimestamp(seconds).astimezone():%Y-%m-%d %H:%M}"
