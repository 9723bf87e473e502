"""Files that may be compressed with gzip, whatever their name. Light: brings in no torch."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path

from ganforge.plugin import DataError

AGAIN = "get the file again: it was cut short or changed on its way"
GZIP = b"\x1f\x8b"
"""What gzip begins with."""


def read_unpacked(path: Path, *, most: int | None = None) -> bytes:
    """The content of a file, unpacked where it is gzip, of which ``most`` bytes are admitted.

    Raises:
        DataError: the file cannot be read, or its gzip is damaged.
    """
    return unpacked(read_raw(path), path, most=most)


def read_raw(path: Path) -> bytes:
    """The content of a file.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}", remedy="check the file and its rights") from error


def unpacked(raw: bytes, origin: Path | str, *, most: int | None = None) -> bytes:
    """What is in gzip; other bytes as they are.

    Args:
        raw: the bytes.
        origin: where they come from, for what is said of mistakes.
        most: bytes that may be in it; a little gzip of somebody's may unpack to more than there is memory.

    Raises:
        DataError: the gzip is damaged, or holds more.
    """
    if not raw.startswith(GZIP):
        return raw
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(raw)) as packed:
            content = packed.read(-1 if most is None else most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{origin}: damaged gzip: {error}", remedy=AGAIN) from error
    if most is not None and len(content) > most:
        raise DataError(f"{origin}: unpacks to more than the {most:,} bytes that it should hold", remedy=AGAIN)
    return content


def has_unpacked_size(path: Path, size: int) -> bool:
    """Whether a file of gzip is sound and holds so many bytes."""
    try:
        return len(read_unpacked(path, most=size)) == size
    except DataError:
        return False
