"""The generator as an MLflow model: logged by the uploader, loaded with pickle forbidden, sampled with params."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

# MLflow's and SQLAlchemy's own; the uploader's process ignores them all
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:", "ignore::UserWarning:")

# A stand-in for ganforge.runs.loaded_generator: a real module with the real signature, whose samples show what was asked of it.
LOADING = """
import json
from pathlib import Path
import numpy as np

class LoadedGenerator:
    def __init__(self, folder):
        self.width = json.loads((folder / "run.json").read_text())["width"]
        assert (folder / "generator.safetensors").is_file()

    def sample(self, n, seed, label, code):
        values = np.random.default_rng(seed).normal(size=(n, 1, self.width))
        labels = np.full(n, 3 if label is None else int(label))
        codes = np.zeros((n, 2)) if code is None else np.tile(np.array(code, dtype=float), (n, 1))
        return {"values": values, "labels": labels, "noise": values, "codes": codes}

def load(folder):
    return LoadedGenerator(Path(folder))
"""

ASK = """
import json, sys, types
if sys.argv[2]:
    runs = types.ModuleType("ganforge.runs"); runs.__path__ = []
    loading = types.ModuleType("ganforge.runs.loaded_generator")
    exec(open(sys.argv[2]).read(), loading.__dict__)
    sys.modules["ganforge.runs"] = runs
    sys.modules["ganforge.runs.loaded_generator"] = loading
import mlflow
model = mlflow.pyfunc.load_model(sys.argv[1])
answers = [model.predict(None, params=params).to_dict(orient="list") for params in json.loads(sys.argv[3])]
print(json.dumps(answers))
"""


def ask(path, loading, *asked):
    """Load the model in a process of its own, with pickle forbidden, and sample from it once for each params."""
    import os

    answer = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ASK, str(path), str(loading or ""), json.dumps(asked)],
        env={**os.environ, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout.splitlines()[-1])


@pytest.fixture
def loading(tmp_path):
    path = tmp_path / "loading.py"
    path.write_text(LOADING)
    return path


@pytest.fixture
def weights(folder):
    """The folder that a model record names."""
    model = folder.path / "model"
    model.mkdir()
    (model / "run.json").write_text('{"width": 2}')
    (model / "generator.safetensors").write_bytes(b"weights")
    return model


def test_the_generator_is_logged_once_and_samples_with_params(trainer, weights, uri, read_back, loading, monkeypatch):
    import threading

    from ganforge.tracking.tracking_store import resolve_store
    from ganforge.tracking.uploader import upload

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    trainer.begin()
    trainer.evaluate(600, wasserstein=0.25)
    trainer.record("model", path="model", iteration=600, requirements=["ganforge==0.1.0", "torch==2.13.0"])
    trainer.end()
    over = threading.Event()
    over.set()
    upload(trainer.folder, resolve_store(uri), over, drain_timeout=5.0)
    trainer.folder.acknowledged.unlink()
    state = upload(trainer.folder, resolve_store(uri), over, drain_timeout=5.0)  # delivered twice, logged once

    assert state.phase == "done", state.message
    assert not (trainer.folder.path / "rejected.jsonl").exists()
    record = read_back(uri, trainer.start.run_id)
    (model,) = record.client.search_logged_models([record.run.info.experiment_id])
    assert model.name == "generator"
    assert str(model.status) == "READY"
    assert model.source_run_id == record.run.info.run_id
    assert [(metric.key, metric.value) for metric in model.metrics] == [("2-eval/wasserstein", 0.25)]
    assert record.points["eval/wasserstein"] == [(600, 0.25)]
    assert [output.model_id for output in record.run.outputs.model_outputs] == [model.model_id]

    location = Path(model.artifact_location.removeprefix("file://"))
    assert {path.suffix for path in location.rglob("*") if path.is_file()} & {".pkl", ".pickle", ".pt", ".pth"} == set()
    assert "torch==2.13.0" in (location / "requirements.txt").read_text()

    default, one, again, other = ask(
        location,
        loading,
        {},
        {"n": 3, "seed": 7, "label": "1", "code": [1.0, 0.5]},
        {"n": 3, "seed": 7},
        {"n": 3, "seed": 8},
    )
    assert len(default["x0"]) == 16
    assert set(one) == {"x0", "x1", "label", "code0", "code1"}
    assert one["label"] == [1, 1, 1]
    assert (one["code0"], one["code1"]) == ([1.0] * 3, [0.5] * 3)
    assert again["label"] == [3, 3, 3]  # "" means any, which the generator hears as None
    assert one["x0"] == again["x0"] != other["x0"]


def test_requirements_are_pinned_and_installable():
    from ganforge.tracking.mlflow_model import library_requirements

    requirements = dict(line.split("==") for line in library_requirements())

    assert {"torch", "mlflow", "numpy", "pandas", "safetensors"} <= requirements.keys()
    assert all(version and "+" not in version for version in requirements.values())
