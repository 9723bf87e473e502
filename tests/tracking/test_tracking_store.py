from pathlib import Path

import pytest

from ganforge.core.errors import UsageError
from ganforge.tracking.tracking_store import Store, resolve_store


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


def test_the_default_is_mlflows_own_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert resolve_store() == Store(f"sqlite:///{tmp_path}/mlflow.db", "default")


def test_the_environment_goes_before_the_default_and_the_command_line_before_both(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")

    assert resolve_store() == Store("http://127.0.0.1:5000", "MLFLOW_TRACKING_URI")
    assert resolve_store("http://localhost:6000") == Store("http://localhost:6000", "--tracking-uri")


def test_a_relative_sqlite_path_is_made_absolute(tmp_path):
    store = resolve_store("sqlite:///records/gan.db", folder=tmp_path)

    assert store.uri == f"sqlite:///{tmp_path}/records/gan.db"
    assert store.database == tmp_path / "records/gan.db"
    with store.locked():
        assert (tmp_path / "records/gan.db.lock").is_file()


def test_an_absolute_sqlite_path_stays():
    assert resolve_store("sqlite:////data/gan.db").database == Path("/data/gan.db")


@pytest.mark.parametrize("uri", ["./mlruns", "file:./mlruns", "/data/mlruns", "sqlite:///", "sqlite://", "sqlite:///:memory:"])
def test_stores_that_cannot_work_are_refused_with_a_remedy(uri):
    with pytest.raises(UsageError) as caught:
        resolve_store(uri)

    assert "sqlite:///mlflow.db" in str(caught.value)


def test_logins_are_never_shown():
    store = resolve_store("https://anna:hunter2@mlflow.example.org")

    assert store.shown == "https://mlflow.example.org"
    assert "hunter2" not in str(store.link("1", "abc"))
    assert store.uri.startswith("https://anna:hunter2@")


def test_links_open_on_the_page_for_training_runs():
    store = resolve_store("http://127.0.0.1:5000/")

    assert store.link("3", "abc") == "http://127.0.0.1:5000/#/experiments/3/runs/abc?workflowType=machine_learning"
    assert store.link("3") == "http://127.0.0.1:5000/#/experiments/3/runs?workflowType=machine_learning&compareRunsMode=CHART"
    assert resolve_store("sqlite:///mlflow.db").link("3", "abc") is None


def test_artifacts_lie_beside_the_database_whatever_the_experiment_is_called(tmp_path):
    location = resolve_store("sqlite:///mlflow.db", folder=tmp_path).artifacts("../../evil")

    assert location is not None
    assert location.startswith(f"file://{tmp_path}/mlartifacts/evil")
    assert resolve_store("http://127.0.0.1:5000").artifacts("moons") is None
