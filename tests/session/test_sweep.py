"""Recipes held to what they expect."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace

import pytest

from ganforge.core.errors import RecipeError, UsageError
from ganforge.recipe.config import Expectation
from ganforge.session import sweep
from ganforge.session.result import Result, SweepResult
from ganforge.session.run_plan import Options
from ganforge.session.sweep import Verification, check_expectation, verify
from ganforge.session.training_loop import StopRequest
from ganforge.storage.run_folder import RunFolder

METRIC = '[[metric]]\nuse = "wasserstein"\nsamples = 50\n'


def results(*values, first=0, status="finished"):
    return [
        Result("run", Path(), status, 1, 1.0, 1.0, {} if value is None else {"w": value}, {}, {}, 0, seed)
        for seed, value in enumerate(values, start=first)
    ]


def band(values, *, first=0, status="finished", **expected):
    return check_expectation(Expectation(metric="w", **expected), first, results(*values, first=first, status=status))


def test_the_address_of_the_store_is_on_no_command_line(tmp_path, monkeypatch):
    """It may hold a password, and every user of the computer can read command lines."""
    started = []

    class Child:
        returncode = 1

        def __init__(self, command, **options):
            started.append((command, options["env"]["MLFLOW_TRACKING_URI"]))

        def communicate(self):
            return "", None

    monkeypatch.setattr("ganforge.session.sweep.subprocess.Popen", Child)
    options = Options(tmp_path / "a.toml", tracking_uri="http://me:hunter2@127.0.0.1:9")
    plan = SimpleNamespace(source=SimpleNamespace(path=tmp_path / "a.toml"), name="a")
    command = sweep._command(options, plan, 0, "parent", 1)
    sweep._run_one(command, plan, 0, RunFolder(tmp_path), StopRequest(), options.tracking_uri)

    ((words, address),) = started
    assert not any("hunter2" in word for word in words)
    assert address == options.tracking_uri


def test_enough_seeds_must_lie_in_the_band():
    assert band([0.1, 0.2, 0.3], max=0.2, at_least=2).verdict == "met"
    missed = band([0.1, 0.2, 0.3], max=0.2)
    assert (missed.verdict, missed.inside, missed.needed) == ("missed", 2, 3)
    assert band([0.1, 0.2, 0.3], min=0.1, max=0.3).inside == 3
    assert band([0.1, 0.2, 0.3], min=0.15).inside == 2


def test_only_the_seeds_of_which_a_band_speaks_judge_it():
    assert band([0.1, 0.1, 9.0], first=7, max=0.2, seeds=2).values == {7: 0.1, 8: 0.1}


@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_a_seed_without_a_finite_value_lies_in_no_band(value):
    assert band([value], min=0.0, seeds=1).verdict != "met"


def test_a_seed_that_did_not_finish_lies_in_no_band():
    found = band([0.1], max=1.0, seeds=1, status="diverged")
    assert (found.values, found.inside) == ({0: None}, 0)


def test_the_exit_code_tells_missed_bands_and_signals():
    def code(value, swept):
        done = SweepResult("run", Path(), tuple(results(value)), 1.0, swept)
        return Verification((band([value], max=1.0, seeds=1),), done).exit_code

    assert [code(0.5, 0), code(2.0, 0), code(0.5, 130)] == [0, 1, 130]


def test_a_recipe_that_expects_nothing_is_reported_how_to(recipe, console, tmp_path):
    with pytest.raises(UsageError, match="has no expectations") as caught:
        verify(Options(recipe(METRIC), runs_dir=tmp_path / "runs"), jobs=1, console=console)
    assert "[[expect]]" in caught.value.remedy


def test_a_band_of_what_is_not_measured_is_refused_before_anything_is_run(recipe, console, tmp_path):
    path = recipe(METRIC + '[[expect]]\nmetric = "wasserstein/far"\nmax = 1.0\n')
    with pytest.raises(RecipeError, match="does not measure"):
        verify(Options(path, runs_dir=tmp_path / "runs"), jobs=1, console=console)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("overrides", [("metric=[]",), ('metric=[{ use = "duplicates" }]',)])
def test_a_band_of_a_metric_that_was_taken_away_is_refused_before_anything_is_run(recipe, console, tmp_path, overrides):
    path = recipe(METRIC + '[[expect]]\nmetric = "wasserstein"\nmax = 1.0\n')
    with pytest.raises(RecipeError, match="does not measure 'wasserstein'"):
        verify(Options(path, overrides, runs_dir=tmp_path / "runs"), jobs=1, console=console)
    assert not (tmp_path / "runs").exists()


def test_a_band_of_an_optional_metric_that_cannot_be_built_is_refused_with_the_reason(recipe, console, tmp_path):
    path = recipe(METRIC + 'optional = true\n[[expect]]\nmetric = "wasserstein/far"\nmax = 1.0\n')
    override = ('metric=[{ use = "precision-recall", samples = 3, optional = true }, { use = "wasserstein" }]',)
    text = path.read_text().replace('"wasserstein/far"', '"precision-recall/misspelt"')
    path.write_text(text)
    with pytest.raises(RecipeError, match=r"cannot be measured here: .* needs at least 6 samples, got 3"):
        verify(Options(path, override, runs_dir=tmp_path / "runs"), jobs=1, console=console)
    assert not (tmp_path / "runs").exists()


def test_a_band_of_which_no_seed_has_a_value_is_not_measured():
    assert [band([value], max=1.0, seeds=1).verdict for value in (None, 2.0, 0.5)] == ["not measured", "missed", "met"]


@pytest.mark.slow
def test_verify_runs_the_seeds_and_says_which_bands_are_missed(recipe, ganforge):
    path = recipe(
        METRIC + '[[expect]]\nmetric = "wasserstein"\nmax = 100.0\nseeds = 2\n'
        '[[expect]]\nmetric = "wasserstein"\nmax = 1e-6\nseeds = 1\n',
        iterations=2,
    )
    process = ganforge("verify", path, "--set", "pictures.gif=false")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 1, err
    _, first, second = out.splitlines()
    assert first.split()[:8] == ["wasserstein", "≤", "100", "2", "of", "2", "2", "of"]
    assert first.endswith("met")
    assert second.endswith("missed")
    assert "seed 1: finished" in err
