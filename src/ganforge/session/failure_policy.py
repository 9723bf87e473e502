"""What a failure that the health watch sees does to the run: nothing, a stop, or a return to a state from before it."""

from __future__ import annotations

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

RETURNS = 3
"""How often a run goes back before it stops."""
KEPT = 5
"""Checkpoints that are kept at least where a run may go back: trouble may be seen long after it began."""


@dataclass(slots=True)
class Rescue:
    """Answers the trainer's two questions: whether to stop, and where to go back to.

    Attributes:
        on_fail: what the recipe says.
        trainer: that asks.
        watch: that knows.
        folder: where earlier states lie.
        journal: where a return is written down.
        notify: tells the user.
        asked: whether somebody else asked to stop.
        known: what the watch knew in the state that this process began with, as it lies in a state's values.
    """

    on_fail: Literal["warn", "stop", "roll-back"]
    trainer: Trainer
    watch: Watch
    folder: RunFolder
    journal: JournalWriter
    notify: Callable[[str], None]
    asked: Callable[[], bool]
    known: object = None
    _first: State | None = field(default=None, init=False)
    _began: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._began = self.trainer.iteration
        if self.on_fail == "roll-back":
            state = _copied(self.trainer.state())
            self._first = replace(state, values={**state.values, KEY: self.known})

    def should_stop(self) -> bool | str:
        """Whether to stop after this iteration, with the finding that is the reason."""
        if self.asked():
            return True
        return self._reason() or False

    def concluded(self, events: Iterator[Event]) -> Iterator[Event]:
        """The events; training that would end well, but for a failure that the last look found, ends as stopped by it."""
        for event in events:
            if isinstance(event, Finished) and event.outcome == "finished" and (reason := self._reason()):
                event = replace(event, outcome="stopped", reason=f"{reason}; seen at the last iteration")
            yield event

    def state(self, diverged: str | None) -> State | None:
        """The state to go back to, where that is wanted and there is reason to."""
        if self._first is None or self.trainer.returns >= RETURNS:
            return None
        finding = self._failure()
        reason = diverged or (finding and f"{finding.trouble}: {finding.seen}")
        if not reason:
            return None
        since = finding.since if finding and not diverged else self.trainer.iteration
        before = self._before(since)
        return before and self._return(*before, reason)

    def _return(self, iteration: int, state: State, reason: str) -> State:
        # Set aside first: who resumes from the newest checkpoint shall not find one that a record says was given up.
        checkpoints.move_aside_after(self.folder, iteration)
        self.journal.record("rollback", iteration=iteration, reached=self.trainer.iteration, reason=reason)
        self.watch.go_back(state.values.get(KEY))
        self.notify(f"{reason}; going back from iteration {self.trainer.iteration} to {iteration}, with other latents")
        return state

    def _before(self, since: int) -> tuple[int, State] | None:
        """The newest intact checkpoint from before ``since``, or else the state that this process began with, if that is too.

        A resumed run may begin in the middle of a failure: to go back to there would find it again.
        """
        for path in checkpoints.list_checkpoints(self.folder):
            if int(path.name) < since:
                try:
                    return int(path.name), checkpoints.load(path)
                except checkpoints.DamagedCheckpointError as damage:
                    self.notify(f"checkpoint {path.name} is damaged ({damage})")
        assert self._first is not None  # noqa: S101 - asked only where there is one
        return (self._began, _copied(self._first)) if self._began < max(since, 1) else None

    def _reason(self) -> str | None:
        """Why the recipe wants this run to stop, if it does; a run that had ended before it was resumed has ended as it did."""
        finding = self._failure()
        if finding is None or self.on_fail == "warn" or self.trainer.iteration == self._began:
            return None
        besides = f"; it went back {self.trainer.returns} times" if self.trainer.returns else ""
        if self.on_fail == "roll-back" and self.trainer.returns < RETURNS:
            besides += "; no state from before that is kept"
        return f"{finding.trouble} since iteration {finding.since}: {finding.seen}{besides}"

    def _failure(self) -> Finding | None:
        return next((finding for finding in self.watch.findings if finding.level == "fail"), None)


def returned(folder: RunFolder) -> int:
    """How often the run in a folder went back, by its journal: also a process that was killed before its next checkpoint."""
    return sum(1 for _ in read_kinds(folder.journal, "rollback"))


def _copied(state: State) -> State:
    return replace(state, tensors={name: tensor.detach().clone() for name, tensor in state.tensors.items()})
