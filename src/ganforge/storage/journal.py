"""The journal of a run: an append-only file of records, one a line with its checksum.

Metrics come thousands of times a second, so logging only keeps references; a flush turns all kept tensors into numbers at once and
writes packed columns: iterations, unix milliseconds and each key's values as base64 of little-endian 8-byte numbers. One record
holds rows of one set of keys. Whatever ends the process, a reader finds whole records, and the next writer cuts a torn tail off.
"""

from __future__ import annotations

import math
import os
import time
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from ganforge.core.errors import StorageError
from ganforge.storage import array_encoding, strict_json
from ganforge.storage.checksummed_lines import intact, to_line, whole_length

if TYPE_CHECKING:
    from torch import Tensor

ROWS = 64
"""Rows that are kept before a flush."""
INTERVAL = 500
"""Milliseconds that a row is kept, as long as rows keep coming."""
TURNS = ("resume", "rollback")
"""Records after which iterations come again that the journal has already."""
BACKLOG = 4 << 20
"""Bytes of metrics that are kept for a disk that refuses; what comes after is lost."""

_T = TypeVar("_T")
_Row = tuple[int, int, "Mapping[str, Tensor | float]"]  # iteration, unix milliseconds, values


def read(path: Path, offset: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
    """The journal's whole, intact records from byte ``offset`` on, each with the offset of its end; none of a missing file.

    Metrics come unpacked: ``{"k": "m", "iterations": […], "ms": […], "values": {key: […]}}``. Safe while a writer appends: to go on
    later, pass the last offset.

    Raises:
        StorageError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            for end, payload in intact(file, offset):
                yield end, _unpacked(strict_json.loads(payload))
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(f"cannot read the journal {path}: {error.strerror or error}") from error


def of_kind(path: Path, *kinds: str) -> Iterator[dict[str, Any]]:
    """The whole, intact records of some kinds other than ``m``; none of a missing file.

    Quicker than :func:`read`: no metric is unpacked.

    Raises:
        StorageError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            for _, payload in intact(file, 0):
                record = strict_json.loads(payload)
                if record.get("k") in kinds:
                    yield record
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(f"cannot read the journal {path}: {error.strerror or error}") from error


def lasting(path: Path) -> deque[float]:
    """For each part of the journal between two turns, the last iteration of it that was not given up by a later one.

    Raises:
        StorageError: the file cannot be read.
    """
    limits = deque([math.inf])
    for turn in reversed(list(of_kind(path, *TURNS))):
        at = turn.get("iteration")
        limits.appendleft(min(limits[0], at if isinstance(at, int) else math.inf))
    return limits


def lasting_records(path: Path, *kinds: str) -> Iterator[dict[str, Any]]:
    """The records of some kinds other than ``m``, without those of iterations that were given up later.

    Raises:
        StorageError: the file cannot be read.
    """
    limits = lasting(path)
    for record in of_kind(path, *kinds, *TURNS):
        at, limit = record.get("iteration"), limits[0]
        if record["k"] in TURNS:
            limits.popleft()
        if record["k"] in kinds and (not isinstance(at, int) or at <= limit):
            yield record


def last_measured(path: Path, until: float = math.inf) -> dict[str, float]:
    """The last value of each metric up to an iteration; none of a metric that could not be measured the last time.

    Raises:
        StorageError: the file cannot be read.
    """
    known: dict[str, float] = {}
    for record in lasting_records(path, "eval"):
        if record["iteration"] <= until:
            values = {key.removeprefix("eval/"): float(value) for key, value in record["values"].items()}
            known = renewed(known, values, record.get("missing", ()))
    return known


def renewed(known: Mapping[str, _T], values: Mapping[str, _T], missing: Collection[str]) -> dict[str, _T]:
    """What is known by ``modes/captured`` after another evaluation; nothing older stays of a metric that failed in it.

    Args:
        known: what was known before.
        values: what was measured.
        missing: names of metrics that could not be measured.
    """
    return {**{key: value for key, value in known.items() if key.partition("/")[0] not in missing}, **values}


class JournalWriter:
    """Appends to a journal. One process at a time: the one that holds the run folder's lock.

    Args:
        path: the journal; made with mode 0600 when it is missing. A torn tail is cut off.
        on_error: told once per outage when the disk refuses, instead of raising. What could not be written is kept in memory (of
            metrics 4 MiB) and written when the disk has room again.

    Raises:
        StorageError: the file cannot be opened; without ``on_error``, also from any method, when the disk refuses.
    """

    def __init__(self, path: Path, *, on_error: Callable[[StorageError], None] | None = None) -> None:
        self.path = path
        self._on_error = on_error
        self._failing = False
        self._rows: list[_Row] = []
        self._unwritten = bytearray()
        self._flushed = 0  # unix ms
        self._latest = 0  # unix ms
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            self._end = whole_length(self._file)
            os.ftruncate(self._file, self._end)
        except OSError as error:
            raise StorageError(f"cannot open the journal {path}: {error.strerror or error}") from error

    def metrics(self, iteration: int, values: Mapping[str, Tensor | float]) -> None:
        """Log ``values`` of ``iteration``: numbers and *detached* scalar tensors, on any device and of any real dtype.

        Mapping and tensors are kept by reference until the next flush (64 rows or half a second), so neither may change.
        """
        now = self._now()
        self._rows.append((iteration, now, values))
        if len(self._rows) >= ROWS or now - self._flushed >= INTERVAL:
            self.flush()

    def record(self, kind: str, /, **fields: object) -> None:
        """Append one record of plain data, after the rows kept so far. ``ms`` (unix milliseconds) is added unless given."""
        self._gather()
        stamped = {"k": kind, "ms": self._now(), **fields}
        self._unwritten += to_line(strict_json.dumps(stamped).encode())
        self._write()

    def flush(self, *, sync: bool = False) -> None:
        """Write what is kept; with ``sync``, on to the disk, so that it survives a power cut."""
        self._gather()
        self._write()
        if sync:
            try:
                os.fdatasync(self._file)
            except OSError as error:
                self._fail(error)

    def close(self) -> None:
        """Flush, sync and close; a second time does nothing."""
        if self._file < 0:
            return
        try:
            self.flush(sync=True)
        finally:
            os.close(self._file)
            self._file = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _gather(self) -> None:
        """Kept rows → lines, one per set of keys."""
        self._flushed = self._now()
        if not self._rows:
            return
        groups: defaultdict[tuple[str, ...], list[_Row]] = defaultdict(list)
        for row in self._rows:
            groups[tuple(row[2])].append(row)
        self._rows = []

        numbers = array_encoding.to_floats(
            [value for rows in groups.values() for _, _, values in rows for value in values.values()]
        )
        start = 0
        for keys, rows in groups.items():
            end = start + len(keys) * len(rows)
            line = to_line(strict_json.dumps(_packed(keys, rows, numbers[start:end])).encode())
            if len(self._unwritten) + len(line) <= BACKLOG:
                self._unwritten += line
            start = end

    def _write(self) -> None:
        data, written = bytes(self._unwritten), 0
        try:
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError as error:
            self._keep_whole(data, written)
            self._fail(error)
            return
        self._end += written
        self._unwritten.clear()
        self._failing = False

    def _keep_whole(self, data: bytes, written: int) -> None:
        """After a write that failed half-way: whole lines stay in the file, of a torn one nothing."""
        whole = data.rfind(b"\n", 0, written) + 1
        self._end += whole
        del self._unwritten[:whole]
        if written > whole:
            with suppress(OSError):  # the failed write itself is what is told
                os.ftruncate(self._file, self._end)

    def _fail(self, error: OSError) -> None:
        known, self._failing = self._failing, True
        failure = StorageError(f"cannot write the journal {self.path}: {error.strerror or error}", remedy="free some space")
        if self._on_error is None:
            raise failure from error
        if not known:
            self._on_error(failure)

    def _now(self) -> int:
        """Unix milliseconds, but never before an earlier record: a clock that is set back must not turn the journal around."""
        self._latest = max(self._latest, time.time_ns() // 1_000_000)
        return self._latest


def _packed(keys: tuple[str, ...], rows: list[_Row], numbers: list[float]) -> dict[str, object]:
    """A record of rows that have ``keys``; ``numbers`` holds their values row by row."""
    return {
        "k": "m",
        "iterations": array_encoding.pack_integers(iteration for iteration, _, _ in rows),
        "ms": array_encoding.pack_integers(ms for _, ms, _ in rows),
        "values": {key: array_encoding.pack_floats(numbers[column :: len(keys)]) for column, key in enumerate(keys)},
    }


def _unpacked(record: dict[str, Any]) -> dict[str, Any]:
    if record["k"] != "m":
        return record
    return {
        "k": "m",
        "iterations": array_encoding.unpack_integers(record["iterations"]),
        "ms": array_encoding.unpack_integers(record["ms"]),
        "values": {key: array_encoding.unpack_floats(column) for key, column in record["values"].items()},
    }
