"""The journal of a run: an append-only file with one record per line, each with its checksum.

Metrics come thousands of times a second, so logging only keeps references. A flush converts all kept tensors to numbers at once and
writes packed columns: iterations, unix milliseconds and the values of each key, as base64 of little-endian 8-byte numbers. One
record holds the rows of one set of keys. However the process ends, a reader finds whole records, and the next writer cuts off a
torn tail. Functions that read raise a :class:`StorageError` if the file cannot be read; a missing one has no records.
"""

from __future__ import annotations

import binascii
import logging
import math
import os
import struct
import time
import zlib
from collections import defaultdict, deque
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from io import BytesIO
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self, TypeVar, cast

from packaging.requirements import Requirement
from pydantic import AfterValidator, Field, Strict, ValidationError, create_model

from ganforge.core.errors import StorageError
from ganforge.core.findings import Finding
from ganforge.core.redaction import mask_data
from ganforge.storage import strict_json

if TYPE_CHECKING:
    from torch import Tensor

ROWS = 64  # that are kept before a flush
INTERVAL = 500  # milliseconds that a row is kept, as long as more rows come
REWINDS = ("resume", "rollback")  # kinds of records after which iterations repeat that the journal already has
BACKLOG = 4 << 20  # bytes of metrics that are kept in memory while the disk refuses writes; later ones are lost

_UNREADABLE = "unreadable"  # kind of what comes in place of a record that no writer writes
_PREFIX = 9  # eight hex digits and a space
_Count = Annotated[int, Field(ge=0, lt=2**63, strict=True)]
_Float = Annotated[float, Strict()]
_Info = create_model("_Info", label=(str, ""), better=(str, ""), ideal=(_Float | None, None), floor=(_Float | None, None))
_FIELDS: dict[str, dict[str, Any]] = {  # of each kind of record, as pydantic's create_model takes them
    "start": {name: (dict[str, str], {}) for name in ("params", "tags")},
    "metrics": {"iterations": str, "ms": str, "values": dict[str, str]},
    "protocols": {"iteration": _Count, "protocols": dict[str, dict[str, Any]], "value_info": dict[str, _Info]},
    "eval": {"iteration": _Count, "values": dict[str, _Float], "missing": (list[str], [])},
    "evaluated": {"iteration": _Count, "number": _Count, "values": dict[str, _Float]},
    "image": {"iteration": _Count, "key": str, "path": str},
    "file": {"path": str, "folder": str},
    "tag": {"key": str, "value": str},
    "health": {"verdict": str, "findings": list[Finding], "seeds": (dict[str, int], {})},
    "model": {"iteration": _Count, "path": str, "requirements": list[Annotated[str, AfterValidator(Requirement)]]},
    "changed": {"iteration": _Count, "values": dict[str, tuple[str, str]]},
    "resume": {"iteration": _Count},
    "rollback": {"iteration": _Count, "reached": _Count, "reason": (str | None, None)},
    "end": {"status": Literal["FINISHED", "FAILED", "KILLED"], "iteration": (_Count, 0)},
}
_MODELS = {kind: create_model(kind, **{"ms": _Count, **fields}) for kind, fields in _FIELDS.items()}
_log = logging.getLogger(__name__)
_T = TypeVar("_T")
_Row = tuple[int, int, "Mapping[str, Tensor | float]"]  # iteration, unix milliseconds, values


def read(path: Path, offset: int = 0) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read the intact records from byte ``offset`` on, each with the offset of its end.

    Metrics come unpacked: ``{"kind": "metrics", "iterations": […], "ms": […], "values": {key: […]}}``. A record that lacks a field
    of its kind comes as ``{"kind": "unreadable", "reason": …}``. This is safe while a writer appends: to continue later, pass the
    last offset.
    """
    for end, record in _read_packed(path, offset):
        yield end, _unpack_columns(record) if record["kind"] == "metrics" else record


def read_kinds(path: Path, *kinds: str) -> Iterator[dict[str, Any]]:
    """Read the intact records of some kinds other than ``metrics``; faster than :func:`read`, since no metric is unpacked."""
    return (record for _, record in _read_packed(path, 0) if record.get("kind") in kinds)


def _read_packed(path: Path, offset: int) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return  # a writer is still appending to it
                offset += len(line)
                if _is_intact(line):
                    yield offset, _parse(line[_PREFIX:])
    except FileNotFoundError:
        return
    except OSError as error:
        raise StorageError(f"cannot read the journal {path}: {error.strerror or error}") from error


def _parse(text: bytes) -> dict[str, Any]:
    """The record of a line with a valid checksum, which anyone can compute: what no writer writes becomes ``unreadable``."""
    try:
        record: dict[str, Any] = strict_json.loads(text)
        if record["kind"] == _UNREADABLE:
            return _unreadable("no such kind")
        if model := _MODELS.get(record["kind"]):
            model.model_validate(record)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        return _unreadable(f"{'.'.join(map(str, first['loc']))}: {first['msg']}")
    except (ValueError, TypeError, KeyError) as error:
        return _unreadable(error)
    return record


def _unpack_columns(record: dict[str, Any]) -> dict[str, Any]:
    """The record of metrics with its columns as lists."""
    try:
        iterations, ms = _unpack("q", record["iterations"]), _unpack("q", record["ms"])
        values = {key: _unpack("d", column) for key, column in record["values"].items()}
    except (ValueError, struct.error) as error:
        return _unreadable(error)
    if any(len(column) != len(iterations) for column in (ms, *values.values())):
        return _unreadable("columns of different lengths")
    return {**record, "iterations": iterations, "ms": ms, "values": values}


def _unreadable(reason: object) -> dict[str, Any]:
    return {"kind": _UNREADABLE, "ms": 0, "reason": str(reason)}


def read_with_limits(path: Path, *kinds: str) -> Iterator[tuple[float, dict[str, Any]]]:
    """Read the intact records, of some kinds or all, each with the last iteration of its part that no later rewind discards."""
    limits = deque([math.inf])
    for rewind in reversed(list(read_kinds(path, *REWINDS))):
        at = rewind.get("iteration")
        limits.appendleft(min(limits[0], at if isinstance(at, int) else math.inf))

    for record in read_kinds(path, *kinds, *REWINDS) if kinds else (record for _, record in read(path)):
        yield limits[0], record
        if record.get("kind") in REWINDS and len(limits) > 1:
            limits.popleft()


def last_metrics(path: Path, until: float = math.inf) -> dict[str, float]:
    """The last value of each metric up to an iteration, without discarded iterations and metrics that failed the last time."""
    known: dict[str, float] = {}
    for limit, record in read_with_limits(path, "eval"):
        if record["kind"] == "eval" and record["iteration"] <= min(limit, until):
            values = {key.removeprefix("eval/"): float(value) for key, value in record["values"].items()}
            known = merge_metrics(known, values, record.get("missing", ()))
    return known


def merge_metrics(known: Mapping[str, _T], values: Mapping[str, _T], missing: Collection[str]) -> dict[str, _T]:
    """Update values by key, such as ``modes/captured``; the metrics named in ``missing`` failed, and lose their old values."""
    return {**{key: value for key, value in known.items() if key.partition("/")[0] not in missing}, **values}


class JournalWriter:
    """Appends to a journal, which is created with mode 0600. Only the process that holds the run folder's lock may do so.

    With ``keep_going``, a disk that refuses a write causes one warning per outage instead of an error. What could not be written is
    kept in memory (metrics up to 4 MiB) and written once the disk has room again.

    Raises:
        StorageError: the file cannot be opened; without ``keep_going``, every method raises it too when the disk refuses a write.
    """

    def __init__(self, path: Path, *, keep_going: bool = False) -> None:
        self.path = path
        self._keep_going = keep_going
        self._failing = False
        self._rows: list[_Row] = []
        self._unwritten = bytearray()
        self._flushed = 0  # unix ms
        self._latest = 0  # unix ms
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            self._end = _intact_length(self._file)
            os.ftruncate(self._file, self._end)
        except OSError as error:
            raise StorageError(f"cannot open the journal {path}: {error.strerror or error}") from error

    def metrics(self, iteration: int, values: Mapping[str, Tensor | float]) -> None:
        """Log ``values`` of ``iteration``: numbers and *detached* scalar tensors, on any device and of any real dtype.

        The mapping and its tensors are kept by reference until the next flush (64 rows or half a second), so do not change them.
        """
        now = self._now()
        self._rows.append((iteration, now, values))
        if len(self._rows) >= ROWS or now - self._flushed >= INTERVAL:
            self.flush()

    def record(self, kind: str, /, **fields: object) -> None:
        """Append one record of plain data, without secrets, after the rows kept so far; ``ms`` (unix milliseconds) is added."""
        self._pack_rows()
        stamped = {"kind": kind, "ms": self._now(), **fields}
        self._unwritten += _to_line(strict_json.dumps(mask_data(stamped)).encode())
        self._write()

    def flush(self, *, sync: bool = False) -> None:
        """Write everything that is kept; with ``sync``, through to the disk, so that it survives a power cut."""
        self._pack_rows()
        self._write()
        if sync:
            try:
                os.fdatasync(self._file)
            except OSError as error:
                self._fail(error)

    def close(self) -> None:
        """Flush, sync and close; a second call does nothing."""
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

    def _pack_rows(self) -> None:
        """Turn the kept rows into lines, one per set of keys."""
        self._flushed = self._now()
        if not self._rows:
            return
        groups: defaultdict[tuple[str, ...], list[_Row]] = defaultdict(list)
        for row in self._rows:
            groups[tuple(row[2])].append(row)
        self._rows = []

        numbers = iter(to_floats([value for rows in groups.values() for _, _, values in rows for value in values.values()]))
        for keys, rows in groups.items():
            own = list(islice(numbers, len(keys) * len(rows)))  # row by row
            record = {
                "kind": "metrics",
                "iterations": _pack_column("q", [iteration for iteration, _, _ in rows]),
                "ms": _pack_column("q", [ms for _, ms, _ in rows]),
                "values": {key: _pack_column("d", own[column :: len(keys)]) for column, key in enumerate(keys)},
            }
            line = _to_line(strict_json.dumps(record).encode())
            if len(self._unwritten) + len(line) <= BACKLOG:
                self._unwritten += line

    def _write(self) -> None:
        data, written = bytes(self._unwritten), 0
        try:
            while written < len(data):
                written += os.write(self._file, data[written:])
        except OSError as error:
            self._keep_unwritten(data, written)
            self._fail(error)
            return
        self._end += written
        self._unwritten.clear()
        self._failing = False

    def _keep_unwritten(self, data: bytes, written: int) -> None:
        """After a write that failed half-way: leave whole lines in the file, and nothing of a torn one."""
        whole = data.rfind(b"\n", 0, written) + 1
        self._end += whole
        del self._unwritten[:whole]
        if written > whole:
            with suppress(OSError):  # the failed write itself is reported
                os.ftruncate(self._file, self._end)

    def _fail(self, error: OSError) -> None:
        reported, self._failing = self._failing, True
        failure = StorageError(f"cannot write the journal {self.path}: {error.strerror or error}", remedy="free some space")
        if not self._keep_going:
            raise failure from error
        if not reported:
            _log.warning("%s; training continues", failure)

    def _now(self) -> int:
        """Unix milliseconds, but never before an earlier record: a clock that is set back must not reorder the journal."""
        self._latest = max(self._latest, time.time_ns() // 1_000_000)
        return self._latest


def _pack_column(code: Literal["q", "d"], numbers: Sequence[float]) -> str:
    return binascii.b2a_base64(struct.pack(f"<{len(numbers)}{code}", *numbers), newline=False).decode("ascii")


def _unpack(code: Literal["q", "d"], text: str) -> list[Any]:
    data = binascii.a2b_base64(text)
    return list(struct.unpack(f"<{len(data) // 8}{code}", data))


def _to_line(payload: bytes) -> bytes:
    """``payload``, which contains no line feed, as the line ``crc32-hex SP payload LF``."""
    return b"%08x %b\n" % (zlib.crc32(payload), payload)


def _is_intact(line: bytes) -> bool:
    """Whether a line is what was written."""
    return line == _to_line(line[_PREFIX:-1])


def _intact_length(descriptor: int, *, window: int = 1 << 16) -> int:
    """Length of an open file up to the end of its last intact line, searched backwards in growing windows."""
    size = os.fstat(descriptor).st_size
    while True:
        start = max(0, size - window)
        block = BytesIO(os.pread(descriptor, size - start, start))
        ends = [block.tell() for line in iter(block.readline, b"") if _is_intact(line)]
        if ends or start == 0:
            return start + max(ends, default=0)
        window *= 8


def to_floats(values: Sequence[Tensor | float]) -> list[float]:
    """Convert scalar tensors and numbers to floats, in their order.

    Tensors on an accelerator are transferred together, once per device and dtype, so there are few waits. CPU tensors never wait;
    converting them one by one takes half the time of a stack (0.3 against 0.6 µs a value). A tensor that does not hold one
    number is a ValueError or a RuntimeError, as torch decides.
    """
    remote: dict[object, dict[int, Tensor]] = {}
    for index, value in enumerate(values):
        if type(value) is not float and not getattr(value, "is_cpu", True):
            tensor = cast("Tensor", value)
            remote.setdefault((tensor.dtype, tensor.device), {})[index] = tensor

    local = list(values)
    for tensors in remote.values():
        import torch

        numbers = torch.stack(list(tensors.values())).flatten().tolist()
        for index, number in zip(tensors, numbers, strict=True):
            local[index] = number
    return [float(value) for value in local]
