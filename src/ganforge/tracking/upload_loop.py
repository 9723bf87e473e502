"""The loop that delivers a run as long as it lives, and a while longer; without a parent it is ``ganforge sync``."""

from __future__ import annotations

import fcntl
import os
import random
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ganforge.core.errors import StorageError
from ganforge.core.redaction import mask_text
from ganforge.storage import strict_json
from ganforge.storage.atomic_files import fault_point
from ganforge.storage.run_folder import RunFolder
from ganforge.tracking.acknowledgement import Ack
from ganforge.tracking.delivery import Delivery, Rejection
from ganforge.tracking.mlflow_sink import MlflowSink
from ganforge.tracking.sink import Gone, Refused, Unreachable
from ganforge.tracking.tracking_store import Store
from ganforge.tracking.upload_state import ShipperState, StateFile

PAUSE = 2.0
"""Seconds between deliveries."""
DRAIN_TIMEOUT = 30.0
"""Seconds that delivery is tried after the run's end, while the store takes nothing."""

_STRIKES = 3  # inner errors of a store that answers, before a record is blamed for them
_LOCK = "ship.lock"
_LOG = "shipper.log"
_REJECTED = "rejected.jsonl"


@dataclass(slots=True)
class Backoff:
    """Waiting times after failures: 0.2 s, doubling up to 5 s, each ±20 %, so that many shippers do not come back in step."""

    seconds: float = 0.2

    def next(self) -> float:
        """The next time to wait, in seconds."""
        wait = self.seconds * random.uniform(0.8, 1.2)  # noqa: S311 - nothing to be guessed here
        self.seconds = min(5.0, self.seconds * 2)
        return wait


def ship(
    folder: RunFolder,
    store: Store,
    gone: threading.Event,
    *,
    drain_timeout: float = DRAIN_TIMEOUT,
    pause: float = PAUSE,
    resumed: Callable[[], bool] = lambda: False,
) -> ShipperState:
    """Deliver a run until it has ended and all is delivered, or the store takes nothing for ``drain_timeout`` after its end.

    Args:
        folder: the run folder.
        store: where to.
        gone: set when the trainer is no more.
        drain_timeout: seconds of patience after that.
        pause: seconds between deliveries.
        resumed: whether somebody else works in the run folder by now: then it is not ours to say that the run ended.

    Returns:
        The last state: ``done``, ``unreachable``, ``gone`` or ``busy`` (another shipper is at work).
    """
    state = StateFile(folder, store)
    with _only_one(folder, gone, drain_timeout) as mine:
        if not mine:
            return state.tell("busy", "another process delivers this run")
        return _Loop(folder, store, gone, state, pause=pause, drain_timeout=drain_timeout, resumed=resumed).run()


def log(folder: RunFolder, error: BaseException) -> None:
    """Write an error's traceback to ``shipper.log``, without secrets."""
    text = "".join(traceback.format_exception(error))
    with (folder.path / _LOG).open("a", encoding="utf-8") as file:
        file.write(mask_text(text))


@contextmanager
def _only_one(folder: RunFolder, gone: threading.Event, patience: float) -> Iterator[bool]:
    """Be the only one who delivers this run; a shipper of an earlier life may still be draining."""
    descriptor = os.open(folder.path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    deadline = None
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if gone.is_set():
                    deadline = deadline or time.monotonic() + patience
                    if time.monotonic() > deadline:
                        yield False
                        return
                time.sleep(0.1)
        yield True
    finally:
        os.close(descriptor)


class _Loop:
    def __init__(
        self,
        folder: RunFolder,
        store: Store,
        gone: threading.Event,
        state: StateFile,
        *,
        pause: float,
        drain_timeout: float,
        resumed: Callable[[], bool],
    ) -> None:
        self._folder = folder
        self._gone = gone
        self._state = state
        self._pause = pause
        self._drain_timeout = drain_timeout
        self._resumed = resumed
        self._ack = Ack.load(folder.acknowledged).for_store(store.shown)
        self._sink = MlflowSink(store)
        self._delivery: Delivery | None = None
        self._backoff = Backoff()
        self._strikes = 0
        self._connected = False

    def run(self) -> ShipperState:
        self._state.tell("starting", ack=self._ack)
        last_success = time.monotonic()
        while True:
            ended = self._gone.is_set()  # asked before reading, so that nothing written before the end is missed
            try:
                self._pump(final=ended and not self._resumed())
            except Gone as end:
                return self._state.tell("gone", str(end), ack=self._ack)
            except (Unreachable, Refused, StorageError) as failure:
                self._note_failure(failure)
                if not ended:
                    last_success = time.monotonic()  # patience counts from the end on
                elif time.monotonic() - last_success > self._drain_timeout:
                    return self._state.tell("unreachable", mask_text(str(failure)), ack=self._ack)
                self._wait(self._backoff.next(), even_after_end=ended)
                continue
            last_success = time.monotonic()
            if ended:
                return self._state.tell("done", ack=self._ack)
            self._state.tell("delivering", ack=self._ack)
            self._wait(self._pause)

    def _pump(self, *, final: bool) -> None:
        if not self._connected:  # at once, not with the first record: it takes seconds that the trainer needs for itself as well
            self._save(self._ack)
            self._sink.connect()
            self._connected = True
        if self._delivery is None:
            blame = self._strikes >= _STRIKES
            self._delivery = Delivery(self._folder, self._sink, self._ack, save=self._save, reject=self._keep_rejected, blame=blame)
        self._delivery.pump(final=final)
        self._backoff = Backoff()
        if self._strikes:  # what stood in the way is out of it
            self._strikes = 0
            self._delivery = None

    def _note_failure(self, failure: Exception) -> None:
        self._delivery = None
        suspicious = isinstance(failure, Unreachable) and failure.suspicious and self._sink.answers()
        self._strikes = self._strikes + 1 if suspicious else 0
        self._state.tell("unreachable", mask_text(str(failure)), ack=self._ack)

    def _save(self, ack: Ack) -> None:
        ack.save(self._folder.acknowledged)
        self._ack = ack
        fault_point("acknowledged")

    def _keep_rejected(self, rejection: Rejection) -> None:
        with (self._folder.path / _REJECTED).open("a", encoding="utf-8") as file:
            file.write(strict_json.dumps(rejection) + "\n")

    def _wait(self, seconds: float, *, even_after_end: bool = False) -> None:
        if even_after_end:
            time.sleep(seconds)
        else:
            self._gone.wait(seconds)
