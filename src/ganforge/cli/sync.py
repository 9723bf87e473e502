"""``ganforge sync``: send what an unavailable MLflow server missed."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ganforge.cli import console, options

if TYPE_CHECKING:
    from ganforge.storage.run_folder import RunFolder
    from ganforge.tracking.supervisor import UploadSummary

_UNDELIVERED = 5
"""Exit code when MLflow cannot be written."""


def sync(
    runs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RUN]...", help="Run names, id prefixes or folders. Default: all runs with unsent data.", show_default=False
        ),
    ] = None,
    *,
    runs_dir: options.RunsDir = Path("runs"),
    tracking_uri: options.RunTrackingUri = None,
    json: options.Json = False,
) -> None:
    """Send to MLflow what its server missed.

    Nothing is sent twice. A run whose process has died is marked as killed; a running one has its own uploader.
    """
    from ganforge.runs.run_index import find, run_folders
    from ganforge.tracking.supervisor import sync as deliver

    every = [run.folder for run in run_folders(runs_dir)]
    folders = [find(name, runs_dir) for name in runs] if runs else [folder for folder in every if _waits(folder)]
    delivered: dict[RunFolder, UploadSummary] = {}
    for folder in folders:
        if not json:
            console.note(f"{folder.path.name}: sending")
        delivered[folder] = deliver(folder, tracking_uri)
        if not json:
            _say(folder, delivered[folder])

    if json:
        console.json_out({"schema": 1, "runs": [_to_plain(folder, summary) for folder, summary in delivered.items()]})
    elif not every:
        console.note(f"no runs in {runs_dir.absolute()}; name another folder with --runs-dir")
    elif not folders:
        console.success("MLflow has everything.")
    if any(summary.pending for summary in delivered.values()):
        raise typer.Exit(_UNDELIVERED)


def _waits(folder: RunFolder) -> bool:
    """Whether a run has unsent data; a running one has its own uploader."""
    from ganforge.tracking.delivery import count_pending

    if folder.holder() is not None:
        console.note(f"{folder.path.name} is running and sends its own data")
        return False
    return bool(count_pending(folder))


def _say(folder: RunFolder, summary: UploadSummary) -> None:
    name, accepted = folder.path.name, summary.accepted
    if accepted.rejected:
        console.warning(f"{name}: MLflow refused {_count(accepted.rejected, 'record')}; see {folder.path / 'rejected.jsonl'}")
    if summary.pending:
        console.warning(
            f"{name}: {_count(summary.pending.points, 'point')} and {_count(summary.pending.images, 'image')} not sent to "
            f"{summary.store.shown}: {summary.message or 'it does not answer'}"
        )
        return
    what = f"{_count(accepted.points, 'point')} and {_count(accepted.pictures, 'image')}"
    console.success(f"{name}: MLflow has all {what} ({summary.store.shown})")
    if summary.link:
        console.say(f"  {summary.link}")


def _to_plain(folder: RunFolder, summary: UploadSummary) -> dict[str, Any]:
    return {
        "run": folder.path.name,
        "folder": folder.path,
        "tracking_uri": summary.store.shown,
        "run_id": summary.accepted.run_id,
        "points": summary.accepted.points,
        "images": summary.accepted.pictures,
        "rejected": summary.accepted.rejected,
        "pending": asdict(summary.pending),
        "link": summary.link,
        "message": summary.message,
    }


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
