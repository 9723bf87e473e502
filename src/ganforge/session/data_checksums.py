"""Files of known data sets, compared with their sums."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ganforge.builtin.datasets.gzip_files import read_raw, unpacked
from ganforge.builtin.datasets.remote_datasets import Known, KnownFile
from ganforge.core.errors import DataError


def insist(known: Known, file: KnownFile, raw: bytes, origin: Path | str) -> None:
    """Refuse what is not the file.

    Args:
        known: the data set.
        file: the file that it should be.
        raw: what was found, packed or not.
        origin: where it was found, for what is said of mistakes.

    Raises:
        DataError: its gzip is damaged, or its sum is another.
    """
    content = _content(file, raw, origin)
    if not file.is_content(content):
        kind, _, wanted = file.sum.partition(":")
        found = file.sum_of(content).partition(":")[2]
        raise DataError(
            f"{origin}: is not {file.name} of {known.name}: its {kind} is {found}, not {wanted}",
            remedy=f"get it from {' or '.join(known.urls)}",
        )


def is_right(known: Known, folder: Path) -> bool:
    """Whether the files that a run would read in a folder have the known sums."""
    form = known.form_in(folder)
    try:
        return form is not None and all(
            (path := file.lies_in(folder)) and file.is_content(_content(file, read_raw(path), path)) for file in form
        )
    except DataError:
        return False


def archives(known: Known) -> list[KnownFile]:
    """The files that hold a whole data set each."""
    return [form[0] for form in known.forms if len(form) == 1]


def archive_of(known: Known, raw: bytes, name: str, origin: Path | str) -> KnownFile:
    """Which of a data set's archives this is, whatever its name.

    Raises:
        DataError: none of them; compares it with the one that it is named as.
    """
    candidates = archives(known)
    file = next((file for file in candidates if file.is_content(raw)), None)
    if file is None:
        file = next((file for file in candidates if file.name == name), candidates[0])
        insist(known, file, raw, origin)
    return file


def listed(files: Iterable[KnownFile]) -> str:
    """Their names, as a sentence has them."""
    *first, last = [file.name for file in files]
    return f"{', '.join(first)} and {last}" if first else last


def _content(file: KnownFile, raw: bytes, origin: Path | str) -> bytes:
    return unpacked(raw, origin, most=file.size) if file.gzipped else raw
