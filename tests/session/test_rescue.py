"""What a failure does to a real run: told, stopped, or sent back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ganforge.session.preparing import Options
from ganforge.session.running import run
from ganforge.storage import journal

ALWAYS = "every = 10\nprobes = 0\nweights = { warn = 0.01, fail = 0.02 }\n"
"""A table by which every generator diverges, as is seen at iteration 10."""


@pytest.fixture
def failing(recipe, tmp_path, console):
    """Run a recipe in which the watch sees a failure soon."""

    def go(on_fail: str, *, extra: str = "", iterations: int = 40, **options):
        text = f'[health]\non_fail = "{on_fail}"\n{ALWAYS}[checkpoints]\nevery = 5\n{extra}'
        return run(Options(recipe(text, iterations=iterations), runs_dir=tmp_path / "runs", plain=True, **options), console)

    return go


def records(folder: Path, kind: str) -> list[dict]:
    return [record for _, record in journal.read(folder / "events.jsonl") if record["k"] == kind]


def test_by_default_a_failure_is_told_and_training_goes_on(failing):
    result = failing("warn")
    assert (result.status, result.iterations, result.exit_code) == ("finished", 40, 0)


def test_a_failure_may_stop_the_run_with_its_state_saved(failing):
    result = failing("stop")
    assert (result.status, result.exit_code) == ("stopped", 1)
    assert result.iterations == 10
    assert "divergence since iteration" in result.reason
    assert (result.folder / "checkpoints" / f"{result.iterations:08d}").is_dir()


def test_a_run_goes_back_three_times_and_stops(failing):
    result = failing("roll-back")
    assert (result.status, result.exit_code) == ("stopped", 1)
    assert "it went back 3 times" in result.reason
    returns = records(result.folder, "rollback")
    assert [(record["reached"], record["iteration"]) for record in returns] == [(10, 5)] * 3
    assert all("divergence" in record["reason"] for record in returns)
    state = json.loads((result.folder / "checkpoints" / f"{result.iterations:08d}" / "state.json").read_text())
    assert state["returns"] == 3


def test_going_back_is_reproducible(failing, tmp_path):
    first, second = failing("roll-back"), failing("roll-back")
    assert first.iterations == second.iterations
    name = f"checkpoints/{first.iterations:08d}/generator.safetensors"
    assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes()


def test_a_run_that_diverged_goes_back_too(recipe, tmp_path, console):
    text = '[health]\non_fail = "roll-back"\n[checkpoints]\nevery = 5\n[generator.optimizer]\nlr = 1e30\n'
    result = run(Options(recipe(text), runs_dir=tmp_path / "runs", plain=True), console)
    assert (result.status, result.exit_code) == ("diverged", 1)
    assert len(records(result.folder, "rollback")) == 3
