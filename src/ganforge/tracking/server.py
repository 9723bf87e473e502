"""``ganforge ui``: a small MLflow server for the store of your runs, which only this machine can reach."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO

import requests

from ganforge.core.errors import UsageError
from ganforge.core.redaction import mask_text
from ganforge.tracking.tracking_store import Store

LOOPBACK = "127.0.0.1"
_TIMEOUT = 120.0  # seconds; on two cores it takes nine


def command(*, host: str, port: int) -> list[str]:
    """The server's command line, with one worker instead of four."""
    return [sys.executable, "-P", "-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", "1"]


def environment(uri: str) -> dict[str, str]:
    """The server's environment: no telemetry, and no job workers, which take 13 processes and 2.6 GB.

    The store is not an argument, because it may hold a password.
    """
    return {
        "MLFLOW_DISABLE_TELEMETRY": "true",
        **os.environ,
        "MLFLOW_BACKEND_STORE_URI": uri,
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }


def free_port(host: str, first: int = 5000) -> int:
    """The first free port from ``first`` on; a :class:`UsageError` if a hundred ports are in use."""
    for port in range(first, min(first + 100, 65536)):
        with suppress(UsageError):
            return checked_port(host, port)
    raise UsageError(f"no free port from {first} on", remedy="name one with --port")


def checked_port(host: str, port: int) -> int:
    """The port; a :class:`UsageError` if it is in use, or ``host`` is not an address of this machine."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise UsageError(
                f"cannot listen on {host}:{port}: it is in use, or not an address of this machine",
                remedy="omit --port to use the first free one",
            ) from error
    return port


@contextmanager
def run_server(store: Store, *, host: str, port: int) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run a server while the block runs; yields its address and main process once it answers, or raises a :class:`UsageError`."""
    is_any = host in {"0.0.0.0", "::"}  # noqa: S104 - only compared; the user has to ask for them
    address = f"http://{LOOPBACK if is_any else host}:{port}"
    with tempfile.TemporaryFile("w+") as output:  # not a pipe, which would fill up and stop the server
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and arguments
            command(host=host, port=port), env=environment(store.uri), stdout=output, stderr=output, start_new_session=True
        )
        try:
            _await_health(process, address, output)
            yield address, process
        finally:
            _end(process)


def experiments(address: str) -> list[tuple[str, str]]:
    """``(id, name)`` of 20 experiments, the most recently used first, without the empty default one."""
    url = f"{address}/api/2.0/mlflow/experiments/search"
    answer = requests.post(url, json={"max_results": 20, "order_by": ["last_update_time DESC"]}, timeout=10)
    found = answer.json().get("experiments", [])
    return [(each["experiment_id"], each["name"]) for each in found if each["experiment_id"] != "0"]


def _await_health(process: subprocess.Popen[bytes], address: str, output: IO[str]) -> None:
    deadline = time.monotonic() + _TIMEOUT
    while time.monotonic() < deadline:
        if process.poll() is not None:
            output.seek(0)
            last = next((line for line in reversed(output.read().split("\n")) if line.strip()), "it printed nothing")
            raise UsageError(f"the MLflow server ended at once: {mask_text(last.strip())}", remedy="see 'ganforge doctor'")
        with suppress(requests.RequestException):
            if requests.get(f"{address}/health", timeout=2).ok:
                return
        time.sleep(0.2)
    raise UsageError(f"the MLflow server did not answer within {_TIMEOUT:.0f} s", remedy="see 'ganforge doctor'")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the server and its workers, which are a separate process group."""
    for number, timeout in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout)
