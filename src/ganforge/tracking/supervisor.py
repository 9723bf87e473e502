"""The trainer's side of tracking: start an uploader, restart it if it dies, sum up what was delivered. And ``ganforge sync``."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ganforge.core.errors import RunFolderError, StorageError, UsageError
from ganforge.storage.atomic_files import storage_errors
from ganforge.storage.run_folder import RunFolder
from ganforge.tracking.delivery import Acknowledgement, PendingUploads, count_pending
from ganforge.tracking.mlflow_database import find_fault, has_run
from ganforge.tracking.mlflow_sink import set_environment
from ganforge.tracking.tracking_store import Store, resolve_store, user_stores
from ganforge.tracking.uploader import DRAIN_TIMEOUT, UploadState, log_error, read_state, upload

SYNC_TIMEOUT = 5.0  # seconds that ``ganforge sync`` retries while the store does not answer
_RESTARTS = 3
_REQUEST_TIMEOUT = 12  # a request that is in progress when the time is up may take this long


@dataclass(frozen=True, slots=True)
class UploadSummary:
    """What MLflow has of a run."""

    store: Store
    accepted: Acknowledgement
    pending: PendingUploads  # what was not delivered; ``ganforge sync`` delivers it later
    message: str | None = None  # the reason why something was not delivered

    @property
    def link(self) -> str | None:
        """Address of the run's page, or ``None`` without a server; ``ganforge ui`` starts one."""
        experiment_id, run_id = self.accepted.experiment_id, self.accepted.run_id
        return self.store.link(experiment_id, run_id) if experiment_id and run_id else None


def sync(folder: RunFolder, uri: str | None = None) -> UploadSummary:
    """Deliver the rest of a run that has ended, and set its true final status.

    The store is ``uri``, else the one that the run used, if it is one of the user's (:func:`user_stores`), else the first of these
    for a run that was never sent. Raises a :class:`RunFolderError` if the run is in progress, or its last uploader still at work,
    and a :class:`UsageError` if the run's folder names a store that is not one of the user's.
    """
    folder.check()
    store = _store_of(folder, uri)
    with folder.locked():
        set_environment(own_process=True)
        run_over = threading.Event()
        run_over.set()
        with storage_errors(folder.path):
            state = upload(folder, store, run_over, drain_timeout=SYNC_TIMEOUT)
        if state.phase == "busy":
            raise RunFolderError(f"the uploader of run {folder.path} is still at work", remedy="wait until it is done")
        return _summarize(folder, store)


def is_missing(folder: RunFolder) -> bool:
    """Whether the run was sent to an sqlite store of the user that does not have it any more. Servers are not queried."""
    acknowledged = Acknowledgement.load(folder.acknowledged)
    if acknowledged.run_id is None:
        return False
    stores = (store.database for store in user_stores(Path.cwd()) if acknowledged.belongs_to(store, folder))
    file = next(stores, None)
    return file is not None and find_fault(file) is None and not has_run(file, acknowledged.run_id)


def _store_of(folder: RunFolder, uri: str | None) -> Store:
    acknowledged = Acknowledgement.load(folder.acknowledged)
    used = acknowledged.store
    if uri or not used:
        return resolve_store(uri)
    known = list(user_stores(Path.cwd()))
    for store in known:
        if acknowledged.belongs_to(store, folder):
            return store
    raise UsageError(
        f"{folder.path.name} was sent to {used}, which you have not named as an MLflow store",
        remedy=f"if you know that address: ganforge sync {shlex.quote(str(folder.path))} --tracking-uri {shlex.quote(used)}; "
        f"or send it to {known[0].shown} with --tracking-uri",
    )


class Supervisor:
    """The trainer's control of its uploader."""

    def __init__(self, folder: RunFolder, store: Store, uploader: _UploaderProcess | _UploaderThread | None) -> None:
        self.summary: UploadSummary | None = None  # once the uploader was stopped
        self._folder = folder
        self._store = store
        self._uploader = uploader

    def state(self) -> UploadState:
        """The state of the upload. This reads a small file: call it once a second, not in every iteration."""
        if self._uploader is None:
            return UploadState("off")
        if self._uploader.failed:
            return UploadState("stopped", "the uploader died several times")
        return read_state(self._folder) or UploadState("starting")

    def stop(self) -> UploadSummary:
        """Tell the uploader that the run is over, wait while it delivers, and sum up. A second call does nothing."""
        if self.summary is None:
            if self._uploader is not None:
                self._uploader.stop()
            try:
                self.summary = _summarize(self._folder, self._store)
            except StorageError as error:  # the run is over, and must not fail because of its summary
                self.summary = UploadSummary(self._store, Acknowledgement(), PendingUploads(), str(error))
        return self.summary


@contextmanager
def supervise(
    folder: RunFolder,
    uri: str | None = None,
    *,
    mode: Literal["process", "inline", "off"] = "process",
    drain_timeout: float = DRAIN_TIMEOUT,
) -> Iterator[Supervisor]:
    """Upload a run to MLflow while the block runs, and wait ``drain_timeout`` seconds for the rest at its end.

    This never prints, and never fails because of MLflow. Start it as soon as there is a run folder: the uploader needs 3 s to
    import MLflow, while the trainer imports torch. Write the journal's ``end`` record before the block ends, or MLflow gets the
    status KILLED.

    The mode ``"process"`` starts a process; ``"inline"`` a thread of this one, for notebooks; ``"off"`` leaves everything to
    ``ganforge sync``. Raises a :class:`UsageError` if the URI is invalid.
    """
    kinds: dict[str, type[_UploaderProcess | _UploaderThread]] = {"process": _UploaderProcess, "inline": _UploaderThread}
    store = resolve_store(uri)
    supervisor = Supervisor(folder, store, kinds[mode](folder, store, drain_timeout) if mode in kinds else None)
    try:
        yield supervisor
    finally:
        supervisor.stop()


def _summarize(folder: RunFolder, store: Store) -> UploadSummary:
    state, pending = read_state(folder), count_pending(folder, store)
    ack = Acknowledgement.load(folder.acknowledged).for_store(store, folder)
    return UploadSummary(store, ack, pending, state.message if state is not None and pending else None)


class _UploaderProcess:
    """The uploader as a process, restarted if it dies."""

    def __init__(self, folder: RunFolder, store: Store, drain_timeout: float) -> None:
        # -P: a mlflow.py in the current folder must not replace MLflow.
        self._command = [sys.executable, "-P", "-m", "ganforge.tracking.uploader", str(folder.path), str(drain_timeout)]
        self._environment = {**os.environ, "MLFLOW_TRACKING_URI": store.uri}  # not an argument: it may hold a password
        self._timeout = drain_timeout + _REQUEST_TIMEOUT
        self._stopping = False
        self._guard = threading.Lock()
        self.failed = False
        self._process = self._start()
        threading.Thread(target=self._watch, daemon=True, name="ganforge-uploader-watch").start()

    def stop(self) -> None:
        """Tell the uploader that the run is over, and wait for it."""
        with self._guard:
            self._stopping = True
            process = self._process
        if process is not None:
            with suppress(subprocess.TimeoutExpired, ValueError):  # it continues in the background; or it died before
                process.communicate(timeout=self._timeout)  # closes its input, and waits

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
        except OSError:  # no memory or no process left: training continues without it
            return None

    def _watch(self) -> None:
        """Restart the process when it dies, a few times."""
        for restarts in range(1 + _RESTARTS):
            process = self._process
            if process is None:
                break
            if process.wait() == 0:  # it ended on purpose, such as after the run was deleted
                return
            process.communicate()  # closes its input
            with self._guard:
                if self._stopping or restarts == _RESTARTS:
                    break
                self._process = self._start()
        self.failed = not self._stopping


class _UploaderThread:
    """The uploader as a thread."""

    def __init__(self, folder: RunFolder, store: Store, drain_timeout: float) -> None:
        self.failed = False
        self._run_over = threading.Event()
        self._timeout = drain_timeout + _REQUEST_TIMEOUT
        self._thread = threading.Thread(target=self._upload, args=(folder, store, drain_timeout), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._run_over.set()
        self._thread.join(self._timeout)

    def _upload(self, folder: RunFolder, store: Store, drain_timeout: float) -> None:
        set_environment(own_process=False)
        try:
            upload(folder, store, self._run_over, drain_timeout=drain_timeout)
        except Exception as error:  # noqa: BLE001 - the thread's last boundary: training continues without it
            log_error(folder, error)
            self.failed = True
