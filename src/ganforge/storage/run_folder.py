"""The folder of a run: where each file lies, how a new one is made, and who works in it."""

from __future__ import annotations

import fcntl
import os
import re
import socket
import time
import unicodedata
import uuid
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from ganforge.core.errors import RunFolderError, StorageError
from ganforge.storage import atomic_files, strict_json

_PATIENCE = 0.2
"""Seconds that taking a lock waits for those who only ask whether it is held."""

_NOTE = 256
"""Bytes of a lock's note: always as many, written at once, so that nobody reads half of it."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who works in a run folder.

    Attributes:
        pid: its process.
        host: its machine.
        since: unix seconds.
    """

    pid: int
    host: str
    since: float

    def __str__(self) -> str:
        since, now = (
            datetime.fromtimestamp(self.since).astimezone(),
            datetime.now().astimezone(),
        )  # as the user's own clock shows it
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
        """A new folder below ``root``, with an identity (``id``, ``name``, ``experiment``, ``created``) and empty sub-folders.

        Names become slugs for the path; the identity keeps them as they are. No name leads outside ``root``.

        Raises:
            StorageError: the folder cannot be made, or not be written in.
        """
        run_id = uuid.uuid4().hex
        folder = cls(root / slug(experiment, fallback="experiment") / f"{slug(name, fallback='run')}-{run_id[:8]}")
        with atomic_files.storing(folder.path):
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
        """Component ids, revisions, versions and the data's hash; not the lock that is held while working, :meth:`locked`."""
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
        """Copies of the local plugins that the run was made with: to be read, and named by hand; nothing runs them by itself."""
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
    def meanings(self) -> Path:
        """What the numbers mean, :mod:`ganforge.storage.value_info`."""
        return self.path / "meanings.json"

    @property
    def report(self) -> Path:
        """The page about the run, :mod:`ganforge.report`."""
        return self.path / "report.html"

    @property
    def status(self) -> Path:
        """How the run stands, :mod:`ganforge.storage.run_status`."""
        return self.path / "status.json"

    @property
    def identity(self) -> Path:
        """Which run this is: id, name, experiment, seed, versions, device."""
        return self.path / "run.json"

    @property
    def ack(self) -> Path:
        """What MLflow has of the journal."""
        return self.path / "ack.json"

    def write_json(self, path: Path, data: object) -> None:
        """Replace a file of this folder by plain data, durably.

        Raises:
            StorageError: the disk or folder refused.
        """
        atomic_files.write_json(path, data)

    def read_json(self, path: Path) -> Any:
        """The plain data of a file of this folder; ``None`` when there is no such file.

        Raises:
            StorageError: it cannot be read, or is no JSON.
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
        """Be the one who works in this folder. The lock ends with the process, however it ends.

        Raises:
            RunFolderError: somebody else is; names pid, host and since when.
            StorageError: the lock's file cannot be made.
        """
        with atomic_files.storing(self._flock):
            file = os.open(self._flock, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            self._take(file)
            me = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}
            with atomic_files.storing(self._flock):
                os.pwrite(file, strict_json.dumps(me).encode().ljust(_NOTE), 0)
            yield
        finally:
            os.close(file)

    def holder(self) -> Holder | None:
        """Who works in this folder now, or ``None``; an unreadable note of a held lock gives pid 0 on host "?"."""
        try:
            file = os.open(self._flock, os.O_RDONLY)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"cannot read {self._flock}: {error.strerror or error}") from error
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return _holder(os.pread(file, _NOTE, 0))
        finally:
            os.close(file)
        return None

    @property
    def _flock(self) -> Path:
        return self.path / "run.lock"

    def _take(self, file: int) -> None:
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                return fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() < deadline:
                    time.sleep(0.01)
                    continue
                raise RunFolderError(
                    f"run {self.path} is in use by {_holder(os.pread(file, _NOTE, 0))}",
                    remedy="wait until it ends, or stop it",
                ) from error


def slug(name: str, *, fallback: str) -> str:
    """``name`` as one safe path component: at most 60 of ``a-z 0-9 . _ -``, not beginning with a dot.

    A name of which nothing is left (other scripts, dots only) becomes ``fallback`` and a checksum, so that two of them stay apart.
    """
    plain_text = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    kept = re.sub(r"[^a-z0-9._-]+", "-", plain_text)[:60].strip(".-_")
    return kept or f"{fallback}-{zlib.crc32(name.encode(errors='surrogatepass')):08x}"


def _holder(note: bytes) -> Holder:
    try:
        data = strict_json.loads(note)
        return Holder(int(data["pid"]), str(data["host"]), float(data["since"]))
    except (ValueError, KeyError, TypeError):
        return Holder(0, "?", 0.0)
