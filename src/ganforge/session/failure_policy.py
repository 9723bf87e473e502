"""What a failed health check does to a run: nothing, a stop, or a roll-back to a checkpoint from before it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from ganforge.core.events import Event, Finished, State
from ganforge.core.findings import Finding
from ganforge.health.monitor import KEY, Watch
from ganforge.storage import checkpoints
from ganforge.storage.journal import JournalWriter, read_kinds
from ganforge.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from ganforge.train.trainer import Trainer

MAX_ROLLBACKS = 3
"""Roll-backs after which a failure stops the run."""
MIN_KEPT = 5
"""Checkpoints kept at least where a run may roll back: a failure may be found long after it began."""
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class FailurePolicy:
    """Decides after each iteration whether to stop, and which state to roll back to.

    Attributes:
        on_fail: the recipe's ``health.on_fail``.
        trainer: the trainer.
        watch: what knows the findings.
        folder: where earlier states are saved.
        journal: where roll-backs are recorded.
        stop_requested: whether a signal asked to stop.
        known: what the watch knew in the state that this process started from, as it is stored in a state's values.
    """

    on_fail: Literal["warn", "stop", "roll-back"]
    trainer: Trainer
    watch: Watch
    folder: RunFolder
    journal: JournalWriter
    stop_requested: Callable[[], bool]
    known: object = None
    _first: State | None = field(default=None, init=False)
    _started_at: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._started_at = self.trainer.iteration
        if self.on_fail == "roll-back":
            state = _copy(self.trainer.state())
            self._first = replace(state, values={**state.values, KEY: self.known})

    def should_stop(self) -> bool | str:
        """Whether to stop after this iteration, with the finding that is the reason."""
        return self.stop_requested() or self._reason() or False

    def concluded(self, events: Iterator[Event]) -> Iterator[Event]:
        """The events; a run that finishes with a failure found by the last check ends as stopped."""
        for event in events:
            if isinstance(event, Finished) and event.outcome == "finished" and (reason := self._reason()):
                event = replace(event, outcome="stopped", reason=f"{reason}; seen at the last iteration")
            yield event

    def state(self, diverged: str | None) -> State | None:
        """The state to roll back to, where the recipe wants that and something failed."""
        if self._first is None or self.trainer.returns >= MAX_ROLLBACKS:
            return None
        finding = self._failure()
        reason = diverged or (finding and f"{finding.trouble}: {finding.seen}")
        if not reason:
            return None
        since = finding.since if finding and not diverged else self.trainer.iteration
        before = self._before(since)
        return before and self._roll_back(*before, reason)

    def _roll_back(self, iteration: int, state: State, reason: str) -> State:
        # Set aside first: a resumed run must not find a checkpoint that the journal says was discarded.
        checkpoints.move_aside_after(self.folder, iteration)
        self.journal.record("rollback", iteration=iteration, reached=self.trainer.iteration, reason=reason)
        self.watch.go_back(state.values.get(KEY))
        _log.warning("%s; going back from iteration %d to %d, with other latents", reason, self.trainer.iteration, iteration)
        return state

    def _before(self, since: int) -> tuple[int, State] | None:
        """The newest intact checkpoint from before ``since``, or else the state that this process started from, if older too.

        A resumed run may start in the middle of a failure: rolling back to there would find it again.
        """
        for path in checkpoints.list_checkpoints(self.folder):
            if int(path.name) < since:
                try:
                    return int(path.name), checkpoints.load(path)
                except checkpoints.DamagedCheckpointError as damage:
                    _log.warning("checkpoint %s is damaged (%s)", path.name, damage)
        assert self._first is not None  # noqa: S101 - called only where there is one
        return (self._started_at, _copy(self._first)) if self._started_at < max(since, 1) else None

    def _reason(self) -> str | None:
        """Why the recipe wants this run to stop, if it does; a run that had ended before it was resumed is not stopped again."""
        finding = self._failure()
        if finding is None or self.on_fail == "warn" or self.trainer.iteration == self._started_at:
            return None
        details = f"; it went back {self.trainer.returns} times" if self.trainer.returns else ""
        if self.on_fail == "roll-back" and self.trainer.returns < MAX_ROLLBACKS:
            details += "; no state from before that is kept"
        return f"{finding.trouble} since iteration {finding.since}: {finding.seen}{details}"

    def _failure(self) -> Finding | None:
        return next((finding for finding in self.watch.findings if finding.level == "fail"), None)


def count_rollbacks(folder: RunFolder) -> int:
    """Roll-backs of a run by its journal, which also has those of a process that was killed before its next checkpoint."""
    return sum(1 for _ in read_kinds(folder.journal, "rollback"))


def _copy(state: State) -> State:
    return replace(state, tensors={name: tensor.detach().clone() for name, tensor in state.tensors.items()})
