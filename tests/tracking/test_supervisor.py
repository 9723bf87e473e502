import os
import signal
import subprocess
import sys
import time

import pytest

from ganforge.core.errors import UsageError
from ganforge.tracking.delivery import PendingUploads
from ganforge.tracking.supervisor import supervise


@pytest.fixture(autouse=True)
def _quick_answers(monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_without_a_uploader_the_journal_waits_for_sync(trainer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with supervise(trainer.folder, mode="off") as tracking:
        assert tracking.state().phase == "off"
        trainer.begin()
        trainer.evaluate(1, wasserstein=0.5)
        trainer.end()

    assert tracking.summary.store.uri == f"sqlite:///{tmp_path}/mlflow.db"
    assert tracking.summary.accepted.points == 0
    assert tracking.summary.pending.points == 1
    assert tracking.summary.link is None
    assert not (tmp_path / "mlflow.db").exists()


def test_a_uri_that_cannot_work_is_refused_before_anything_starts(trainer):
    with pytest.raises(UsageError), supervise(trainer.folder, "./mlruns"):
        pass


def test_the_trainers_side_imports_neither_mlflow_nor_torch():
    program = "import sys, ganforge.tracking.supervisor, ganforge.tracking.server;"
    program += "print([name for name in ('mlflow', 'torch', 'numpy') if name in sys.modules])"

    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert answer.stdout.strip() == "[]"


@pytest.mark.filterwarnings("ignore::DeprecationWarning:")
@pytest.mark.parametrize("mode", ["process", "inline"])
def test_a_run_is_delivered_while_the_block_runs(trainer, uri, read_back, mode):
    with supervise(trainer.folder, uri, mode=mode) as tracking:
        trainer.begin()
        trainer.steps(1, 600)
        trainer.picture(600)
        trainer.end()

    record = read_back(uri, trainer.start.run_id)
    assert record.status == "FINISHED"
    summary = tracking.summary
    assert summary.accepted.run_id == record.run.info.run_id
    assert summary.accepted.experiment_id == record.run.info.experiment_id
    assert summary.accepted.points == sum(map(len, record.points.values()))
    assert summary.accepted.pictures == 1
    assert summary.pending == PendingUploads()
    assert tracking.state().phase == "done"
    assert summary.message is None


@pytest.mark.filterwarnings("ignore::DeprecationWarning:")
def test_an_exception_in_the_block_goes_on_and_the_run_counts_as_killed(trainer, uri, read_back):
    with pytest.raises(RuntimeError, match="plugin"), supervise(trainer.folder, uri, mode="inline"):
        trainer.begin()
        raise RuntimeError("a plugin failed")

    assert read_back(uri, trainer.start.run_id).status == "KILLED"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:")
def test_a_uploader_that_dies_is_started_again(trainer, uri, read_back):
    with supervise(trainer.folder, uri) as tracking:
        trainer.begin()
        trainer.steps(1, 300)
        first = tracking._uploader._process
        os.kill(first.pid, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while tracking._uploader._process is first and time.monotonic() < deadline:
            time.sleep(0.05)
        trainer.end()

    assert tracking._uploader._process is not first
    assert read_back(uri, trainer.start.run_id).status == "FINISHED"


def test_after_three_restarts_training_goes_on_alone(trainer, tmp_path, monkeypatch):
    monkeypatch.setenv("GANFORGE_FAULT", "kill@acknowledged")  # each uploader dies as soon as it notes where it delivers
    with supervise(trainer.folder, f"sqlite:///{tmp_path}/mlflow.db", drain_timeout=1.0) as tracking:
        trainer.begin()
        deadline = time.monotonic() + 60
        while tracking.state().phase != "stopped" and time.monotonic() < deadline:
            time.sleep(0.1)
        trainer.end()

        assert tracking.state().phase == "stopped"
        assert "died several times" in tracking.state().message

    assert tracking.summary.pending
