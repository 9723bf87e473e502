"""Saves training states as checkpoints in the run folder."""

from __future__ import annotations

import logging
from pathlib import Path
from types import TracebackType
from typing import Literal

from ganforge.callbacks import Handler
from ganforge.core.errors import StorageError
from ganforge.core.events import Event, Saved
from ganforge.storage import checkpoints
from ganforge.storage.run_folder import RunFolder

_log = logging.getLogger(__name__)


class CheckpointSaver:
    """An essential callback. Put it after the journal writer, so that the journal is on disk before a checkpoint.

    Args:
        folder: the run's folder, locked by this process.
        keep: number of checkpoints to keep, the newest ones.
        on_save_error: whether a failed save ends training or is logged (only once until a save succeeds).

    Attributes:
        last: the newest checkpoint saved, or ``None``.
        failures: number of failed saves.
    """

    def __init__(self, folder: RunFolder, keep: int, *, on_save_error: Literal["warn", "fail"] = "warn") -> None:
        self.folder = folder
        self.keep = keep
        self.on_save_error = on_save_error
        self.last: Path | None = None
        self.failures = 0
        self._failing = False

    def __enter__(self) -> Handler:
        return self._handle

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Do nothing: no file is open between two saves."""

    def _handle(self, event: Event) -> None:
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
                last = f"the last checkpoint is {self.last}" if self.last else "this process has not saved a checkpoint yet"
                _log.warning("no checkpoint at iteration %d: %s; training continues, %s", event.iteration, error, last)
            self._failing = True
