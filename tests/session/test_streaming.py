"""Runs whose pictures are decoded by workers: nothing else differs, and nothing of them is left."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ganforge.builtin.datasets.dataset_specs import held_out_mask
from ganforge.cli.app import main
from ganforge.session.run_plan import Options
from ganforge.session.training_run import run
from ganforge.storage import checkpoints
from ganforge.storage.run_folder import RunFolder

COUNT = 40
BATCH = 7  # no divisor of the training pictures' number, so that batches span epochs
RECIPE = f"""
[train]
iterations = 12
batch_size = {BATCH}
discriminator_steps = 2
[dataset]
use = "image-folder"
params = {{ folder = "pictures", size = 8, labels = false, stream = true }}
workers = 2
[sampler]
use = "normal"
params = {{ size = 4 }}
[generator]
use = "mlp"
params = {{ hidden = [8], output = "tanh" }}
[discriminator]
use = "maxout"
params = {{ units = [6], pieces = 2, dropout = 0.5 }}
[[loss]]
use = "non-saturating"
[[metric]]
use = "wasserstein"
every = 6
samples = 10
[pictures]
every = 12
samples = 4
gif = false
[tracking]
mode = "off"
"""


undrawn = pytest.mark.usefixtures("without_pictures")
waiting = pytest.mark.skipif(not Path("/proc").is_dir(), reason="there is no /proc")
"""A test that starts runs, waits for them, and looks for their processes in /proc."""


@pytest.fixture
def pictures(tmp_path):
    """The files in the order of their names."""
    draw = np.random.default_rng(0)
    (tmp_path / "pictures").mkdir()
    files = [tmp_path / "pictures" / f"{number:02}.png" for number in range(COUNT)]
    for file in files:
        Image.fromarray(draw.integers(0, 256, (9, 11, 3), dtype=np.uint8)).save(file)
    return files


@pytest.fixture
def recipe(tmp_path, pictures):
    (tmp_path / "streamed.toml").write_text(RECIPE)
    return tmp_path / "streamed.toml"


def state(folder):
    return dict(checkpoints.load_newest(RunFolder(folder)).state.tensors)


def differing(found, expected):
    ours, theirs = state(found), state(expected)
    assert ours.keys() == theirs.keys()
    return [key for key in theirs if not torch.equal(ours[key], theirs[key])]


@undrawn
def test_streamed_or_not_and_by_how_many_makes_no_difference(recipe, console, tmp_path):
    ways = ["dataset.params.stream=false", "dataset.workers=0", "dataset.workers=3"]
    results = [run(Options(recipe, (way,), runs_dir=tmp_path / str(at)), console) for at, way in enumerate(ways)]

    inside, *streamed = results
    assert {result.status for result in results} == {"finished"}
    for result in streamed:
        assert differing(result.folder, inside.folder) == []
        assert result.metrics == inside.metrics


@undrawn
@pytest.mark.parametrize(("at", "before", "after"), [pytest.param(1, 2, 0, marks=pytest.mark.slow), (7, 0, 2)])
def test_going_on_in_the_middle_of_an_epoch_equals_never_having_stopped(recipe, console, tmp_path, stop_at, at, before, after):
    whole = run(Options(recipe, runs_dir=tmp_path / "whole"), console)
    with stop_at(at):
        broken = run(Options(recipe, (f"dataset.workers={before}",), runs_dir=tmp_path / "broken"), console)
    assert (broken.status, broken.iterations) == ("stopped", at)
    assert at * 2 * BATCH % int((~held_out_mask(COUNT, None, 0.1)).sum()) != 0

    torch.rand(5)
    options = Options(recipe, (f"dataset.workers={after}",), resume=str(broken.folder), runs_dir=tmp_path / "broken")
    resumed = run(options, console)
    assert (resumed.status, resumed.folder) == ("finished", broken.folder)
    assert differing(resumed.folder, whole.folder) == []
    assert resumed.metrics == whole.metrics


@pytest.fixture
def command(recipe):
    """Starts a run in a group of its own, which is ended at the end of the test."""
    started = []

    def command(*words):
        process = subprocess.Popen(
            [sys.executable, "-m", "ganforge", "run", str(recipe), "--json", *words],
            cwd=recipe.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        started.append(process)
        return process

    yield command
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def group(leader):
    """The processes of a process's group that are still there."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            state, _, of = (place / "stat").read_text().rpartition(") ")[2].split()[:3]
        except OSError:
            continue
        if int(of) == leader and state != "Z":
            found.append(int(place.name))
    return found


def wait_for(found, seconds=60):
    deadline = time.monotonic() + seconds
    while not (result := found()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)
    return result


def trains(process, folder):
    def iteration():
        assert process.poll() is None, process.communicate()
        return max((json.loads(path.read_text()).get("iteration", 0) for path in folder.glob("runs/*/*/status.json")), default=0)

    def reached():
        return iteration() > 5

    reached.iteration = iteration
    return reached


@undrawn
@pytest.mark.parametrize("workers", [0, 2])
def test_a_picture_damaged_or_gone_under_way_ends_the_run_with_its_name(recipe, pictures, workers, monkeypatch, capsys):
    mask = held_out_mask(COUNT, None, 0.1)
    victim = pictures[(~mask).nonzero()[5].item()]
    victim.write_bytes(victim.read_bytes()[:-40])  # its head is sound, so this shows when it is decoded

    monkeypatch.chdir(recipe.parent)
    assert main(["run", str(recipe), "--json", "--set", f"dataset.workers={workers}"]) == 2
    output, errors = capsys.readouterr()
    assert output == ""
    assert f"{victim} is damaged" in errors.replace("\n", "")
    assert "Traceback" not in errors
    (folder,) = recipe.parent.glob("runs/*/*")
    assert json.loads((folder / "status.json").read_text())["status"] == "failed"
    assert not multiprocessing.active_children()


@waiting
@pytest.mark.parametrize(
    ("signals", "code"),
    [
        pytest.param([signal.SIGINT], 130, marks=pytest.mark.slow),
        pytest.param([signal.SIGTERM], 143, marks=pytest.mark.slow),
        pytest.param([signal.SIGINT] * 2, 130, marks=pytest.mark.slow),
    ],
)
def test_a_signal_to_all_ends_the_workers_too_and_saves_first_and_one_to_the_workers_does_nothing(recipe, command, signals, code):
    process = command("--set", "train.iterations=1000000", "--set", "checkpoints.every=1000000")
    reached = trains(process, recipe.parent)
    wait_for(reached)
    assert len(group(process.pid)) >= 3
    if len(signals) == 1:  # to the workers alone: the training keeps its data
        for worker in set(group(process.pid)) - {process.pid}:
            os.kill(worker, signals[0])
        before = reached.iteration()
        wait_for(lambda: reached.iteration() > before + 50)
    for number in signals:
        os.killpg(process.pid, number)  # as a terminal sends it: to the workers as well
    output, errors = process.communicate(timeout=120)

    assert process.returncode == code, errors
    assert "Traceback" not in errors
    assert errors.count("finishing this iteration") == 1
    if len(signals) == 1:
        assert json.loads(output)["status"] == "stopped"
        assert list(recipe.parent.glob("runs/*/*/checkpoints/*"))
    wait_for(lambda: not group(process.pid), 10)


@pytest.mark.slow
@waiting
def test_a_worker_that_was_killed_ends_the_run_and_the_other_workers(recipe, command):
    process = command("--set", "train.iterations=1000000", "--set", "checkpoints.every=1000000")
    wait_for(trains(process, recipe.parent))
    os.kill(max(set(group(process.pid)) - {process.pid}), signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1, errors
    assert "a data worker process was killed" in errors
    wait_for(lambda: not group(process.pid), 10)


@pytest.mark.slow
@waiting
def test_workers_keep_no_lock_of_a_run_that_was_killed(recipe, command):
    process = command("--set", "train.iterations=1000000", "--set", "checkpoints.every=2")
    wait_for(trains(process, recipe.parent))
    wait_for(lambda: list(recipe.parent.glob("runs/*/*/checkpoints/*/MANIFEST.json")))
    process.kill()
    process.communicate(timeout=60)
    (folder,) = recipe.parent.glob("runs/*/*")
    with RunFolder(folder).locked():
        pass
    wait_for(lambda: not group(process.pid), 10)
