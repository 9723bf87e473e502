"""Data sets brought to this computer: copied or downloaded, compared with known sums, and put in place whole or not at all."""

from __future__ import annotations

import http.client
import os
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ganforge import __version__
from ganforge.builtin.known import KNOWN, MADE_OF, Known, KnownFile
from ganforge.builtin.packed import read_raw, unpacked
from ganforge.core.errors import DataError, StorageError, UsageError, did_you_mean
from ganforge.storage.atomic import sync_folder, write_through

Told = Callable[[str, int, int | None], None]
"""``(file, bytes so far, bytes in all)``, as they come."""

_PATIENCE = 30
"""Seconds without a byte until a server is given up."""
_CHUNK = 1 << 18
_WEB = ("http://", "https://")


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
        listed = f"known: {', '.join(names)}; other data sets of `ganforge list datasets` need no preparing"
        raise UsageError(f"no data set named '{name}' can be prepared", remedy=f"{hint} {listed}" if hint else listed)
    return known


def prepare_data(known: Known, source: str | None, folders: Iterable[Path], told: Told) -> Prepared:
    """See to it that a data set is here, with the right sums.

    Args:
        known: which one.
        source: the folder, archive or URL to take it from; its own URLs unless given.
        folders: the data folders, of which the first is written to.
        told: hears how it goes on.

    Raises:
        DataError: files that are missing or not the right ones, or a download that failed; nothing was changed.
        StorageError: the disk or folder refused.
    """
    own, *others = folders
    given = None if source is None or source.startswith(_WEB) else _local(known, Path(source).expanduser())
    target = own / known.name
    for folder in known.folders((own, *others)) if source is None else [target]:
        if _is_right(known, folder):
            return Prepared(known, folder, changed=False)

    urls = (source,) if source and given is None else known.urls
    stage = (
        own / f".{known.name}-{os.getpid()}"
    )  # a rename is one step only within one file system, so files gather beside their place
    try:
        stage.mkdir(parents=True)
        try:
            for name, raw in _downloaded(known, urls, told) if given is None else _copied(known, given, told):
                write_through(stage / name, raw)
            _put(stage, target)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    except OSError as error:
        raise StorageError(
            f"cannot write {target}: {error.strerror or error}",
            remedy="free some space, or set GANFORGE_DATA to a folder you may write to",
        ) from error
    return Prepared(known, target, changed=True)


def _is_right(known: Known, folder: Path) -> bool:
    form = known.form_in(folder)
    try:
        return form is not None and all((path := file.lies_in(folder)) and _is_file(file, read_raw(path), path) for file in form)
    except DataError:
        return False


def _is_file(file: KnownFile, raw: bytes, origin: Path | str) -> bool:
    return file.is_content(_content(file, raw, origin))


def _content(file: KnownFile, raw: bytes, origin: Path | str) -> bytes:
    return unpacked(raw, origin, most=file.size) if file.gzipped else raw


def _local(known: Known, source: Path) -> list[tuple[KnownFile, Path]]:
    """The files in a folder, or an archive, that make one of the data set's forms."""
    if source.is_file():
        archives = [form[0] for form in known.forms if len(form) == 1]
        named = [file for file in archives if file.name == source.name] or archives
        if named:
            return [(named[0], source)]
        raise DataError(f"{source} is a file", remedy=f"name the folder that holds {_listed(known.forms[0])}")
    if not source.is_dir():
        raise DataError(f"there is no folder {source}", remedy="name a folder that is there, or a URL that begins with https://")

    folder = known.found_in([source])
    form = known.form_in(folder) if folder else None
    if folder is None or form is None:
        missing = [file for file in known.forms[0] if not file.lies_in(source)]
        others = "".join(f"; or {_listed(form)}" for form in known.forms[1:])
        raise DataError(f"{source} lacks {_listed(missing)}", remedy=f"it must hold {_listed(known.forms[0])}{others}")
    return [(file, path) for file in form if (path := file.lies_in(folder))]


def _copied(known: Known, files: list[tuple[KnownFile, Path]], told: Told) -> Iterator[tuple[str, bytes]]:
    for file, path in files:
        raw = read_raw(path)
        _insist(known, file, raw, path)
        name = path.name if file.gzipped else file.name
        told(name, len(raw), len(raw))
        yield name, raw


def _downloaded(known: Known, urls: Iterable[str], told: Told) -> list[tuple[str, bytes]]:
    """All files from the first server that gives them."""
    failures: list[str] = []
    for url in urls:
        try:
            found = [_fetched(file, url, told) for file in known.forms[0]]
        except (OSError, http.client.HTTPException, ValueError) as error:  # the last one: an address that is none
            failures.append(f"{url}: {getattr(error, 'reason', None) or error}")
            if isinstance(error, urllib.error.HTTPError):
                error.close()
            continue
        for file, (name, raw) in zip(known.forms[0], found, strict=True):
            _insist(known, file, raw, f"{url}: {name}")
        return found
    raise DataError(f"{known.name} could not be downloaded: {'; '.join(failures)}", remedy=without_network(known))


def without_network(known: Known) -> str:
    """What to do where there is none, to the letter."""
    packed = ", each with or without .gz," if known.forms[0][0].gzipped else ""
    steps = (
        f"without a network: get {_listed(known.forms[0])}{packed} on a computer that has one, from {' or '.join(known.urls)}; "
        f"carry them here, and run `ganforge data prepare {known.name} --from FOLDER`"
    )
    return f"{steps}; or {known.otherwise}" if known.otherwise else steps


def _fetched(file: KnownFile, url: str, told: Told) -> tuple[str, bytes]:
    """Name and content of a file from a folder on the web, packed where the server has it so; or from a URL of its own."""
    if url.endswith(file.name):
        return file.name, _read(url, file, told)
    *tried, last = reversed(file.names)
    base = url.rstrip("/")
    for name in tried:
        try:
            return name, _read(f"{base}/{name}", file, told)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code not in (403, 404):
                raise
    return last, _read(f"{base}/{last}", file, told)


def _read(url: str, file: KnownFile, told: Told) -> bytes:
    name = url.rpartition("/")[2]
    request = urllib.request.Request(url, headers={"User-Agent": f"ganforge/{__version__}"})  # noqa: S310 - http(s) only, see _WEB
    pieces: list[bytes] = []
    done = 0
    with urllib.request.urlopen(request, timeout=_PATIENCE) as response:  # noqa: S310 - as above
        length = response.headers.get("Content-Length")
        total = int(length) if length and length.isdigit() else None
        while piece := response.read(_CHUNK):
            pieces.append(piece)
            done += len(piece)
            told(name, done, total)
            if file.size is not None and done > 2 * file.size + _CHUNK:
                raise http.client.HTTPException(f"{name} does not end where it should")
    if total is not None and done < total:
        raise http.client.HTTPException(f"{name} was cut short after {done:,} of {total:,} bytes")
    return b"".join(pieces)


def _insist(known: Known, file: KnownFile, raw: bytes, origin: Path | str) -> None:
    content = _content(file, raw, origin)
    if not file.is_content(content):
        kind, _, wanted = file.sum.partition(":")
        found = file.sum_of(content).partition(":")[2]
        raise DataError(
            f"{origin}: is not {file.name} of {known.name}: its {kind} is {found}, not {wanted}",
            remedy=f"get it from {' or '.join(known.urls)}",
        )


def _put(stage: Path, target: Path) -> None:
    """Put the files in their place: the folder as a whole where it is new, else file by file, each in one step."""
    sync_folder(stage)
    if not target.exists():
        stage.rename(target)
    else:
        for path in stage.iterdir():
            path.replace(target / path.name)
            twin = target / (path.name.removesuffix(".gz") if path.name.endswith(".gz") else f"{path.name}.gz")
            twin.unlink(missing_ok=True)
    sync_folder(target.parent)


def size_on_disk(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


def _listed(files: Iterable[KnownFile]) -> str:
    *first, last = [file.name for file in files]
    return f"{', '.join(first)} and {last}" if first else last
