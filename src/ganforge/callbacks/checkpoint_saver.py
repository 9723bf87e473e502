"""Saved states become checkpoints in the run folder."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Literal

from ganforge.callbacks.dispatch import Tell, Warn, warn_plainly
from ganforge.core.errors import StorageError
from ganforge.core.events import Event, Saved
from ganforge.storage import checkpoints
from ganforge.storage.run_folder import RunFolder


class Checkpoints:
    """An essential observer that saves what is worth keeping; stands after the journal's, which then is on the disk already.

    Args:
        folder: the run's folder, locked by this process.
        keep: how many of the newest are kept.
        on_save_error: a disk that refuses costs a warning, or ends training.
        warn: where the warning goes, once until a save succeeds again.

    Attributes:
        last: the newest checkpoint saved, or ``None``.
        failures: saves that failed.
    """

    def __init__(
        self,
        folder: RunFolder,
        keep: int,
        *,
        on_save_error: Literal["warn", "fail"] = "warn",
        warn: Warn = warn_plainly,
    ) -> None:
        self.folder = folder
        self.keep = keep
        self.on_save_error = on_save_error
        self.warn = warn
        self.last: Path | None = None
        self.failures = 0
        self._failing = False

    def __enter__(self) -> Tell:
        return self._tell

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Nothing is open between two saves."""

    def _tell(self, event: Event) -> None:
        if not isinstance(event, Saved):
            return
        try:
            self.last = checkpoints.save(self.folder, event.iteration, event.state, self.keep)
            self._failing = False
        except StorageError as error:
            if self.on_save_error == "fail":
                raise
            self.failures += 1
            if not self._failing:
                kept = f"the last checkpoint is {self.last}" if self.last else "there is no checkpoint of this process yet"
                self.warn(f"no checkpoint at iteration {event.iteration}: {error}; training goes on, {kept}")
            self._failing = True
