"""The essential callbacks: events go to the journal, the run's progress to ``status.json``, training states to checkpoints."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ganforge.callbacks import Handler
from ganforge.core.errors import StorageError
from ganforge.core.events import Evaluated, Event, Finished, HealthChecked, RolledBack, SamplesDrawn, Saved, Started, Stepped
from ganforge.core.findings import non_finite, report, same_findings
from ganforge.storage import checkpoints, value_info
from ganforge.storage.journal import JournalWriter, last_metrics, merge_metrics
from ganforge.storage.run_folder import RunFolder, Status
from ganforge.storage.value_info import ValueInfo

_HEARTBEAT = 2.0  # seconds between two updates of status.json while the run is running
_WINDOW = 0.5  # least seconds of training over which the speed is measured

Clock = Callable[[], float]

_log = logging.getLogger(__name__)


@contextmanager
def journal(folder: RunFolder, writer: JournalWriter, *, clock: Clock = time.perf_counter) -> Iterator[Handler]:
    """An essential callback, to be put first, so that the journal is always ahead of the checkpoints.

    Terms and rates are written as ``loss/…`` and ``rate/…``, the speed as ``perf/iterations_per_second``, metrics as ``eval/…``,
    and how they are measured as ``protocols`` whenever training starts or resumes. Values measured by the health monitor are
    ``health/…``; its findings are a record ``health`` whenever a finding appears or disappears, and at the end. A metric that
    cannot be measured is listed in ``missing`` of its ``eval``, and has no last value from then on. At a roll-back, the session
    writes a record ``rollback`` before the iterations that are repeated; of two values of one iteration the later one counts.

    Open ``writer`` with ``keep_going=True`` so that a full disk causes only a warning. The session writes the records ``start`` and
    ``end``.
    """
    journal_writer = _JournalCallback(folder, writer, clock)
    try:
        yield journal_writer.handle
    finally:
        journal_writer.write_health()
        writer.flush()


class _JournalCallback:
    def __init__(self, folder: RunFolder, writer: JournalWriter, clock: Clock) -> None:
        self._folder = folder
        self._writer = writer
        self._clock = clock
        self._stepped: float | None = None  # when the last iteration ended; None after an evaluation, picture or save
        self._seconds, self._count = 0.0, 0  # since the speed was measured
        self._status = Status(status="running")
        self._began = self._reported = clock()
        self._failing = False
        self._started: Started | None = None
        self._checked: HealthChecked | None = None  # the newest health check
        self._written: HealthChecked | None = None  # the health check written to the journal last
        self._missing: set[str] = set()  # metrics about which the user was warned

    def handle(self, event: Event) -> None:
        now = self._clock()
        match event:
            case Stepped():
                self._handle_stepped(event, now)
            case Started():
                self._handle_started(event)
            case Evaluated():
                self._handle_evaluated(event)
            case HealthChecked():
                self._handle_health_checked(event, now)
            case SamplesDrawn():
                self._write_status(event.iteration, now)  # so that no picture is newer than the reported iteration
            case Saved():
                self._writer.flush(sync=True)
            case RolledBack():
                self._handle_rolled_back(event, now)
            case Finished():
                self._handle_finished(event)
        if not isinstance(event, Stepped):
            self._stepped = None

    def _handle_stepped(self, event: Stepped, now: float) -> None:
        losses = {f"loss/{key}": value for key, value in event.terms.items()}
        self._writer.metrics(event.iteration, {**losses, **{f"rate/{key}": rate for key, rate in event.rates.items()}})
        self._measure_speed(event.iteration, now)
        if now - self._reported >= _HEARTBEAT:
            self._write_status(event.iteration, now)

    def _measure_speed(self, iteration: int, now: float) -> None:
        """Iterations per second without evaluations, pictures and saves."""
        if self._stepped is not None:
            self._seconds += now - self._stepped
            self._count += 1
        self._stepped = now
        if self._seconds >= _WINDOW:
            speed = self._count / self._seconds
            self._seconds, self._count = 0.0, 0
            self._writer.metrics(iteration, {"perf/iterations_per_second": speed})
            self._status = self._status.now(iterations_per_second=speed)

    def _handle_started(self, event: Started) -> None:
        if event.iteration:
            self._writer.record("resume", iteration=event.iteration)
            self._restore_metrics(event.iteration)
            with suppress(StorageError):  # the damaged file is about to be replaced
                self._status = self._status.now(health=before.health if (before := self._folder.read_status()) else None)
        self._status = self._status.now(iterations=event.iterations)
        self._started = event
        self._write_value_info(event, floors=False)
        samples = event.samples
        value_info = {key: info.to_plain(samples.get(key.partition("/")[0])) for key, info in event.value_info.items()}
        self._writer.record("protocols", iteration=event.iteration, protocols=event.protocols, value_info=value_info)
        self._write_status(event.iteration, self._clock())

    def _write_value_info(self, event: Started, *, floors: bool) -> None:
        try:
            value_info.write(self._folder, ValueInfo.resolve(event.term_info, event.value_info, event.samples, floors=floors))
        except StorageError as error:
            _log.warning("%s; training continues", error)

    def _handle_evaluated(self, event: Evaluated) -> None:
        values = {f"eval/{key}": value for key, value in event.values.items()}
        failed = {"missing": list(event.missing)} if event.missing else {}
        self._writer.record("eval", iteration=event.iteration, values=values, **failed)
        self._status = self._status.now(metrics=merge_metrics(self._status.metrics, event.values, event.missing))
        for name, reason in event.missing.items():
            if name not in self._missing:
                self._missing.add(name)
                _log.warning("metric '%s' could not be measured: %s; training continues without it", name, reason)

    def _handle_rolled_back(self, event: RolledBack, now: float) -> None:
        """Reset the status to what was known at that iteration; the journal keeps what came after it."""
        self._checked = self._written = None
        self._status = self._status.now(health=None)
        self._restore_metrics(event.iteration)
        self._write_status(event.iteration, now)

    def _restore_metrics(self, iteration: int) -> None:
        """The last metric values up to the iteration from which training continues; later ones are discarded."""
        try:
            metrics = last_metrics(self._writer.path, iteration)
        except StorageError:
            metrics = {}
        self._status = self._status.now(metrics=metrics)

    def _handle_health_checked(self, event: HealthChecked, now: float) -> None:
        if event.values:
            self._writer.metrics(event.iteration, {f"health/{key}": value for key, value in event.values.items()})
        self._checked = event
        self._status = self._status.now(health=report(event.findings, conclusive=event.conclusive))
        written = self._written
        if written is None or written.conclusive != event.conclusive or not same_findings(written.findings, event.findings):
            self.write_health()
            self._write_status(event.iteration, now)

    def write_health(self) -> None:
        """Write the newest health check, unless the journal already has its findings."""
        written, checked = self._written, self._checked
        self._written = checked
        if checked and (not written or (written.findings, written.conclusive) != (checked.findings, checked.conclusive)):
            self._writer.record("health", iteration=checked.iteration, **report(checked.findings, conclusive=checked.conclusive))

    def _handle_finished(self, event: Finished) -> None:
        if event.outcome == "diverged":
            self._add_divergence(event)
        self.write_health()
        self._writer.flush()
        if self._started is not None:
            # Some floors take seconds to simulate, so not before the first iteration.
            self._write_value_info(self._started, floors=True)
        self._status = self._status.now(status=event.outcome, reason=event.reason)
        self._write_status(event.iteration, self._clock())

    def _add_divergence(self, event: Finished) -> None:
        """Report divergence as a finding even if the health monitor is off or has not seen it."""
        findings = self._checked.findings if self._checked else ()
        if any(finding.level == "fail" for finding in findings):
            return
        self._checked = HealthChecked(event.iteration, {}, (non_finite(event.iteration, event.reason), *findings))
        self._status = self._status.now(health=report(self._checked.findings))

    def _write_status(self, iteration: int, now: float) -> None:
        self._reported = now
        self._status = self._status.now(iteration=iteration, seconds=now - self._began)
        try:
            self._folder.write_status(self._status, durable=self._status.status != "running")
            self._failing = False
        except StorageError as error:
            if not self._failing:
                _log.warning("%s; training continues", error)
            self._failing = True


class CheckpointSaver:
    """Saves training states and keeps the newest. Put it after the journal's callback: the journal must be on disk before."""

    def __init__(self, folder: RunFolder, keep: int) -> None:
        self.folder, self.keep = folder, keep
        self.last: Path | None = None  # the newest checkpoint saved
        self.failures = 0  # failed saves; the first of several in a row is logged
        self._failing = False

    @contextmanager
    def callback(self) -> Iterator[Handler]:
        """The event handler."""
        yield self._handle

    def _handle(self, event: Event) -> None:
        if not isinstance(event, Saved):
            return
        try:
            self.last = checkpoints.save(self.folder, event.iteration, event.state, self.keep)
            self._failing = False
        except StorageError as error:
            self.failures += 1
            if not self._failing:
                last = f"the last checkpoint is {self.last}" if self.last else "this process has not saved a checkpoint yet"
                _log.warning("no checkpoint at iteration %d: %s; training continues, %s", event.iteration, error, last)
            self._failing = True
