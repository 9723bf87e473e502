"""The trainer's side of tracking: start a shipper, start it again when it dies, and say at the end what was delivered."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from ganforge.core.errors import StorageError
from ganforge.storage.run_folder import RunFolder
from ganforge.tracking import upload_state as states
from ganforge.tracking.acknowledgement import Ack
from ganforge.tracking.pending import Pending, pending
from ganforge.tracking.tracking_store import Store, resolve
from ganforge.tracking.upload_loop import DRAIN_TIMEOUT
from ganforge.tracking.upload_state import ShipperState

Mode = Literal["process", "inline", "off"]

_RESTARTS = 3


@dataclass(frozen=True, slots=True)
class Summary:
    """What became of a run's records.

    Attributes:
        store: where they go.
        run_id: MLflow's id of the run, or ``None`` when MLflow never answered.
        experiment_id: MLflow's id of the experiment, likewise.
        points: points delivered in all.
        images: images delivered in all.
        rejected: records that MLflow refused for good; they stand in ``rejected.jsonl``.
        pending: what was not delivered; ``ganforge sync`` does it later.
        still_delivering: whether the shipper goes on behind the trainer's back.
        message: what stood in the way, or ``None``.
    """

    store: Store
    run_id: str | None = None
    experiment_id: str | None = None
    points: int = 0
    images: int = 0
    rejected: int = 0
    pending: Pending = field(default_factory=Pending)
    still_delivering: bool = False
    message: str | None = None

    @property
    def link(self) -> str | None:
        """Address of the run's page, or ``None`` without a server; ``ganforge ui`` starts one."""
        return self.store.link(self.experiment_id, self.run_id) if self.experiment_id and self.run_id else None


def summarise(folder: RunFolder, store: Store, *, still_delivering: bool = False) -> Summary:
    """What became of a run's records, read from its folder."""
    ack, state = Ack.load(folder.acknowledged).for_store(store.shown), states.read(folder)
    waiting = pending(folder)
    return Summary(
        store=store,
        run_id=ack.run_id,
        experiment_id=ack.experiment_id,
        points=ack.points,
        images=ack.pictures,
        rejected=ack.rejected,
        pending=waiting,
        still_delivering=still_delivering,
        message=state.message if state is not None and waiting else None,
    )


class _Shipping(Protocol):
    def stop(self, timeout: float) -> bool:
        """Say that the trainer is done and wait; whether the shipper ended in time."""

    @property
    def given_up(self) -> bool:
        """Whether there is no shipper any more although the run goes on."""


class Supervisor:
    """The trainer's hold on its shipper.

    Attributes:
        store: where the records go.
        summary: what became of them, once the shipper was stopped; ``None`` before.
    """

    def __init__(self, folder: RunFolder, store: Store, shipping: _Shipping | None, drain_timeout: float) -> None:
        self.store = store
        self.summary: Summary | None = None
        self._folder = folder
        self._shipping = shipping
        self._drain_timeout = drain_timeout
        self._began = time.time()

    def state(self) -> ShipperState:
        """How delivery stands. Reads a small file: ask once a second, not in every iteration."""
        if self._shipping is None:
            return ShipperState("off", self._began, uri=self.store.shown)
        told = states.read(self._folder) or ShipperState("starting", self._began, uri=self.store.shown)
        if self._shipping.given_up:
            return ShipperState("gone", told.since, "the shipper died again and again", self.store.shown)
        return told

    def stop(self) -> Summary:
        """Tell the shipper that the run is over, wait while it delivers, and sum up. A second time does nothing."""
        if self.summary is None:
            ended = self._shipping is None or self._shipping.stop(self._drain_timeout)
            try:
                self.summary = summarise(self._folder, self.store, still_delivering=not ended)
            except StorageError as error:  # the run is over, and its end must not fail for a look back
                self.summary = Summary(self.store, still_delivering=not ended, message=str(error))
        return self.summary


@contextmanager
def supervise(
    folder: RunFolder | Path,
    uri: str | None = None,
    *,
    mode: Mode = "process",
    drain_timeout: float = DRAIN_TIMEOUT,
) -> Iterator[Supervisor]:
    """Have a run delivered to MLflow while the block runs; at its end wait for the rest. Prints nothing and never fails for MLflow.

    Start it as early as there is a run folder: the shipper needs 3 s to import MLflow, which the trainer spends on importing torch.
    Write the journal's ``end`` record before the block ends, else the run counts as KILLED.

    Args:
        folder: the run folder.
        uri: tracking URI of the command line; see :func:`ganforge.tracking.tracking_store.resolve`.
        mode: ``"process"``: a process of its own; ``"inline"``: a thread of this one, for notebooks; ``"off"``: nobody, until
            ``ganforge sync``.
        drain_timeout: seconds to wait at the end.

    Raises:
        UsageError: the URI is none that MLflow takes.
    """
    folder = folder if isinstance(folder, RunFolder) else RunFolder(folder.absolute())
    store = resolve(uri)
    shipping: _Shipping | None = None
    if mode == "process":
        shipping = _Process(folder, store, drain_timeout)
    elif mode == "inline":
        shipping = _Thread(folder, store, drain_timeout)

    supervisor = Supervisor(folder, store, shipping, drain_timeout)
    try:
        yield supervisor
    finally:
        supervisor.stop()


class _Process:
    """The shipper as a process, started again when it dies."""

    def __init__(self, folder: RunFolder, store: Store, drain_timeout: float) -> None:
        # -P: a file of the current folder that happens to be called mlflow.py must not stand in for MLflow.
        self._command = [sys.executable, "-P", "-m", "ganforge.tracking.uploader", str(folder.path)]
        self._command += ["--drain-timeout", str(drain_timeout)]
        self._environment = {**os.environ, "MLFLOW_TRACKING_URI": store.uri}  # not an argument: it may hold a password
        self._stopping = False
        self._guard = threading.Lock()
        self.given_up = False
        self._process = self._start()
        threading.Thread(target=self._watch, daemon=True, name="ganforge-shipper-watch").start()

    def stop(self, timeout: float) -> bool:
        with self._guard:
            self._stopping = True
            process = self._process
        if process is None:
            return True
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()
        try:
            # A delivery that is under way when time is up may take one network timeout more.
            process.wait(timeout + 12)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _start(self) -> subprocess.Popen[bytes] | None:
        try:
            return subprocess.Popen(  # noqa: S603 - our own module
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env=self._environment,
                start_new_session=True,
            )
        except OSError:  # no memory or no process left: training goes on without it
            return None

    def _watch(self) -> None:
        """Start the shipper again when it dies, a few times."""
        for turn in range(1 + _RESTARTS):
            process = self._process
            if process is None:
                break
            if process.wait() == 0:  # it ended by its own decision, such as after the run was deleted
                return
            if process.stdin is not None:
                with suppress(OSError):
                    process.stdin.close()
            with self._guard:
                if self._stopping or turn == _RESTARTS:
                    break
                self._process = self._start()
        self.given_up = not self._stopping


class _Thread:
    """The shipper as a thread."""

    def __init__(self, folder: RunFolder, store: Store, drain_timeout: float) -> None:
        self.given_up = False
        self._gone = threading.Event()
        self._thread = threading.Thread(
            target=self._ship, args=(folder, store, drain_timeout), daemon=True, name="ganforge-shipper"
        )
        self._thread.start()

    def stop(self, timeout: float) -> bool:
        self._gone.set()
        self._thread.join(timeout + 12)
        return not self._thread.is_alive()

    def _ship(self, folder: RunFolder, store: Store, drain_timeout: float) -> None:
        from ganforge.tracking.mlflow_sink import set_environment
        from ganforge.tracking.upload_loop import log, ship

        set_environment(own_process=False)
        try:
            ship(folder, store, self._gone, drain_timeout=drain_timeout)
        except Exception as error:  # noqa: BLE001 - the thread's last boundary: training goes on without it
            log(folder, error)
            self.given_up = True
