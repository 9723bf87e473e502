"""All runs below a folder, from the run folders alone: no MLflow, no torch."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganforge.core.errors import StorageError
from ganforge.runs.run_lookup import Named, run_folders
from ganforge.runs.stale_runs import reap
from ganforge.storage import run_status
from ganforge.storage.run_folder import RunFolder
from ganforge.storage.run_status import Status
from ganforge.tracking.pending import Pending, pending
from ganforge.tracking.sink import Unreachable


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """One line of a listing.

    Attributes:
        run: the folder's name, which names the run everywhere.
        name: its name as given.
        id: 32 hex digits.
        experiment: its experiment, as given.
        folder: where it lies.
        title: the recipe's title, or ``None``.
        seed: its seed, or ``None`` where it was never written down.
        parent: id of the sweep that it belongs to, or ``None``.
        status: ``running``, ``finished``, ``stopped``, ``diverged``, ``failed``, ``killed``; ``starting`` while nothing is reported
            yet, ``unstarted`` where nothing will be, ``unknown`` where the report is damaged.
        iteration: iterations done.
        iterations: iterations in all.
        metrics: last value of each metric.
        started: unix seconds of its creation, or ``None``.
        seconds: wall time of training.
        health: the verdict, or ``None``.
        undelivered: what MLflow still lacks; ``None`` while it runs, or where that cannot be told.
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
    undelivered: Pending | None = None
    remark: str | None = None


def runs(root: Path, experiment: str | None = None) -> list[RunSummary]:
    """The runs below ``root``, newest first; those whose process vanished are marked as killed on the way.

    Args:
        root: the folder that runs lie in.
        experiment: only of this experiment: its name, or its folder's.
    """
    found = [run for run in run_folders(root) if experiment in {None, run.experiment, run.folder.path.parent.name}]
    return sorted((_summary(run) for run in found), key=lambda run: (run.started or 0.0, run.run), reverse=True)


def _summary(run: Named) -> RunSummary:
    folder, identity = run.folder, run.identity
    word, known, remark = standing(folder, identity)
    seed, title, created, parent = (identity.get(key) for key in ("seed", "title", "created", "parent"))
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
        iteration=known.iteration if known else 0,
        iterations=known.iterations if known else 0,
        metrics=known.metrics if known else {},
        started=float(created) if isinstance(created, int | float) else None,
        seconds=known.seconds if known else 0.0,
        health=str(known.health["verdict"]) if known and known.health and "verdict" in known.health else None,
        undelivered=None if word in {"running", "starting"} else _undelivered(folder),
        remark=remark,
    )


def standing(folder: RunFolder, identity: Mapping[str, Any]) -> tuple[str, Status | None, str | None]:
    """The status in a word, as :class:`RunSummary` has it, the report behind it, and a remark.

    A run whose process vanished is marked as killed on the way.
    """
    try:
        known = run_status.read(folder)
    except (StorageError, TypeError) as error:
        return "unknown", None, str(error)
    if known is None:
        return _unreported(folder, identity)

    try:
        reaped = reap(folder, known)
    except StorageError as error:
        return "killed", known, f"its process vanished; it cannot be marked: {error}"
    if reaped is not None:
        return reaped.status, reaped, reaped.reason
    if known.status == "running" and known.host != socket.gethostname():
        return "running", known, f"on host {known.host}; only there can be told whether it still does"
    return known.status, known, known.error or known.reason


def _unreported(folder: RunFolder, identity: Mapping[str, Any]) -> tuple[str, None, str | None]:
    if folder.holder():
        return "starting", None, None
    host = identity.get("host", socket.gethostname())
    return "unstarted", None, None if host == socket.gethostname() else f"on host {host}"


def _undelivered(folder: RunFolder) -> Pending | None:
    try:
        return pending(folder)
    except (StorageError, Unreachable):  # a folder that cannot be read, or a journal that never said what it is of
        return None
