"""A real run read back with MLflow's own client, and its model loaded with pickle forbidden."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from ganforge.cli.app import main
from ganforge.storage import journal
from ganforge.testing import fake_plugin
from ganforge.tracking.mlflow_sink import chart_key

# MLflow is read in this process, and warns of its own dependencies.
pytestmark = pytest.mark.filterwarnings("default")

ROOT = Path(__file__).parents[2]
SMOKE = ROOT / "recipes" / "smoke" / "infogan_moons.toml"

PREDICT = """
import sys, mlflow, numpy as np
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
table = model.predict(None, params={"n": 6, "seed": 5, "code": [1.0]})
np.savez(sys.argv[3], values=table[["x0", "x1"]].to_numpy(), codes=table[[c for c in table if c.startswith("code")]].to_numpy())
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A smoke run, delivered to a new store, and the folder that it was started in."""
    here = tmp_path_factory.mktemp("finished")
    output = io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(output):
        patch.chdir(here)
        assert main(["run", str(SMOKE), "--json", "--set", 'tracking.resolution="full"']) == 0
    return json.loads(output.getvalue()), here


def test_mlflow_has_what_the_run_folder_has(finished):
    from mlflow import MlflowClient

    finished, here = finished
    client = MlflowClient(finished["mlflow"]["tracking_uri"])
    run = client.get_run(finished["mlflow"]["run_id"])
    folder = here / finished["folder"]
    identity = json.loads((folder / "run.json").read_text())

    assert run.info.status == "FINISHED"
    assert client.get_experiment(run.info.experiment_id).name == "smoke"
    assert run.data.params == {
        "dataset": "moons",
        "sampler": "structured",
        "generator": "mlp",
        "discriminator": "infogan-mlp",
        "loss": "non-saturating + mutual-information + r1",
        "iterations": "20",
        "batch_size": "16",
        "seed": "0",
    }
    recipe = {key.removeprefix("recipe.") for key in run.data.tags if key.startswith("recipe.")}
    assert not {key for key in recipe if key.startswith(("health.", "title", "description", "expect", "tracking"))}
    assert {"loss.non-saturating.weight", "generator.optimizer.lr.start"} <= recipe
    assert {key.partition("/")[0] for key in run.data.metrics} <= {"1-loss", "2-eval", "5-health", "rate", "perf"}
    assert all(key.count("/") == 1 for key in run.data.metrics)
    assert run.data.tags["recipe.discriminator.use"].startswith("ganforge-infogan/infogan-mlp")
    assert run.data.tags["ganforge.run_id"] == identity["id"]
    assert run.data.tags["ganforge.seed"] == "0"
    assert run.data.tags["mlflow.source.name"] == str(SMOKE)
    assert "ganforge-infogan" in run.data.tags["ganforge.plugins"]
    (dataset,) = run.inputs.dataset_inputs
    assert dataset.dataset.name == "moons"

    for record in (record for _, record in journal.read(folder / "events.jsonl")):
        if record["kind"] == "metrics":
            for key, values in record["values"].items():
                if key.startswith("perf/"):
                    continue
                stored = {metric.step: metric.value for metric in client.get_metric_history(run.info.run_id, chart_key(key))}
                assert [stored[at] for at in record["iterations"]] == pytest.approx(values), key
        if record["kind"] == "eval":
            for key, value in record["values"].items():
                history = client.get_metric_history(run.info.run_id, chart_key(key))
                assert [metric.value for metric in history if metric.step == record["iteration"]] == pytest.approx([value])
    losses = client.get_metric_history(run.info.run_id, "1-loss/generator.total")
    assert sorted(metric.step for metric in losses) == list(range(1, 21))

    artifacts = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert {"recipe", "images", "pictures", "metrics.json", "report.html"} <= artifacts
    assert {item.path for item in client.list_artifacts(run.info.run_id, "recipe")} >= {
        "recipe/recipe.toml",
        "recipe/resolved.toml",
    }
    images = [item.path for item in client.list_artifacts(run.info.run_id, "images") if item.path.endswith(".png")]
    pictured = {int(path.stem.rpartition("-")[2]) for path in folder.glob("pictures/samples-*.png")}
    assert {int(path.split("+step+")[1].split("+")[0]) for path in images if "samples" in path} == pictured
    assert [sum(name in path for path in images) for name in ("interpolation", "traversal")] == [1, 1]
    assert {item.path for item in client.list_artifacts(run.info.run_id, "pictures")} >= {
        "pictures/interpolation.gif",
        "pictures/traversal.gif",
    }
    assert finished["mlflow"]["undelivered"] is False


@pytest.mark.slow
def test_the_model_samples_with_pickle_forbidden(finished, tmp_path, monkeypatch):
    from mlflow import MlflowClient

    finished, here = finished
    uri = finished["mlflow"]["tracking_uri"]
    (model,) = MlflowClient(uri).search_logged_models([finished["mlflow"]["experiment_id"]])
    assert str(model.status) == "READY"
    out = tmp_path / "predicted.npz"
    env = {**os.environ, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    done = subprocess.run(
        [sys.executable, "-c", PREDICT, uri, f"models:/{model.model_id}", out], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr

    sampled = tmp_path / "sampled.npz"
    monkeypatch.chdir(here)
    assert main(["sample", finished["run"], "-n", "6", "--seed", "5", "--code", "1", "--out", str(sampled)]) == 0
    np.testing.assert_allclose(np.load(out)["values"], np.load(sampled)["values"], rtol=1e-6)
    assert set(np.load(out)["codes"][:, 0]) == {1.0}


@pytest.mark.slow
def test_many_seeds_stand_below_one_parent(ganforge, recipe, tmp_path):
    from mlflow import MlflowClient

    path = recipe('[[metric]]\nuse = "wasserstein"\nsamples = 50\n', mode="inline", iterations=2)
    process = ganforge("run", path, "--seeds", "2", "--jobs", "2", "--json")
    output, errors = process.communicate(timeout=280)
    assert process.returncode == 0, errors
    swept = json.loads(output)

    assert [run["seed"] for run in swept["seeds"]] == [0, 1]
    values = sorted(run["metrics"]["wasserstein"] for run in swept["seeds"])
    assert len(set(values)) == 2
    assert swept["spread"]["wasserstein"] == {"median": sum(values) / 2, "min": values[0], "max": values[1]}

    client = MlflowClient(swept["mlflow"]["tracking_uri"])
    parent = client.get_run(swept["mlflow"]["run_id"])
    assert parent.info.status == "FINISHED"
    note = parent.data.tags["mlflow.note.content"]
    assert re.search(r"Again: `ganforge run .* --seeds 2`", note)
    command = shlex.split(re.search(r"Compare: `ganforge (.*)`", note)[1])
    assert main(command) == 0
    assert parent.data.tags["mlflow.user"]
    assert parent.data.metrics["4-seeds/wasserstein"] == pytest.approx(sum(values) / 2)
    assert sum(swept["health"]["seeds"].values()) == 2
    assert parent.data.tags["ganforge.health"] == swept["health"]["verdict"] == next(iter(swept["health"]["seeds"]))
    assert parent.data.tags["ganforge.health.seeds"] == ", ".join(f"{n} {word}" for word, n in swept["health"]["seeds"].items())
    for run in swept["seeds"]:
        child = client.get_run(run["mlflow"]["run_id"])
        assert child.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert child.data.tags["ganforge.health"] == run["health"]["verdict"]


MINE = """
from ganforge.plugin import hookimpl
from ganforge.testing.stub_components import LinearGenerator as build_generator

@hookimpl
def ganforge_register_generators(register):
    register("mine", build_generator, summary="My own.")
"""


@pytest.mark.slow
def test_uploader_sync_and_sample_stand_under_the_switches_of_the_run(ganforge, recipe, tmp_path):
    """A local generator, and an installed plugin that leaves a trace wherever it is imported."""
    from mlflow import MlflowClient

    trace = tmp_path / "imported"
    fake_plugin(tmp_path / "site", name="loud-gan", source=f"from pathlib import Path\nPath({str(trace)!r}).touch()\n")
    site = os.pathsep.join(filter(None, [str(tmp_path / "site"), os.environ.get("PYTHONPATH")]))
    (tmp_path / "my_gan.py").write_text(MINE)
    path = recipe(mode="process", iterations=2)
    path.write_text(path.read_text().replace('use = "mlp"\nparams = { hidden = [8] }', 'use = "mine"', 1))
    switches = ["--plugin", "my_gan.py", "--no-plugin", "loud-gan", "--strict-plugins"]

    def done(*arguments):
        process = ganforge(*arguments, *switches, PYTHONPATH=site)
        output, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
        return output

    ran = json.loads(done("run", path, "--json"))
    done("sync", ran["run"])
    done("sample", ran["run"], "--out", "here.npz", "-n", "6", "--seed", "5")
    assert not trace.exists()

    uri = ran["mlflow"]["tracking_uri"]
    (model,) = MlflowClient(uri).search_logged_models([ran["mlflow"]["experiment_id"]])
    at, stored = f"models:/{model.model_id}", Path(urlsplit(model.artifact_location).path)
    required = {line.partition("==")[0] for line in (stored / "requirements.txt").read_text().split()}
    assert {"ganforge", "ganforge-vanilla", "torch"} <= required
    assert not {"loud-gan", "ganforge-infogan", "local"} & required
    assert [path.read_text() for path in stored.rglob("plugins/my_gan.py")] == [MINE]

    # Without the file the model says what it lacks; a project that names it, or the kept copy, is enough.
    sampling = [sys.executable, "-c", PREDICT.replace(', "code": [1.0]', ""), uri, at, str(tmp_path / "there.npz")]
    env = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    refused = subprocess.run(sampling, env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert "name the file with --plugin FILE.py or in pyproject.toml" in refused.stderr
    copy = tmp_path / ran["folder"] / "plugins" / "my_gan.py"
    (tmp_path / "pyproject.toml").write_text(f"[tool.ganforge.plugins]\nlocal = ['{copy}']\n")
    answered = subprocess.run(sampling, env=env, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert answered.returncode == 0, answered.stderr
    np.testing.assert_allclose(np.load(tmp_path / "there.npz")["values"], np.load(tmp_path / "here.npz")["values"], rtol=1e-6)
