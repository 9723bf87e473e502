import json

import pytest

from ganforge.cli.app import main
from ganforge.storage.journal import JournalWriter
from ganforge.storage.run_folder import RunFolder
from ganforge.tracking.run_metadata import StartRecord


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


@pytest.fixture
def folder(tmp_path):
    """A finished run that nobody has delivered."""
    folder = RunFolder.create(tmp_path / "runs", "rings", "vanilla_ring")
    run_id = folder.read_json(folder.identity)["id"]
    with JournalWriter(folder.journal) as journal:
        journal.record("start", **StartRecord(run_id, "vanilla_ring s0", "rings").to_record())
        for iteration in range(1, 301):
            journal.metrics(iteration, {"loss/generator/total": 1 / iteration})
        journal.record("eval", iteration=300, values={"wasserstein": 0.25})
        journal.record("end", status="FINISHED", reason=None, exit_code=0)
    return folder


def test_without_runs_it_says_where_it_looked(tmp_path, capsys):
    assert main(["sync"]) == 0
    assert f"no runs in {tmp_path}/runs; name another folder with --runs-dir" in capsys.readouterr().err


def test_an_unknown_run_is_an_error(capsys):
    assert main(["sync", "nobody"]) == 2
    assert "nobody" in capsys.readouterr().err


def test_a_run_that_goes_on_is_refused_when_named_and_passed_over_when_not(folder, capsys):
    with folder.locked():
        assert main(["sync", folder.path.name]) == 4
        assert "in use by pid" in capsys.readouterr().err

        assert main(["sync"]) == 0
        assert "is running and sends its own data" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore::DeprecationWarning:")
def test_it_delivers_what_waits_once(folder, tmp_path, capsys):
    from mlflow import MlflowClient

    assert main(["sync", "--json"]) == 0

    (told,) = json.loads(capsys.readouterr().out)["runs"]
    run = MlflowClient(told["tracking_uri"]).get_run(told["run_id"])
    assert told["run"] == folder.path.name
    assert told["tracking_uri"] == f"sqlite:///{tmp_path}/mlflow.db"
    assert told["points"] > 1
    assert told["pending"] == {"points": 0, "images": 0, "others": 0}
    assert run.info.status == "FINISHED"
    assert run.data.metrics["eval/wasserstein"] == 0.25

    assert main(["sync"]) == 0
    assert "MLflow has everything." in capsys.readouterr().out
    assert main(["sync", folder.path.name]) == 0
    assert f"MLflow has all {told['points']} points and 0 images" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore::DeprecationWarning:")
def test_a_store_that_does_not_answer_is_exit_code_5_and_changes_nothing(folder, capsys, monkeypatch):
    monkeypatch.setattr("ganforge.tracking.supervisor.SYNC_TIMEOUT", 0.2)
    journal = folder.journal.read_bytes()

    assert main(["sync", "--tracking-uri", "http://127.0.0.1:9"]) == 5

    errors = capsys.readouterr().err
    assert "points and 0 images not sent to http://127.0.0.1:9" in errors
    assert "API request" in errors
    assert folder.journal.read_bytes() == journal
