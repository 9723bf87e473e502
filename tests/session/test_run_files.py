"""What a run folder says of the run: without the secrets of its command line."""

from __future__ import annotations

import shlex

import pytest

from ganforge.session.run_files import command_line, logged_params
from ganforge.session.run_plan import Options, prepare
from ganforge.session.training_run import run


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["--set", 'tracking.tags={api_key="sk-SECRET123"}'], 'tracking.tags={api_key="***"}'),
        (["--set", "tracking.token=SECRET123 with blanks"], "tracking.token=***"),
        (["--set=tracking.token='SECRET123'"], "--set=tracking.token=***"),
        (["--tracking-uri", "http://me:SECRET123@example.org/"], "http://example.org/"),
        (["--set", "train.seed=3"], "train.seed=3"),
    ],
)
def test_a_command_line_is_kept_without_its_secrets(monkeypatch, given, kept):
    monkeypatch.setattr("sys.argv", ["/bin/ganforge", "run", "a b.toml", *given])
    words = shlex.split(command_line())
    assert words[:3] == ["ganforge", "run", "a b.toml"]
    assert words[-1] == kept


def test_no_secret_of_the_command_line_is_in_run_json(recipe, tmp_path, console, monkeypatch):
    monkeypatch.setattr("sys.argv", ["ganforge", "run", "small.toml", "--set", 'tracking.tags={api_key="sk-SECRET123"}'])
    result = run(Options(recipe(iterations=2), runs_dir=tmp_path / "runs", plain=True), console)
    assert "SECRET123" not in (result.folder / "run.json").read_text()
    assert "tracking.tags" in (result.folder / "run.json").read_text()


def test_mlflow_gets_few_parameters_with_what_the_command_line_set_and_the_rest_as_tags(recipe):
    overrides = ("generator.params.hidden=[4, 4]", "loss[0].weight=2", "train.iterations=7", "health.enabled=false")
    params, tags = logged_params(prepare(Options(recipe(), overrides)))

    assert params == {
        "dataset": "moons",
        "sampler": "normal",
        "generator": "mlp",
        "discriminator": "mlp",
        "loss": "non-saturating",
        "iterations": "7",
        "batch_size": params["batch_size"],
        "seed": "0",
        "generator.params.hidden": "[4, 4]",
        "loss.non-saturating.weight": "2.0",
        "health.enabled": "false",
    }
    assert tags["recipe.train.iterations"] == "7"
    assert tags["recipe.generator.params.hidden"] == "[4, 4]"
    assert tags["recipe.generator.use"].startswith("ganforge-vanilla/mlp@")
    assert sum(map(len, params)) + sum(map(len, params.values())) < 400  # MLflow writes them into each card above the picture
