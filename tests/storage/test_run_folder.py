from __future__ import annotations

import math
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ganforge.core.errors import RunFolderError, StorageError
from ganforge.storage import strict_json
from ganforge.storage.run_folder import LockHolder, RunFolder, Status, slug

HOSTILE = [
    "../x",
    "/abs",
    "..",
    ".",
    "",
    "\0",
    "a/../../b",
    "ä" * 600,
    "-rf",
    "con",
    "模型",
    "a\nb",
    "\ud800",
    "~",
    "C:\\x",
    "a" * 600,
]


def test_a_new_folder_has_what_it_needs(tmp_path):
    folder = RunFolder.create(tmp_path, "Two Moons", "InfoGAN")
    identity = folder.read_json(folder.identity)

    assert folder.path.parent == tmp_path / "two-moons"
    assert folder.path.name == f"infogan-{identity['id'][:8]}"
    assert (identity["name"], identity["experiment"]) == ("InfoGAN", "Two Moons")
    assert len(identity["id"]) == 32
    assert {path.name for path in folder.path.iterdir()} == {"checkpoints", "pictures", "run.json"}


def test_all_paths_lie_in_the_folder(folder):
    names = ["recipe", "resolved", "lock", "journal", "checkpoints", "pictures", "metrics", "status", "identity", "acknowledged"]
    paths = [getattr(folder, name) for name in names]

    assert {path.parent for path in paths} == {folder.path}
    assert len(set(paths)) == len(paths)


@settings(deadline=None, max_examples=15)
@given(st.text(max_size=80), st.text(max_size=80))
@example("../../evil", "/etc/passwd")
def test_no_name_leads_out_of_the_root(experiment, name):
    with TemporaryDirectory() as temporary:
        root = Path(temporary) / "runs"

        folder = RunFolder.create(root, experiment, name)

        assert folder.path.parent.parent == root
        assert folder.path.resolve().is_relative_to(root.resolve())
        assert [entry.name for entry in Path(temporary).iterdir()] == ["runs"]
        identity = folder.read_json(folder.identity)
        assert (identity["experiment"], identity["name"]) == (experiment, name)


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_become_plain_ones_and_are_kept_for_show(name, tmp_path):
    folder = RunFolder.create(tmp_path, name, name)
    made = [path.relative_to(tmp_path) for path in tmp_path.rglob("*")]

    assert all(len(part) <= 80 and not part.startswith((".", "-", "~")) for path in made for part in path.parts)
    assert folder.read_json(folder.identity)["name"] == name


def test_names_of_which_nothing_is_left_stay_apart():
    assert slug("模型", fallback="run") != slug("数据", fallback="run")
    assert slug("模型", fallback="run").startswith("run-")


@pytest.mark.parametrize("root", ["/proc/runs", "FILE/runs"])
def test_a_root_that_cannot_be_written_is_named(root, tmp_path):
    (tmp_path / "file").write_text("")
    path = Path(root.replace("FILE", str(tmp_path / "file")))

    with pytest.raises(StorageError, match=f"cannot write {path}"):
        RunFolder.create(path, "moons", "run")


def test_reading_what_is_missing_or_damaged(folder):
    assert folder.read_json(folder.metrics) is None
    folder.metrics.write_bytes(b"{\xff")
    with pytest.raises(StorageError, match=r"metrics\.json is damaged"):
        folder.read_json(folder.metrics)
    with pytest.raises(StorageError, match="cannot read"):
        folder.read_json(folder.pictures)


def test_a_locked_folder_refuses_a_second_and_is_free_afterwards(folder):
    assert folder.holder() is None
    with folder.locked():
        holder = folder.holder()
        with (
            pytest.raises(
                RunFolderError, match=rf"is in use by pid {os.getpid()} on host {socket.gethostname()} since 20\d\d-"
            ) as caught,
            folder.locked(),
        ):
            pytest.fail("two at once")
        assert holder.pid == os.getpid()
    assert caught.value.exit_code == 4
    assert folder.holder() is None
    with folder.locked():
        assert folder.holder()


HOLD = """
import sys, time
from pathlib import Path
from ganforge.storage.run_folder import RunFolder
with RunFolder(Path(sys.argv[1])).locked():
    print(1, flush=True)
    time.sleep(60)
"""
ASK = """
import sys
from pathlib import Path
from ganforge.storage.run_folder import RunFolder
print(1, flush=True)
while True:
    RunFolder(Path(sys.argv[1])).holder()
"""


def test_a_killed_holder_frees_the_lock_at_once(folder):
    with subprocess.Popen([sys.executable, "-c", HOLD, folder.path], stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        assert folder.holder().pid == other.pid
        with pytest.raises(RunFolderError, match=f"pid {other.pid}"), folder.locked():
            pytest.fail("two at once")

        other.send_signal(signal.SIGKILL)
        other.wait()

        with folder.locked():
            assert folder.holder().pid == os.getpid()


def test_asking_who_holds_it_never_stops_who_wants_it(folder):
    with folder.locked():
        pass
    with subprocess.Popen([sys.executable, "-c", ASK, folder.path], stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        try:
            for _ in range(200):
                with folder.locked():
                    pass
        finally:
            other.kill()


@pytest.mark.parametrize("note", [b"", b"{", b"[]", b'{"pid": "x"}'])
def test_a_held_lock_with_an_unreadable_note_is_still_held(folder, note):
    with folder.locked():
        (folder.path / "run.lock.json").write_bytes(note)

        assert folder.holder() == LockHolder(0, "?", 0.0)


def test_a_holder_of_another_day_is_reported_with_the_day():
    assert str(LockHolder(4711, "x", 0.0)).startswith("pid 4711 on host x since 19")


WITHOUT_FCNTL = """
import sys, warnings
warnings.simplefilter("ignore")  # filelock warns of the weaker lock that it falls back to here
sys.modules["fcntl"] = None
import ganforge.session.training_run, ganforge.tracking.uploader
"""


def test_everything_imports_where_there_is_no_fcntl_as_on_windows(python):
    python(WITHOUT_FCNTL)


def test_a_status_that_is_written_is_read(folder):
    assert folder.read_status() is None

    folder.write_status(Status(status="running", iteration=3, iterations=9, metrics={"wasserstein": math.inf}))
    known = folder.read_status()

    assert (known.status, known.iteration, known.iterations) == ("running", 3, 9)
    assert known.metrics == {"wasserstein": math.inf}
    assert (known.pid, known.host) == (os.getpid(), socket.gethostname())
    assert abs(known.heartbeat - time.time()) < 5


def test_the_end_keeps_what_was_known(folder):
    folder.write_status(Status(status="running", iteration=3, heartbeat=1.0, metrics={"modes": 8.0}))

    folder.finish("failed", error="ValueError: no", health={"verdict": "ill", "findings": []})
    known = folder.finish("failed", reason="late")

    assert known == folder.read_status()
    assert (known.status, known.iteration, known.metrics) == ("failed", 3, {"modes": 8.0})
    assert (known.error, known.reason, known.health["verdict"]) == ("ValueError: no", "late", "ill")
    assert known.heartbeat > 1.0


def test_an_end_without_a_beginning(folder):
    assert folder.finish("killed").iteration == 0


def test_keys_of_a_newer_version_are_passed_over(folder):
    folder.write_json(folder.status, {"status": "finished", "iteration": 4, "mood": "good"})

    assert folder.read_status().iteration == 4


@pytest.mark.parametrize("text", ["[]", "{}", "3"])
def test_what_is_no_report_is_none(folder, text):
    folder.status.write_text(text)

    assert folder.read_status() is None


def test_a_damaged_report_is_an_error(folder):
    folder.status.write_text("{")

    with pytest.raises(StorageError, match=r"status\.json is damaged"):
        folder.read_status()


def test_a_status_with_impossible_values_is_damaged(folder):
    folder.status.write_text('{"status": "running", "iteration": "many"}')

    with pytest.raises(StorageError, match=r"status\.json is damaged: iteration: .*integer"):
        folder.read_status()


def test_it_is_plain_json_with_stable_keys(folder):
    folder.write_status(Status(status="running"))

    assert list(strict_json.loads(folder.status.read_bytes())) == [
        "status",
        "iteration",
        "iterations",
        "seconds",
        "iterations_per_second",
        "pid",
        "host",
        "heartbeat",
        "metrics",
        "health",
        "reason",
        "error",
    ]
