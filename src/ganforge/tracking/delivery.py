"""The delivery of a journal to MLflow: read on, downsample, send, acknowledge.

A delivery keeps nothing that is not in the journal and in ``acknowledged.json``. After any failure, drop it and start a new one
from the acknowledgement. A crash does the same, so there is only one way to recover, and it is in constant use.
"""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from ganforge.core.errors import RunFolderError
from ganforge.core.redaction import mask, mask_text
from ganforge.storage import journal, strict_json
from ganforge.storage.run_folder import RunFolder
from ganforge.tracking.metric_buffer import MetricBuffer, Point, finite_or_nan, surviving_values
from ganforge.tracking.mlflow_sink import MlflowSink, Refusal, RefusedError, UnreachableError, isolate_refused
from ganforge.tracking.run_metadata import StartRecord, health_tags
from ganforge.tracking.tracking_store import Store

BATCH = 500  # metrics per request: sending a batch a second time costs thirteen times as much as the first time
_ENDING = tuple(f"ganforge.{key}" for key in ("end_reason", "error", "exit_code", "reaped", "degraded"))
Rejection = dict[str, object]  # a record that the store refused for good: what, reason, unix ms and, for a metric, its value


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What MLflow has accepted, ``acknowledged.json`` in the run folder.

    It is written after each acceptance. A crash in between means that records are sent again, which changes nothing: metrics are
    the same rows, files the same files, and the uploader checks whether images and models exist.
    """

    store: str = ""  # the store that accepted, without login; another store starts again
    place: str | None = None  # its sqlite file as seen from the run folder: the project may be moved or copied
    experiment_id: str | None = None
    run_id: str | None = None
    described: bool = False  # whether params, tags, data set and first artifacts were accepted
    offset: Annotated[int, Field(ge=0, lt=2**63)] = 0  # byte of the journal from which points may still be needed
    handled: int = 0  # byte of the journal before which all records other than metrics are done
    width: Annotated[int, Field(ge=0, lt=2**63)] | None = (
        None  # of the first windows of downsampling, 0 for none, None until it is chosen
    )
    highest: Mapping[str, int] = field(default_factory=dict)  # highest accepted iteration of each metric
    images: Mapping[str, int] = field(default_factory=dict)  # highest accepted iteration of each image key
    status: str | None = None  # the final status that MLflow has, or None while the run continues
    points: int = 0
    pictures: int = 0
    rejected: int = 0  # number of records that MLflow refused for good; rejected.jsonl holds them

    @classmethod
    def load(cls, path: Path) -> Acknowledgement:
        """Read the file; a missing or damaged one acknowledges nothing, since sending records twice does no harm."""
        try:
            return TypeAdapter(cls).validate_python(strict_json.loads(path.read_bytes()))
        except (OSError, ValueError):
            return cls()

    def belongs_to(self, store: Store, folder: RunFolder) -> bool:
        """Whether it is about this store."""
        return self.store == store.shown or (self.place is not None and self.place == store.place(folder.path))

    def for_store(self, store: Store, folder: RunFolder) -> Acknowledgement:
        """This one, or nothing acknowledged if it is about another store."""
        known = self if not self.store or self.belongs_to(store, folder) else self.nothing()
        return replace(known, store=store.shown, place=store.place(folder.path))

    def nothing(self) -> Acknowledgement:
        """Nothing acknowledged, but with the same windows, so that points stay the same rows."""
        return Acknowledgement(store=self.store, place=self.place, width=self.width)


class Delivery:
    """Delivers a run's journal to a sink, from an acknowledgement on.

    After each acceptance, ``save`` stores the new acknowledgement; ``reject`` stores what the sink refused for good.
    """

    def __init__(
        self,
        folder: RunFolder,
        sink: MlflowSink | _CountingSink,
        ack: Acknowledgement,
        *,
        save: Callable[[Acknowledgement], None],
        reject: Callable[[Rejection], None],
    ) -> None:
        self.folder = folder
        self._saved = ack
        self._sink = sink
        self._save = save
        self._store_rejection = reject
        self._start: StartRecord | None = None
        size = folder.journal.stat().st_size if folder.journal.exists() else 0
        self._begin(ack if ack.offset <= size else ack.nothing())  # of another journal, such as one from before a backup

    def _begin(self, ack: Acknowledgement) -> None:
        self.ack = ack
        self._position = ack.offset
        self._buffer = MetricBuffer(ack.width, ack.highest)
        self._ended = ack.status is not None  # whether the journal's last record about the run's life is its end

    def upload_pending(self, *, final: bool = False) -> None:
        """Deliver everything that the journal holds now; after an error, drop this delivery.

        If it is ``final``, windows that are still open are sent too, and a run without an ``end`` record is marked KILLED.
        """
        if final or any(journal.read(self.folder.journal, self._position)):
            self._open_run()
        for end, record in journal.read(self.folder.journal, self._position):
            self._handle(self._position, end, record)
            self._position = end
            self._choose_width()
            while len(self._buffer.waiting) >= BATCH:
                self._send_batch()
        if self._start is None:
            return  # the journal has nothing new, or is still empty
        if final:
            self._choose_width(final=True)
        self._send()
        if final and not self._ended:
            self._mark_vanished()

    def _open_run(self) -> None:
        """Find or create the run of the journal's start record. If the run that was acknowledged is gone, begin again."""
        if self._start is not None or not self.folder.journal.exists() or not self.folder.journal.stat().st_size:
            return
        first = next((record for _, record in journal.read(self.folder.journal)), {})
        if first.get("kind") != "start":  # damaged: the run folder still identifies the run
            identity = self.folder.read_identity()
            first = {f"{'run_' if key in {'id', 'name'} else ''}{key}": value for key, value in identity.items()}
        try:
            start = StartRecord.from_record(first)
        except ValueError as error:
            raise UnreachableError(f"the journal has no start record: {error}") from error

        origin = {"ganforge.run_dir": str(self.folder.path.resolve()), "ganforge.host": socket.gethostname()}
        start = replace(start, tags={**start.tags, **origin})
        experiment_id, run_id = self._sink.open_run(start, self.ack.run_id)
        self._start = start
        if self.ack.run_id not in {None, run_id}:
            self._begin(self.ack.nothing())
        if not self.ack.described:
            for what, reason in self._sink.describe_run(start):
                self._reject(what, reason)
            for place, paths in start.artifacts.items():
                for path in paths:
                    self._handle_other("file", {"path": path, "folder": place})
        self._acknowledge(replace(self.ack, experiment_id=experiment_id, run_id=run_id, described=True))

    def _handle(self, begin: int, end: int, record: dict[str, Any]) -> None:
        kind = record["kind"]
        if kind == "metrics":
            self._buffer.add_metrics(begin, record)
        elif kind in {"eval", "evaluated"}:
            self._buffer.add_evaluation(begin, record)
        elif end > self.ack.handled:
            if kind == "unreadable":
                self._reject(f"the record at byte {begin}", record["reason"])
            self._handle_other(kind, record)
            self._acknowledge(replace(self.ack, handled=end))
        elif kind in {"end", "resume", "rollback"}:  # already sent, but it still ends windows, wherever reading starts
            self._end_windows(kind)

    def _choose_width(self, *, final: bool = False) -> None:
        """Choose the width of the windows once the speed is known; ``final`` chooses it now, and closes them."""
        full = self._start is not None and self._start.resolution == "full"
        self._buffer.choose_width(full=full, final=final)
        if self._buffer.width != self.ack.width:
            # Before the first batch is sent, so that windows never change under points that were sent.
            self._acknowledge(replace(self.ack, width=self._buffer.width))
        if final:
            self._buffer.close_windows()

    def _send(self) -> None:
        while self._buffer.waiting:
            self._send_batch()
        self._acknowledge(self.ack)

    def _send_batch(self) -> None:
        batch = list(islice(self._buffer.waiting, BATCH))
        refused = isolate_refused(batch, self._sink.log_points)
        self._sink.failures = 0
        for point, reason in refused:
            self._reject(f"metric {point.key} at iteration {point.iteration}", reason, value=repr(point.value))
        for _ in batch:
            self._buffer.waiting.popleft()
        highest = dict(self.ack.highest)
        for point in batch:
            highest[point.key] = max(point.iteration, highest.get(point.key, 0))
        self._acknowledge(replace(self.ack, highest=highest, points=self.ack.points + len(batch) - len(refused)))

    def _handle_other(self, kind: str, record: dict[str, Any]) -> None:
        handlers = {
            "image": self._log_image,
            "file": self._log_file,
            "tag": self._set_tags,
            "health": self._set_tags,
            "model": self._log_model,
            "changed": self._set_changed,
            "resume": self._resume,
            "rollback": self._roll_back,
            "end": self._end,
        }
        if kind not in handlers:
            return  # "start", or a kind that MLflow does not get
        try:
            handlers[kind](record)
        except (RefusedError, RunFolderError) as error:
            what = f"{kind} {record.get('key') or record.get('path') or ''}".strip()
            self._reject(what, str(error))

    def _log_image(self, record: dict[str, Any]) -> None:
        key, iteration = record["key"], record["iteration"]
        if iteration <= self.ack.images.get(key, -1):
            return
        self._sink.log_image(self.folder.inside(record["path"]), key, iteration, record["ms"])
        self.ack = replace(self.ack, images={**self.ack.images, key: iteration}, pictures=self.ack.pictures + 1)

    def _log_file(self, record: dict[str, Any]) -> None:
        self._sink.log_file(self.folder.inside(record["path"]), record["folder"])

    def _set_tags(self, record: dict[str, Any]) -> None:
        tags = health_tags(record) if record["kind"] == "health" else {record["key"]: record["value"]}
        for key, value in tags.items():
            self._sink.set_tag(key, mask(key, value))

    def _set_changed(self, _record: dict[str, Any]) -> None:
        """Values of the recipe that a resume changed: MLflow cannot change the parameters."""
        lines = [
            f"{key} from {before} to {after} at iteration {each['iteration']}"
            for each in journal.read_kinds(self.folder.journal, "changed")
            for key, (before, after) in each["values"].items()
        ]
        self._sink.set_tag("ganforge.changed", mask_text("\n".join(lines)))

    def _log_model(self, record: dict[str, Any]) -> None:
        self._send()  # metrics first, so that MLflow can link them
        self._sink.log_model(self.folder.inside(record["path"]), record)

    def _resume(self, record: dict[str, Any]) -> None:
        self._end_windows("resume")
        for key in _ENDING:  # of an earlier end of the run
            self._sink.delete_tag(key)
        self._sink.set_status("RUNNING", record["ms"])
        self.ack = replace(self.ack, status=None)

    def _roll_back(self, record: dict[str, Any]) -> None:
        """Training returns to an earlier iteration. MLflow keeps the points of the discarded ones: it cannot remove points."""
        self._end_windows(record["kind"])
        rollbacks = [
            f"from iteration {each['reached']} to {each['iteration']}" + (f": {each['reason']}" if each.get("reason") else "")
            for each in journal.read_kinds(self.folder.journal, "rollback")
        ]
        self._sink.set_tag("ganforge.rolled_back", mask_text("\n".join(rollbacks)))

    def _end(self, record: dict[str, Any]) -> None:
        self._end_windows(record["kind"])
        self._send_final_points(record["ms"])
        for key in ("reason", "error", "exit_code"):
            if record.get(key) is not None:
                self._sink.set_tag(f"ganforge.{'end_reason' if key == 'reason' else key}", mask_text(str(record[key])))
        self._sink.set_status(record["status"], record["ms"])
        self.ack = replace(self.ack, status=record["status"])

    def _send_final_points(self, ms: int) -> None:
        """Send the last values again, at the highest iteration sent, if the run ended before it reached that again after a return.

        MLflow cannot remove points, and shows the one of the highest step, then the latest time, as a metric's value.
        """
        self._send()
        for key, (iteration, value) in surviving_values(self.folder.journal).items():
            if iteration < (step := self.ack.highest.get(key, iteration)):
                self._buffer.waiting.append(Point(key, step, ms, finite_or_nan(value), self._position))
        self._send()

    def _end_windows(self, kind: str) -> None:
        """Close all windows where the run ends or continues elsewhere; none may span such a place, wherever reading starts."""
        self._choose_width(final=True)
        self._ended = kind == "end"

    def _mark_vanished(self) -> None:
        last = max([self._buffer.last_iteration, *self.ack.highest.values()])
        ms = int(self.folder.journal.stat().st_mtime * 1000)  # it may have vanished long ago
        self._send_final_points(ms)
        self._sink.set_tag("ganforge.reaped", "true")
        self._sink.set_tag("ganforge.end_reason", f"process vanished at iteration ~{last}")
        self._sink.set_status("KILLED", ms)
        self._ended = True
        self._acknowledge(replace(self.ack, status="KILLED"))

    def _acknowledge(self, ack: Acknowledgement) -> None:
        self.ack = replace(ack, offset=self._buffer.needed_from(self._position))
        if self.ack != self._saved:
            self._save(self.ack)
            self._saved = self.ack

    def _reject(self, what: str, reason: str, **fields: object) -> None:
        self._store_rejection({"what": what, "reason": mask_text(reason)[:2000], "ms": time.time_ns() // 1_000_000, **fields})
        self.ack = replace(self.ack, rejected=self.ack.rejected + 1)


@dataclass(frozen=True, slots=True)
class PendingUploads:
    """What waits to be delivered: metric points (downsampled), images, and others (files, tags, the model, the status)."""

    points: int = 0
    images: int = 0
    others: int = 0

    def __bool__(self) -> bool:
        return bool(self.points or self.images or self.others)


def count_pending(folder: RunFolder, store: Store | None = None) -> PendingUploads:
    """Count what ``ganforge sync`` would send, to ``store`` or where the run was sent before, without MLflow and a network."""
    sink = _CountingSink()
    ack = Acknowledgement.load(folder.acknowledged)
    ack = ack.for_store(store, folder) if store else ack
    with suppress(UnreachableError):  # the journal does not identify the run
        Delivery(folder, sink, ack, save=lambda _: None, reject=lambda _: None).upload_pending(final=True)
    return PendingUploads(**sink.counts)


class _CountingSink:
    """A sink that only counts."""

    def __init__(self) -> None:
        self.counts = Counter[str]()
        self.failures = 0

    def open_run(self, start: StartRecord, run_id: str | None) -> tuple[str, str]:
        return start.experiment, run_id or ""

    def describe_run(self, *_: Any) -> list[Refusal]:
        self.counts["others"] += 1
        return []

    def log_points(self, points: Sequence[Point]) -> None:
        self.counts["points"] += len(points)

    def log_image(self, *_: Any) -> None:
        self.counts["images"] += 1

    def log_file(self, *_: Any) -> None:
        self.counts["others"] += 1

    set_tag = delete_tag = log_model = set_status = log_file
