"""The uploader: a loop that delivers a run to MLflow while the run lives, and a while longer.

The trainer starts it as a process, ``python -m ganforge.tracking.uploader RUN_FOLDER DRAIN_TIMEOUT``, which lives as long as its
standard input is open: the end of file there means that the trainer is gone, however it ended. Ctrl-C is for the trainer, so the
uploader ignores it. It prints nothing; ``upload.log`` holds its errors, without secrets. ``ganforge sync`` runs the same loop
without a trainer.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

from filelock import FileLock, Timeout
from pydantic import TypeAdapter

from ganforge.core.errors import StorageError
from ganforge.core.redaction import mask_text
from ganforge.storage import atomic_files, strict_json
from ganforge.storage.atomic_files import fault_point
from ganforge.storage.run_folder import RunFolder
from ganforge.tracking.delivery import Acknowledgement, Delivery, Rejection
from ganforge.tracking.mlflow_sink import MlflowSink, RefusedError, RunDeletedError, UnreachableError, set_environment
from ganforge.tracking.tracking_store import Store, resolve_store

Phase = Literal["off", "starting", "uploading", "unreachable", "done", "stopped", "busy"]
"""``unreachable``: MLflow does not answer, and the uploader retries; ``stopped``: for good; ``busy``: another one is at work."""

DRAIN_TIMEOUT = 30.0  # seconds that the uploader retries after the run's end, while the store accepts nothing
_INTERVAL = 2.0  # seconds between deliveries
_STATE_FILE = "upload_state.json"


@dataclass(frozen=True, slots=True)
class UploadState:
    """What the uploader is doing, ``upload_state.json`` in the run folder; the terminal shows it."""

    phase: Phase
    message: str | None = None  # the reason, for "unreachable", "stopped" and "busy"
    points: int = 0  # accepted in all
    outage: float | None = None  # length of the last outage in seconds, once it is over


def read_state(folder: RunFolder) -> UploadState | None:
    """The last state that the uploader wrote; ``None`` if there is none, or the file is damaged."""
    try:
        return TypeAdapter(UploadState).validate_python(strict_json.loads((folder.path / _STATE_FILE).read_bytes()))
    except (OSError, ValueError):
        return None


def main(path: str, drain_timeout: str) -> int:
    """Upload until the run has ended; exit code 0 however much was delivered, 1 after an error in the uploader itself."""
    folder = RunFolder(Path(path).absolute())
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(10)
    warnings.simplefilter("ignore")  # from MLflow and SQLAlchemy: not visible here, and -W error would end the uploader
    trainer, run_over = os.getppid(), threading.Event()
    threading.Thread(target=_wait_for_parent, args=(run_over,), daemon=True).start()

    def resumed() -> bool:  # by a process other than our trainer, which has an uploader of its own
        holder = folder.holder()
        return holder is not None and holder.pid != trainer

    try:
        set_environment(own_process=True)
        upload(folder, resolve_store(), run_over, drain_timeout=float(drain_timeout), resumed=resumed)
    except Exception as error:  # noqa: BLE001 - the last boundary: this process's stderr is not read
        log_error(folder, error)
        return 1
    return 0


def upload(
    folder: RunFolder,
    store: Store,
    run_over: threading.Event,
    *,
    drain_timeout: float = DRAIN_TIMEOUT,
    resumed: Callable[[], bool] = lambda: False,
) -> UploadState:
    """Deliver a run until everything is delivered, or the store refuses for ``drain_timeout`` seconds after the run's end.

    Set ``run_over`` when the trainer is gone. If another process works in the run folder then (``resumed``), this uploader does not
    mark the run as ended.
    """
    loop = _UploadLoop(folder, store, run_over, drain_timeout, resumed)
    lock = FileLock(folder.path / "upload.lock")
    if not _acquire(lock, run_over, drain_timeout):
        return loop.report("busy", "another process uploads this run")
    try:
        return loop.run()
    finally:
        lock.release()


def log_error(folder: RunFolder, error: BaseException) -> None:
    """Append an error's traceback to ``upload.log``, without secrets."""
    text = "".join(traceback.format_exception(error))
    with (folder.path / "upload.log").open("a", encoding="utf-8") as file:
        file.write(mask_text(text))


def _wait_for_parent(run_over: threading.Event) -> None:
    """Wait for the end of file on standard input; the parent never writes to it."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    run_over.set()


def _acquire(lock: FileLock, run_over: threading.Event, timeout: float) -> bool:
    """Wait for the lock while the run lives, and ``timeout`` longer: an earlier uploader of the run may still be draining."""
    while True:
        over = run_over.is_set()
        with suppress(Timeout):
            lock.acquire(timeout=timeout if over else 0.1)
            return True
        if over:
            return False


@dataclass(slots=True)
class _UploadLoop:
    folder: RunFolder
    store: Store
    run_over: threading.Event
    drain_timeout: float
    resumed: Callable[[], bool]
    sink: MlflowSink = field(init=False)
    ack: Acknowledgement = field(init=False)
    delivery: Delivery | None = None
    connected: bool = False
    state: UploadState = UploadState("off")
    since: float = 0.0  # when the phase began
    failures: int = 0  # in a row

    def __post_init__(self) -> None:
        self.sink = MlflowSink(self.store)
        self.ack = Acknowledgement.load(self.folder.acknowledged).for_store(self.store, self.folder)

    def run(self) -> UploadState:
        self.report("starting")
        deadline = time.monotonic() + self.drain_timeout
        while True:
            over = self.run_over.is_set()  # before reading, so that nothing written before the end is missed
            try:
                self._upload(final=over and not self.resumed())
            except RunDeletedError as deleted:
                return self.report("stopped", str(deleted))
            except (UnreachableError, RefusedError, StorageError) as failure:
                self.delivery = None
                self.failures += 1
                state, pause = self.report("unreachable", mask_text(str(failure))), self._backoff()
            else:
                state, pause = self.report("done" if over else "uploading"), _INTERVAL

            if over and (state.phase == "done" or time.monotonic() > deadline):
                return state
            if over:
                time.sleep(pause)
            else:
                self.run_over.wait(pause)
                deadline = time.monotonic() + self.drain_timeout

    def report(self, phase: Phase, message: str | None = None) -> UploadState:
        """Write the state if it changes; a full disk is ignored here, since the acknowledgement reports it."""
        before, now = self.state, time.monotonic()
        recovered = before.phase == "unreachable" and phase in {"uploading", "done"}
        state = UploadState(phase, message, self.ack.points, now - self.since if recovered else before.outage)
        if phase != before.phase:
            self.since = now
        if state != before:
            self.state = state
            with suppress(StorageError):
                atomic_files.write_json(self.folder.path / _STATE_FILE, asdict(state), durable=False)
        return state

    def _upload(self, *, final: bool) -> None:
        if not self.connected:  # at once, not with the first record: it takes seconds, which the trainer needs to start anyway
            self._save(self.ack)
            self.sink.connect()
            self.connected = True
        if self.delivery is None:
            self.delivery = Delivery(self.folder, self.sink, self.ack, save=self._save, reject=self._store_rejection)
        self.delivery.upload_pending(final=final)
        self.sink.failures = self.failures = 0

    def _backoff(self) -> float:
        """Seconds to wait after a failure: 0.2, doubling up to 5, each ±20 %, so that many uploaders do not retry in step."""
        return min(5.0, 0.1 * 2.0 ** min(self.failures, 10)) * random.uniform(0.8, 1.2)  # noqa: S311 - not for cryptography

    def _save(self, ack: Acknowledgement) -> None:
        atomic_files.write_json(self.folder.acknowledged, asdict(ack))
        self.ack = ack
        fault_point("acknowledged")

    def _store_rejection(self, rejection: Rejection) -> None:
        with (self.folder.path / "rejected.jsonl").open("a", encoding="utf-8") as file:
            file.write(strict_json.dumps(rejection) + "\n")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
