"""Lines that show whether they are intact: ``crc32-hex SP payload LF``."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import BinaryIO

_HEAD = 9  # eight hex digits and a space


def to_line(payload: bytes) -> bytes:
    """``payload``, which has no line feed in it, as a line with its checksum."""
    return b"%08x %b\n" % (zlib.crc32(payload), payload)


def payload_of(line: bytes) -> bytes | None:
    """The payload of a whole, intact line; ``None`` of any other."""
    payload = line[_HEAD:-1]
    return payload if line == to_line(payload) else None


def intact(file: BinaryIO, offset: int) -> Iterator[tuple[int, bytes]]:
    """``(end offset, payload)`` of each intact line from ``offset`` on; damaged lines between intact ones are passed over."""
    file.seek(offset)
    for line in file:
        if not line.endswith(b"\n"):
            return  # being written; the rest of it is no line of its own
        offset += len(line)
        payload = payload_of(line)
        if payload is not None:
            yield offset, payload


def whole_length(descriptor: int, *, window: int = 1 << 16) -> int:
    """Length of an open file up to the end of its last intact line, found from behind in growing windows."""
    size = os.fstat(descriptor).st_size
    while True:
        start = max(0, size - window)
        ends = _intact_ends(os.pread(descriptor, size - start, start))
        if ends or start == 0:
            return start + max(ends, default=0)
        window *= 8


def _intact_ends(block: bytes) -> list[int]:
    ends, position = [], 0
    for line in BytesIO(block):
        position += len(line)
        if payload_of(line) is not None:
            ends.append(position)
    return ends
