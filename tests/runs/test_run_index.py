"""Runs found by name, listed with their status, and marked if their process has disappeared."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from ganforge.core.errors import UsageError
from ganforge.runs.run_index import find, list_runs, mark_killed, run_folders
from ganforge.storage.journal import JournalWriter, read
from ganforge.storage.run_folder import RunFolder, Status


@pytest.fixture
def root(tmp_path):
    return tmp_path / "runs"


def make(root, experiment="moons", name="infogan", *, created=None, **standing):
    folder = RunFolder.create(root, experiment, name)
    facts = {"title": "Two moons", "seed": 3, "host": "here", **({"created": created} if created else {})}
    folder.write_json(folder.identity, {**folder.read_json(folder.identity), **facts})
    if standing:
        folder.write_status(Status(**standing))
    return folder


def test_a_run_is_summed_up(root):
    folder = make(root, status="finished", iteration=9, iterations=9, seconds=2.5, metrics={"w": 0.07}, health={"verdict": "well"})

    (run,) = list_runs(root)

    assert (run.run, run.name, run.experiment, run.title, run.seed) == (folder.path.name, "infogan", "moons", "Two moons", 3)
    assert (run.status, run.iteration, run.iterations, run.seconds) == ("finished", 9, 9, 2.5)
    assert (run.metrics, run.health, run.remark) == ({"w": 0.07}, "well", None)
    assert run.folder == folder.path


def test_the_newest_comes_first_and_experiments_can_be_chosen(root):
    for created, experiment in enumerate(["Two Moons", "ring", "Two Moons"], start=1):
        make(root, experiment, f"gan{created}", created=float(created), status="finished")

    assert [run.name for run in list_runs(root)] == ["gan3", "gan2", "gan1"]
    assert (
        [run.name for run in list_runs(root, "Two Moons")] == [run.name for run in list_runs(root, "two-moons")] == ["gan3", "gan1"]
    )
    assert list_runs(root, "grid") == []


def test_no_folder_no_runs(root):
    assert list_runs(root) == []


def test_what_is_no_run_is_passed_over(root):
    make(root, status="finished")
    (root / "moons" / "notes").mkdir()
    (root / "file").write_text("")

    assert len(list_runs(root)) == 1


def test_a_vanished_run_is_marked_and_reported(root):
    folder = make(root, status="running", iteration=812, pid=2**22 + 1)

    (run,) = list_runs(root)

    assert (run.status, run.remark) == ("killed", "process vanished at iteration ~812")
    assert folder.read_status().status == "killed"


def test_a_vanished_run_of_another_host_is_only_reported(root):
    folder = make(root, status="running", host="elsewhere", heartbeat=1.0)

    (run,) = list_runs(root)

    assert run.status == "running"
    assert "elsewhere" in run.remark
    assert not folder.journal.exists()


def test_a_vanished_run_that_cannot_be_marked_is_still_reported(root):
    folder = make(root, status="running", pid=2**22 + 1)
    folder.journal.mkdir()

    (run,) = list_runs(root)

    assert run.status == "killed"
    assert "cannot be marked" in run.remark


def test_a_run_without_a_report_is_starting_or_never_started(root):
    folder = make(root)

    assert list_runs(root)[0].status == "unstarted"
    with folder.locked():
        assert list_runs(root)[0].status == "starting"


@pytest.mark.parametrize("text", ["{", '{"status": "running", "iteration": 3'])
def test_a_damaged_report_costs_only_its_own_line(root, text):
    make(root, name="good", status="finished")
    make(root, name="bad").status.write_text(text)

    by_name = {run.name: run for run in list_runs(root)}

    assert by_name["good"].status == "finished"
    assert by_name["bad"].status == "unknown"
    assert "damaged" in by_name["bad"].remark


def test_an_error_is_the_remark(root):
    make(root, status="failed", error="ValueError: no")

    assert list_runs(root)[0].remark == "ValueError: no"


def test_what_mlflow_lacks_is_counted(root):
    folder = make(root, status="finished")
    with JournalWriter(folder.journal) as writer:
        writer.record("start", run_id="1", run_name="a", experiment="moons", resolution="full")
        for iteration in range(10):
            writer.metrics(iteration, {"loss/a": 1.0, "loss/b": 2.0})
        writer.record("end", status="FINISHED", reason=None, exit_code=0)

    (run,) = list_runs(root)

    assert run.undelivered.points == 20


def test_a_running_run_is_not_asked_what_it_lacks(root):
    folder = make(root, status="running")
    with folder.locked():
        assert list_runs(root)[0].undelivered is None


TRAIN = """
import sys, time
from pathlib import Path
from ganforge.storage.run_folder import RunFolder, Status
from ganforge.storage.journal import JournalWriter
folder = RunFolder(Path(sys.argv[1]))
with folder.locked(), JournalWriter(folder.journal) as writer:
    writer.record("start", run_id="1", run_name="a", experiment="moons")
    folder.write_status(Status(status="running", iteration=4000, iterations=9000))
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
    assert mark_killed(folder, folder.read_status()) is None
    training.send_signal(signal.SIGKILL)
    training.wait()

    reaped = mark_killed(folder, folder.read_status())

    assert (reaped.status, reaped.iteration, reaped.reason) == ("killed", 4000, "process vanished at iteration ~4000")
    assert folder.read_status() == reaped
    tag, end = [record for _, record in read(folder.journal)][1:]
    assert (tag["kind"], tag["key"], tag["value"]) == ("tag", "ganforge.reaped", "true")
    assert (end["kind"], end["status"], end["reason"]) == ("end", "KILLED", reaped.reason)


def test_marking_happens_once(folder):
    folder.write_status(running(pid=dead_pid()))
    known = folder.read_status()

    assert mark_killed(folder, known)
    assert mark_killed(folder, known) is None
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
    folder.write_status(known)

    assert (mark_killed(folder, known) is not None) is vanished
    assert folder.journal.exists() is vanished


def test_a_silent_run_that_holds_its_lock_lives(folder):
    folder.write_status(running(pid=dead_pid()))
    with folder.locked():
        assert mark_killed(folder, folder.read_status()) is None
    assert folder.read_status().status == "running"


def test_a_torn_journal_is_mended_on_the_way(folder):
    with JournalWriter(folder.journal) as writer:
        writer.record("start", run_id="1")
    with folder.journal.open("ab") as file:
        file.write(b'deadbeef {"kind":"metrics"')
    folder.write_status(running(pid=dead_pid()))

    mark_killed(folder, folder.read_status())

    assert [record["kind"] for _, record in read(folder.journal)] == ["start", "tag", "end"]


@pytest.fixture
def infogan(root):
    return RunFolder.create(root, "Moons", "InfoGAN")


@pytest.fixture
def vanilla(root):
    return RunFolder.create(root, "Moons", "vanilla")


def test_every_name_of_a_run_finds_it(root, infogan, vanilla):
    identity = infogan.read_json(infogan.identity)
    hex_digits = infogan.path.name[-8:]

    for reference in (
        str(infogan.path),
        f"{infogan.path}/",
        infogan.path.name,
        f"moons/{infogan.path.name}",
        f"Moons/{infogan.path.name}",
        "InfoGAN",
        "info",
        infogan.path.name[:-3],
        hex_digits,
        identity["id"],
        identity["id"][:20],
    ):
        assert find(reference, root) == infogan, reference


def test_a_folder_is_found_wherever_it_lies(tmp_path, infogan, monkeypatch):
    monkeypatch.chdir(infogan.path.parent)

    assert find(infogan.path.name, tmp_path / "elsewhere").path.resolve() == infogan.path


def test_a_whole_name_wins_over_a_beginning(root):
    short = RunFolder.create(root, "moons", "gan")
    RunFolder.create(root, "moons", "gan-with-penalty")

    assert find("gan", root) == short


def test_the_newest_of_several_of_one_name_is_found_and_named(root, caplog):
    runs = [make(root, name="gan", created=created) for created in (2.0, 9.0, 5.0)]

    assert find("gan", root) == runs[1]
    assert caplog.messages == [f"3 runs are named 'gan'; using the newest, {runs[1].path.name}"]
    assert find(runs[0].path.name, root) == runs[0]
    assert len(caplog.messages) == 1


def test_several_beginnings_are_an_error_that_lists_them(root):
    runs = [RunFolder.create(root, "moons", f"gan-{number}") for number in range(10)]

    with pytest.raises(UsageError, match="'gan' matches 10 runs") as caught:
        find("gan", root)

    assert caught.value.exit_code == 2
    listed = [run for run in runs if f"moons/{run.path.name}" in caught.value.message]
    assert len(listed) == 8
    assert "… and 2 more" in caught.value.message


def test_an_unknown_one_is_an_error_with_a_guess(root, infogan, vanilla):
    with pytest.raises(UsageError, match="no run matches 'InfoGAM'") as caught:
        find("InfoGAM", root)

    assert caught.value.remedy == "did you mean 'InfoGAN'?"
    assert f"moons/{vanilla.path.name}" in caught.value.message


@pytest.mark.parametrize("reference", ["x", "", "..", "\0", "*", "../../etc", "~nobody", "a" * 5000])
def test_odd_references_are_unknown_too(root, infogan, reference):
    with pytest.raises(UsageError):
        find(reference, root)


def test_without_runs_the_remedy_is_the_folder(root):
    with pytest.raises(UsageError, match="contains no runs") as caught:
        find("gan", root)
    assert "--runs-dir" in caught.value.remedy


def test_a_folder_without_run_json_is_an_error(tmp_path, root):
    with pytest.raises(UsageError, match="is not the folder of a run"):
        find(str(tmp_path), root)


@pytest.mark.parametrize("identity", ["{", "[]", "{}"])
def test_a_damaged_identity_leaves_the_folders_name(root, infogan, identity):
    hex_digits = infogan.path.name[-8:]
    infogan.identity.write_text(identity)

    assert find(hex_digits, root) == infogan
    assert find("infogan", root) == infogan
    assert [(run.name, run.experiment, run.id) for run in run_folders(root)] == [("infogan", "moons", hex_digits)]


def test_a_folder_that_happens_to_be_called_like_a_run_is_no_obstacle(tmp_path, root, infogan, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "InfoGAN").mkdir()

    assert find("InfoGAN", root) == infogan
