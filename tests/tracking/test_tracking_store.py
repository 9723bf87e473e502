import os
from pathlib import Path

import pytest

from ganforge.core.errors import UsageError
from ganforge.tracking.tracking_store import Store, resolve_store, settings_file, user_stores


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


def test_settings_of_project_and_user_go_between_environment_and_default(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "project" / "runs"
    folder.mkdir(parents=True)
    settings = settings_file()
    assert settings == tmp_path / "config" / "ganforge" / "config.toml"
    settings.parent.mkdir(parents=True)
    settings.write_text('[tracking]\nuri = "http://127.0.0.1:5001"\n')
    assert resolve_store(folder=folder) == Store("http://127.0.0.1:5001", str(settings))

    project = folder.parent / "pyproject.toml"
    project.write_text('[tool.ganforge.tracking]\nuri = "sqlite:///gan.db"\n')
    assert resolve_store(folder=folder) == Store(f"sqlite:///{folder.parent}/gan.db", str(project))  # beside the file that names it

    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:5000")
    assert [store.origin for store in user_stores(folder)] == ["MLFLOW_TRACKING_URI", str(project), str(settings), "default"]


@pytest.mark.parametrize(
    "text", ["[tracking", "tracking = 3", "[tracking]\nurl = 'http://a'", "[tracking]\nuri = 3", "[tracking]\nuri = ''"]
)
def test_wrong_settings_are_named(tmp_path, monkeypatch, text):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    settings_file().parent.mkdir()
    settings_file().write_text(text)

    with pytest.raises(UsageError) as caught:
        resolve_store()

    assert str(settings_file()) in str(caught.value)
    assert "uri" in str(caught.value.remedy)


def test_a_project_file_of_another_user_names_no_store(tmp_path, monkeypatch):
    project = tmp_path / "pyproject.toml"
    project.write_text('[tool.ganforge.tracking]\nuri = "http://127.0.0.1:5000"\n')
    (tmp_path / "mine").mkdir()
    monkeypatch.setattr("os.geteuid", lambda: 4711)
    real = Path.stat
    monkeypatch.setattr(Path, "stat", lambda path, **options: _owned_by(real(path, **options), 666 if path == project else 4711))

    with pytest.raises(UsageError, match="belongs to another user"):
        resolve_store(folder=tmp_path / "mine")


def _owned_by(facts, user):
    return os.stat_result((*facts[:4], user, *facts[5:]))


def test_a_relative_sqlite_path_is_made_absolute(tmp_path):
    store = resolve_store("sqlite:///records/gan.db", folder=tmp_path)

    assert store.uri == f"sqlite:///{tmp_path}/records/gan.db"
    assert store.database == tmp_path / "records/gan.db"
    with store.locked():
        assert (tmp_path / "records/gan.db.lock").is_file()


def test_an_absolute_sqlite_path_stays():
    assert resolve_store("sqlite:////data/gan.db").database == Path("/data/gan.db")


@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:5000",
        "https://mlflow.example.org/team",
        "databricks",
        "databricks://profile",
        "postgresql://me@host:5432/runs",
        "postgresql+psycopg2://me@host/runs",
        "mysql+pymysql://me@host/runs",
        "mssql+pyodbc://me@host/runs",
    ],
)
def test_every_kind_that_mlflow_takes_is_taken(uri):
    assert resolve_store(uri).uri == uri


@pytest.mark.parametrize(
    "uri", ["SQLite:///runs.db", "sqlite+pysqlite:///runs.db", "sqlite:////{folder}/runs.db", "sqlite:///~/runs.db"]
)
def test_every_way_to_write_an_sqlite_file_is_that_file(tmp_path, monkeypatch, uri):
    monkeypatch.setenv("HOME", str(tmp_path))

    assert resolve_store(uri.format(folder=str(tmp_path).lstrip("/")), folder=tmp_path).database == tmp_path / "runs.db"


@pytest.mark.parametrize(
    ("uri", "remedy"),
    [
        ("localhost:5000", "write http://localhost:5000"),
        ("127.0.0.1:5000", "write http://127.0.0.1:5000"),
        ("htp://localhost:5000", "did you mean 'http'?"),
        ("postgres://me:canary@host/runs", "did you mean 'postgresql'?"),
        ("s3://bucket/runs", "kinds: sqlite, http, https, databricks, postgresql, mysql, mssql"),
        ("uc:http://localhost:8080", "kinds: sqlite"),
        ("http://", "such as http://127.0.0.1:5000"),
        ("http:/localhost:5000", "such as http://127.0.0.1:5000"),
        ("http://localhost:port", "such as http://127.0.0.1:5000"),
        ("http://local host:5000", "such as http://127.0.0.1:5000"),
        ("http://127.0.0.1:5000/#/experiments/1?workflowType=machine_learning", "write http://127.0.0.1:5000/"),
        ("runs.db", "write sqlite:////"),
    ],
)
def test_what_mlflow_does_not_take_is_refused_with_what_to_write(uri, remedy):
    with pytest.raises(UsageError) as caught:
        resolve_store(uri)

    assert remedy in str(caught.value.remedy)
    assert "canary" not in str(caught.value)
    if remedy.startswith("write "):
        assert resolve_store(caught.value.remedy.removeprefix("write ")).uri


@pytest.mark.parametrize(
    ("uri", "remedy"),
    [
        ("mssql://me:canary@host/runs", "pip install pyodbc"),
        ("mysql://me:canary@host/runs", "pip install mysqlclient"),
        ("postgresql+nothing://me:canary@host/runs", "postgresql://user:password@host:5432/name"),
        ("postgresql://me:canary@host:port/runs", "postgresql://user:password@host:5432/name"),
    ],
)
def test_databases_without_a_driver_or_a_readable_address_are_refused_before_training(uri, remedy):
    with pytest.raises(UsageError) as caught:
        resolve_store(uri).check()

    assert remedy in str(caught.value.remedy)
    assert "canary" not in str(caught.value)


def test_the_file_store_is_taken_if_mlflow_may_use_it(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")

    for uri in ("./mlruns", "file:mlruns", (tmp_path / "mlruns").as_uri()):
        assert resolve_store(uri, folder=tmp_path).uri == (tmp_path / "mlruns").as_uri()


def test_a_file_that_can_never_be_a_store_is_refused_before_training(tmp_path):
    (tmp_path / "mlflow.db").mkdir()

    with pytest.raises(UsageError, match=r"mlflow\.db is a folder"):
        resolve_store(folder=tmp_path).check()


def test_the_default_store_may_be_out_of_reach_for_now(tmp_path):
    nowhere = Path("/sys")
    resolve_store(folder=nowhere).check()

    with pytest.raises(UsageError, match="/sys cannot be written"):
        resolve_store("sqlite:////sys/mlflow.db").check()


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
