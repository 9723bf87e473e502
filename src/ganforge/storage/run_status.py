"""The state of a run: ``status.json``, replaced as a whole at the start, every few seconds, and at the end."""

from __future__ import annotations

import dataclasses
import os
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from ganforge.storage import atomic_files
from ganforge.storage.run_folder import RunFolder

RunState = Literal["running", "finished", "stopped", "failed", "diverged", "killed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The state of a run.

    Attributes:
        status: the state in one word.
        iteration: iterations done.
        iterations: iterations in all.
        seconds: wall time of training so far, in this process.
        iterations_per_second: latest measured speed, or ``None`` before there is one.
        pid: the process that trains or trained.
        host: its machine.
        heartbeat: unix seconds of this report.
        metrics: last value of each metric.
        health: ``verdict`` and ``findings``, once the health checks ran.
        reason: why the run ended this way.
        error: type and message of the exception that ended it.
    """

    status: RunState
    iteration: int = 0
    iterations: int = 0
    seconds: float = 0.0
    iterations_per_second: float | None = None
    pid: int = field(default_factory=os.getpid)
    host: str = field(default_factory=socket.gethostname)
    heartbeat: float = field(default_factory=time.time)
    metrics: Mapping[str, float] = field(default_factory=dict)
    health: Mapping[str, object] | None = None
    reason: str | None = None
    error: str | None = None

    def now(self, **changes: Any) -> Self:
        """A copy with ``changes`` and the current time."""
        return dataclasses.replace(self, **{"heartbeat": time.time(), **changes})


def read(folder: RunFolder) -> Status | None:
    """Read the state; ``None`` before the first report. Unknown keys, from newer versions of ganforge, are ignored.

    Raises:
        StorageError: the file cannot be read, or is damaged.
    """
    found = folder.read_json(folder.status)
    if not isinstance(found, dict) or "status" not in found:
        return None
    known = {entry.name for entry in dataclasses.fields(Status)}
    return Status(**{key: value for key, value in found.items() if key in known})


def write(folder: RunFolder, status: Status, *, durable: bool = True) -> None:
    """Write the state; a heartbeat need not be ``durable``.

    Raises:
        StorageError: the disk or folder refused.
    """
    atomic_files.write_json(folder.status, dataclasses.asdict(status), durable=durable)


def finish(
    folder: RunFolder,
    state: RunState,
    *,
    reason: str | None = None,
    error: str | None = None,
    health: Mapping[str, object] | None = None,
) -> Status:
    """Write how the run ended and return the new state; fields that are not given keep their values.

    Raises:
        StorageError: the disk or folder refused.
    """
    before = read(folder) or Status(status=state)
    ended = before.now(status=state, reason=reason or before.reason, error=error or before.error, health=health or before.health)
    write(folder, ended)
    return ended
