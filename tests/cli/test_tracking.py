"""``ganforge ui`` and ``ganforge sync``."""

import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import pytest

from ganforge.cli.app import main
from ganforge.storage.journal import JournalWriter
from ganforge.storage.run_folder import RunFolder
from ganforge.tracking.run_metadata import StartRecord
from ganforge.tracking.server import free_port


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


def test_without_any_runs_it_says_what_to_do(tmp_path, capsys):
    assert main(["ui", "--no-browser"]) == 2

    errors = capsys.readouterr().err
    assert f"{tmp_path}/mlflow.db does not exist yet" in errors
    assert "train a recipe first" in errors
    assert list(tmp_path.iterdir()) == []


def test_of_a_server_that_runs_already_it_shows_the_address(capsys):
    assert main(["ui", "--no-browser", "--tracking-uri", "https://me:canary@mlflow.example.org/"]) == 0

    shown = capsys.readouterr().out
    assert "https://mlflow.example.org/#/experiments?workflowType=machine_learning" in shown
    assert "canary" not in shown


def test_a_file_store_is_refused(capsys):
    assert main(["ui", "--no-browser", "--tracking-uri", "./mlruns"]) == 2
    assert "file store" in capsys.readouterr().err


def test_a_taken_port_is_passed_over():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        assert free_port("127.0.0.1", port) > port


def test_a_port_that_is_taken_is_reported_at_once(tmp_path, capsys, empty_store):
    empty_store(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        assert main(["ui", "--no-browser", "--port", str(port)]) == 2

    assert f"127.0.0.1:{port}" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_this_machine_only_prints_links_and_leaves_no_process(tmp_path, number, empty_store):
    empty_store(tmp_path)
    port = free_port("127.0.0.1", 5700)
    with subprocess.Popen(
        [sys.executable, "-m", "ganforge", "ui", "--no-browser", "--port", str(port)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=tmp_path,
        start_new_session=True,
    ) as process:
        try:
            line = process.stdout.readline()  # comes when the server answers
            address = re.search(r"http://127\.0\.0\.1:\d+", line)[0]
            assert address == f"http://127.0.0.1:{port}"
            assert "workflowType=machine_learning" in line

            with urllib.request.urlopen(f"{address}/health", timeout=10) as answer:
                assert answer.status == 200
            assert listening(port) == {"127.0.0.1"}
            request = urllib.request.Request(
                f"{address}/api/2.0/mlflow/experiments/get?experiment_id=0", headers={"Host": "evil.org"}
            )
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(request, timeout=10)
            servers = servers_on(port)
            assert servers

            process.send_signal(number)
            assert process.wait(60) == 0
            assert [pid for pid in servers if Path(f"/proc/{pid}").exists()] == []
        finally:
            process.kill()
            for pid in servers_on(port):
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)


def listening(port):
    """Addresses that somebody listens at on ``port``, from the kernel's table (hexadecimal, little-endian)."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    addresses = [row[1].split(":") for row in rows if row[3] == "0A"]
    return {socket.inet_ntoa(bytes.fromhex(host)[::-1]) for host, number in addresses if int(number, 16) == port}


def servers_on(port):
    """Processes whose command line is our server's."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            words = path.read_bytes().split(b"\0")
            if b"mlflow" in words and str(port).encode() in words:
                found.append(int(path.parent.name))
    return found


@pytest.fixture
def folder(tmp_path):
    """A finished run that was not delivered."""
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
    assert main(["sync", "missing"]) == 2
    assert "missing" in capsys.readouterr().err


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

    (messages,) = json.loads(capsys.readouterr().out)["runs"]
    run = MlflowClient(messages["tracking_uri"]).get_run(messages["run_id"])
    assert messages["run"] == folder.path.name
    assert messages["tracking_uri"] == f"sqlite:///{tmp_path}/mlflow.db"
    assert messages["points"] > 1
    assert messages["pending"] == {"points": 0, "images": 0, "others": 0}
    assert run.info.status == "FINISHED"
    assert run.data.metrics["2-eval/wasserstein"] == 0.25

    assert main(["sync"]) == 0
    assert "MLflow has everything." in capsys.readouterr().out
    assert main(["sync", folder.path.name]) == 0
    assert f"MLflow has all {messages['points']} points and 0 images" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore::DeprecationWarning:")
def test_a_store_that_does_not_answer_is_exit_code_5_and_changes_nothing(folder, capsys, monkeypatch):
    monkeypatch.setattr("ganforge.tracking.supervisor.SYNC_TIMEOUT", 0.2)
    journal = folder.journal.read_bytes()

    assert main(["sync", "--tracking-uri", "http://127.0.0.1:9"]) == 5

    errors = capsys.readouterr().err
    assert "points and 0 images not sent: http://127.0.0.1:9 does not answer: " in errors
    assert errors.rstrip().endswith("Connection refused")
    assert folder.journal.read_bytes() == journal


@pytest.mark.filterwarnings("ignore::DeprecationWarning:")
def test_runs_of_a_project_that_was_renamed_are_still_in_mlflow(folder, tmp_path, capsys, monkeypatch, empty_store):
    empty_store(tmp_path)
    assert main(["sync"]) == 0
    there = tmp_path.with_name(f"{tmp_path.name} renamed")
    tmp_path.rename(there)
    monkeypatch.chdir(there)
    capsys.readouterr()

    assert main(["sync"]) == 0
    assert capsys.readouterr().out == "MLflow has everything.\n"
    assert main(["sync", folder.path.name]) == 0
    assert f"MLflow has all 2 points and 0 images (sqlite:///{there}/mlflow.db)" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore::DeprecationWarning:")
def test_runs_that_mlflow_lost_are_named_and_sent_again_by_the_command_that_is_printed(folder, tmp_path, capsys, empty_store):
    from mlflow import MlflowClient

    empty_store(tmp_path)
    assert main(["sync"]) == 0
    (tmp_path / "mlflow.db").rename(tmp_path / "earlier.db")
    capsys.readouterr()

    assert main(["sync"]) == 0
    shown = capsys.readouterr()
    assert "is no longer in MLflow" in shown.err
    assert "MLflow has everything" not in shown.out
    command = shlex.split(shown.err.partition("sends it again: ")[2])
    assert command[0] == "ganforge"
    assert main(command[1:]) == 0
    assert "MLflow has all 2 points" in capsys.readouterr().out
    run_id = folder.read_json(folder.acknowledged)["run_id"]
    assert MlflowClient(f"sqlite:///{tmp_path}/mlflow.db").get_run(run_id).data.metrics["2-eval/wasserstein"] == 0.25


@pytest.mark.filterwarnings("ignore::DeprecationWarning:")
def test_another_store_gets_all_runs_though_the_first_one_has_them(folder, tmp_path, capsys, empty_store):
    other = tmp_path / "other"
    other.mkdir()
    for place in (tmp_path, other):
        empty_store(place)
    assert main(["sync"]) == 0
    capsys.readouterr()

    assert main(["sync", "--tracking-uri", "sqlite:///other/mlflow.db"]) == 0

    assert f"MLflow has all 2 points and 0 images (sqlite:///{other}/mlflow.db)" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["run"], ["run", "--seeds", "2"], ["verify"], ["check"]])
def test_a_store_that_can_never_be_is_refused_before_anything_is_created(tmp_path, capsys, command):
    (tmp_path / "mlflow.db").mkdir()
    recipe = Path(__file__).parents[2] / "recipes" / "vanilla_ring.toml"

    assert main([command[0], str(recipe), *command[1:]]) == 2

    assert "mlflow.db is a folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


@pytest.mark.parametrize(
    ("content", "reason"), [(b"notes", "is not an sqlite database"), (b"SQLite format 3\0damaged", "is damaged")]
)
def test_doctor_and_ui_say_what_is_wrong_with_the_store(tmp_path, capsys, content, reason):
    (tmp_path / "mlflow.db").write_bytes(content)

    assert main(["ui", "--no-browser"]) == 2
    assert f"{tmp_path}/mlflow.db {reason}" in capsys.readouterr().err
    main(["doctor", "--json"])
    (store,) = [one for one in json.loads(capsys.readouterr().out)["diagnoses"] if one["part"] == "store"]
    assert (store["state"], reason in store["text"]) == ("fault", True)
