"""Every way of ending is recorded correctly: exit code, run folder, MLflow."""

from __future__ import annotations

import json
import re
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ganforge.cli.app import main
from ganforge.storage import checkpoints
from ganforge.storage.run_folder import RunFolder
from ganforge.testing import fake_plugin

# MLflow is read in this process, and warns of its own dependencies.
pytestmark = pytest.mark.filterwarnings("default")
undrawn = pytest.mark.usefixtures("without_pictures")

FAULTY = '''
"""A plugin whose parts take long or fail, for tests of what happens then."""

import itertools

from ganforge.plugin import MetricInfo, LossTerms, Params, TermInfo, hookimpl


class At(Params):
    at: int = 10
    """Call at which it fails."""
    error: str = "RuntimeError"
    """What it raises."""


class Failing:
    second_order = False
    term_info = {"discriminator/nothing": TermInfo("nothing")}

    def __init__(self, params):
        self.params, self.calls = params, itertools.count(1)

    def discriminator(self, turn):
        if next(self.calls) == self.params.at:
            raise __builtins__[self.params.error]("planted fault")
        return LossTerms({"nothing": 0.0 * turn.critic(turn.real).logits.mean()})

    def generator(self, _turn):
        return LossTerms({})


class Slow:
    value_info = {"": MetricInfo("nothing", "lower")}

    def measure(self, evaluation):
        import pathlib, time

        pathlib.Path("measuring").touch()
        time.sleep(3)
        return {"": 1.0}


@hookimpl
def ganforge_register_losses(register):
    register("failing", lambda params, context: Failing(params), params=At, summary="Fails.")


@hookimpl
def ganforge_register_metrics(register):
    register("slow", lambda params, context: Slow(), summary="Takes long.")
'''


@pytest.fixture
def plugins(tmp_path) -> Path:
    return fake_plugin(tmp_path / "plugins", name="faulty", source=FAULTY).folder


@pytest.fixture
def in_process(plugins, tmp_path, monkeypatch, capsys):
    """Runs ``ganforge run …`` in this process, in the temporary folder; gives the exit code and stderr."""
    monkeypatch.syspath_prepend(plugins)
    monkeypatch.chdir(tmp_path)

    def call(*words):
        code = main(["run", *map(str, words)])
        return code, capsys.readouterr().err

    return call


def wait_for(found: Callable[[], object], seconds: float = 60):
    deadline = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)
    return result


def run_folder(tmp_path: Path) -> RunFolder:
    return RunFolder(wait_for(lambda: next(iter(tmp_path.glob("runs/*/*/run.json")), None)).parent)


def status(folder: RunFolder) -> dict:
    return json.loads(folder.status.read_text()) if folder.status.exists() else {}


def mlflow_run(tmp_path: Path, folder: RunFolder):
    from mlflow import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path}/mlflow.db")
    run_id = json.loads(folder.identity.read_text())["id"]
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    (run,) = client.search_runs(experiments, filter_string=f"tags.`ganforge.run_id` = '{run_id}'")
    return run


@pytest.mark.parametrize(
    ("moment", "number", "code"),
    [
        ("training", signal.SIGINT, 130),
        pytest.param("training", signal.SIGTERM, 143, marks=pytest.mark.slow),
        pytest.param("evaluation", signal.SIGINT, 130, marks=pytest.mark.slow),
        pytest.param("evaluation", signal.SIGTERM, 143, marks=pytest.mark.slow),
        pytest.param("pictures", signal.SIGINT, 130, marks=pytest.mark.slow),
        pytest.param("pictures", signal.SIGTERM, 143, marks=pytest.mark.slow),
    ],
)
def test_a_signal_saves_and_leaves_mlflow_killed(recipe, ganforge, plugins, tmp_path, moment, number, code):
    extra = {
        "training": "",
        "evaluation": '[[metric]]\nuse = "slow"\nevery = 20\n',
        "pictures": "",
    }[moment]
    path = recipe(extra, iterations=10_000_000, mode="process")
    every = 1 if moment == "pictures" else 10_000_000
    process = ganforge("run", path, "--json", "--set", f"pictures.every={every}", plugins=plugins)

    folder = run_folder(tmp_path)
    ready = {
        "training": lambda: status(folder).get("iteration", 0) > 20,
        "evaluation": (tmp_path / "measuring").exists,
        "pictures": lambda: len(list(folder.pictures.glob("samples-*.png"))) > 3,
    }[moment]
    wait_for(ready)
    process.send_signal(number)
    output, errors = process.communicate(timeout=240)

    assert process.returncode == code, errors
    result = json.loads(output)
    assert (result["status"], result["exit_code"]) == ("stopped", code)
    iteration, _, skipped = checkpoints.load_newest(folder)
    assert (iteration, skipped) == (result["iterations"], [])
    assert status(folder)["status"] == "stopped"
    assert "finishing" in errors
    assert f"--resume {folder.path.name}" in errors

    run = mlflow_run(tmp_path, folder)
    assert run.info.status == "KILLED"
    assert result["mlflow"]["run_id"] == run.info.run_id


@pytest.mark.slow
def test_a_second_ctrl_c_stops_at_once(recipe, ganforge, plugins, tmp_path):
    path = recipe('[[metric]]\nuse = "slow"\nevery = 20\n', iterations=10_000_000, mode="process")
    process = ganforge("run", path, plugins=plugins)
    folder = run_folder(tmp_path)
    wait_for((tmp_path / "measuring").exists)
    process.send_signal(signal.SIGINT)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 130
    assert "Traceback" not in errors
    assert not list(folder.checkpoints.iterdir())
    assert status(folder)["status"] == "killed"
    assert mlflow_run(tmp_path, folder).info.status == "KILLED"


@undrawn
def test_an_exception_leaves_failed_with_its_story(recipe, in_process, tmp_path):
    path = recipe('[[loss]]\nuse = "failing"\nparams = { at = 12 }\n', mode="process")
    code, errors = in_process(path, "--set", "checkpoints.every=5")
    assert code == 3
    assert re.search(r"fails at iteration 12: RuntimeError: planted fault", errors)

    folder = run_folder(tmp_path)
    assert checkpoints.load_newest(folder).iteration == 10
    assert status(folder)["status"] == "failed"
    assert "planted fault" in (folder.path / "crash.txt").read_text()
    run = mlflow_run(tmp_path, folder)
    assert run.info.status == "FAILED"
    assert "planted fault" in run.data.tags["ganforge.error"]


@undrawn
def test_memory_that_runs_out_is_reported_with_the_key_to_change(recipe, in_process):
    path = recipe('[[loss]]\nuse = "failing"\nparams = { at = 12, error = "MemoryError" }\n', mode="off")
    code, errors = in_process(path)
    assert code == 1
    assert "out of memory with batches of 16" in errors
    assert "train.batch_size" in errors
    assert "Traceback" not in errors


@undrawn
def test_a_part_that_ends_the_program_ends_a_failed_run(recipe, in_process, tmp_path):
    path = recipe('[[loss]]\nuse = "failing"\nparams = { at = 12, error = "SystemExit" }\n', mode="off")
    code, errors = in_process(path)
    assert code == 3
    assert re.search(r"fails at iteration 12: it called sys.exit", errors)
    assert "Traceback" not in errors
    assert status(run_folder(tmp_path))["status"] == "failed"


@pytest.mark.slow
def test_a_killed_run_is_marked_by_its_uploader(recipe, ganforge, plugins, tmp_path):
    process = ganforge("run", recipe(iterations=10_000_000, mode="process"), plugins=plugins)
    folder = run_folder(tmp_path)
    wait_for(lambda: status(folder).get("iteration", 0) > 20)
    wait_for(lambda: folder.acknowledged.exists() and json.loads(folder.acknowledged.read_text()).get("run_id"))
    process.kill()
    process.wait()
    wait_for(lambda: mlflow_run(tmp_path, folder).info.status == "KILLED")


@pytest.mark.slow
def test_a_killed_run_without_uploader_is_found_later(recipe, ganforge, plugins, tmp_path, empty_store, monkeypatch, capsys):
    empty_store(tmp_path)
    process = ganforge("run", recipe(iterations=10_000_000, mode="off"), plugins=plugins)
    folder = run_folder(tmp_path)
    wait_for(lambda: status(folder).get("iteration", 0) > 20)
    process.kill()
    process.wait()

    monkeypatch.chdir(tmp_path)
    assert main(["runs", "--json"]) == 0
    (messages,) = json.loads(capsys.readouterr().out)["runs"]
    assert messages["status"] == "killed"
    assert status(folder)["status"] == "killed"

    assert main(["sync", str(folder.path)]) == 0
    assert mlflow_run(tmp_path, folder).info.status == "KILLED"
