"""Uploader processes: they live as long as their trainer, die at any time, and meet servers that come and go."""

import itertools
import os
import signal
import time
from pathlib import Path

import pytest

from ganforge.core.errors import UsageError
from ganforge.storage.run_folder import RunFolder
from ganforge.tracking import uploader as states
from ganforge.tracking.delivery import count_pending
from ganforge.tracking.supervisor import sync

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:")  # MLflow's and SQLAlchemy's own


@pytest.fixture(autouse=True)
def _quick_answers(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "2")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def wait_for(what, patience=60.0):
    deadline = time.monotonic() + patience
    while not what():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.1)


def phase(folder):
    state = states.read_state(folder)
    return None if state is None else state.phase


def end_trainer(process):
    """End of file, which is all that a uploader ever hears of its trainer's death."""
    process.stdin.close()
    return process.wait(60)


def rows(record, key="loss/generator/total"):
    return [step for step, _ in record.points[key]]


def test_the_end_of_its_trainer_makes_the_run_killed(trainer, uri, start_uploader, read_back):
    process = start_uploader(trainer.folder, uri)
    trainer.begin()
    trainer.steps(1, 500)

    assert end_trainer(process) == 0

    record = read_back(uri, trainer.start.run_id)
    assert record.status == "KILLED"
    assert record.run.data.tags["ganforge.reaped"] == "true"
    assert "vanished at iteration ~500" in record.run.data.tags["ganforge.end_reason"]
    assert rows(record)[-1] == 500
    assert phase(trainer.folder) == "done"


@pytest.mark.slow
def test_it_ignores_ctrl_c_and_is_no_part_of_the_terminals_group(trainer, uri, start_uploader, read_back):
    process = start_uploader(trainer.folder, uri)
    trainer.begin()
    wait_for(lambda: phase(trainer.folder) is not None)

    process.send_signal(signal.SIGINT)
    trainer.end()

    assert os.getpgid(process.pid) != os.getpgrp()
    assert end_trainer(process) == 0
    assert read_back(uri, trainer.start.run_id).status == "FINISHED"


@pytest.mark.slow
@pytest.mark.parametrize(("resolution", "places"), [("auto", ("image", "sent")), ("full", ("sent",))])
def test_a_uploader_killed_between_sending_and_acknowledging_doubles_nothing(
    new_trainer, uri, start_uploader, read_back, resolution, places
):
    trainer = new_trainer(resolution=resolution)
    trainer.begin()
    trainer.picture(0)
    trainer.steps(1, 600)
    trainer.evaluate(600, wasserstein=0.5)
    trainer.end()
    for place in places:
        dying = start_uploader(trainer.folder, uri, fault=f"kill@{place}")
        dying.stdin.close()
        assert dying.wait(60) == -signal.SIGKILL

    assert end_trainer(start_uploader(trainer.folder, uri)) == 0

    record = read_back(uri, trainer.start.run_id)
    steps = rows(record)
    assert steps == sorted(set(steps))
    assert steps[-1] == 600
    assert resolution == "auto" or steps == list(range(1, 601))
    assert record.points["eval/wasserstein"] == [(600, 0.5)]
    assert record.images == [("images/samples", 0)]
    assert record.status == "FINISHED"


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 6])
def test_uploaders_start_together_on_a_fresh_store(count, new_trainer, tmp_path, start_uploader, read_back):
    uri = f"sqlite:///{tmp_path}/fresh.db"
    trainers = [new_trainer() for _ in range(count)]
    for trainer in trainers:
        trainer.begin()
        trainer.steps(1, 300)
        trainer.end()

    processes = [start_uploader(trainer.folder, uri, drain_timeout=60) for trainer in trainers]
    for process in processes:
        process.stdin.close()

    assert [process.wait(120) for process in processes] == [0] * count
    records = [read_back(uri, trainer.start.run_id) for trainer in trainers]
    assert {record.status for record in records} == {"FINISHED"}
    assert len({record.run.info.experiment_id for record in records}) == 1
    assert not list(tmp_path.glob("**/upload.log"))


@pytest.mark.slow
def test_a_server_that_is_killed_freezes_and_comes_back_misses_nothing_and_gets_nothing_twice(
    new_trainer, uri, server, start_uploader, read_back
):
    trainer = new_trainer(resolution="full")
    folder = trainer.folder
    server.start()
    process = start_uploader(folder, server.uri, drain_timeout=30)
    trainer.begin()
    trainer.picture(0)
    trainer.steps(1, 300)
    wait_for(lambda: (states.read_state(folder) or states.UploadState("off")).points >= 600)

    server.kill()
    trainer.steps(301, 600)
    trainer.picture(600)
    wait_for(lambda: phase(folder) == "unreachable")
    assert "does not answer" in states.read_state(folder).message

    server.start()
    wait_for(lambda: phase(folder) == "uploading")
    assert states.read_state(folder).outage > 0

    server.signal(signal.SIGSTOP)
    trainer.steps(601, 900)
    wait_for(lambda: phase(folder) == "unreachable")
    server.signal(signal.SIGCONT)
    trainer.steps(901, 1000)
    trainer.evaluate(1000, wasserstein=0.5)
    trainer.end()
    assert end_trainer(process) == 0

    assert phase(folder) == "done"
    record = read_back(server.uri, trainer.start.run_id)
    for key in ("loss/generator/total", "loss/discriminator/total"):
        assert rows(record, key) == list(range(1, 1001))
    assert record.images == [("images/samples", 0), ("images/samples", 600)]
    assert record.status == "FINISHED"


@pytest.mark.slow
def test_a_server_that_comes_back_for_sync_only_and_no_password_anywhere(trainer, uri, server, start_uploader, read_back):
    process = start_uploader(trainer.folder, server.uri.replace("//", "//me:canary@"), drain_timeout=1.0)
    trainer.begin()
    trainer.picture(0)
    trainer.steps(1, 600)
    trainer.evaluate(600, wasserstein=0.5)
    trainer.end("KILLED", reason="Ctrl-C", exit_code=130)
    assert b"canary" not in Path(f"/proc/{process.pid}/cmdline").read_bytes()

    assert end_trainer(process) == 0  # it gave up, which is no failure
    assert phase(trainer.folder) == "unreachable"
    files = [path for path in trainer.folder.path.rglob("*") if path.is_file()]
    assert [path for path in files if b"canary" in path.read_bytes()] == []
    waiting = count_pending(trainer.folder)
    assert waiting.points > 0
    assert waiting.images == 1

    server.start()
    with pytest.raises(UsageError, match=f"was sent to {server.uri}, which you have not named"):
        sync(trainer.folder)  # the folder names a store, but any folder may do that
    summary = sync(trainer.folder, server.uri)

    assert summary.accepted.points == waiting.points
    assert summary.accepted.pictures == 1
    assert not summary.pending
    assert summary.link.startswith(f"{server.uri}/#/experiments/")
    record = read_back(server.uri, trainer.start.run_id)
    assert record.status == "KILLED"
    assert rows(record)[-1] == 600
    assert record.images == [("images/samples", 0)]


@pytest.mark.slow
def test_trainer_and_uploader_killed_and_the_run_resumed(trainer, uri, start_uploader, read_back):
    """A checkpoint at 500, both killed at 700 with a torn tail, then resumed from 500."""
    process = start_uploader(trainer.folder, uri, fault="kill@acknowledged:3")
    trainer.begin()
    trainer.steps(1, 700)
    process.wait(60)
    with trainer.folder.journal.open("ab") as journal:
        journal.write(b'deadbeef {"kind":"metrics"')

    trainer.record("resume", iteration=500)
    second = start_uploader(trainer.folder, uri)
    trainer.steps(501, 1200)
    trainer.end()
    assert end_trainer(second) == 0

    record = read_back(uri, trainer.start.run_id)
    steps = rows(record)
    assert all(earlier < later for earlier, later in itertools.pairwise(steps))
    assert steps[-1] == 1200
    assert record.status == "FINISHED"


@pytest.mark.slow
def test_a_draining_uploader_leaves_a_resumed_run_alone(trainer, uri, start_uploader, read_back):
    """The trainer died, and somebody resumed the run before its old uploader looked: the run is not to be marked KILLED."""
    trainer.begin()
    trainer.steps(1, 300)
    with RunFolder(trainer.folder.path).locked():
        import subprocess
        import sys

        # A trainer of its own, so that the lock is held by another process than the uploader's parent.
        program = (
            "import subprocess, sys; p = subprocess.Popen([sys.executable, '-m', 'ganforge.tracking.uploader', sys.argv[1], '30'],"
            " stdin=subprocess.PIPE); p.stdin.close(); sys.exit(p.wait(240))"
        )
        environment = {**os.environ, "MLFLOW_TRACKING_URI": uri}
        subprocess.run([sys.executable, "-c", program, str(trainer.folder.path)], env=environment, check=True, timeout=270)

    assert read_back(uri, trainer.start.run_id).status == "RUNNING"
