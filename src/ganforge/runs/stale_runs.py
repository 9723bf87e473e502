"""Runs whose process vanished are marked as killed, so that nothing says "running" for ever."""

from __future__ import annotations

import os
import socket
import time

from ganforge.core.errors import RunFolderError
from ganforge.storage import run_status
from ganforge.storage.journal import JournalWriter
from ganforge.storage.run_folder import RunFolder
from ganforge.storage.run_status import Status

SILENCE = 60.0
"""Seconds without a heartbeat after which a process that may still be there counts as vanished."""


def has_vanished(folder: RunFolder, known: Status) -> bool:
    """Whether the process of a run that says it is running is gone: nobody holds the lock, and it is dead or silent for a minute.

    Of a run on another host only that host can tell.
    """
    if known.status != "running" or known.host != socket.gethostname() or folder.holder():
        return False
    return not _is_alive(known.pid) or time.time() - known.heartbeat > SILENCE


def reap(folder: RunFolder, known: Status) -> Status | None:
    """Mark a vanished run as killed, in its status and, for MLflow, in its journal; the new status, or ``None`` where it lives.

    Raises:
        StorageError: the folder cannot be written.
    """
    if not has_vanished(folder, known):
        return None
    try:
        with folder.locked():
            return _mark(folder)
    except RunFolderError:  # somebody resumes it at this moment
        return None


def _mark(folder: RunFolder) -> Status | None:
    known = run_status.read(folder)  # once more, now that nobody else can change it
    if known is None or known.status != "running":
        return None
    reason = f"process vanished at iteration ~{known.iteration}"
    with JournalWriter(folder.journal) as writer:
        writer.record("tag", key="ganforge.reaped", value="true")
        writer.record("end", status="KILLED", reason=reason, iteration=known.iteration)
    return run_status.finish(folder, "killed", reason=reason)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True  # alive, and somebody else's
    return True
