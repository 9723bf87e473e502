"""All runs in a folder with their status, from the run folders alone: no MLflow, no torch.

A run whose process has disappeared is marked as killed, so that it does not stay "running" for ever.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganforge.core.errors import RunFolderError, StorageError
from ganforge.runs.run_lookup import IdentifiedRun, run_folders
from ganforge.storage import run_status
from ganforge.storage.journal import JournalWriter
from ganforge.storage.run_folder import RunFolder
from ganforge.storage.run_status import Status
from ganforge.tracking.delivery import PendingUploads, count_pending

_SILENCE = 60.0
"""Seconds without a heartbeat after which a process counts as gone even where its id exists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """One line of the list.

    Attributes:
        run: the folder's name, which identifies the run.
        name: its name as given.
        id: 32 hex digits.
        experiment: its experiment, as given.
        folder: its folder.
        title: the recipe's title, or ``None``.
        seed: its seed, or ``None`` where it was never written.
        parent: id of the sweep that it belongs to, or ``None``.
        status: ``running``, ``finished``, ``stopped``, ``diverged``, ``failed`` or ``killed``; without a status file ``starting``
            or ``unstarted``; ``unknown`` where that file is damaged.
        iteration: iterations done.
        iterations: iterations in all.
        metrics: last value of each metric.
        started: unix seconds of its creation, or ``None``.
        seconds: wall time of training.
        health: the verdict, or ``None``.
        undelivered: what MLflow still lacks; ``None`` while the run goes on, or where it is unknown.
        remark: what else the user should know, or ``None``.
    """

    run: str
    name: str
    id: str
    experiment: str
    folder: Path
    title: str | None = None
    seed: int | None = None
    parent: str | None = None
    status: str
    iteration: int = 0
    iterations: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    started: float | None = None
    seconds: float = 0.0
    health: str | None = None
    undelivered: PendingUploads | None = None
    remark: str | None = None


def list_runs(root: Path, experiment: str | None = None) -> list[RunSummary]:
    """The runs below ``root``, newest first.

    Args:
        root: the folder that contains the runs.
        experiment: only runs of this experiment: its name, or its folder's.
    """
    found = [run for run in run_folders(root) if experiment in {None, run.experiment, run.folder.path.parent.name}]
    return sorted((_summary(run) for run in found), key=lambda run: (run.started or 0.0, run.run), reverse=True)


def _summary(run: IdentifiedRun) -> RunSummary:
    folder, identity = run.folder, run.identity
    word, status, remark = current_status(folder, identity)
    seed, title, created, parent = (identity.get(key) for key in ("seed", "title", "created", "parent"))
    known = status or Status(status="running")
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
        undelivered=None if word in {"running", "starting"} else _undelivered(folder),
        remark=remark,
    )


def current_status(folder: RunFolder, identity: Mapping[str, Any]) -> tuple[str, Status | None, str | None]:
    """The status as :class:`RunSummary` has it, the content of the status file, and a remark."""
    try:
        status = run_status.read(folder)
    except (StorageError, TypeError) as error:
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
    """Mark a run whose process has disappeared as killed, in its status and, for MLflow, in its journal.

    The process has disappeared if no process holds the folder's lock, and the process is dead or has been silent for a minute. Only
    the run's own host can tell.

    Returns:
        The new status; ``None`` where the run is alive or has ended.

    Raises:
        StorageError: the folder cannot be written.
    """
    if status.status != "running" or status.host != socket.gethostname() or folder.holder():
        return None
    if _is_alive(status.pid) and time.time() - status.heartbeat <= _SILENCE:
        return None
    try:
        with folder.locked():
            return _mark(folder)
    except RunFolderError:  # it is being resumed at this moment
        return None


def _mark(folder: RunFolder) -> Status | None:
    status = run_status.read(folder)  # again, now that no other process can change it
    if status is None or status.status != "running":
        return None
    reason = f"process vanished at iteration ~{status.iteration}"
    with JournalWriter(folder.journal) as writer:
        writer.record("tag", key="ganforge.reaped", value="true")
        writer.record("end", status="KILLED", reason=reason, iteration=status.iteration)
    return run_status.finish(folder, "killed", reason=reason)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's process
        return True
    return True


def _undelivered(folder: RunFolder) -> PendingUploads | None:
    try:
        return count_pending(folder)
    except StorageError:  # an unreadable folder
        return None
