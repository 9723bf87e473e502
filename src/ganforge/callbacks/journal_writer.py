"""Events become records of the journal, and a heartbeat in ``status.json``."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ganforge.callbacks.dispatch import Tell, Warn, warn_plainly
from ganforge.core.errors import StorageError
from ganforge.core.events import Evaluated, Event, Finished, HealthChecked, RolledBack, SamplesDrawn, Saved, Started, Stepped
from ganforge.core.findings import non_finite, report
from ganforge.core.health_lines import unchanged
from ganforge.storage import run_status, value_info
from ganforge.storage.journal import JournalWriter, last_metrics, merge_metrics
from ganforge.storage.run_folder import RunFolder
from ganforge.storage.run_status import Status
from ganforge.storage.value_info import ValueInfo

if TYPE_CHECKING:
    from torch import Tensor

HEARTBEAT = 2.0
"""Seconds between two reports of a running run."""
WINDOW = 0.5
"""Seconds of training that the speed is measured over."""

Clock = Callable[[], float]


@contextmanager
def journal(
    folder: RunFolder,
    writer: JournalWriter,
    *,
    warn: Warn = warn_plainly,
    clock: Clock = time.perf_counter,
) -> Iterator[Tell]:
    """An essential observer: the first, so that a checkpoint never knows more than the journal.

    Terms and rates go into the journal as ``loss/…`` and ``rate/…``, the speed as ``perf/iterations_per_second``, metrics as
    ``eval/…``, and how these are measured as ``protocols`` whenever training begins or goes on. What the health watch value_info is
    ``health/…``; its findings are a record ``health`` whenever another trouble is seen or one is gone, and at the end as they were
    seen last. A metric that fails when it is measured is named in ``missing`` of its ``eval``, and has no last value from then on.
    Where training is rolled back, the session puts a record ``rollback`` before the iterations that come again; of two
    values of one iteration the later one counts.

    A full disk costs one warning: give the writer an ``on_error``. The records ``start`` and ``end`` are the session's, which knows
    the identity, and how the process ended.
    """
    scribe = _Scribe(folder, writer, warn, clock)
    try:
        yield scribe.tell
    finally:
        scribe.tell_health()
        writer.flush()


class _Scribe:
    def __init__(self, folder: RunFolder, writer: JournalWriter, warn: Warn, clock: Clock) -> None:
        self._folder = folder
        self._writer = writer
        self._warn = warn
        self._clock = clock
        self._speed = Speed()
        self._status = Status(status="running")
        self._began = self._reported = clock()
        self._failing = False
        self._begun: Started | None = None
        self._seen: HealthChecked | None = None  # the newest look
        self._told: HealthChecked | None = None  # the one that the journal's newest record of health is of
        self._missed: set[str] = set()  # metrics that were told to be missing

    def tell(self, event: Event) -> None:
        now = self._clock()
        match event:
            case Stepped():
                self._stepped(event, now)
            case Started():
                self._started(event)
            case Evaluated():
                self._evaluated(event)
            case HealthChecked():
                self._examined(event, now)
            case SamplesDrawn():
                self._report(event.iteration, now)  # so that no picture lies there of an iteration that nobody has reported
            case Saved():
                self._writer.flush(sync=True)
            case RolledBack():
                self._go_back(event, now)
            case Finished():
                self._finished(event)
        if not isinstance(event, Stepped):
            self._speed.pause()

    def _stepped(self, event: Stepped, now: float) -> None:
        values: dict[str, Tensor | float] = {f"loss/{key}": value for key, value in event.terms.items()}
        for key, rate in event.rates.items():
            values[f"rate/{key}"] = rate
        self._writer.metrics(event.iteration, values)

        speed = self._speed.step(now)
        if speed is not None:
            self._writer.metrics(event.iteration, {"perf/iterations_per_second": speed})
            self._status = self._status.now(iterations_per_second=speed)
        if now - self._reported >= HEARTBEAT:
            self._report(event.iteration, now)

    def _started(self, event: Started) -> None:
        if event.iteration:
            self._writer.record("resume", iteration=event.iteration)
            self._status = self._status.now(metrics=self._recalled(event.iteration), health=self._judged_before())
        self._status = self._status.now(iterations=event.iterations)
        self._begun = event
        self._explain(event, floors=False)
        samples = _samples(event)
        value_info = {key: measure.to_plain(samples.get(key.partition("/")[0])) for key, measure in event.value_info.items()}
        self._writer.record("protocols", iteration=event.iteration, protocols=event.protocols, value_info=value_info)
        self._report(event.iteration, self._clock())

    def _explain(self, event: Started, *, floors: bool) -> None:
        try:
            value_info.write(self._folder, ValueInfo.resolve(event.term_info, event.value_info, _samples(event), floors=floors))
        except StorageError as error:
            self._warn(f"{error}; training goes on")

    def _judged_before(self) -> Mapping[str, object] | None:
        try:
            before = run_status.read(self._folder)
        except StorageError:
            return None  # a damaged report is only a report; it is replaced now
        return before.health if before else None

    def _recalled(self, iteration: int) -> dict[str, float]:
        """What was measured last, up to an iteration from which training goes on: what came after it is given up."""
        try:
            return last_metrics(self._writer.path, iteration)
        except StorageError:
            return {}

    def _evaluated(self, event: Evaluated) -> None:
        values = {f"eval/{key}": value for key, value in event.values.items()}
        failed = {"missing": list(event.missing)} if event.missing else {}
        self._writer.record("eval", iteration=event.iteration, values=values, **failed)
        self._status = self._status.now(metrics=merge_metrics(self._status.metrics, event.values, event.missing))
        for name, reason in event.missing.items():
            if name not in self._missed:
                self._missed.add(name)
                self._warn(f"metric '{name}' could not be measured: {reason}; training goes on without it")

    def _go_back(self, event: RolledBack, now: float) -> None:
        """What was measured and seen since is of a part that is given up; the journal keeps it, before the record ``rollback``."""
        self._seen = self._told = None
        self._status = self._status.now(metrics=self._recalled(event.iteration), health=None)
        self._report(event.iteration, now)

    def _examined(self, event: HealthChecked, now: float) -> None:
        if event.values:
            self._writer.metrics(event.iteration, {f"health/{key}": value for key, value in event.values.items()})
        self._seen = event
        self._status = self._status.now(health=report(event.findings, judged=event.judged))
        told = self._told
        if told is None or told.judged != event.judged or not unchanged(told.findings, event.findings):
            self.tell_health()
            self._report(event.iteration, now)

    def tell_health(self) -> None:
        """Record what was seen last, unless the journal has just that."""
        told, seen = self._told, self._seen
        self._told = seen
        if seen is not None and (told is None or (told.findings, told.judged) != (seen.findings, seen.judged)):
            self._writer.record("health", iteration=seen.iteration, **report(seen.findings, judged=seen.judged))

    def _finished(self, event: Finished) -> None:
        if event.outcome == "diverged":
            self._diverged(event)
        self.tell_health()
        self._writer.flush()
        if self._begun is not None:
            self._explain(self._begun, floors=True)  # not before the first iteration, which some of them would delay by seconds
        self._status = self._status.now(status=event.outcome, reason=event.reason)
        self._report(event.iteration, self._clock())

    def _diverged(self, event: Finished) -> None:
        """Whatever the watch saw before, and whether there is one: a run that diverged has failed."""
        findings = self._seen.findings if self._seen else ()
        if any(finding.level == "fail" for finding in findings):
            return
        self._seen = HealthChecked(event.iteration, {}, (non_finite(event.iteration, event.reason), *findings))
        self._status = self._status.now(health=report(self._seen.findings))

    def _report(self, iteration: int, now: float) -> None:
        self._reported = now
        self._status = self._status.now(iteration=iteration, seconds=now - self._began)
        try:
            run_status.write(self._folder, self._status, durable=self._status.status != "running")
            self._failing = False
        except StorageError as error:
            if not self._failing:
                self._warn(f"{error}; training goes on")
            self._failing = True


class Speed:
    """Iterations per second of training alone, without evaluations, pictures and saves, over windows of half a second or more."""

    def __init__(self) -> None:
        self._last: float | None = None
        self._seconds = 0.0
        self._count = 0

    def step(self, now: float) -> float | None:
        """An iteration is done; the speed, where a window is full."""
        if self._last is not None:
            self._seconds += now - self._last
            self._count += 1
        self._last = now
        if self._seconds < WINDOW:
            return None
        speed = self._count / self._seconds
        self._seconds, self._count = 0.0, 0
        return speed

    def pause(self) -> None:
        """Something else than an iteration follows; the next iteration is not timed, since it includes that."""
        self._last = None


def _samples(event: Started) -> dict[str, int]:
    """How many samples each metric takes, by its name."""
    return {name: count for name, told in event.protocols.items() if isinstance(count := told.get("samples"), int)}
