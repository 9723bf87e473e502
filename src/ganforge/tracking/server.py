"""``ganforge ui``: an MLflow server on the store that the runs are in, lean and for this machine only."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO

from ganforge.core.errors import UsageError
from ganforge.core.redaction import mask_text
from ganforge.tracking.sqlite_lock import locked
from ganforge.tracking.tracking_store import Store

LOOPBACK = "127.0.0.1"
EVERYWHERE = frozenset({"0.0.0.0", "::"})  # noqa: S104 - only compared; the user has to ask for them
FIRST_PORT = 5000

_PORTS = 100
_PATIENCE = 120.0  # seconds; on two cores it takes nine


def command(*, host: str, port: int) -> list[str]:
    """The server's command line: one worker instead of four."""
    return [sys.executable, "-P", "-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", "1"]


def environment(uri: str) -> dict[str, str]:
    """The server's environment: the store, which may hold a password and is therefore no argument; without telemetry.

    And without job workers, which cost 13 processes and 2.6 GB.
    """
    return {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        **os.environ,
        "MLFLOW_BACKEND_STORE_URI": uri,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }


def free_port(host: str, first: int = FIRST_PORT) -> int:
    """The first port from ``first`` on that nobody listens at.

    Raises:
        UsageError: a hundred ports are taken.
    """
    for port in range(first, min(first + _PORTS, 65536)):
        if _is_free(host, port):
            return port
    raise UsageError(f"no free port from {first} on", remedy="name one with --port")


def checked_port(host: str, port: int) -> int:
    """The port that the user asked for.

    Raises:
        UsageError: somebody listens there, or ``host`` is none of this machine's addresses.
    """
    if not _is_free(host, port):
        raise UsageError(
            f"cannot listen on {host}:{port}: it is taken or not ours", remedy="leave --port out to take the first free one"
        )
    return port


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


@dataclass(frozen=True, slots=True)
class Serving:
    """A server that answers.

    Attributes:
        address: its address.
        process: the process that its workers belong to.
    """

    address: str
    process: subprocess.Popen[bytes]

    def wait(self) -> None:
        """Wait until it ends, which it does not by itself.

        Raises:
            UsageError: it did.
        """
        code = self.process.wait()
        raise UsageError(f"the MLflow server ended (exit code {code})", remedy="start it again with 'ganforge ui'")


@contextmanager
def serving(store: Store, *, host: str, port: int, waiting: Callable[[float], None]) -> Iterator[Serving]:
    """Run a server while the block runs; gives it once it answers. All of its processes end with the block.

    Args:
        store: the store to show.
        host: where to listen.
        port: where to listen.
        waiting: told several times a second how many seconds it has taken so far.

    Raises:
        UsageError: the server ended instead of answering.
    """
    database = store.database
    new = database is not None and not database.exists()
    address = f"http://{LOOPBACK if host in EVERYWHERE else host}:{port}"
    # A run may be starting on the same new sqlite file right now, hence the lock. What the server says goes to a file that has no
    # name: a pipe that nobody empties would stop it.
    with locked(store.lock if new else None), tempfile.TemporaryFile("w+") as said:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
            command(host=host, port=port), env=environment(store.uri), stdout=said, stderr=said, start_new_session=True
        )
        try:
            _await_health(process, address, said, waiting)
        except BaseException:
            _end(process)
            raise
    try:
        yield Serving(address, process)
    finally:
        _end(process)


def experiments(address: str, *, count: int = 20) -> list[tuple[str, str]]:
    """``(id, name)`` of the experiments, the most recently used one first; the empty default one is left out."""
    query = {"max_results": count, "order_by": ["last_update_time DESC"]}
    request = urllib.request.Request(  # noqa: S310 - our own http address
        f"{address}/api/2.0/mlflow/experiments/search",
        data=json.dumps(query).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - the same
        found = json.load(answer).get("experiments", [])
    return [(each["experiment_id"], each["name"]) for each in found if each["experiment_id"] != "0"]


def _await_health(process: subprocess.Popen[bytes], address: str, said: IO[str], waiting: Callable[[float], None]) -> None:
    began = time.monotonic()
    while (taken := time.monotonic() - began) < _PATIENCE:
        waiting(taken)
        if process.poll() is not None:
            said.seek(0)
            raise UsageError(f"the MLflow server ended at once: {_last_line(said.read())}", remedy="see 'ganforge doctor'")
        with suppress(OSError, urllib.error.URLError), urllib.request.urlopen(f"{address}/health", timeout=2) as answer:  # noqa: S310 - our own
            if answer.status == 200:
                return
        time.sleep(0.2)
    raise UsageError(f"the MLflow server did not answer within {_PATIENCE:.0f} s", remedy="see 'ganforge doctor'")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return mask_text(lines[-1]) if lines else "it said nothing"


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the server and its workers; they are a process group of their own, so nothing else is met."""
    for number, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
