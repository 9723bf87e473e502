"""Files that appear whole or not at all: temporary name, sync, rename; and the fault points that prove it in tests."""

from __future__ import annotations

import errno
import os
import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from ganforge.core.errors import StorageError
from ganforge.storage import strict_json

_READ_ONLY = "choose a folder that you may write in, with --out or, for runs, --runs-dir"
_passes: Counter[str] = Counter()


def write_json(path: Path, data: object, *, durable: bool = True) -> None:
    """Replace ``path`` by ``data`` as JSON (:mod:`ganforge.storage.strict_json`); see :func:`write_bytes`."""
    write_text(path, strict_json.dumps(data, indent=2) + "\n", durable=durable)


def write_text(path: Path, text: str, *, durable: bool = True) -> None:
    """Replace ``path`` by ``text`` as UTF-8; see :func:`write_bytes`."""
    write_bytes(path, text.encode(), durable=durable)


def write_bytes(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Replace ``path`` by ``data`` in one step, so that no reader sees a part of it; missing parent folders are created.

    A ``durable`` file survives a power cut, which costs about a millisecond. A :class:`StorageError` leaves ``path`` unchanged.
    """
    temporary = path.with_name(f".{path.name[:100]}.tmp-{os.getpid()}")
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write_synced(temporary, data, durable=durable)
            temporary.replace(path)
        except OSError:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        if durable:
            sync_folder(path.parent)


def write_synced(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write ``data`` to ``path`` and, if ``durable``, through to the disk; for files in a folder that is renamed as a whole."""
    with path.open("wb") as file:
        file.write(data)
        if durable:
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def staged(path: Path) -> Iterator[Path]:
    """Yield a path to write a file or folder to, which replaces ``path`` only if the block succeeds; else nothing remains."""
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        stage = TemporaryDirectory(prefix=f".{path.name[:100]}.tmp-", dir=path.parent, ignore_cleanup_errors=True)
    with stage:
        new, former = Path(stage.name, path.name), Path(stage.name, "former")
        yield new
        with storage_errors(path):
            if os.path.lexists(path) and not path.is_file():  # a rename cannot replace a folder
                path.rename(former)
            try:
                new.replace(path)
            except BaseException:
                if os.path.lexists(former):
                    former.rename(path)
                raise
            sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def storage_errors(path: Path, *, read_only: str = _READ_ONLY) -> Iterator[None]:
    """Turn an :class:`OSError` about ``path`` into a :class:`StorageError` with the reason and a remedy.

    ``read_only`` is the remedy where nothing may be written.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror or error}", remedy=_remedy(error, path, read_only)) from error


def _remedy(error: OSError, path: Path, read_only: str) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return "free some space, or choose another folder with --out or, for runs, --runs-dir"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return read_only
    if path.is_dir():
        return "it is a folder: name a file"
    return "choose another place with --out or, for runs, --runs-dir"


def fault_point(name: str) -> None:
    """Kill this process here (SIGKILL) if ``GANFORGE_FAULT`` says so: tests prove with it that files are whole at any point.

    ``kill@NAME`` kills at the fault point of that name, ``kill@NAME:3`` the third time, and ``kill@any:3`` at the third fault point
    of any name.
    """
    place, _, turn = os.environ.get("GANFORGE_FAULT", "").removeprefix("kill@").partition(":")
    if place in (name, "any"):
        _passes[place] += 1
        if _passes[place] == int(turn or 1):
            os.kill(os.getpid(), signal.SIGKILL)
