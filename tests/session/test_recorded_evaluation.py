"""Runs measured again, in their folders and in MLflow."""

from __future__ import annotations

import json

import pytest

from ganforge.core.errors import StorageError, UsageError
from ganforge.runs.evaluation import Wish
from ganforge.session import recorded_evaluation
from ganforge.session.recorded_evaluation import evaluate_and_record
from ganforge.session.run_plan import Options
from ganforge.session.training_run import run
from ganforge.storage.run_folder import RunFolder
from ganforge.tracking.acknowledgement import Ack

METRIC = '[[metric]]\nuse = "wasserstein"\nsamples = 50\n'


@pytest.fixture
def folder(recipe, console, tmp_path):
    path = recipe(METRIC, iterations=2)
    return RunFolder(run(Options(path, ("pictures.gif=false",), runs_dir=tmp_path / "runs"), console).folder)


def test_a_run_that_was_never_delivered_is_measured_without_mlflow(folder, tmp_path):
    found = evaluate_and_record(folder, Wish())
    assert (found.mlflow, found.undelivered) == (None, None)
    assert found.evaluated.values["wasserstein"].value == json.loads(folder.metrics.read_text())["metrics"]["wasserstein"]
    assert (folder.path / "evaluations.jsonl").exists()
    assert not (tmp_path / "mlflow.db").exists()


def test_what_mlflow_does_not_get_is_safe_in_the_folder(folder, monkeypatch):
    def refuse(folder, uri):
        raise UsageError("no such store")

    Ack(store="sqlite:////nowhere.db", run_id="m1", begun=True).save(folder.acknowledged)
    monkeypatch.setattr(recorded_evaluation, "sync", refuse)
    assert evaluate_and_record(folder, Wish()).undelivered == "no such store"
    assert len((folder.path / "evaluations.jsonl").read_text().splitlines()) == 1


def test_nothing_is_written_where_nothing_was_measured(folder):
    before = folder.journal.read_bytes()
    found = evaluate_and_record(folder, Wish(("modes",)))
    assert set(found.evaluated.failed) == {"modes"}
    assert folder.journal.read_bytes() == before
    assert not (folder.path / "evaluations.jsonl").exists()


def test_what_was_torn_is_told_before_anything_is_measured(folder):
    (folder.path / "evaluations.jsonl").write_text('{"number": 1, "val')
    told = []
    with pytest.raises(StorageError, match=r"evaluations.jsonl:1 is damaged"):
        evaluate_and_record(folder, Wish(), told=told.append)
    assert told == []


@pytest.mark.filterwarnings("default")
def test_mlflow_gets_what_is_measured_later_and_the_run_stays_finished(folder, tmp_path):
    from mlflow import MlflowClient

    from ganforge.tracking.resend import sync

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    delivered = sync(folder, uri)
    for samples in (50, 40):
        found = evaluate_and_record(folder, Wish(samples=samples), tracking_uri=uri)
        assert found.undelivered is None

    client = MlflowClient(uri)
    record = client.get_run(delivered.run_id)
    assert record.info.status == "FINISHED"
    history = client.get_metric_history(delivered.run_id, "evaluated/wasserstein")
    assert [metric.step for metric in history] == [1, 2]
    assert history[1].value == found.evaluated.values["wasserstein"].value
    assert history[0].value == record.data.metrics["eval/wasserstein"]
    assert {"evaluations.jsonl", "metrics.json"} <= {item.path for item in client.list_artifacts(delivered.run_id)}
