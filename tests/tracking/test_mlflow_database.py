"""sqlite files as people have them: damaged, locked, in the wrong place, half created, moved and copied."""

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from ganforge.tracking.mlflow_database import ensure_complete, find_fault, is_empty
from ganforge.tracking.mlflow_sink import MlflowSink, UnreachableError
from ganforge.tracking.tracking_store import Store

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:")  # MLflow's and SQLAlchemy's own


def folder_in_its_place(file):
    file.mkdir()


def file_as_parent(file):
    file.parent.rmdir()
    file.parent.write_text("notes")


def text(file):
    file.write_text("notes\n" * 100)


def other_program(file):
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE bookmarks (id INTEGER)")


def damaged(file):
    other_program(file)
    file.write_bytes(file.read_bytes()[:100] + b"\xff" * 4000)


WRONG = {
    "a folder": (folder_in_its_place, "is a folder"),
    "below a file": (file_as_parent, "is not a folder"),
    "a text": (text, "is not an sqlite database"),
    "of another program": (other_program, "is the database of another program"),
    "damaged": (damaged, "is damaged: "),
}


@pytest.mark.parametrize(("prepare", "reason"), WRONG.values(), ids=WRONG)
def test_what_mlflow_cannot_use_is_named_at_once_in_one_line(tmp_path, prepare, reason):
    file = tmp_path / "here" / "mlflow.db"
    file.parent.mkdir()
    prepare(file)
    before = file.read_bytes() if file.is_file() else None

    fault = find_fault(file)

    assert reason in fault.reason
    assert "\n" not in str(fault)
    assert fault.is_permanent == (prepare is not damaged)
    started = time.monotonic()
    with pytest.raises(UnreachableError, match=re.escape(str(fault))):
        MlflowSink(Store(f"sqlite:///{file}")).connect()
    assert time.monotonic() - started < 20  # MLflow itself retries for 100 seconds
    assert (file.read_bytes() if file.is_file() else None) == before


def test_a_lock_of_another_program_is_named_and_waited_for(uri):
    file = Store(uri).database
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        fault = find_fault(file, timeout=0.1)

    assert f"another program has locked {file}" in str(fault)
    assert not fault.is_permanent
    assert find_fault(file) is None


@pytest.mark.parametrize("place", ["/proc/mlflow.db", "/sys/mlflow.db"])
def test_a_folder_that_takes_no_files_is_named_for_root_too(place):
    assert f"{Path(place).parent} cannot be written" in str(find_fault(Path(place)))


def test_a_file_that_does_not_exist_yet_is_no_fault(tmp_path):
    assert find_fault(tmp_path / "new" / "mlflow.db") is None
    assert list(tmp_path.iterdir()) == []


def incomplete(file):
    """What MLflow leaves when it is killed during one of its migrations, and cannot open."""
    with closing(sqlite3.connect(file)) as database:
        database.execute("UPDATE alembic_version SET version_num = '451aebb31d03'")
        database.execute("DELETE FROM experiments")
        database.execute("DROP TABLE webhooks")
        database.commit()


def test_a_store_that_was_left_incomplete_is_created_again_if_it_holds_nothing(uri):
    file = Store(uri).database
    incomplete(file)
    assert is_empty(file)

    MlflowSink(Store(uri)).connect()

    with closing(sqlite3.connect(file)) as database:
        assert database.execute("SELECT COUNT(*) FROM webhooks").fetchone() == (0,)
    assert {path.name for path in file.parent.iterdir()} == {"mlflow.db", "mlflow.db.lock"}


def test_a_store_that_holds_runs_is_never_replaced(uri):
    file = Store(uri).database
    ensure_complete(file, lambda _: pytest.fail("it has an experiment"))

    with closing(sqlite3.connect(file)) as database:
        database.execute("DELETE FROM experiments")
        database.execute("INSERT INTO runs (run_uuid) VALUES ('abc')")
        database.commit()
    ensure_complete(file, lambda _: pytest.fail("it has a run"))


def test_an_empty_store_that_mlflow_can_open_stays_the_same_file(uri):
    file = Store(uri).database
    with closing(sqlite3.connect(file)) as database:
        database.execute("DELETE FROM experiments")
        database.commit()
    before = file.stat().st_ino

    ensure_complete(file, lambda _: None)

    assert file.stat().st_ino == before


@pytest.mark.slow
@pytest.mark.parametrize("wait", [0.0, 0.3, 0.6])
def test_a_kill_while_a_store_is_created_costs_nothing(tmp_path, wait):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    program = (
        "from ganforge.tracking.mlflow_sink import MlflowSink\nfrom ganforge.tracking.tracking_store import Store\n"
        f"MlflowSink(Store({uri!r})).connect()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".mlflow.db-*/*.db")):
            assert time.monotonic() < deadline
            time.sleep(0.005)
        time.sleep(wait)
        os.kill(process.pid, signal.SIGKILL)
    assert not (tmp_path / "mlflow.db").exists()

    MlflowSink(Store(uri)).connect()

    assert {path.name for path in tmp_path.iterdir()} == {"mlflow.db", "mlflow.db.lock"}


@pytest.fixture
def project(tmp_path, empty_store):
    """A folder with runs and a store."""
    folder = tmp_path / "project"
    folder.mkdir()
    empty_store(folder)
    return folder


@pytest.mark.parametrize("change", [shutil.move, shutil.copytree], ids=["moved", "copied"])
def test_artifacts_stay_with_a_project_that_was_moved_or_copied(project, new_trainer, deliver_to, read_back, change):
    first, second = new_trainer(), new_trainer()
    for trainer in (first, second):
        trainer.begin()
        trainer.picture(0)
        trainer.end()
    deliver_to(first.folder, f"sqlite:///{project}/mlflow.db")
    there = project.with_name("another name")

    change(project, there)
    uri = f"sqlite:///{there}/mlflow.db"
    before = {path: path.stat().st_mtime_ns for path in project.rglob("*")}
    deliver_to(second.folder, uri)

    assert {path: path.stat().st_mtime_ns for path in project.rglob("*")} == before  # nothing goes to the old place
    for trainer in (first, second):
        record = read_back(uri, trainer.start.run_id)
        assert record.images == [("images/samples", 0)]
        assert record.run.info.artifact_uri.startswith((there / "mlartifacts").as_uri())
    names = {path.name for path in (there / "mlartifacts").rglob("*.png")}
    assert len(names) == 2
