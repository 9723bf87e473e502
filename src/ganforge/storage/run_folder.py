"""The folder of a run: its files, its state, and which process works in it; and the folders of the cache and of prepared data."""

from __future__ import annotations

import os
import re
import socket
import time
import unicodedata
import uuid
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from filelock import FileLock, Timeout
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from ganforge.core.errors import RunFolderError, StorageError
from ganforge.core.redaction import mask_data
from ganforge.storage import atomic_files, strict_json

RunState = Literal["running", "finished", "stopped", "failed", "diverged", "killed"]
_Count = Annotated[int, Field(gt=-1e15, lt=1e15)]
_Seconds = Annotated[float, Field(gt=-1e15, lt=1e15)]
LATEST = 2.5e11  # unix seconds that a date can show: until the year 9892


@dataclass(frozen=True, slots=True)
class LockHolder:
    """The process that works in a run folder, ``since`` a time in unix seconds."""

    pid: int
    host: str
    since: float

    def __str__(self) -> str:
        since = datetime.fromtimestamp(self.since).astimezone()  # in the user's time zone
        return f"pid {self.pid} on host {self.host} since {since:%Y-%m-%d %H:%M}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The state of a run: ``status.json``, replaced as a whole at the start, every few seconds, and at the end."""

    status: RunState
    iteration: _Count = 0
    iterations: _Count = 0  # in all
    seconds: _Seconds = 0.0  # wall time of training so far, in this process
    iterations_per_second: float | None = None  # latest measured speed
    pid: Annotated[int, Field(ge=0, lt=2**31)] = field(default_factory=os.getpid)
    host: str = field(default_factory=socket.gethostname)
    heartbeat: _Seconds = field(default_factory=time.time)  # unix seconds of this report
    metrics: Mapping[str, float] = field(default_factory=dict)
    health: Mapping[str, object] | None = None  # ``verdict`` and ``findings``, once the health checks ran
    reason: str | None = None
    error: str | None = None  # type and message of the exception that ended it

    def now(self, **changes: Any) -> Self:
        """A copy with ``changes`` and the current time."""
        return replace(self, **{"heartbeat": time.time(), **changes})


_STATUS = TypeAdapter(Status)


class _Identity(BaseModel):
    """What is known of ``run.json``; it holds more."""

    id: str | None = None
    name: str | None = None
    experiment: str | None = None
    parent: str | None = None
    kind: str | None = None
    host: str | None = None
    recipe_folder: str | None = None
    created: Annotated[float, Field(ge=0, lt=LATEST)] | None = None


class _Entry:
    """The path of a file or folder inside a run folder."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, folder: RunFolder, kind: type) -> Path:
        return folder.path / self._name


@dataclass(frozen=True, slots=True)
class RunFolder:
    """One run's folder, ``runs/<experiment>/<name>-<8 hex>/``.

    Every method that reads or writes raises a :class:`StorageError` if the disk or folder refuses, or the file is damaged.
    """

    path: Path

    recipe = _Entry("recipe.toml")  # as given
    resolved = _Entry("resolved.toml")  # the recipe with every default written out
    lock = _Entry("lock.json")  # component ids, revisions, versions and the data's hash; not the lock on the folder
    journal = _Entry("events.jsonl")
    checkpoints = _Entry("checkpoints")
    plugins = _Entry("plugins")  # copies of the local plugins, for reading; ganforge never runs them unless you name them
    pictures = _Entry("pictures")
    metrics = _Entry("metrics.json")  # the final ones
    value_info = _Entry("value_info.json")  # what the values of losses and metrics mean
    report = _Entry("report.html")
    status = _Entry("status.json")
    identity = _Entry("run.json")  # id, name, experiment, seed, versions and device
    acknowledged = _Entry("acknowledged.json")  # how much of the journal MLflow has accepted
    _lock_file = _Entry("run.lock")
    _holder_file = _Entry("run.lock.json")  # next to the lock, because a locked file cannot be read on Windows

    @classmethod
    def create(cls, root: Path, experiment: str, name: str) -> Self:
        """Create a folder below ``root``, with an identity (``id``, ``name``, ``experiment``, ``created``) and empty sub-folders.

        Names become slugs for the path; the identity keeps them unchanged. No name leads outside ``root``.
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
    def reference(self) -> str:
        """What names this run to a command in the working directory: the folder's name if it is below ``runs``, else its path."""
        with suppress(OSError):  # the working directory was deleted
            if self.path.resolve().parent.parent == Path("runs").resolve():
                return self.path.name
        return str(self.path)

    def check(self) -> None:
        """Refuse a folder that holds anything but files and folders: a run may come from anyone.

        A link leads out of the folder, for reading and for writing, and a pipe blocks whoever opens it. Raises a RunFolderError.
        """
        folders = [self.path]
        while folders:
            try:
                with os.scandir(folders.pop()) as entries:
                    for entry in entries:
                        if entry.is_dir(follow_symlinks=False):
                            folders.append(Path(entry.path))
                        elif not entry.is_file(follow_symlinks=False):
                            what = "a link" if entry.is_symlink() else "neither a file nor a folder"
                            raise RunFolderError(
                                f"{entry.path} is {what}, which a run folder must not contain",
                                remedy="replace it by what it should be, or remove it",
                            )
            except FileNotFoundError:  # the run has just removed it
                continue
            except OSError as error:
                raise StorageError(f"cannot read {error.filename}: {error.strerror or error}") from error

    def inside(self, path: str) -> Path:
        """The place of a file that the journal names; raises a RunFolderError if it is outside of the folder, or missing."""
        try:
            place = (self.path / path).resolve()
            exists = place.exists()
        except (OSError, ValueError) as error:  # too long, or with a NUL character
            raise RunFolderError(f"{path[:200]!r} is not a path") from error
        if not place.is_relative_to(self.path.resolve()):
            raise RunFolderError(f"{path} is outside the run folder")
        if not exists:
            raise RunFolderError(f"{path} is missing")
        return place

    def write_json(self, path: Path, data: object) -> None:
        """Replace a file of this folder by plain data without secrets, durably."""
        atomic_files.write_json(path, mask_data(data))

    def read_json(self, path: Path) -> Any:
        """Read the plain data of a file of this folder; ``None`` if there is no such file."""
        try:
            return strict_json.loads(path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StorageError(f"cannot read {path}: {error.strerror or error}") from error
        except ValueError as error:
            raise StorageError(f"{path} is damaged: {error}") from error

    def read_identity(self) -> dict[str, Any]:
        """Read what identifies the run; empty where there is none."""
        if (found := self.read_json(self.identity)) is None:
            return {}
        try:
            _Identity.model_validate(found)
        except ValidationError as error:
            problem = error.errors()[0]
            raise StorageError(f"{self.identity} is damaged: {problem['loc']}: {problem['msg']}") from error
        return dict(found)

    def read_status(self) -> Status | None:
        """Read the run's state; ``None`` before the first report. Unknown keys, from newer versions of ganforge, are ignored."""
        found = self.read_json(self.status)
        if not isinstance(found, dict) or "status" not in found:
            return None
        try:
            return _STATUS.validate_python(found)
        except ValidationError as error:
            problem = error.errors()[0]
            raise StorageError(f"{self.status} is damaged: {problem['loc'][0]}: {problem['msg']}") from error

    def write_status(self, status: Status, *, durable: bool = True) -> None:
        """Write the run's state; a heartbeat need not be ``durable``."""
        atomic_files.write_json(self.status, mask_data(asdict(status)), durable=durable)

    def finish(
        self, status: RunState, *, reason: str | None = None, error: str | None = None, health: Mapping[str, object] | None = None
    ) -> Status:
        """Write how the run ended and return the new state; what is not given keeps its value."""
        before = self.read_status() or Status(status=status)
        reason, error, health = reason or before.reason, error or before.error, health or before.health
        ended = before.now(status=status, reason=reason, error=error, health=health)
        self.write_status(ended)
        return ended

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder's lock, which ends with the process, however that ends; a RunFolderError names another holder."""
        lock = FileLock(self._lock_file)
        copy = f"copy {self.path} to a folder that you may write in, and name the copy"
        with atomic_files.storage_errors(self._lock_file, read_only=copy):
            try:
                lock.acquire(timeout=0.2, poll_interval=0.01)  # another process may hold it for a moment in holder()
            except Timeout as error:
                raise RunFolderError(
                    f"run {self.path} is in use by {self._read_holder()}", remedy="wait until it ends, or stop it"
                ) from error
        try:
            holder = LockHolder(os.getpid(), socket.gethostname(), time.time())
            atomic_files.write_json(self._holder_file, asdict(holder), durable=False)
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
        try:
            with FileLock(self._lock_file).acquire(timeout=0.05, poll_interval=0.01):
                return None
        except Timeout:
            return self._read_holder()
        except OSError:
            return None

    def _read_holder(self) -> LockHolder:
        try:
            note = strict_json.loads(self._holder_file.read_bytes())
            return LockHolder(int(note["pid"]), str(note["host"]), min(float(note["since"]), LATEST))
        except (OSError, ValueError, KeyError, TypeError, OverflowError):
            return LockHolder(0, "?", 0.0)


def slug(name: str, *, fallback: str) -> str:
    """``name`` as one safe path component: at most 60 of ``a-z 0-9 . _ -``; ``fallback`` and a checksum if nothing is left."""
    ascii_text = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    kept = re.sub(r"[^a-z0-9._-]+", "-", ascii_text)[:60].strip(".-_")
    return kept or f"{fallback}-{zlib.crc32(name.encode(errors='surrogatepass')):08x}"


def cache_folder() -> Path:
    """The user's cache, for what can be obtained again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "ganforge"


def data_folders() -> tuple[Path, ...]:
    """Where data sets are searched, in this order: ``$GANFORGE_DATA`` if it is set, then the cache; the first gets new ones."""
    given = os.environ.get("GANFORGE_DATA")
    cache = cache_folder() / "data"
    return (Path(given).expanduser(), cache) if given else (cache,)
