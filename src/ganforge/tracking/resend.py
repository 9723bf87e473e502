"""``ganforge sync``: the shipper without a trainer, for what an absent MLflow server missed."""

from __future__ import annotations

import threading
from pathlib import Path

from ganforge.core.errors import RunFolderError
from ganforge.storage.run_folder import RunFolder
from ganforge.tracking import upload_state as states
from ganforge.tracking.supervisor import Summary, summarise
from ganforge.tracking.tracking_store import Store, resolve

PATIENCE = 5.0
"""Seconds that an unreachable store is tried."""


def store_of(folder: RunFolder, uri: str | None = None) -> Store:
    """Where a run's records go: what the command line or environment says, else where the run's shipper tried to deliver.

    Raises:
        UsageError: the URI is none that MLflow takes.
    """
    named = resolve(uri)
    told = states.read(folder)
    if named.origin == "default" and told is not None and told.uri:
        return resolve(told.uri)
    return named


def sync(folder: RunFolder | Path, uri: str | None = None, *, patience: float | None = None) -> Summary:
    """Deliver the rest of a run that is over, and set the status that it truly ended with.

    Raises:
        RunFolderError: the run goes on, or its last shipper is still at work.
        UsageError: the URI is none that MLflow takes.
    """
    folder = folder if isinstance(folder, RunFolder) else RunFolder(folder.absolute())
    store = store_of(folder, uri)
    with folder.locked():
        from ganforge.tracking.mlflow_sink import set_environment
        from ganforge.tracking.upload_loop import ship

        set_environment(own_process=True)
        over = threading.Event()
        over.set()
        state = ship(folder, store, over, drain_timeout=PATIENCE if patience is None else patience)
        if state.phase == "busy":
            raise RunFolderError(f"run {folder.path} is being delivered by its shipper", remedy="wait until it is done")
        return summarise(folder, store)
