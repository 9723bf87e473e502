"""The delivery of a journal to a sink: read on, downsample, send, acknowledge.

A delivery keeps nothing that is not in the journal and in ``acknowledged.json``. After any failure, drop it and start a new one
from the acknowledgement. A crash does the same, so there is only one way to recover, and it is in constant use.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from ganforge.core.redaction import mask, mask_text
from ganforge.storage import journal
from ganforge.storage.run_folder import RunFolder
from ganforge.tracking.metric_buffer import MetricBuffer, Point, finite_or_nan, surviving_values
from ganforge.tracking.mlflow_names import image_key, metric_key
from ganforge.tracking.run_metadata import StartRecord, health_tags
from ganforge.tracking.sink import Refusal, RefusedError, Sink, UnreachableError, isolate_refused
from ganforge.tracking.upload_state import Acknowledgement

BATCH = 500
"""Metrics per request: sending a batch a second time costs thirteen times as much as the first time."""

Rejection = dict[str, object]
"""A record that the store refused for good: what, reason, unix ms and, for a metric, its value."""


class Delivery:
    """Delivers a run's journal to a sink.

    Args:
        folder: the run folder.
        sink: the destination.
        ack: what was accepted before.
        save: stores a new acknowledgement; called after each acceptance.
        reject: stores what the sink refused for good.

    Attributes:
        ack: what has been accepted so far.
    """

    def __init__(
        self,
        folder: RunFolder,
        sink: Sink,
        ack: Acknowledgement,
        *,
        save: Callable[[Acknowledgement], None],
        reject: Callable[[Rejection], None],
    ) -> None:
        self.folder = folder
        self.ack = ack
        self._saved = ack
        self._sink = sink
        self._save = save
        self._store_rejection = reject
        self._position = ack.offset
        self._start: StartRecord | None = None
        self._buffer = MetricBuffer(ack.width, ack.highest)
        self._ended = ack.status is not None  # whether the journal's last word about the run's life is its end

    def upload_pending(self, *, final: bool = False) -> None:
        """Deliver everything that the journal holds now.

        Args:
            final: whether nothing more will come. Windows that are still open are sent too, and a run without an ``end`` record is
                marked KILLED.

        Raises:
            UnreachableError: the store accepts nothing now; drop this delivery.
            RunDeletedError: the run was deleted in the store.
            StorageError: the run folder cannot be read or written.
        """
        for end, record in journal.read(self.folder.journal, self._position):
            if self._start is None:
                self._open_run(record)
            self._handle(self._position, end, record)
            self._position = end
            self._choose_width()
            while len(self._buffer.waiting) >= BATCH:
                self._send_batch()
        if self._start is None and final and not self._ended:  # everything was delivered except how the run ended
            for _, first in islice(journal.read(self.folder.journal), 1):
                self._open_run(first)
        if self._start is None:
            return  # the journal has nothing new, or is still empty
        if final:
            self._close_windows()
        self._send()
        if final and not self._ended:
            self._mark_vanished()

    def _open_run(self, record: dict[str, Any]) -> None:
        """Find or create the run from the start record: this one, or the first of the journal."""
        if record.get("kind") != "start":
            record = next((first for _, first in journal.read(self.folder.journal)), record)
        if record.get("kind") != "start":  # damaged: the run folder still identifies the run
            identity = self.folder.read_json(self.folder.identity) or {}
            record = {f"{'run_' if key in {'id', 'name'} else ''}{key}": value for key, value in identity.items()}
        try:
            start = StartRecord.from_record(record)
        except KeyError as error:
            raise UnreachableError(f"the journal has no start record ({error} is missing)") from error

        experiment_id, run_id = self._sink.open_run(start, self.ack.run_id)
        self._start = start
        if not self.ack.described:
            for what, reason in self._sink.describe_run(start, self.folder.path):
                self._reject(what, reason)
        self._acknowledge(replace(self.ack, experiment_id=experiment_id, run_id=run_id, described=True))

    def _handle(self, begin: int, end: int, record: dict[str, Any]) -> None:
        kind = str(record.get("kind"))
        if kind == "metrics":
            self._buffer.add_metrics(begin, record)
        elif kind in {"eval", "evaluated"}:
            self._handle_evaluation(begin, end, record)
        elif end > self.ack.handled:
            self._handle_other(kind, record)
            self._acknowledge(replace(self.ack, handled=end))
        elif kind in {"end", "resume", "rollback"}:  # already sent, but it still ends windows, wherever reading starts
            self._end_windows(kind)

    # Metrics

    def _handle_evaluation(self, begin: int, end: int, record: dict[str, Any]) -> None:
        try:
            self._buffer.add_evaluation(begin, record)
        except (KeyError, TypeError, ValueError) as error:
            if end > self.ack.handled:
                iteration = record.get("iteration")
                self._reject("evaluation" if iteration is None else f"evaluation at iteration {iteration}", repr(error))
                self._acknowledge(replace(self.ack, handled=end))

    def _choose_width(self, *, final: bool = False) -> None:
        full = self._start is not None and self._start.resolution == "full"
        self._buffer.choose_width(full=full, final=final)
        if self._buffer.width != self.ack.width:
            # Before the first batch is sent, so that windows never change under points that were sent.
            self._acknowledge(replace(self.ack, width=self._buffer.width))

    def _close_windows(self) -> None:
        self._choose_width(final=True)
        self._buffer.close_windows()

    def _send(self) -> None:
        while self._buffer.waiting:
            self._send_batch()
        self._acknowledge(self.ack)

    def _send_batch(self) -> None:
        batch = self._buffer.next_batch(BATCH)
        refused = isolate_refused(batch, self._sink.log_points)
        for point, reason in refused:
            self._reject(f"metric {point.key} at iteration {point.iteration}", reason, value=repr(point.value))
        self._buffer.drop(len(batch))
        highest = {point.key: point.iteration for point in sorted(batch, key=lambda point: point.iteration)}
        self._acknowledge(self.ack.with_points(highest, len(batch) - len(refused)))

    # Other records

    def _handle_other(self, kind: str, record: dict[str, Any]) -> None:
        handlers: dict[str, Callable[[dict[str, Any]], None]] = {
            "image": self._log_image,
            "file": self._log_file,
            "tag": self._set_tag,
            "health": self._set_health_tags,
            "model": self._log_model,
            "resume": self._resume,
            "rollback": self._roll_back,
            "end": self._end,
        }
        if kind not in handlers:
            return  # "start", or a kind that MLflow does not get
        try:
            handlers[kind](record)
        except (RefusedError, KeyError, TypeError, ValueError) as error:
            what = f"{kind} {record.get('key') or record.get('path') or ''}".strip()
            self._reject(what, str(error) if isinstance(error, RefusedError) else repr(error))

    def _log_image(self, record: dict[str, Any]) -> None:
        key, iteration = image_key(record["key"]), int(record["iteration"])
        if iteration <= self.ack.images.get(key, -1):
            return
        self._sink.log_image(self._inside(record["path"]), key, iteration, int(record["ms"]))
        self.ack = replace(self.ack, images={**self.ack.images, key: iteration}, pictures=self.ack.pictures + 1)

    def _log_file(self, record: dict[str, Any]) -> None:
        self._sink.log_file(self._inside(record["path"]), str(record.get("folder") or ""))

    def _set_tag(self, record: dict[str, Any]) -> None:
        self._sink.set_tag(metric_key(record["key"]), mask(record["key"], str(record["value"])))

    def _set_health_tags(self, record: dict[str, Any]) -> None:
        for key, value in health_tags(record).items():
            self._sink.set_tag(key, mask_text(value))

    def _log_model(self, record: dict[str, Any]) -> None:
        self._send()  # metrics first, so that MLflow can link them
        self._sink.log_model(self._inside(record["path"]), record)

    def _resume(self, record: dict[str, Any]) -> None:
        self._end_windows(record["kind"])
        self._sink.set_running()
        self.ack = replace(self.ack, status=None)

    def _roll_back(self, record: dict[str, Any]) -> None:
        """Training returns to an earlier iteration. MLflow keeps the points of the discarded ones: it cannot remove points."""
        self._end_windows(record["kind"])
        rollbacks = [_describe_rollback(each) for each in journal.read_kinds(self.folder.journal, "rollback")]
        self._sink.set_tag("ganforge.rolled_back", mask_text("\n".join(rollbacks)))

    def _end(self, record: dict[str, Any]) -> None:
        status = str(record["status"])
        self._end_windows(record["kind"])
        self._send()
        self._buffer.waiting.extend(self._final_points(record))
        self._send()
        for key in ("reason", "error", "exit_code"):
            if record.get(key) is not None:
                self._sink.set_tag(f"ganforge.{'end_reason' if key == 'reason' else key}", mask_text(str(record[key])))
        self._sink.set_ended(status, int(record["ms"]))
        self.ack = replace(self.ack, status=status)

    def _final_points(self, record: dict[str, Any]) -> Iterator[Point]:
        """The last values again, at the highest iteration sent, for a run that rolled back and ended before it caught up.

        MLflow cannot remove points, and shows the one of the highest step, then the latest time, as a metric's value.
        """
        highest, last = self.ack.highest, record.get("iteration")
        if not isinstance(last, int) or last >= max(highest.values(), default=0):
            return
        for key, (iteration, value) in surviving_values(self.folder.journal, last).items():
            if iteration < (step := highest.get(key, iteration)):
                yield Point(key, step, int(record["ms"]), finite_or_nan(value), self._position)

    def _end_windows(self, kind: str) -> None:
        """Close all windows where the run ends or continues elsewhere; none may span such a place, wherever reading starts."""
        self._close_windows()
        self._ended = kind == "end"

    def _mark_vanished(self) -> None:
        last = max([self._buffer.last_iteration, *self.ack.highest.values()])
        self._sink.set_tag("ganforge.reaped", "true")
        self._sink.set_tag("ganforge.end_reason", f"process vanished at iteration ~{last}")
        self._sink.set_ended("KILLED", int(self.folder.journal.stat().st_mtime * 1000))  # it may have vanished long ago
        self._ended = True
        self._acknowledge(replace(self.ack, status="KILLED"))

    # Bookkeeping

    def _acknowledge(self, ack: Acknowledgement) -> None:
        self.ack = replace(ack, offset=self._buffer.needed_from(self._position))
        if self.ack != self._saved:
            self._save(self.ack)
            self._saved = self.ack

    def _reject(self, what: str, reason: str, **fields: object) -> None:
        self._store_rejection({"what": what, "reason": mask_text(reason)[:2000], "ms": time.time_ns() // 1_000_000, **fields})
        self.ack = replace(self.ack, rejected=self.ack.rejected + 1)

    def _inside(self, path: str) -> Path:
        """Resolve a path from the journal, which must exist inside the run folder.

        Raises:
            RefusedError: it does not.
        """
        resolved = (self.folder.path / path).resolve()
        if not resolved.is_relative_to(self.folder.path.resolve()):
            raise RefusedError(f"{path} is outside the run folder")
        if not resolved.exists():
            raise RefusedError(f"{path} is missing")
        return resolved


def _describe_rollback(record: dict[str, Any]) -> str:
    reason = f": {record['reason']}" if record.get("reason") else ""
    return f"from iteration {int(record['reached'])} to {int(record['iteration'])}{reason}"


@dataclass(frozen=True, slots=True)
class PendingUploads:
    """What waits to be delivered.

    Attributes:
        points: metric points, downsampled as they would be sent.
        images: pictures.
        others: everything else: files, tags, the model, the run's status.
    """

    points: int = 0
    images: int = 0
    others: int = 0

    def __bool__(self) -> bool:
        return bool(self.points or self.images or self.others)


def count_pending(folder: RunFolder) -> PendingUploads:
    """Count what ``ganforge sync`` would send, without MLflow and without a network.

    Raises:
        StorageError: the journal cannot be read.
    """
    sink = _CountingSink()
    with suppress(UnreachableError):  # the journal does not identify the run
        Delivery(folder, sink, Acknowledgement.load(folder.acknowledged), save=_ignore, reject=_ignore).upload_pending(final=True)
    return PendingUploads(**sink.counts)


def _ignore(_: object) -> None:
    """Nothing was sent, so there is nothing to store."""


class _CountingSink:
    """A sink that only counts."""

    def __init__(self) -> None:
        self.counts = Counter[str]()

    def open_run(self, start: StartRecord, run_id: str | None) -> tuple[str, str]:
        return start.experiment, run_id or ""

    def describe_run(self, *_: Any, **__: Any) -> list[Refusal]:
        self.counts["others"] += 1
        return []

    def log_points(self, points: Sequence[Point]) -> None:
        self.counts["points"] += len(points)

    def log_image(self, *_: Any, **__: Any) -> None:
        self.counts["images"] += 1

    def _count_other(self, *_: Any, **__: Any) -> None:
        self.counts["others"] += 1

    log_file = set_tag = log_model = set_running = set_ended = _count_other
