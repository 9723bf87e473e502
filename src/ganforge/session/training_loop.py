"""The training loop of a run: between iterations it decides whether to go on, to stop, or to roll back to an earlier state.

Ctrl-C and SIGTERM stop a run after its current iteration, with its state saved; a second Ctrl-C ends it at once.
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from types import FrameType
from typing import TYPE_CHECKING, Literal

from ganforge.core.events import Event, Finished, RolledBack, State
from ganforge.core.findings import Finding
from ganforge.health.monitor import KEY, HealthMonitor, monitored
from ganforge.storage import checkpoints
from ganforge.storage.journal import JournalWriter
from ganforge.storage.run_folder import RunFolder
from ganforge.terminal.run_state import STOPPING

if TYPE_CHECKING:
    from subprocess import Popen

    from ganforge.train.trainer import Trainer

MAX_ROLLBACKS = 3
"""How often a run rolls back before it stops."""
MIN_CHECKPOINTS = 5
"""Checkpoints kept at least if a run may roll back, because a failure may be found long after it began."""
_log = logging.getLogger(__name__)


@dataclass
class TrainingLoop:
    """Runs a trainer under a health monitor, both restored in a resumed run, and acts on the failures that the monitor finds."""

    on_fail: Literal["warn", "stop", "roll-back"]
    trainer: Trainer
    monitor: HealthMonitor
    folder: RunFolder
    journal: JournalWriter
    stop: StopRequest

    def __post_init__(self) -> None:
        self._first_iteration = self.trainer.iteration
        self._first_state: State | None = None
        if self.on_fail == "roll-back":
            state = _copy(self.trainer.state())
            self._first_state = replace(state, values={**state.values, KEY: self.monitor.to_plain()})

    def events(self) -> Iterator[Event]:
        """Train to the end; yields the events of the trainer and of the health monitor."""
        trainer = self.trainer
        stop: str | None = None
        yield from monitored(trainer.start(), self.monitor)
        while not (trainer.done or stop):
            yield from monitored(trainer.advance(), self.monitor)
            rolled_back, stop = self._roll_back(), None
            if not (rolled_back or trainer.divergence) and (stop := self._stop_reason()):
                if saved := trainer.save():
                    yield from monitored([saved], self.monitor)
                else:
                    rolled_back, stop = self._roll_back(), None
            if rolled_back:
                yield rolled_back
        for event in monitored([trainer.finish(stop)], self.monitor):
            yield self._conclude(event) if isinstance(event, Finished) else event

    def _stop_reason(self) -> str | None:
        """Why to stop after this iteration, or ``None``; after the last one there is nothing left to stop."""
        if self.trainer.done:
            return None
        return "asked to stop" if self.stop.requested() else self._failure_reason()

    def _conclude(self, finished: Finished) -> Finished:
        """A run whose last health check found a failure does not count as finished."""
        if finished.outcome == "finished" and (reason := self._failure_reason()):
            return replace(finished, outcome="stopped", reason=f"{reason}; seen at the last iteration")
        return finished

    def _roll_back(self) -> RolledBack | None:
        """Roll back to a state from before the failure, if there is a failure, such a state, and a rollback left."""
        trainer, finding = self.trainer, self._failure()
        reason = trainer.divergence or (finding and f"{finding.problem}: {finding.evidence}")
        if not reason or self._first_state is None or trainer.rollbacks >= MAX_ROLLBACKS:
            return None
        since = finding.since if finding and not trainer.divergence else trainer.iteration
        found = self._state_before(since)
        if found is None:
            return None
        iteration, state = found
        # Set aside first: whoever resumes from the newest checkpoint must not get one that the journal says was discarded.
        checkpoints.move_aside_after(self.folder, iteration)
        self.journal.record("rollback", iteration=iteration, reached=trainer.iteration, reason=reason)
        self.monitor.roll_back(state.values.get(KEY))
        _log.warning("%s; rolling back from iteration %d to %d, with other latents", reason, trainer.iteration, iteration)
        return trainer.roll_back(state)

    def _state_before(self, since: int) -> tuple[int, State] | None:
        """The newest intact checkpoint from before ``since``, or else the state that this process began with, if that is earlier.

        A resumed run may begin in the middle of a failure; rolling back to its beginning would only find the failure again.
        """
        for path in checkpoints.list_checkpoints(self.folder):
            if int(path.name) < since:
                try:
                    return int(path.name), checkpoints.load(path)
                except checkpoints.DamagedCheckpointError as damage:
                    _log.warning("checkpoint %s is damaged (%s)", path.name, damage)
        assert self._first_state is not None  # noqa: S101 - callers check it
        return (self._first_iteration, _copy(self._first_state)) if self._first_iteration < max(since, 1) else None

    def _failure_reason(self) -> str | None:
        """Why the recipe stops this run, or ``None``; resuming a run that had ended does not change how it ended."""
        finding, rollbacks = self._failure(), self.trainer.rollbacks
        if finding is None or self.on_fail == "warn" or self.trainer.iteration == self._first_iteration:
            return None
        reason = f"{finding.problem} since iteration {finding.since}: {finding.evidence}"
        if rollbacks:
            reason += f"; rolled back {rollbacks} times"
        if self.on_fail == "roll-back" and rollbacks < MAX_ROLLBACKS:
            reason += "; no earlier state is kept"
        return reason

    def _failure(self) -> Finding | None:
        return next((finding for finding in self.monitor.findings if finding.level == "fail"), None)


def _copy(state: State) -> State:
    return replace(state, tensors={name: tensor.detach().clone() for name, tensor in state.tensors.items()})


class StopRequest:
    """Whether a signal has asked the run to stop. Signals are forwarded to the ``children``."""

    def __init__(self) -> None:
        self.signal: signal.Signals | None = None
        self.children: set[Popen[str]] = set()

    def requested(self) -> bool:
        """Whether to stop after this iteration."""
        return self.signal is not None

    @property
    def exit_code(self) -> int:
        """The shell's convention: 128 plus the signal's number; 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + int(self.signal or 0)

    def receive(self, number: int, _frame: FrameType | None) -> None:
        """Handle a signal: the first one requests a stop, a Ctrl-C after it interrupts at once."""
        received = signal.Signals(number)
        if self.signal is not None and received is signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = self.signal or received
        for child in list(self.children):
            child.send_signal(received)
        _log.info(STOPPING)


@contextmanager
def graceful_signals() -> Iterator[StopRequest]:
    """Turn SIGINT and SIGTERM into a request to stop; earlier handlers are restored. Has no effect outside the main thread."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    before = {number: signal.signal(number, request.receive) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
