"""The folder of a run: where each file is, how a new folder is created, and which process works in it."""

from __future__ import annotations

import os
import re
import socket
import time
import unicodedata
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from filelock import FileLock, Timeout

from ganforge.core.errors import RunFolderError, StorageError
from ganforge.storage import atomic_files, strict_json

_LOCK_TIMEOUT = 0.2
"""Seconds to wait for the lock: another process may hold it for a moment in :meth:`RunFolder.holder`."""
_PROBE_TIMEOUT = 0.05
_POLL_INTERVAL = 0.01


@dataclass(frozen=True, slots=True)
class LockHolder:
    """The process that works in a run folder.

    Attributes:
        pid: its process id.
        host: its machine.
        since: unix seconds.
    """

    pid: int
    host: str
    since: float

    def __str__(self) -> str:
        since, now = datetime.fromtimestamp(self.since).astimezone(), datetime.now().astimezone()  # in the user's time zone
        moment = f"{since:%H:%M}" if since.date() == now.date() else f"{since:%Y-%m-%d %H:%M}"
        return f"pid {self.pid} on host {self.host} since {moment}"


@dataclass(frozen=True, slots=True)
class RunFolder:
    """One run's folder, ``runs/<experiment>/<name>-<8 hex>/``.

    Attributes:
        path: the folder.
    """

    path: Path

    @classmethod
    def create(cls, root: Path, experiment: str, name: str) -> Self:
        """Create a folder below ``root``, with an identity (``id``, ``name``, ``experiment``, ``created``) and empty sub-folders.

        Names become slugs for the path; the identity keeps them unchanged. No name leads outside ``root``.

        Raises:
            StorageError: the folder cannot be created, or you may not write in it.
        """
        run_id = uuid.uuid4().hex
        folder = cls(root / slug(experiment, fallback="experiment") / f"{slug(name, fallback='run')}-{run_id[:8]}")
        with atomic_files.storage_errors(folder.path):
            folder.path.parent.mkdir(parents=True, exist_ok=True)
            folder.path.mkdir()
            folder.checkpoints.mkdir()
            folder.pictures.mkdir()
        folder.write_json(folder.identity, {"id": run_id, "name": name, "experiment": experiment, "created": time.time()})
        return folder

    @property
    def recipe(self) -> Path:
        """The recipe as given."""
        return self.path / "recipe.toml"

    @property
    def resolved(self) -> Path:
        """The recipe with every default written out."""
        return self.path / "resolved.toml"

    @property
    def lock(self) -> Path:
        """Component ids, revisions, versions and the data's hash. The lock on the folder itself is :meth:`locked`."""
        return self.path / "lock.json"

    @property
    def journal(self) -> Path:
        """The append-only journal, :mod:`ganforge.storage.journal`."""
        return self.path / "events.jsonl"

    @property
    def checkpoints(self) -> Path:
        """The folder of checkpoints, :mod:`ganforge.storage.checkpoints`."""
        return self.path / "checkpoints"

    @property
    def plugins(self) -> Path:
        """Copies of the local plugins that the run used, for reading; ganforge never runs them unless you name them."""
        return self.path / "plugins"

    @property
    def pictures(self) -> Path:
        """The folder of pictures."""
        return self.path / "pictures"

    @property
    def metrics(self) -> Path:
        """The final metrics."""
        return self.path / "metrics.json"

    @property
    def value_info(self) -> Path:
        """What the values of losses and metrics mean, :mod:`ganforge.storage.value_info`."""
        return self.path / "value_info.json"

    @property
    def report(self) -> Path:
        """The report page, :mod:`ganforge.report`."""
        return self.path / "report.html"

    @property
    def status(self) -> Path:
        """The run's state, :mod:`ganforge.storage.run_status`."""
        return self.path / "status.json"

    @property
    def identity(self) -> Path:
        """Id, name, experiment, seed, versions and device."""
        return self.path / "run.json"

    @property
    def acknowledged(self) -> Path:
        """How much of the journal MLflow has accepted, :mod:`ganforge.tracking.upload_state`."""
        return self.path / "acknowledged.json"

    def write_json(self, path: Path, data: object) -> None:
        """Replace a file of this folder by plain data, durably.

        Raises:
            StorageError: the disk or folder refused.
        """
        atomic_files.write_json(path, data)

    def read_json(self, path: Path) -> Any:
        """Read the plain data of a file of this folder; ``None`` if there is no such file.

        Raises:
            StorageError: the file cannot be read, or is not valid JSON.
        """
        try:
            return strict_json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"cannot read {path}: {error.strerror or error}") from error
        except ValueError as error:
            raise StorageError(f"{path} is damaged: {error}") from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder's lock, so that no other process works in it. The lock ends with the process, however that ends.

        Raises:
            RunFolderError: another process holds the lock; names its pid, host and start time.
            StorageError: the lock file cannot be written.
        """
        lock = FileLock(self._lock_file)
        with atomic_files.storage_errors(self._lock_file):
            try:
                lock.acquire(timeout=_LOCK_TIMEOUT, poll_interval=_POLL_INTERVAL)
            except Timeout as error:
                raise RunFolderError(
                    f"run {self.path} is in use by {self._read_holder()}", remedy="wait until it ends, or stop it"
                ) from error
        try:
            holder = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}
            atomic_files.write_json(self._holder_file, holder, durable=False)
            yield
        finally:
            with suppress(OSError):
                self._holder_file.unlink(missing_ok=True)
            lock.release()

    def holder(self) -> LockHolder | None:
        """The process that works in this folder now, or ``None``; pid 0 on host "?" if the note about it cannot be read.

        In a folder that you cannot write, the lock cannot be tested: ``None``.
        """
        if not self._lock_file.exists():
            return None
        lock = FileLock(self._lock_file)
        try:
            lock.acquire(timeout=_PROBE_TIMEOUT, poll_interval=_POLL_INTERVAL)
        except Timeout:
            return self._read_holder()
        except OSError:
            return None
        lock.release()
        return None

    @property
    def _lock_file(self) -> Path:
        return self.path / "run.lock"

    @property
    def _holder_file(self) -> Path:
        """A file next to the lock, because a locked file cannot be read on Windows."""
        return self.path / "run.lock.json"

    def _read_holder(self) -> LockHolder:
        try:
            note = strict_json.loads(self._holder_file.read_bytes())
            return LockHolder(int(note["pid"]), str(note["host"]), float(note["since"]))
        except (OSError, ValueError, KeyError, TypeError):
            return LockHolder(0, "?", 0.0)


def slug(name: str, *, fallback: str) -> str:
    """``name`` as one safe path component: at most 60 of ``a-z 0-9 . _ -``, not starting with a dot.

    If nothing of the name is left (other scripts, only dots), the slug is ``fallback`` and a checksum, so that names stay distinct.
    """
    ascii_text = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    kept = re.sub(r"[^a-z0-9._-]+", "-", ascii_text)[:60].strip(".-_")
    return kept or f"{fallback}-{zlib.crc32(name.encode(errors='surrogatepass')):08x}"
