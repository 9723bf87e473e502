"""Runs found by name and listed with their status, from the run folders alone: no MLflow, no torch.

A run whose process has disappeared is marked as killed, so that it does not stay "running" for ever.
"""

from __future__ import annotations

import logging
import os
import shlex
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from ganforge.core import formatting
from ganforge.core.errors import GanforgeError, RecipeError, RunFolderError, StorageError, UsageError, describe_error, did_you_mean
from ganforge.core.specs import DataSpec, LatentSpec
from ganforge.recipe.reader import RecipeSource, read_recipe
from ganforge.storage import strict_json
from ganforge.storage.journal import JournalWriter
from ganforge.storage.run_folder import RunFolder, Status
from ganforge.tracking.delivery import PendingUploads, count_pending

_log = logging.getLogger(__name__)
_SHOWN = 8  # candidates that an error lists
_SILENCE = 60.0  # seconds without a heartbeat after which a process counts as gone even where its id exists


@dataclass(frozen=True, slots=True)
class IdentifiedRun:
    """A run folder with its names."""

    folder: RunFolder
    name: str  # the name as given, which several runs may share
    id: str
    experiment: str
    identity: Mapping[str, Any]  # the content of run.json; empty when that is damaged
    refusal: GanforgeError | None = None  # why nothing in the folder may be read

    @property
    def short_id(self) -> str:
        """The end of the folder's name, with which the id begins."""
        return self.folder.path.name.rpartition("-")[2]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """One line of the list of runs."""

    run: str  # the folder's name, which identifies the run
    name: str
    id: str
    experiment: str
    folder: Path
    title: str | None = None
    seed: int | None = None  # None where it was never written
    parent: str | None = None  # id of the sweep that it belongs to
    status: str  # a RunState; without a status file starting or unstarted; unknown where that file is damaged
    iteration: int = 0
    iterations: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    started: float | None = None  # unix seconds of its creation
    seconds: float = 0.0
    health: str | None = None
    undelivered: PendingUploads | None = None  # what MLflow still lacks; None while the run goes on, or where it is unknown
    remark: str | None = None  # what else the user should know


def run_folders(root: Path) -> list[IdentifiedRun]:
    """Every run below ``root``, by experiment and folder name; other folders are skipped."""
    return [identify(RunFolder(identity.parent)) for identity in sorted(root.glob("*/*/run.json"))]


def identify(folder: RunFolder) -> IdentifiedRun:
    """A folder with its names; where ``run.json`` is damaged, or may not be read, they come from the path."""
    identity: dict[str, Any] = {}
    refusal = None
    try:
        folder.check()
    except GanforgeError as error:
        refusal = error
    else:
        with suppress(StorageError):
            identity = folder.read_identity()
    name, _, short_id = folder.path.name.rpartition("-")
    return IdentifiedRun(
        folder,
        name=str(identity.get("name", name)),
        id=str(identity.get("id", short_id)),
        experiment=str(identity.get("experiment", folder.path.parent.name)),
        identity=identity,
        refusal=refusal,
    )


def find(reference: str, root: Path) -> RunFolder:
    """The run that ``reference`` names: a folder, a name, or the beginning of a folder's name or id.

    Whole names win over beginnings. Of several runs of one name it is the newest, with a log record that says so. ``root`` is the
    folder that contains the runs. Raises a :class:`UsageError` if no run matches or several begin like this, and a
    :class:`RunFolderError` if the folder holds links or pipes.
    """
    if folder := _folder(reference):
        folder.check()
        return folder

    runs = run_folders(root)
    named = [run for run in runs if run.name == reference]
    newest = max(named, key=_creation, default=None)
    for matches in (
        [run for run in runs if reference in _unique_names(run)],
        [newest] if newest else [],
        [run for run in runs if reference and (run.folder.path.name.startswith(reference) or run.id.startswith(reference))],
    ):
        if len(matches) == 1:
            if refusal := matches[0].refusal:
                raise refusal
            if matches[0] is newest and len(named) > 1:
                _log.warning("%d runs are named '%s'; using the newest, %s", len(named), reference, newest.folder.path.name)
            return matches[0].folder
        if matches:
            raise UsageError(
                f"'{reference}' matches {len(matches)} runs:\n{_list(matches)}",
                remedy=f"give a whole folder name, or the 8 characters at its end, such as {matches[0].short_id}",
            )
    raise _unknown(reference, runs, root)


def find_trained(reference: str, root: Path) -> RunFolder:
    """The one run that ``reference`` names, as :func:`find` does; a :class:`UsageError` for a sweep, which has no weights."""
    folder = find(reference, root)
    if runs := [run for run in members(folder) if run != folder]:
        seeds = ", ".join(run.path.name for run in runs)
        message = f"{folder.path.name} is a sweep over {formatting.plural(len(runs), 'seed')}"
        raise UsageError(message, remedy=f"name one of its runs: {seeds}")
    return folder


def _creation(run: IdentifiedRun) -> tuple[float, int]:
    """When a run was created, as far as its folder shows, to sort by."""
    created, changed = run.identity.get("created"), run.folder.identity.lstat()
    return float(created) if isinstance(created, int | float) else changed.st_mtime, changed.st_mtime_ns


def _folder(reference: str) -> RunFolder | None:
    path = Path(reference)
    try:
        if reference and (path / "run.json").is_file():
            return RunFolder(path)
        is_path = len(path.parts) > 1 and path.is_dir()
    except (OSError, ValueError):  # not a valid name of a file
        return None
    if is_path:
        raise UsageError(f"{path} is not the folder of a run: it has no run.json", remedy="`ganforge runs` lists the runs")
    return None  # a folder that happens to have the name of a run


def _unique_names(run: IdentifiedRun) -> set[str]:
    path = run.folder.path
    return {path.name, f"{path.parent.name}/{path.name}", f"{run.experiment}/{path.name}", run.id, run.short_id}


def _unknown(reference: str, runs: Sequence[IdentifiedRun], root: Path) -> UsageError:
    if not runs:
        return UsageError(
            f"no run matches '{reference}': the folder '{root}' contains no runs",
            remedy="if your runs are in another folder, name it with --runs-dir",
        )
    names = {name for run in runs for name in (run.name, run.folder.path.name, run.short_id)}
    where = "" if root == Path("runs") else f" --runs-dir {shlex.quote(str(root))}"
    newest = sorted(runs, key=_creation, reverse=True)
    return UsageError(
        f"no run matches '{reference}' in the folder '{root}'; its newest runs are:\n{_list(newest[:_SHOWN])}",
        remedy=did_you_mean(reference, names) or f"`ganforge runs{where}` lists all runs; --runs-dir names another folder",
    )


def _list(runs: Sequence[IdentifiedRun]) -> str:
    lines = [f"  {run.folder.path.parent.name}/{run.folder.path.name}" for run in runs[:_SHOWN]]
    return "\n".join([*lines, f"  … and {len(runs) - _SHOWN} more"] if len(runs) > _SHOWN else lines)


def members(folder: RunFolder) -> Iterator[RunFolder]:
    """The run itself, or the seeds of a sweep."""
    identity = folder.read_identity()
    if identity.get("kind") != "sweep" or not identity.get("id"):
        yield folder
        return
    siblings = (identify(RunFolder(path.parent)) for path in sorted(folder.path.resolve().parent.glob("*/run.json")))
    seeds = [one.folder for one in siblings if one.identity.get("parent") == identity.get("id")]
    if not seeds:
        raise UsageError(
            f"{folder.path} is a sweep over seeds, but none of its runs is in the same folder", remedy="name the runs instead"
        )
    yield from seeds


def read_run_recipe(folder: RunFolder) -> RecipeSource:
    """A run's ``resolved.toml``, which has no problems; parameters of components are not validated."""
    path = folder.resolved
    if not path.exists():
        raise RunFolderError(f"{folder.path} has no resolved.toml: this run never started", remedy="choose another run")
    try:
        source = read_recipe(path)
    except RecipeError as error:
        raise _damaged(path, error.problems[0].message) from error
    if source.problems:
        raise _damaged(path, f"{source.problems[0].key}: {source.problems[0].message}")
    if source.value("train.seed") is None:  # every run writes its seed; the default would be a wrong guess
        raise _damaged(path, "train.seed is missing")
    return source


def read_specs(folder: Path) -> tuple[DataSpec, LatentSpec]:
    """The sizes of a run's data, with the names of its classes, and of its latents."""
    path = folder / "specs.json"
    if not path.exists():
        raise RunFolderError(f"{folder} has no specs.json: this run never started", remedy="choose another run")
    try:
        sizes = strict_json.loads(path.read_bytes())
        return TypeAdapter(DataSpec).validate_python(sizes["data"]), TypeAdapter(LatentSpec).validate_python(sizes["latent"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"it lacks {error}" if isinstance(error, KeyError) else describe_error(error)
        raise RunFolderError(f"{path} is damaged: {reason}", remedy="restore it from a copy, or use another run") from error


def _damaged(path: Path, reason: str) -> RunFolderError:
    return RunFolderError(f"{path} is damaged, or from another version of ganforge: {reason}", remedy="choose another run")


def list_runs(root: Path, experiment: str | None = None) -> list[RunSummary]:
    """The runs below ``root``, newest first; only those of ``experiment`` (its name, or its folder's) if given."""
    found = [run for run in run_folders(root) if experiment in {None, run.experiment, run.folder.path.parent.name}]
    return sorted(map(summarize, found), key=lambda run: (run.started or 0.0, run.run), reverse=True)


def summarize(run: IdentifiedRun) -> RunSummary:
    """One line of the list; whatever the folder holds, it is listed."""
    try:
        return _summarize(run)
    except Exception as error:  # noqa: BLE001 - a damaged folder is listed, too
        remark = describe_error(error)
        return RunSummary(
            run=run.folder.path.name,
            name=run.name,
            id=run.id,
            experiment=run.experiment,
            folder=run.folder.path,
            status="unknown",
            remark=remark,
        )


def _summarize(run: IdentifiedRun) -> RunSummary:
    folder, identity = run.folder, run.identity
    word, status, remark = ("unknown", None, str(run.refusal)) if run.refusal else current_status(folder, identity)
    seed, title, created, parent = (identity.get(key) for key in ("seed", "title", "created", "parent"))
    known, undelivered = status or Status(status="running"), None
    if word not in {"running", "starting"} and not run.refusal:
        with suppress(StorageError):  # an unreadable folder
            undelivered = count_pending(folder)
    return RunSummary(
        run=folder.path.name,
        name=run.name,
        id=run.id,
        experiment=run.experiment,
        folder=folder.path,
        title=title if isinstance(title, str) else None,
        seed=seed if isinstance(seed, int) else None,
        parent=parent if isinstance(parent, str) else None,
        status=word,
        iteration=known.iteration,
        iterations=known.iterations,
        metrics=known.metrics,
        started=float(created) if isinstance(created, int | float) else None,
        seconds=known.seconds,
        health=str(known.health["verdict"]) if known.health and "verdict" in known.health else None,
        undelivered=undelivered,
        remark=remark,
    )


def current_status(folder: RunFolder, identity: Mapping[str, Any]) -> tuple[str, Status | None, str | None]:
    """The status as :class:`RunSummary` has it, the content of the status file, and a remark."""
    try:
        status = folder.read_status()
    except StorageError as error:
        return "unknown", None, str(error)
    here = socket.gethostname()
    if status is None:
        if folder.holder():
            return "starting", None, None
        host = identity.get("host", here)
        return "unstarted", None, None if host == here else f"on host {host}"
    try:
        killed = mark_killed(folder, status)
    except StorageError as error:
        return "killed", status, f"its process disappeared; the run cannot be marked: {error}"
    if killed is not None:
        return killed.status, killed, killed.reason
    if status.status == "running" and status.host != here:
        return "running", status, f"on host {status.host}; only that host can tell whether it is still running"
    return status.status, status, status.error or status.reason


def mark_killed(folder: RunFolder, status: Status) -> Status | None:
    """Mark a run whose process has disappeared as killed, in its status and, for MLflow, in its journal; return the new status.

    The process has disappeared if no process holds the folder's lock, and the process is dead or has been silent for a minute. Only
    the run's own host can tell. ``None`` where the run is alive or has ended.
    """
    if status.status != "running" or status.host != socket.gethostname() or folder.holder():
        return None
    if _is_alive(status.pid) and time.time() - status.heartbeat <= _SILENCE:
        return None
    try:
        with folder.locked():
            newest = folder.read_status()  # again, now that no other process can change it
            if newest is None or newest.status != "running":
                return None
            reason = f"process vanished at iteration ~{newest.iteration}"
            with JournalWriter(folder.journal) as writer:
                writer.record("tag", key="ganforge.reaped", value="true")
                writer.record("end", status="KILLED", reason=reason, iteration=newest.iteration)
            return folder.finish("killed", reason=reason)
    except RunFolderError:  # it is being resumed at this moment
        return None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return isinstance(error, PermissionError)  # another user's process
    return True
