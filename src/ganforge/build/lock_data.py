"""The data of a run as its lock holds it: what the data set's parameters name, or what is known of its files. Torch-free."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ganforge.build.lock_models import LockedFile
from ganforge.builtin.datasets.file_listing import files_below
from ganforge.builtin.datasets.remote_datasets import KNOWN, MADE_OF
from ganforge.core.errors import DataError

if TYPE_CHECKING:
    from ganforge.build.blueprint import Part

_LARGE = 2**30
"""Bytes of a folder above which contents are not read: hashing them would delay every run by seconds."""
_SMALL = 2**20


def locked_data(dataset: Part, folder: Path) -> Iterator[LockedFile]:
    """Files and folders that parameters of type ``Path`` name, and the known sums of a data set that ganforge prepares.

    One that is missing is the data set's to tell.

    Raises:
        DataError: a file that is named cannot be read.
    """
    component = dataset.component
    known = KNOWN.get(MADE_OF.get(component.name, component.name)) if component.plugin.distribution == "ganforge" else None
    if known is not None:  # what a run reads is compared with them
        sums = "".join(f"{file.name} {file.sum}\n" for file in known.forms[0])
        yield LockedFile(key=f"{dataset.key}.use", file=known.name, sha256=hashlib.sha256(sums.encode()).hexdigest(), covers="sums")

    for name in type(dataset.params).model_fields:
        value = getattr(dataset.params, name)
        if not isinstance(value, Path):
            continue
        place = folder / os.path.expanduser(value)  # noqa: PTH111 - Path's raises for ~nobody
        try:
            if place.is_file():
                yield LockedFile(key=f"{dataset.key}.params.{name}", file=str(value), sha256=_content(place, place.stat().st_size))
            elif place.is_dir():
                covers, sha256 = _folder(place)
                yield LockedFile.model_validate(
                    {"key": f"{dataset.key}.params.{name}", "file": str(value), "sha256": sha256, "covers": covers}
                )
        except OSError as error:
            named = error.filename or place
            raise DataError(
                f"{named}: cannot be read: {error.strerror or error}", remedy="check the file and its rights"
            ) from error


def _content(file: Path, size: int) -> str:
    with file.open("rb", buffering=0) as stream:
        if size <= _SMALL:  # a digest of a stream begins with a large buffer, which costs more than such a file
            return hashlib.sha256(stream.read()).hexdigest()
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _folder(folder: Path) -> tuple[str, str]:
    """What is hashed of a folder, and the hash: names, sizes and contents, or the times of change of large ones.

    What cannot be read, and a folder that cannot be listed, counts as such: whether it matters is the data set's to say.
    """
    unlisted: list[OSError] = []
    found = [(file, _facts(file)) for file in files_below(folder, unlisted.append)]
    large = sum(facts.st_size for _, facts in found if facts) > _LARGE
    hashed = hashlib.sha256()
    for file, facts in found:
        last = "unreadable"
        if facts is not None:
            with suppress(OSError):
                last = f"{facts.st_size} {facts.st_mtime_ns if large else _content(file, facts.st_size)}"
        hashed.update(os.fsencode(f"{file.relative_to(folder).as_posix()}\0{last}\0"))
    for error in unlisted:
        hashed.update(os.fsencode(f"{Path(error.filename).relative_to(folder).as_posix()}\0unlisted\0"))
    return "listing" if large else "contents", hashed.hexdigest()


def _facts(file: Path) -> os.stat_result | None:
    """``None`` for what is no file: to open a FIFO would wait for ever."""
    try:
        facts = file.stat()
    except OSError:
        return None
    return facts if stat.S_ISREG(facts.st_mode) else None
