"""What a run folder says of the run: without the secrets of its command line."""

from __future__ import annotations

import shlex

import pytest

from ganforge.session.run_files import command_line
from ganforge.session.run_plan import Options
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
