"""From journal to sink: read on, thin, send, acknowledge.

A delivery keeps nothing that the journal and ``acknowledged.json`` do not hold. After a failure it is dropped and a new one starts
from the acknowledgement, which is also what happens after a crash: there is one way to recover, and it is used all the time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from ganforge.core.redaction import mask, mask_text
from ganforge.storage import journal
from ganforge.storage.run_folder import RunFolder
from ganforge.tracking import health_tags
from ganforge.tracking.acknowledgement import Ack
from ganforge.tracking.downsampling import Point, finite
from ganforge.tracking.metric_buffer import PointStream, last_values
from ganforge.tracking.mlflow_names import image_key, metric_key
from ganforge.tracking.run_metadata import StartRecord
from ganforge.tracking.sink import Refused, Sink, Unreachable

BATCH = 500
"""Metrics sent at once: a batch that has to be sent again costs thirteen times as much as the first time."""

Rejection = dict[str, object]
"""What the store refused for good: what, reason, unix ms and, for a metric, its value."""


class Delivery:
    """Brings a run's journal to a sink.

    Args:
        folder: the run folder.
        sink: where to.
        ack: what was accepted before.
        save: keeps a new acknowledgement; called after each acceptance.
        reject: keeps what the store refused for good.
        blame: take an inner error of the store for a refusal, so that a record that it cannot digest is found and left out.

    Attributes:
        ack: what has been accepted by now.
    """

    def __init__(
        self,
        folder: RunFolder,
        sink: Sink,
        ack: Ack,
        *,
        save: Callable[[Ack], None],
        reject: Callable[[Rejection], None],
        blame: bool = False,
    ) -> None:
        self.folder = folder
        self.ack = ack
        self._saved = ack
        self._sink = sink
        self._save = save
        self._keep_rejected = reject
        self._blame = blame
        self._position = ack.offset
        self._start: StartRecord | None = None
        self._points = PointStream(ack.width, ack.highest)
        self._over = ack.status is not None  # whether the newest word on the run's life is its end

    def pump(self, *, final: bool = False) -> None:
        """Deliver all that the journal holds by now.

        Args:
            final: nothing more will come: windows that are still open are sent as well, and a run that never said how it ended is
                marked KILLED.

        Raises:
            Unreachable: the store takes nothing now; this delivery is of no further use.
            Gone: the run was deleted in the store.
            StorageError: the run folder cannot be read or written.
        """
        for end, record in journal.read(self.folder.journal, self._position):
            if self._start is None:
                self._begin(record)
            self._take(self._position, end, record)
            self._position = end
            self._settle()
            while len(self._points.waiting) >= BATCH:
                self._send_batch()
        if self._start is None and final and not self._over:  # all is delivered but how the run ended
            for _, first in islice(journal.read(self.folder.journal), 1):
                self._begin(first)
        if self._start is None:
            return  # nothing new, or nothing at all yet
        if final:
            self._close_windows()
        self._send()
        if final and not self._over:
            self._mark_vanished()

    def _begin(self, record: dict[str, Any]) -> None:
        """Make the run known to the store, by the start record: the one at hand, or the journal's first."""
        if record.get("kind") != "start":
            record = next((first for _, first in journal.read(self.folder.journal)), record)
        if record.get("kind") != "start":  # damaged: the run folder still knows which run it is
            identity = self.folder.read_json(self.folder.identity) or {}
            record = {f"{'run_' if key in {'id', 'name'} else ''}{key}": value for key, value in identity.items()}
        try:
            start = StartRecord.from_record(record)
        except KeyError as error:
            raise Unreachable(f"the journal has no start record ({error} is missing)") from error

        experiment_id, run_id = self._sink.begin(start, self.ack.run_id)
        self._start = start
        if not self.ack.begun:
            for what, reason in self._sink.describe(start, self.folder.path):
                self._reject(what, reason)
        self._acknowledge(replace(self.ack, experiment_id=experiment_id, run_id=run_id, begun=True))

    def _take(self, begin: int, end: int, record: dict[str, Any]) -> None:
        kind = str(record.get("kind"))
        if kind == "metrics":
            self._points.take_metrics(begin, record)
        elif kind in {"eval", "evaluated"}:
            self._take_evaluation(begin, end, record)
        elif end > self.ack.handled:
            self._take_other(kind, record)
            self._acknowledge(replace(self.ack, handled=end))
        elif kind in {"end", "resume", "rollback"}:  # done before, but it still ends windows, wherever the journal is read from
            self._turn(kind)

    # Metrics

    def _take_evaluation(self, begin: int, end: int, record: dict[str, Any]) -> None:
        try:
            self._points.take_evaluation(begin, record)
        except (KeyError, TypeError, ValueError) as error:
            if end > self.ack.handled:
                self._reject("evaluation", repr(error))
                self._acknowledge(replace(self.ack, handled=end))

    def _settle(self, *, final: bool = False) -> None:
        full = self._start is not None and self._start.resolution == "full"
        self._points.settle(full=full, final=final)
        if self._points.width != self.ack.width:
            # Before the first batch leaves, so that windows never change under what has been sent.
            self._acknowledge(replace(self.ack, width=self._points.width))

    def _close_windows(self) -> None:
        self._settle(final=True)
        self._points.close()

    def _send(self) -> None:
        while self._points.waiting:
            self._send_batch()
        self._acknowledge(self.ack)

    def _send_batch(self) -> None:
        batch = self._points.batch(BATCH)
        accepted = self._send_points(batch)
        self._points.drop(len(batch))
        highest = {point.key: point.iteration for point in sorted(batch, key=lambda point: point.iteration)}
        self._acknowledge(self.ack.with_points(highest, accepted))

    def _send_points(self, points: list[Point]) -> int:
        """Send points, halving a refused batch until the refused one stands alone; the number accepted."""
        try:
            self._sink.points(points)
        except Refused as refusal:
            return self._halve(points, str(refusal))
        except Unreachable as failure:
            if not (self._blame and failure.suspicious):
                raise
            return self._halve(points, str(failure))
        return len(points)

    def _halve(self, points: list[Point], reason: str) -> int:
        if len(points) == 1:
            point = points[0]
            self._reject(f"metric {point.key} at iteration {point.iteration}", reason, value=repr(point.value))
            return 0
        middle = len(points) // 2
        return self._send_points(points[:middle]) + self._send_points(points[middle:])

    # The rest of the journal

    def _take_other(self, kind: str, record: dict[str, Any]) -> None:
        handlers: dict[str, Callable[[dict[str, Any]], None]] = {
            "image": self._image,
            "file": self._file,
            "tag": self._tag,
            "health": self._health,
            "model": self._model,
            "resume": self._resume,
            "rollback": self._rollback,
            "end": self._end,
        }
        if kind not in handlers:
            return  # "start", an "event", or a kind that a newer ganforge writes
        what = f"{kind} {record.get('key') or record.get('path') or ''}".strip()
        try:
            handlers[kind](record)
        except (Refused, KeyError, TypeError, ValueError) as refusal:
            self._reject(what, str(refusal) if isinstance(refusal, Refused) else repr(refusal))
        except Unreachable as failure:
            if not (self._blame and failure.suspicious):
                raise
            self._reject(what, str(failure))

    def _image(self, record: dict[str, Any]) -> None:
        key, iteration = image_key(record["key"]), int(record["iteration"])
        if iteration <= self.ack.images.get(key, -1):
            return
        self._sink.image(self._inside(record["path"]), key, iteration, int(record["ms"]))
        self.ack = replace(self.ack, images={**self.ack.images, key: iteration}, pictures=self.ack.pictures + 1)

    def _file(self, record: dict[str, Any]) -> None:
        self._sink.file(self._inside(record["path"]), str(record.get("folder") or ""))

    def _tag(self, record: dict[str, Any]) -> None:
        self._sink.tag(metric_key(record["key"]), mask(record["key"], str(record["value"])))

    def _health(self, record: dict[str, Any]) -> None:
        for key, value in health_tags.tags(record).items():
            self._sink.tag(key, mask_text(value))

    def _model(self, record: dict[str, Any]) -> None:
        self._send()  # what was measured first, so that MLflow can link it
        self._sink.model(self._inside(record["path"]), record)

    def _resume(self, record: dict[str, Any]) -> None:  # noqa: ARG002 - all handlers have one form
        self._turn("resume")
        self._sink.running()
        self.ack = replace(self.ack, status=None)

    def _rollback(self, record: dict[str, Any]) -> None:  # noqa: ARG002 - all handlers have one form
        """Training takes up an earlier iteration. What MLflow has of the ones given up stays: it cannot take points back."""
        self._turn("rollback")
        returns = [_returned(each) for each in journal.read_kinds(self.folder.journal, "rollback")]
        self._sink.tag("ganforge.rolled_back", mask_text("\n".join(returns)))

    def _end(self, record: dict[str, Any]) -> None:
        status = str(record["status"])
        self._turn("end")
        self._send()
        self._points.waiting.extend(self._final_points(record))
        self._send()
        for key in ("reason", "error", "exit_code"):
            if record.get(key) is not None:
                self._sink.tag(f"ganforge.{'end_reason' if key == 'reason' else key}", mask_text(str(record[key])))
        self._sink.ended(status, int(record["ms"]))
        self.ack = replace(self.ack, status=status)

    def _final_points(self, record: dict[str, Any]) -> Iterator[Point]:
        """For a run that went back and ended before it had caught up, its last values once more, at the highest iteration sent.

        MLflow takes no point back, and shows the one of the highest step, then the latest time, as a metric's value.
        """
        highest, last = self.ack.highest, record.get("iteration")
        if not isinstance(last, int) or last >= max(highest.values(), default=0):
            return
        for key, (iteration, value) in last_values(self.folder.journal, last).items():
            if iteration < (step := highest.get(key, iteration)):
                yield Point(key, step, int(record["ms"]), finite(value), self._position)

    def _turn(self, kind: str) -> None:
        """The run ended or goes on. No window reaches across such a place, however often and from wherever the journal is read."""
        self._close_windows()
        self._over = kind == "end"

    def _mark_vanished(self) -> None:
        last = max([self._points.last_iteration, *self.ack.highest.values()])
        self._sink.tag("ganforge.reaped", "true")
        self._sink.tag("ganforge.end_reason", f"process vanished at iteration ~{last}")
        self._sink.ended("KILLED", int(self.folder.journal.stat().st_mtime * 1000))  # it may have vanished long ago
        self._over = True
        self._acknowledge(replace(self.ack, status="KILLED"))

    # Bookkeeping

    def _acknowledge(self, ack: Ack) -> None:
        self.ack = replace(ack, offset=self._points.since(self._position))
        if self.ack != self._saved:
            self._save(self.ack)
            self._saved = self.ack

    def _reject(self, what: str, reason: str, **fields: object) -> None:
        self._keep_rejected({"what": what, "reason": mask_text(reason)[:2000], "ms": time.time_ns() // 1_000_000, **fields})
        self.ack = replace(self.ack, rejected=self.ack.rejected + 1)

    def _inside(self, path: str) -> Path:
        """A path of the journal, which may only lead into the run folder.

        Raises:
            Refused: it leads elsewhere or to nothing.
        """
        whole = (self.folder.path / path).resolve()
        if not whole.is_relative_to(self.folder.path.resolve()):
            raise Refused(f"{path} leads out of the run folder")
        if not whole.exists():
            raise Refused(f"{path} is missing")
        return whole


def _returned(record: dict[str, Any]) -> str:
    reason = f": {record['reason']}" if record.get("reason") else ""
    return f"from iteration {int(record['reached'])} to {int(record['iteration'])}{reason}"
