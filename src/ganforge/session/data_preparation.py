"""Data sets brought to this computer: copied or downloaded, compared with known sums, and put in place whole or not at all."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ganforge.builtin.datasets.gzip_files import read_raw
from ganforge.builtin.datasets.remote_datasets import KNOWN, MADE_OF, Known, KnownFile
from ganforge.core.errors import DataError, StorageError, UsageError, did_you_mean
from ganforge.session.data_checksums import archive_of, archives, insist, is_right, listed
from ganforge.session.downloads import Told, downloaded, is_url
from ganforge.storage.atomic_files import sync_folder, write_synced

_FORGOTTEN = 24 * 3600
"""Seconds after which what a process gathered and could not take away is nobody's any more."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A data set that is here.

    Attributes:
        known: which one.
        folder: where it lies.
        changed: whether it was put there now.
    """

    known: Known
    folder: Path
    changed: bool


def known_named(name: str) -> Known:
    """The data set of that name, or the one that it is made of.

    Raises:
        UsageError: ganforge knows no such data set.
    """
    known = KNOWN.get(MADE_OF.get(name, name))
    if known is None:
        names = [*KNOWN, *MADE_OF]
        hint = did_you_mean(name, names)
        told = f"known: {', '.join(names)}; other data sets of `ganforge list datasets` need no preparing"
        raise UsageError(f"no data set named '{name}' can be prepared", remedy=f"{hint} {told}" if hint else told)
    return known


def prepare_data(known: Known, source: str | None, folders: Iterable[Path], told: Told) -> Prepared:
    """See to it that what a run would read is here, with the right sums.

    Args:
        known: which one.
        source: the folder, archive or URL to take it from; unless given, a sound copy in another of the folders, else its own URLs.
        folders: the data folders, of which the first is written to.
        told: hears how it goes on.

    Raises:
        DataError: files that are missing or not the right ones, or a download that failed; nothing was changed.
        StorageError: the disk or folder refused.
        UsageError: the source is empty, or a URL of one file of several.
    """
    own, *others = folders
    if source is not None and not source.strip():
        raise UsageError("--from is empty", remedy="name a folder, an archive or a URL")
    target = own / known.name
    places = known.folders((own, *others)) if source is None else [target]
    read = known.found_in(places)
    if read is not None and is_right(known, read):
        return Prepared(known, read, changed=False)

    brought = _brought(known, source, places, told)
    try:
        with _staged(target) as stage:
            for name, raw in brought:
                write_synced(stage / "new" / name, raw)
            _put(stage, target, known)
    except OSError as error:
        raise StorageError(
            f"cannot write {target}: {error.strerror or error}",
            remedy="free some space, or set GANFORGE_DATA to a folder you may write to",
        ) from error
    return Prepared(known, target, changed=True)


def _brought(known: Known, source: str | None, places: Sequence[Path], told: Told) -> Iterator[tuple[str, bytes]]:
    if source is None:
        sound = next((found for place in places if (found := known.found_in([place])) and is_right(known, found)), None)
        if sound is not None:
            return _copied(known, _local(known, sound), told)
        return downloaded(known, known.urls, told)
    if is_url(source):
        return downloaded(known, [source], told)
    return _copied(known, _local(known, Path(source).expanduser()), told)


def _local(known: Known, source: Path) -> list[tuple[KnownFile, Path]]:
    """The files in a folder, or an archive, that make one of the data set's forms."""
    if source.is_file():
        if archives(known):
            return [(archive_of(known, read_raw(source), source.name, source), source)]
        raise DataError(f"{source} is a file", remedy=f"name the folder that holds {listed(known.forms[0])}")
    if not source.is_dir():
        raise DataError(f"there is no folder {source}", remedy="name a folder that is there, or a URL that begins with https://")

    folder = known.found_in([source])
    form = known.form_in(folder) if folder else None
    if folder is None or form is None:
        missing = [file for file in known.forms[0] if not file.lies_in(source)]
        others = "".join(f"; or {listed(form)}" for form in known.forms[1:])
        raise DataError(f"{source} lacks {listed(missing)}", remedy=f"it must hold {listed(known.forms[0])}{others}")
    return [(file, path) for file in form if (path := file.lies_in(folder))]


def _copied(known: Known, files: list[tuple[KnownFile, Path]], told: Told) -> Iterator[tuple[str, bytes]]:
    for file, path in files:
        raw = read_raw(path)
        insist(known, file, raw, path)
        name = path.name if file.gzipped else file.name
        told(name, len(raw), len(raw))
        yield name, raw


@contextmanager
def _staged(target: Path) -> Iterator[Path]:
    """A folder beside the target, since a rename is one step within one file system only; files gather in its ``new``."""
    beside = f".{target.name}-"
    for left in target.parent.glob(f"{beside}*"):  # of processes that were killed
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > _FORGOTTEN:
                _clear(left)
    stage = target.parent / f"{beside}{secrets.token_hex(8)}"
    try:
        (stage / "new").mkdir(parents=True)
        yield stage
    finally:
        _clear(stage)


def _clear(stage: Path) -> None:
    """Take a stage away, unless it holds what lay in the target's place and came to no other."""
    if not os.path.lexists(stage / "old"):
        shutil.rmtree(stage, ignore_errors=True)


def _put(stage: Path, target: Path, known: Known) -> None:
    """Put the new folder in its place as a whole. What was there goes, but for files that are none of the data set's."""
    new, old = stage / "new", stage / "old"
    sync_folder(new)
    if not os.path.lexists(target):
        new.rename(target)
    elif target.is_dir() or target.is_symlink():
        try:
            target.rename(old)
            new.rename(target)
        except BaseException:
            if os.path.lexists(old) and not os.path.lexists(target):
                old.rename(target)
            raise
        _leave(old, target, known)
    else:
        raise NotADirectoryError(errno.ENOTDIR, "a file of this name is in the way")
    sync_folder(target.parent)


def _leave(old: Path, target: Path, known: Known) -> None:
    """Take the old folder away: of a link the link alone, and other people's files stay."""
    if old.is_symlink():
        old.unlink()
        return
    ours = {name for form in known.forms for file in form for name in file.names}
    for path in old.iterdir():
        if path.name not in ours:
            path.rename(target / path.name)
    shutil.rmtree(old, ignore_errors=True)


def size_on_disk(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
