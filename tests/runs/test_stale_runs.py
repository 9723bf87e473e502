from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from ganforge.runs.stale_runs import reap
from ganforge.storage import run_status
from ganforge.storage.journal import JournalWriter, read
from ganforge.storage.run_folder import RunFolder
from ganforge.storage.run_status import Status

TRAIN = """
import sys, time
from pathlib import Path
from ganforge.storage import run_status
from ganforge.storage.run_folder import RunFolder
from ganforge.storage.journal import JournalWriter
folder = RunFolder(Path(sys.argv[1]))
with folder.locked(), JournalWriter(folder.journal) as writer:
    writer.record("start", run_id="1", run_name="a", experiment="moons")
    run_status.write(folder, run_status.Status(status="running", iteration=4000, iterations=9000))
    print(1, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(tmp_path / "runs", "moons", "infogan")


@pytest.fixture
def training(folder):
    with subprocess.Popen([sys.executable, "-c", TRAIN, folder.path], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        yield process
        process.kill()


def running(**changes):
    return Status(**{"status": "running", "iteration": 7, "heartbeat": time.time() - 3600, **changes})


def dead_pid():
    with subprocess.Popen(["true"]) as process:
        process.wait()
    return process.pid


def test_a_killed_run_is_marked_in_status_and_journal(folder, training):
    assert reap(folder, run_status.read(folder)) is None
    training.send_signal(signal.SIGKILL)
    training.wait()

    reaped = reap(folder, run_status.read(folder))

    assert (reaped.status, reaped.iteration, reaped.reason) == ("killed", 4000, "process vanished at iteration ~4000")
    assert run_status.read(folder) == reaped
    tag, end = [record for _, record in read(folder.journal)][1:]
    assert (tag["kind"], tag["key"], tag["value"]) == ("tag", "ganforge.reaped", "true")
    assert (end["kind"], end["status"], end["reason"]) == ("end", "KILLED", reaped.reason)


def test_marking_happens_once(folder):
    run_status.write(folder, running(pid=dead_pid()))
    known = run_status.read(folder)

    assert reap(folder, known)
    assert reap(folder, known) is None
    assert [record["kind"] for _, record in read(folder.journal)] == ["tag", "end"]


@pytest.mark.parametrize(
    ("changes", "silent", "vanished"),
    [
        ({"pid": os.getppid()}, 3600, True),  # alive, but silent for an hour: the number is somebody else's now
        ({"pid": os.getppid()}, 0, False),
        ({"pid": 1}, 0, False),
        ({"pid": dead_pid()}, 0, True),
        ({"pid": dead_pid(), "host": "elsewhere"}, 3600, False),
        ({"pid": dead_pid(), "status": "finished"}, 3600, False),
    ],
)
def test_who_counts_as_vanished(folder, changes, silent, vanished):
    known = running(**changes, heartbeat=time.time() - silent)
    run_status.write(folder, known)

    assert (reap(folder, known) is not None) is vanished
    assert folder.journal.exists() is vanished


def test_a_silent_run_that_holds_its_lock_lives(folder):
    run_status.write(folder, running(pid=dead_pid()))
    with folder.locked():
        assert reap(folder, run_status.read(folder)) is None
    assert run_status.read(folder).status == "running"


def test_a_torn_journal_is_mended_on_the_way(folder):
    with JournalWriter(folder.journal) as writer:
        writer.record("start", run_id="1")
    with folder.journal.open("ab") as file:
        file.write(b'deadbeef {"kind":"metrics"')
    run_status.write(folder, running(pid=dead_pid()))

    reap(folder, run_status.read(folder))

    assert [record["kind"] for _, record in read(folder.journal)] == ["start", "tag", "end"]
