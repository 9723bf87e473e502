"""One run in this process: what it leaves behind, and that resuming equals never having stopped."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ganforge.cli.app import main
from ganforge.core.errors import GanforgeError, RecipeError, RunFolderError, UsageError
from ganforge.core.events import HealthChecked, HealthSamples, Stepped
from ganforge.core.findings import Finding
from ganforge.recipe.config import Expectation
from ganforge.runs.loaded_generator import load
from ganforge.session import training_loop
from ganforge.session.run_plan import Options
from ganforge.session.sweep import check_expectation
from ganforge.session.training_run import run
from ganforge.storage import checkpoints, journal
from ganforge.storage.run_folder import RunFolder

SMOKE = sorted((Path(__file__).parents[2] / "recipes" / "smoke").glob("*.toml"))
undrawn = pytest.mark.usefixtures("without_pictures")
OFF = 'tracking.mode="off"'
LEAN = (OFF, "pictures.every=20", "pictures.gif=false", "pictures.final_figures=false")


def newest(folder: Path) -> dict[str, torch.Tensor]:
    return dict(checkpoints.load_newest(RunFolder(folder)).state.tensors)


def assert_same_state(found: Path, expected: Path) -> None:
    ours, theirs = newest(found), newest(expected)
    assert ours.keys() == theirs.keys()
    assert [key for key in theirs if not torch.equal(ours[key], theirs[key])] == []


def test_a_run_leaves_all_that_is_needed_and_says_how_it_ended(recipe, console, tmp_path):
    path = recipe('[[metric]]\nuse = "wasserstein"\nsamples = 50\n')
    result = run(Options(path, runs_dir=tmp_path / "runs"), console)

    assert (result.status, result.exit_code, result.iterations, result.seed) == ("finished", 0, 20, 0)
    assert result.folder.parent == tmp_path / "runs" / "small"
    assert result.metrics["wasserstein"] > 0
    plain = json.loads(json.dumps(result.to_plain()))
    assert {"run", "folder", "status", "iterations", "seconds", "iterations_per_second", "metrics", "health", "mlflow"} <= set(
        plain
    )
    assert set(plain["health"]) == {"verdict", "findings"}
    assert plain["health"]["verdict"] in {"healthy", "warn", "fail", "not monitored"}
    assert json.loads(result.folder.joinpath("metrics.json").read_text())["health"] == plain["health"]
    assert plain["mlflow"]["tracking_uri"].startswith("sqlite:////")

    names = {str(each.relative_to(result.folder)) for each in result.folder.rglob("*") if each.is_file()}
    wanted = {"recipe.toml", "resolved.toml", "lock.json", "run.json", "specs.json", "events.jsonl", "metrics.json", "status.json"}
    assert wanted <= names
    assert {f"pictures/samples-{at:08}.png" for at in (0, 10, 20)} <= names
    assert {"pictures/training.gif", "pictures/losses.png", "pictures/metrics.png", "model/generator.safetensors"} <= names
    assert not (tmp_path / "mlflow.db").exists()
    assert result.folder.joinpath("recipe.toml").read_text() == path.read_text()
    assert json.loads(result.folder.joinpath("status.json").read_text())["status"] == "finished"

    records = [record for _, record in journal.read(result.folder / "events.jsonl")]
    kinds = [record["kind"] for record in records]
    assert kinds[0] == "start"
    assert kinds[-1] == "end"
    assert records[-1]["status"] == "FINISHED"
    assert [
        i
        for record in records
        if record["kind"] == "metrics"
        for i in record["iterations"]
        if "loss/generator/total" in record["values"]
    ] == list(range(1, 21))
    assert sum(record["kind"] == "image" for record in records) == 3


@pytest.mark.slow
@pytest.mark.parametrize("path", SMOKE, ids=lambda path: path.stem)
@pytest.mark.parametrize("at", [1, 13])
def test_every_smoke_recipe_resumes_bit_equal(path, at, console, tmp_path, stop_at):
    whole = run(Options(path, LEAN, runs_dir=tmp_path / "whole"), console)
    assert whole.status == "finished"

    with stop_at(at):
        broken = run(Options(path, LEAN, runs_dir=tmp_path / "broken"), console)
    assert (broken.status, broken.iterations) == ("stopped", at)

    torch.rand(5)
    resumed = run(Options(path, LEAN, resume=str(broken.folder), runs_dir=tmp_path / "broken"), console)
    assert (resumed.status, resumed.folder, resumed.iterations) == ("finished", broken.folder, 20)
    assert_same_state(resumed.folder, whole.folder)
    assert resumed.metrics == whole.metrics


@undrawn
def test_one_seed_repeats_bit_equal_and_set_changes_it(recipe, console, tmp_path):
    path = recipe()
    first = run(Options(path, runs_dir=tmp_path / "a"), console)
    again = run(Options(path, runs_dir=tmp_path / "b"), console)
    other = run(Options(path, ("train.seed=1",), runs_dir=tmp_path / "c"), console)
    assert_same_state(again.folder, first.folder)
    assert not torch.equal(
        newest(other.folder)["generator/" + _first_weight(other.folder)],
        newest(first.folder)["generator/" + _first_weight(first.folder)],
    )


def _first_weight(folder: Path) -> str:
    return next(key.removeprefix("generator/") for key in newest(folder) if key.startswith("generator/") and key.endswith("weight"))


@undrawn
def test_resume_alone_takes_the_runs_own_recipe(recipe, console, tmp_path, stop_at):
    path = recipe()
    with stop_at(7):
        broken = run(Options(path, runs_dir=tmp_path / "runs"), console)
    path.unlink()
    resumed = run(Options(None, resume=broken.run, runs_dir=tmp_path / "runs"), console)
    assert (resumed.status, resumed.iterations, resumed.folder) == ("finished", 20, broken.folder)


@undrawn
def test_a_changed_recipe_is_not_resumed(recipe, console, tmp_path, stop_at):
    path = recipe()
    with stop_at(7):
        broken = run(Options(path, runs_dir=tmp_path / "runs"), console)
    with pytest.raises(UsageError, match=r"train\.batch_size: 16 → 32"):
        run(Options(path, ("train.batch_size=32",), resume=broken.run, runs_dir=tmp_path / "runs"), console)
    assert not [record for _, record in journal.read(broken.folder / "events.jsonl") if record["kind"] == "changed"]
    wanted = ("pictures.every=5", 'tracking.tags={ token = "canary-4711" }')
    resumed = run(Options(path, wanted, resume=broken.run, runs_dir=tmp_path / "runs"), console)
    assert resumed.status == "finished"
    (messages,) = (record for _, record in journal.read(broken.folder / "events.jsonl") if record["kind"] == "changed")
    assert (messages["iteration"], messages["values"]["pictures.every"]) == (7, ["10", "5"])
    assert messages["values"]["tracking.tags.token"] == ["", "***"]
    assert set(messages["values"]) == {"pictures.every", "tracking.tags.token"}


@undrawn
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_taken(recipe, console, tmp_path):
    result = run(Options(recipe("[checkpoints]\nevery = 5\n"), runs_dir=tmp_path / "runs"), console)
    victim = max(result.folder.joinpath("checkpoints").iterdir()) / "generator.safetensors"
    data = bytearray(victim.read_bytes())
    data[-3] ^= 1
    victim.write_bytes(data)
    resumed = run(Options(None, resume=result.run, runs_dir=tmp_path / "runs"), console)
    assert (resumed.status, resumed.iterations) == ("finished", 20)
    messages = console.file.getvalue()
    assert "00000020" in messages
    assert "damaged" in messages or "sha256" in messages

    for checkpoint in result.folder.joinpath("checkpoints").iterdir():
        (checkpoint / "state.json").unlink()
    with pytest.raises(RunFolderError):
        run(Options(None, resume=result.run, runs_dir=tmp_path / "runs"), console)


def test_nothing_is_created_for_a_recipe_with_mistakes(recipe, console, tmp_path):
    path = recipe('[[metric]]\nuse = "wasserstien"\n')
    with pytest.raises(RecipeError, match="wasserstein"):
        run(Options(path, runs_dir=tmp_path / "runs"), console)
    assert not (tmp_path / "runs").exists()


def test_nothing_is_created_for_data_that_is_missing(recipe, console, tmp_path):
    path = recipe()
    path.write_text(
        path.read_text().replace('use = "moons"\nparams = { samples = 200 }', 'use = "arrays"\nparams = { file = "none.npy" }')
    )
    with pytest.raises(GanforgeError, match=r"none\.npy"):
        run(Options(path, runs_dir=tmp_path / "runs"), console)
    assert not (tmp_path / "runs").exists()


def test_what_a_watch_sees_stands_in_folder_and_result(recipe, console, tmp_path, monkeypatch):

    collapse = Finding("diversity", "mode collapse", "fail", "samples near 12% of the data only", 10, 10, "packing", "a.b")

    def monitored(events, monitor):
        for event in events:
            if isinstance(event, HealthSamples):
                continue
            yield event
            if isinstance(event, Stepped) and event.iteration in {5, 10, 15}:
                found = (collapse,) if event.iteration > 5 else ()
                yield HealthChecked(event.iteration, {"diversity": 1 / event.iteration}, found)

    monkeypatch.setattr(training_loop, "monitored", monitored)
    result = run(Options(recipe(), runs_dir=tmp_path / "runs"), console)

    expected = {"verdict": "fail", "findings": [asdict(collapse)]}
    assert result.health == expected
    for name in ("status.json", "metrics.json"):
        assert json.loads((result.folder / name).read_text())["health"] == expected
    records = [record for _, record in journal.read(result.folder / "events.jsonl")]
    values = [value for record in records if record["kind"] == "metrics" for value in record["values"].get("health/diversity", [])]
    assert values == [1 / 5, 1 / 10, 1 / 15]
    assert [record["verdict"] for record in records if record["kind"] == "health"] == ["healthy", "fail"]
    assert records[0]["tags"]["ganforge.health"] == "not monitored"
    shown = console.file.getvalue()
    assert "health at 10: fail: mode collapse since iteration 10: samples near 12% of the data only" in shown
    assert shown.count("what usually helps: packing (a.b)") == 1


@undrawn
def test_divergence_is_a_result_and_keeps_the_last_good_checkpoint(recipe, console, tmp_path):
    path = recipe("[checkpoints]\nevery = 1\n", iterations=200)
    growing = 'optimizer = { use = "sgd", lr = { schedule = "exponential", start = 1e-2, factor = 10.0 } }'
    text = path.read_text().replace("params = { hidden = [8] }\n[[loss]]", f"params = {{ hidden = [8] }}\n{growing}\n[[loss]]")
    path.write_text(text)
    result = run(Options(path, runs_dir=tmp_path / "runs"), console)
    assert (result.status, result.exit_code) == ("diverged", 1)
    assert result.reason
    (trouble,) = result.health["findings"]
    assert (result.health["verdict"], trouble["problem"], trouble["evidence"]) == ("fail", "non-finite values", result.reason)
    assert json.loads(result.folder.joinpath("metrics.json").read_text())["health"] == result.health
    tensors = newest(result.folder)
    assert all(bool(value.isfinite().all()) for value in tensors.values() if value.is_floating_point())
    records = [record for _, record in journal.read(result.folder / "events.jsonl")]
    assert records[-1]["status"] == "FAILED"


@undrawn
def test_a_run_folder_in_use_is_refused(recipe, console, tmp_path):
    result = run(Options(recipe(), runs_dir=tmp_path / "runs"), console)
    with RunFolder(result.folder).locked(), pytest.raises(RunFolderError, match="in use by pid"):
        run(Options(None, resume=result.run, runs_dir=tmp_path / "runs"), console)


@undrawn
def test_samples_come_from_the_folder_alone_in_the_datas_units(recipe, console, tmp_path):
    path = recipe(iterations=20)
    result = run(Options(path, runs_dir=tmp_path / "runs"), console)
    moved = tmp_path / "elsewhere"
    shutil.move(result.folder, moved)
    shutil.rmtree(tmp_path / "runs")
    path.unlink()

    generator = load(moved)
    samples = generator.sample(5, seed=3)
    assert samples["values"].shape == (5, 2)
    assert (samples["values"] == load(moved).sample(5, seed=3)["values"]).all()
    assert not (samples["values"] == generator.sample(5, seed=4)["values"]).all()
    assert (samples["values"] == load(moved / "model").sample(5, seed=3)["values"]).all()
    weights = load_file(moved / "model" / "generator.safetensors")
    assert all(key.startswith("ema/") for key in weights)
    with pytest.raises(UsageError, match="takes no label"):
        generator.sample(1, label=0)
    with pytest.raises(UsageError, match="takes no code"):
        generator.sample(1, code=[0])


@undrawn
def test_labels_and_codes_can_be_asked_for(console, tmp_path):
    smoke = {path.stem: path for path in SMOKE}
    conditional = load(run(Options(smoke["cgan_moons"], (OFF,), runs_dir=tmp_path / "runs"), console).folder)
    assert set(conditional.sample(8, label=1)["labels"].tolist()) == {"lower"}
    with pytest.raises(UsageError, match="there is no label '2'"):
        conditional.sample(1, label=2)

    coded = load(run(Options(smoke["infogan_moons"], (OFF,), runs_dir=tmp_path / "runs"), console).folder)
    assert set(coded.sample(8, code=[1])["codes"][:, 0].tolist()) == {1}
    with pytest.raises(UsageError, match="integer from 0 to 1"):
        coded.sample(1, code=[0.5])
    with pytest.raises(UsageError, match="codes were given"):
        coded.sample(1, code=[0] * 9)


@undrawn
def test_checkpoints_that_fail_cost_a_tag_and_not_the_run(recipe, console, tmp_path, monkeypatch):
    from ganforge.core.errors import StorageError
    from ganforge.storage import checkpoints as store

    def refuse(*_):
        raise StorageError("no space left")

    monkeypatch.setattr(store, "save", refuse)
    result = run(Options(recipe("[checkpoints]\nevery = 5\n"), runs_dir=tmp_path / "runs"), console)
    assert result.status == "finished"
    records = [record for _, record in journal.read(result.folder / "events.jsonl")]
    (tag,) = [record for record in records if record["kind"] == "tag"]
    assert (tag["key"], tag["value"]) == ("ganforge.degraded", "4 checkpoints could not be written")
    assert console.file.getvalue().count("no space left") == 1
    assert "no model for MLflow" in console.file.getvalue()


@undrawn
def test_a_run_that_is_not_to_be_delivered_is_no_warning(recipe, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["run", str(recipe())]) == 0
    errors = capsys.readouterr().err
    assert "warning" not in errors
    assert "  MLflow    off\n  send      ganforge sync " in errors


@undrawn
def test_every_value_has_its_protocol_beside_it_also_after_resuming(recipe, console, tmp_path, stop_at):
    path = recipe('[[metric]]\nuse = "wasserstein"\nsamples = 50\nevery = 5\n')
    with stop_at(10):
        stopped = run(Options(path, (OFF,), runs_dir=tmp_path / "runs"), console)
    run(Options(None, resume=str(stopped.folder), runs_dir=tmp_path / "runs"), console)

    records = [record for _, record in journal.read(stopped.folder / "events.jsonl") if record["kind"] == "protocols"]
    assert [record["iteration"] for record in records] == [0, 10]
    for record in records:
        assert record["protocols"]["wasserstein"]["samples"] == 50
        assert record["protocols"]["wasserstein"]["generator"] == "ema"
        assert record["value_info"]["wasserstein"]["better"] == "lower"
    final = json.loads((stopped.folder / "metrics.json").read_text())
    assert final["protocols"] == records[-1]["protocols"]


@undrawn
def test_an_optional_metric_that_fails_does_not_end_training(recipe, console, tmp_path, monkeypatch):
    from ganforge.builtin.metrics.function_metric import FunctionMetric
    from ganforge.core.errors import DataError

    def refuse(self, evaluation):
        raise DataError("too few samples", remedy="give it more")

    monkeypatch.setattr(FunctionMetric, "measure", refuse)
    path = recipe('[[metric]]\nuse = "wasserstein"\nsamples = 50\nevery = 5\n')
    with pytest.raises(DataError, match="too few samples"):
        run(Options(path, (OFF,), runs_dir=tmp_path / "runs"), console)

    result = run(Options(path, (OFF, "metric[0].optional=true"), runs_dir=tmp_path / "runs"), console)
    assert (result.status, result.metrics) == ("finished", {})
    messages = console.file.getvalue().replace("\n", " ")
    assert messages.count("metric 'wasserstein' could not be measured: too few samples") == 1


@undrawn
def test_a_value_from_before_a_metric_failed_is_not_passed_off_as_the_last_one(recipe, console, tmp_path, monkeypatch):
    from ganforge.builtin.metrics.function_metric import FunctionMetric

    measure, looks = FunctionMetric.measure, []

    def fail_later(self, evaluation):
        looks.append(1)
        if len(looks) > 1:
            raise ValueError("no luck")
        return measure(self, evaluation)

    monkeypatch.setattr(FunctionMetric, "measure", fail_later)
    path = recipe('[[metric]]\nuse = "wasserstein"\nsamples = 50\nevery = 10\noptional = true\n')
    result = run(Options(path, (OFF,), runs_dir=tmp_path / "runs"), console)
    assert (result.status, result.metrics, len(looks)) == ("finished", {}, 2)
    assert json.loads((result.folder / "metrics.json").read_text())["metrics"] == {}
    assert check_expectation(Expectation(metric="wasserstein", max=100.0, seeds=1), 0, [result]).verdict == "not measured"
