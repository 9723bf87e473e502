"""Finished runs measured again from their folders."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from ganforge.core.errors import IncompatiblePartsError, RunFolderError, StorageError, UsageError
from ganforge.runs.evaluation import (
    EvaluationRequest,
    _without_recipe_keys,
    evaluate,
    evaluate_and_record,
    parse_metric_args,
    record_evaluation,
)
from ganforge.runs.run_groups import read_evaluations
from ganforge.storage import journal
from ganforge.storage.run_folder import RunFolder
from ganforge.tracking import supervisor
from ganforge.tracking.delivery import Acknowledgement

SMOKE = Path(__file__).parents[2] / "recipes" / "smoke"


@pytest.fixture(scope="session")
def _finished(tmp_path_factory):
    from ganforge.session.run_plan import Options
    from ganforge.session.training_run import run

    lean = ('tracking.mode="off"', "pictures.gif=false", "pictures.final_figures=false", "pictures.every=20")
    root = tmp_path_factory.mktemp("runs")
    return run(Options(SMOKE / "grid.toml", lean, runs_dir=root), Console(file=io.StringIO())).folder


@pytest.fixture
def folder(_finished, tmp_path):
    """A finished run of the grid, which the test may change."""
    shutil.copytree(_finished, tmp_path / _finished.name)
    return RunFolder(tmp_path / _finished.name)


def test_measuring_again_gives_what_training_measured(folder):
    before = json.loads(folder.metrics.read_text())
    found = evaluate(folder, EvaluationRequest())
    assert {key: one.value for key, one in found.values.items()} == before["metrics"]
    assert found.protocols == before["protocols"]
    assert (found.iteration, found.weights, found.seed, found.failed) == (20, "ema", 0, {})
    assert found.remarks == ("modes is unreliable: only 64 samples, and it needs 100",)


def test_who_wrote_no_recipe_sees_no_tables(folder):
    (error,) = evaluate(folder, EvaluationRequest(("precision-recall",), samples=3)).failed.values()
    assert str(error) == "metric 'precision-recall' needs at least 6 samples, got 3 (set samples = 6)"


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("metric[0]: metric 'a/b' 1.0 cannot be built: no", "metric 'a/b' 1.0 cannot be built: no"),
        ("change metric[1].params; if they are right, report it", "change params; if they are right, report it"),
        ("give metric[0].params.weights_path", "give weights_path"),
    ],
)
def test_keys_of_tables_become_those_of_the_command_line(text, messages):
    assert _without_recipe_keys(IncompatiblePartsError(text)).message == messages


def test_any_metric_can_be_measured_with_other_samples_weights_and_draws(folder):
    request = EvaluationRequest(("wasserstein:order=1",), samples=50, seed=3, weights="raw", device="cpu")
    raw = evaluate(folder, request)
    assert raw.protocols["wasserstein"]["params"] == {"order": 1}
    assert [raw.protocols["wasserstein"][key] for key in ("samples", "generator", "seed")] == [50, "raw", 3]
    value = raw.values["wasserstein"].value
    assert value == evaluate(folder, request).values["wasserstein"].value
    for other in (
        EvaluationRequest(request.metrics, 50, 3, "ema"),
        EvaluationRequest(request.metrics, 50, 4, "raw"),
        EvaluationRequest(("wasserstein",), 50, 3, "raw"),
    ):
        assert evaluate(folder, other).values["wasserstein"].value != value


def test_a_metric_that_cannot_be_measured_stops_no_other_one(folder):
    found = evaluate(folder, EvaluationRequest(("label-match", "wasserstein:order=7", "nosuch", "modes")))
    assert set(found.protocols) == {"modes"}
    assert list(found.failed) == ["label-match", "wasserstein:order=7", "nosuch"]
    messages = [str(error) for error in found.failed.values()]
    assert messages[0].startswith("metric 'label-match' needs labels")
    assert messages[1] == "order: must be one of 1, 2, got 7"
    assert "installed metrics" in messages[2]


def test_a_third_party_error_is_one_line_that_blames_its_plugin(folder, monkeypatch):
    from ganforge.builtin.metrics.function_metric import FunctionMetric

    monkeypatch.setattr(FunctionMetric, "measure", lambda self, evaluation: 1 / 0)
    (error,) = evaluate(folder, EvaluationRequest()).failed.values()
    assert "metric 'modes' failed: ZeroDivisionError" in str(error)
    assert "authors of ganforge" in str(error)


def test_the_floor_is_what_other_real_samples_reach(folder):
    found = evaluate(folder, EvaluationRequest(("wasserstein:samples=400", "modes:samples=2500"), floor=True)).values
    assert 0.9 < found["modes/high-quality"].floor <= 1
    assert found["modes/high-quality"].floor == pytest.approx(0.9889, abs=0.01)
    assert 0 < found["wasserstein"].floor < found["wasserstein"].value


def test_a_floor_of_samples_that_are_drawn_twice_is_doubted(folder, monkeypatch):
    import torch

    from ganforge.builtin.datasets.dataset_specs import DrawnDataset
    from ganforge.core.records import Samples

    held_out = DrawnDataset.held_out

    def twice(self, count, generator):
        drawn = held_out(self, max(1, count // 2), generator).values
        return Samples(torch.cat([drawn, drawn])[:count])

    monkeypatch.setattr(DrawnDataset, "held_out", twice)
    found = evaluate(folder, EvaluationRequest(("wasserstein",), samples=40, floor=True))
    assert found.values["wasserstein"].floor == 0
    assert found.remarks == (
        "wasserstein is unreliable: only 40 samples, and it needs 100",
        "the floor of wasserstein is too good: 100% of its real samples are drawn twice; give it fewer with -n",
    )


def test_a_discriminator_that_is_gone_is_missed_by_none_that_needs_it_not(folder):
    begun, header, rest = folder.resolved.read_text().partition("[discriminator]\n")
    folder.resolved.write_text(begun + header + rest.replace("ganforge-vanilla/mlp@1", "gone", 1))
    found = evaluate(folder, EvaluationRequest())
    assert set(found.values) == {"modes/captured", "modes/high-quality", "modes/reverse-kl"}
    assert any("measured without the discriminator: no discriminator named 'gone'" in remark for remark in found.remarks)


@pytest.mark.parametrize(
    ("line", "now", "messages"),
    [
        ("seed = 0", 'seed = "a"', "train.seed: must be an integer"),
        ("seed = 0\n", "", "train.seed is missing"),
        ("[train]", "train = 3\n[other]", "damaged"),
        ("[train]", "[train", "damaged"),
    ],
)
def test_a_damaged_recipe_is_reported_before_anything_is_built(folder, line, now, messages):
    text = folder.resolved.read_text()
    assert line in text
    folder.resolved.write_text(text.replace(line, now, 1))
    with pytest.raises(RunFolderError, match=r"resolved.toml is damaged, or from another version of ganforge") as caught:
        evaluate(folder, EvaluationRequest(("modes",)))
    assert messages in caught.value.message


def test_a_run_that_never_began_cannot_be_measured(folder):
    folder.resolved.unlink()
    with pytest.raises(RunFolderError, match=r"has no resolved\.toml: this run never started"):
        evaluate(folder, EvaluationRequest(("modes",)))


def test_a_run_without_a_checkpoint_cannot_be_measured(folder):
    shutil.rmtree(folder.checkpoints)
    folder.checkpoints.mkdir()
    with pytest.raises(RunFolderError, match="no checkpoint"):
        evaluate(folder, EvaluationRequest())


def test_what_was_measured_is_appended_with_its_protocols_and_leaves_the_run_as_it_was(folder):
    final, status = folder.metrics.read_bytes(), folder.status.read_bytes()
    for samples in (40, 50):
        record_evaluation(evaluate(folder, EvaluationRequest(samples=samples)))
    first, second = read_evaluations(folder)
    assert [first["number"], second["number"]] == [1, 2]
    assert [one["protocols"]["modes"]["samples"] for one in (first, second)] == [40, 50]
    assert {"torch", "ganforge"} <= set(first["versions"])
    assert first["value_info"]["modes/captured"]["ideal"] == 25
    assert first["time"] <= second["time"]
    assert (folder.metrics.read_bytes(), folder.status.read_bytes()) == (final, status)

    kinds = [record["kind"] for _, record in journal.read(folder.journal)]
    assert kinds[kinds.index("end") :] == ["end", "evaluated", "file", "evaluated", "file"]


def test_a_run_that_was_never_delivered_is_measured_without_mlflow(folder):
    found = evaluate_and_record(folder, EvaluationRequest())
    assert (found.delivered, found.undelivered) == (None, None)
    assert {key: one.value for key, one in found.values.items()} == json.loads(folder.metrics.read_text())["metrics"]
    assert (folder.path / "evaluations.jsonl").exists()
    assert Acknowledgement.load(folder.acknowledged).run_id is None


def test_what_mlflow_does_not_get_is_safe_in_the_folder(folder, monkeypatch):
    def refuse(folder, uri):
        raise UsageError("no such store")

    folder.write_json(folder.acknowledged, {"store": "sqlite:////nowhere.db", "run_id": "m1", "described": True})
    monkeypatch.setattr(supervisor, "sync", refuse)
    assert evaluate_and_record(folder, EvaluationRequest()).undelivered == "no such store"
    assert len((folder.path / "evaluations.jsonl").read_text().splitlines()) == 1


def test_nothing_is_written_where_nothing_was_measured(folder):
    before = folder.journal.read_bytes()
    found = evaluate_and_record(folder, EvaluationRequest(("nosuch",)))
    assert set(found.failed) == {"nosuch"}
    assert folder.journal.read_bytes() == before
    assert not (folder.path / "evaluations.jsonl").exists()


def test_a_torn_file_is_refused_before_anything_is_measured(folder, caplog):
    (folder.path / "evaluations.jsonl").write_text('{"number": 1, "val')
    with caplog.at_level("INFO", logger="ganforge"), pytest.raises(StorageError, match=r"evaluations.jsonl:1 is damaged"):
        evaluate_and_record(folder, EvaluationRequest())
    assert "measuring" not in caplog.text


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning:")
def test_mlflow_gets_what_is_measured_later_and_the_run_stays_finished(folder, tmp_path, caplog):
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    delivered = supervisor.sync(folder, uri)
    caplog.set_level("INFO", logger="ganforge")
    for samples in (50, 40):
        found = evaluate_and_record(folder, EvaluationRequest(("wasserstein",), samples=samples), tracking_uri=uri)
        assert found.undelivered is None
    assert "measuring wasserstein" in caplog.text

    client = MlflowClient(uri)
    record = client.get_run(delivered.accepted.run_id)
    assert record.info.status == "FINISHED"
    history = client.get_metric_history(delivered.accepted.run_id, "evaluated/wasserstein")
    assert [metric.step for metric in history] == [1, 2]
    assert history[1].value == found.values["wasserstein"].value
    assert {"evaluations.jsonl", "metrics.json"} <= {item.path for item in client.list_artifacts(delivered.accepted.run_id)}


KNOWN = [{"use": "ganforge/wasserstein@1", "name": "wasserstein", "params": {"order": 2}, "samples": 2000, "every": 5}]


def tables(*texts, known=KNOWN, samples=None):
    return [dict(table) for _, table in parse_metric_args(texts, known, samples)]


def test_without_a_text_all_metrics_of_the_recipe_are_meant():
    assert tables() == [{"use": "ganforge/wasserstein@1", "name": "wasserstein", "params": {"order": 2}, "samples": 2000}]
    assert tables(samples=50)[0]["samples"] == 50


def test_a_name_of_the_recipe_keeps_its_parameters_and_any_other_is_a_component():
    (own,) = tables("wasserstein:samples=500", samples=50)
    assert own == {"use": "ganforge/wasserstein@1", "name": "wasserstein", "params": {"order": 2}, "samples": 500}
    (other,) = tables("acme-gan/modes@2:name=again")
    assert other == {"use": "acme-gan/modes@2", "name": "again", "params": {}}
    assert tables("ganforge/modes")[0]["name"] == "modes"


@pytest.mark.parametrize(
    ("text", "params"),
    [
        (
            "kernel:features=raw,widths=[1.0, 2.0],deep={ a = [1, 2] }",
            {"features": "raw", "widths": [1.0, 2.0], "deep": {"a": [1, 2]}},
        ),
        ("kernel:params.samples=3", {"samples": 3}),
        ("kernel:label='a, b',on=true", {"label": "a, b", "on": True}),
    ],
)
def test_values_are_toml(text, params):
    assert tables(text)[0]["params"] == params


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([""], "names no metric"),
        (["modes:"], "ends in a colon"),
        (["modes:order"], "'order' is not of the form key=value"),
        (["modes:order=1 2"], "order: '1 2' is not a TOML value"),
        (["parzen:widths=[inf]"], "recipes cannot hold inf"),
        (["parzen:name=nan"], "recipes cannot hold nan"),
        (["modes", "modes:order=1"], "two metrics are named 'modes'"),
    ],
)
def test_what_cannot_be_read_is_refused(texts, message):
    with pytest.raises(UsageError, match=message):
        tables(*texts)


@pytest.mark.parametrize(
    ("text", "params"),
    [
        ("wasserstein:order=.5", {"order": 0.5}),
        ("kernel:widths=(1, 2)", {"widths": [1, 2]}),
        ("kernel:on=True", {"on": True}),
        ("kernel:label=1 2", {"label": "1 2"}),
    ],
)
def test_the_remedy_for_a_value_can_be_copied(text, params):
    with pytest.raises(UsageError) as caught:
        tables(text)
    name, written = text.partition(":")[0], caught.value.remedy.removeprefix("write it as in a recipe: ")
    assert tables(f"{name}:{written}")[0]["params"] == params


def test_a_list_without_brackets_is_named():
    with pytest.raises(UsageError) as caught:
        tables("kernel:widths=1,2")
    assert caught.value.remedy == "a list needs brackets: widths=[1, …]"
    assert tables("kernel:widths=[1, 2]")[0]["params"] == {"widths": [1, 2]}


def test_a_recipe_without_metrics_needs_a_text():
    with pytest.raises(UsageError, match="names no metric"):
        tables(known=[])
