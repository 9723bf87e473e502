"""The shipper's process: ``python -m ganforge.tracking.uploader RUN_FOLDER [--uri URI]``, started by the trainer's.

It lives as long as its standard input is open: the end of file there means that the trainer is no more, however it ended. Ctrl-C is
the trainer's affair, so the shipper ignores it. It prints nothing; what goes wrong stands in ``shipper.log``, without secrets.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import warnings
from collections.abc import Sequence
from pathlib import Path

from ganforge.storage.run_folder import RunFolder
from ganforge.tracking.tracking_store import resolve
from ganforge.tracking.upload_loop import DRAIN_TIMEOUT, log, ship


def main(arguments: Sequence[str] | None = None) -> int:
    """Deliver until the run has ended; exit code 0 however much could be delivered, 1 after an error of the shipper's own."""
    parser = argparse.ArgumentParser(prog="python -m ganforge.tracking.uploader")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--uri", help="tracking URI; MLFLOW_TRACKING_URI unless given")
    parser.add_argument("--drain-timeout", type=float, default=DRAIN_TIMEOUT)
    options = parser.parse_args(arguments)
    folder = RunFolder(options.folder.absolute())

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(10)
    warnings.simplefilter("ignore")  # MLflow's and SQLAlchemy's own; nobody reads them here, and -W error would end the shipper
    trainer = os.getppid()
    gone = threading.Event()
    threading.Thread(target=_watch_parent, args=(gone,), daemon=True).start()
    try:
        from ganforge.tracking.mlflow_sink import set_environment

        set_environment(own_process=True)
        ship(folder, resolve(options.uri), gone, drain_timeout=options.drain_timeout, resumed=lambda: _resumed(folder, trainer))
    except Exception as error:  # noqa: BLE001 - the last boundary: nobody reads this process's stderr
        log(folder, error)
        return 1
    return 0


def _watch_parent(gone: threading.Event) -> None:
    """Wait for the end of file on standard input; the parent never writes to it."""
    while os.read(sys.stdin.fileno(), 4096):
        pass
    gone.set()


def _resumed(folder: RunFolder, trainer: int) -> bool:
    """Whether another process than our trainer works in the run folder by now; it brought a shipper of its own."""
    holder = folder.holder()
    return holder is not None and holder.pid != trainer


if __name__ == "__main__":
    sys.exit(main())
