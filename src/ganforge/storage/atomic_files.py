"""Files that are either whole or not there: temporary name, sync, rename."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ganforge.core.errors import StorageError
from ganforge.storage import strict_json


def write_json(path: Path, data: object, *, durable: bool = True) -> None:
    """Replace ``path`` by ``data`` as JSON (:mod:`ganforge.storage.strict_json`); see :func:`write_bytes`."""
    write_text(path, strict_json.dumps(data, indent=2) + "\n", durable=durable)


def write_text(path: Path, text: str, *, durable: bool = True) -> None:
    """Replace ``path`` by ``text`` as UTF-8; see :func:`write_bytes`."""
    write_bytes(path, text.encode(), durable=durable)


def write_bytes(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Replace ``path`` by ``data``, as one step that no reader sees half of; missing parent folders are made.

    Args:
        path: the file.
        data: its whole content.
        durable: also survive a power cut, at the price of about a millisecond.

    Raises:
        StorageError: the disk or folder refused; ``path`` is as it was before.
    """
    temporary = path.with_name(f".{path.name[:100]}.tmp-{os.getpid()}")
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write_through(temporary, data, durable=durable)
            temporary.replace(path)
        except OSError:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        if durable:
            sync_folder(path.parent)


def write_through(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Write ``data`` to ``path`` and, when ``durable``, on to the disk; for files in a folder that is renamed as a whole."""
    with path.open("wb") as file:
        file.write(data)
        if durable:
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def staged(path: Path) -> Iterator[Path]:
    """A place beside ``path`` to write a file or folder to, which replaces ``path`` only if the block ends well.

    For what must be looked at before it counts. If the block raises, ``path`` is as it was before, and the rest is cleared away.

    Raises:
        StorageError: the disk or folder refused.
    """
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        workshop = Path(tempfile.mkdtemp(prefix=f".{path.name[:100]}.tmp-", dir=path.parent))
    try:
        yield workshop / path.name
        with storing(path):
            _exchange(workshop / path.name, path, aside=workshop / "former")
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def _exchange(new: Path, path: Path, *, aside: Path) -> None:
    """Put ``new`` where ``path`` is; a folder there steps aside first, since no folder replaces another one in one step."""
    if not path.is_dir():
        new.replace(path)
    else:
        path.rename(aside)
        try:
            new.rename(path)
        except OSError:
            aside.rename(path)
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
def storing(path: Path) -> Iterator[None]:
    """Turn what the operating system says about ``path`` into an error that the user can act on.

    Raises:
        StorageError: names the path and the reason.
    """
    try:
        yield
    except OSError as error:
        raise StorageError(
            f"cannot write {path}: {error.strerror or error}",
            remedy=_remedy(error, path),
        ) from error


FOR_RUNS = " (for runs: --runs-dir)"
"""Ends the remedies that send elsewhere; commands with another option for that put it there instead."""


def _remedy(error: OSError, path: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"free some space, or choose another folder{FOR_RUNS}"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"choose a folder that you may write in{FOR_RUNS}"
    if path.is_dir():
        return "it is a folder: name a file"
    return f"choose another place{FOR_RUNS}"
