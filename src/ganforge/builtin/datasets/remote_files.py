"""Finds and reads the files of the data sets that ganforge can prepare; each may be compressed with gzip. No torch."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Iterable
from pathlib import Path

from ganforge.builtin.datasets.remote_datasets import Layout, RemoteDataset, RemoteFile
from ganforge.plugin import DataError, DataMissingError, DatasetContext

DOWNLOAD_AGAIN = "get the file again: it was cut short or changed on its way"
_GZIP = b"\x1f\x8b"
"""The first bytes of gzip."""


def locate(dataset: RemoteDataset, context: DatasetContext) -> Path:
    """The folder that holds a data set.

    Raises:
        DataMissingError: no folder does; names the searched folders and the command that prepares it.
    """
    folders = search_folders(dataset, (context.data_folder, *context.fallback_folders))
    folder = find_folder(dataset, folders)
    if folder is None:
        raise DataMissingError(
            f"the data set '{dataset.name}' is not on this computer; looked in {', '.join(map(str, folders))}",
            remedy=f"run `ganforge data prepare {dataset.name}`, or with `--from FOLDER` if you have its files",
        )
    return folder


def search_folders(dataset: RemoteDataset, data_folders: Iterable[Path]) -> list[Path]:
    """The folders to search: the data set's folder in each data folder, then the system's."""
    return [*(folder / dataset.name for folder in data_folders), *dataset.system_folders]


def find_folder(dataset: RemoteDataset, folders: Iterable[Path]) -> Path | None:
    """The first folder, or subfolder of an unpacked archive, that holds all files of one layout."""
    candidates = (folder / name for folder in folders for name in ("", *dataset.subfolders))
    return next((folder for folder in candidates if find_layout(dataset, folder)), None)


def find_layout(dataset: RemoteDataset, folder: Path) -> Layout | None:
    """The layout whose files are all in a folder."""
    return next((layout for layout in dataset.layouts if all(find_file(file, folder) for file in layout)), None)


def find_file(file: RemoteFile, folder: Path) -> Path | None:
    """The path of a file in a folder, compressed or not."""
    return next((path for name in file.names if (path := folder / name).is_file()), None)


def have_right_sizes(dataset: RemoteDataset, folder: Path) -> bool:
    """Whether the files in a folder have the right sizes; compares no checksums."""
    return all(_has_right_size(file, folder) for file in find_layout(dataset, folder) or ())


def _has_right_size(file: RemoteFile, folder: Path) -> bool:
    path = find_file(file, folder)
    try:
        if path is None or file.size is None:
            return path is not None and path.stat().st_size > 0
        return len(read_gzip(path, limit=file.size) if file.gzipped else read_file(path)) == file.size
    except (DataError, OSError):
        return False


def read_gzip(path: Path, *, limit: int | None = None) -> bytes:
    """The content of a file, decompressed if it is gzip; see :func:`decompress`.

    Raises:
        DataError: the file cannot be read, or its gzip is damaged or too large.
    """
    return decompress(read_file(path), path, limit=limit)


def read_file(path: Path) -> bytes:
    """The content of a file.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read: {error.strerror or error}", remedy="check the file and its permissions"
        ) from error


def decompress(raw: bytes, origin: Path | str, *, limit: int | None = None) -> bytes:
    """The content of gzip; other bytes unchanged.

    Args:
        raw: the bytes.
        origin: where they come from, for error messages.
        limit: largest size of the content; a small malicious gzip may hold more than fits into memory.

    Raises:
        DataError: the gzip is damaged or too large.
    """
    if not raw.startswith(_GZIP):
        return raw
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as compressed:
            content = compressed.read(-1 if limit is None else limit + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{origin}: damaged gzip: {error}", remedy=DOWNLOAD_AGAIN) from error
    if limit is not None and len(content) > limit:
        raise DataError(f"{origin}: unpacks to more than the {limit:,} bytes that it should hold", remedy=DOWNLOAD_AGAIN)
    return content
