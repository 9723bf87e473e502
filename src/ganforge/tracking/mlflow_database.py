"""The sqlite file of an MLflow store: what is wrong with it, how it is created, and its artifacts after the project was moved."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

ARTIFACTS = "mlartifacts"
"""The folder beside the file that holds the artifacts, one folder for each experiment."""

_HEADER = b"SQLite format 3\0"
_ADDRESSES = (  # MLflow's columns that hold addresses of artifacts
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)


@dataclass(frozen=True, slots=True)
class Fault:
    """What keeps MLflow from using a file."""

    reason: str
    remedy: str
    is_permanent: bool  # whether waiting is useless: the address is wrong

    def __str__(self) -> str:
        return f"{self.reason}; {self.remedy}"


def find_fault(file: Path, *, timeout: float = 1.0) -> Fault | None:
    """What keeps MLflow from using the file, such as another program's lock for more than ``timeout`` seconds.

    MLflow itself retries for 100 seconds and then reports SQL.
    """
    place = next(path for path in (file, *file.parents) if os.path.exists(path))  # noqa: PTH110 - False, not an error, without permission
    if place != file:
        return _wrong(f"{place} is not a folder") if not place.is_dir() else None if _writable(place) else _read_only(place)
    if not file.is_file():
        return _wrong(f"{file} is {'a folder' if file.is_dir() else 'not a regular file'}")
    try:
        with file.open("rb") as opened:
            header = opened.read(len(_HEADER))
        if header not in {b"", _HEADER}:
            return _wrong(f"{file} is not an sqlite database")
        tables = _tables(file, timeout)
    except (OSError, sqlite3.Error) as error:
        return _access_fault(file, error)
    if tables and "experiments" not in tables:
        return _wrong(f"{file} is the database of another program")
    return None if _writable(file) and _writable(file.parent) else _read_only(file)


def ensure_complete(file: Path, initialise: Callable[[Path], object]) -> None:
    """Create the file if it is missing, or if it is empty and MLflow cannot open it: ``initialise`` lets MLflow fill or open one.

    MLflow fills a new file in place, statement by statement, and cannot open what is left if it is killed meanwhile. So the file is
    filled under another name, and renamed when it is complete.
    """
    if not is_empty(file):
        return
    for leftover in file.parent.glob(f".{file.name}-*"):  # of a process that was killed
        shutil.rmtree(leftover, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=f".{file.name}-", dir=file.parent) as folder:
        if file.exists() and file.stat().st_size:
            with suppress(Exception):  # whatever MLflow raises for an incomplete file
                initialise(Path(shutil.copy(file, Path(folder, "copy.db"))))
                return
        new = Path(folder, "new.db")
        initialise(new)
        file.with_name(f"{file.name}-journal").unlink(missing_ok=True)  # of the incomplete file
        new.replace(file)


def is_empty(file: Path) -> bool:
    """Whether the file is missing or holds neither runs nor experiments of a user, so that it can be created again."""
    if not file.exists():
        return True
    with closing(_connect(file)) as database:
        counts = {
            table: database.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]  # noqa: S608 - constants
            for table in {"experiments", "runs"} & _tables(file)
        }
    return counts.get("experiments", 0) <= 1 and not counts.get("runs")  # one experiment: MLflow's own default


def has_run(file: Path, run_id: str) -> bool:
    """Whether the file has a run, deleted ones included."""
    if not file.exists():
        return False
    with closing(_connect(file)) as database:
        return bool(database.execute("SELECT 1 FROM runs WHERE run_uuid = ?", (run_id,)).fetchone())


def relocate(file: Path) -> None:
    """Let artifacts be found and written beside a file that was moved or copied: MLflow stores absolute addresses.

    Only addresses that ganforge gave (:data:`ARTIFACTS` beside the file) change, and only if the artifacts moved too or are gone.
    """
    here = file.parent / ARTIFACTS
    with closing(_connect(file)) as database:
        found = [row[0] for row in database.execute("SELECT artifact_location FROM experiments")]
        for old in {address for address in found if address and _moved(address, here)}:
            new = (here / _local(old).name).as_uri()
            for table, column in _ADDRESSES:
                database.execute(
                    f"UPDATE {table} SET {column} = ? || SUBSTR({column}, ?) "  # noqa: S608 - constants
                    f"WHERE {column} = ? OR SUBSTR({column}, 1, ?) = ?",
                    (new, len(old) + 1, old, len(old) + 1, f"{old}/"),
                )
        database.commit()


def _moved(address: str, here: Path) -> bool:
    folder = _local(address)
    if not address.startswith("file:") or folder.parent.name != ARTIFACTS or folder.parent == here:
        return False
    return (here / folder.name).is_dir() or not folder.exists()


def _local(address: str) -> Path:
    return Path(unquote(urlsplit(address).path))


def _tables(file: Path, timeout: float = 1.0) -> set[str]:
    if not file.stat().st_size:
        return set()
    with closing(_connect(file, timeout)) as database:
        return {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _connect(file: Path, timeout: float = 20.0) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{quote(str(file))}?mode=rw", uri=True, timeout=timeout)


def _access_fault(file: Path, error: Exception) -> Fault:
    if "locked" in str(error):
        return Fault(f"another program has locked {file}", "close it, or wait until it is done", is_permanent=False)
    if isinstance(error, OSError):
        return Fault(f"{file} cannot be read: {error.strerror}", "change its permissions", is_permanent=False)
    remedy = "move it to another folder: the next run creates a new one, and `ganforge sync RUN` sends earlier runs again"
    return Fault(f"{file} is damaged: {error}", remedy, is_permanent=False)


def _wrong(reason: str) -> Fault:
    return Fault(reason, "name another file, such as --tracking-uri sqlite:///mlflow.db", is_permanent=True)


def _read_only(path: Path) -> Fault:
    remedy = "change its permissions, or name a file elsewhere, such as --tracking-uri sqlite:////tmp/mlflow.db"
    return Fault(f"{path} cannot be written", remedy, is_permanent=False)


def _writable(path: Path) -> bool:
    """Whether a file can be opened for writing, or files be created in a folder, tried because root may seem to write anywhere."""
    try:
        with tempfile.TemporaryFile(dir=path) if path.is_dir() else path.open("r+b"):
            return True
    except OSError:
        return False
