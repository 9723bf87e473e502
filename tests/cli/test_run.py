"""What ``ganforge run`` prints when a run or a sweep has ended; every command in it works as it is printed."""

from __future__ import annotations

import html
import re
import shlex
import shutil
from pathlib import Path

import pytest

from ganforge.cli.app import main
from ganforge.storage.journal import read_kinds

SMOKE = Path(__file__).parents[2] / "recipes" / "smoke" / "vanilla_moons.toml"
LEAN = ('tracking.mode="off"', "pictures.gif=false", "pictures.final_figures=false", "train.iterations=20")
METRIC = 'metric=[{use="wasserstein", every=10, samples=64}]'
STOPPING = ('health.on_fail="stop"', "health.sample_checks=0", "health.weights={ warn = 0.01, fail = 0.02 }", "metric=[]")
OWN = """
from ganforge.plugin import hookimpl
from ganforge.testing.stub_components import LinearGenerator as build_generator


@hookimpl
def ganforge_register_generators(register):
    register("mine", build_generator, summary="My own.")
"""


def set_options(*overrides):
    return [word for override in (*LEAN, *overrides) for word in ("--set", override)]


def commands(text):
    """The words of each command that was printed, by its label."""
    found = re.findall(r"^  (\w+) +ganforge (.*)$", text, re.MULTILINE)
    return {label: shlex.split(command) for label, command in found}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with a blank in its name, in which commands are typed; it holds a recipe and a plugin file."""
    folder = tmp_path / "my project"
    folder.mkdir()
    shutil.copy(SMOKE, folder / "my moons.toml")
    (folder / "own parts.py").write_text(OWN)
    monkeypatch.chdir(folder)
    return folder


def test_the_ending_names_metrics_verdict_report_and_what_to_do_next(project, capsys):
    store = f"sqlite:///{project / 'my store.db'}"
    options = ["--plugin", "own parts.py", "--runs-dir", "all my runs", "--tracking-uri", store, "--plain"]
    assert main(["run", "my moons.toml", *options, *set_options(METRIC, 'generator={use="mine"}')]) == 0
    text = capsys.readouterr().err
    (folder,) = Path("all my runs").glob("*/*/run.json")

    assert re.search(r"^finished in \d\d:\d\d: 20 iterations$", text, re.MULTILINE)
    assert re.search(r"^  metrics +wasserstein +[\d.]+  lower is better", text, re.MULTILINE)
    assert re.search(r"^  health +(healthy|warn|fail|not monitored)", text, re.MULTILINE)
    report = folder.parent / "report.html"
    assert f"  report    {report}\n" in text
    assert f"  folder    {folder.parent}\n" in text
    assert all(text.count(line) == 1 for line in text.splitlines() if line.startswith("health at"))
    found = commands(text)
    assert set(found) == {"send", "sample"}
    assert found["send"][-4:-2] == ["--tracking-uri", store]
    assert main(found["sample"]) == 0

    page = [shlex.split(html.unescape(command)) for command in re.findall("<code>ganforge ([^<]*)<", report.read_text())]
    assert [words[0] for words in page] == ["sample", "interpolate", "evaluate", "run", "report"]
    for words in page:
        if words[0] in {"sample", "evaluate", "report"}:
            assert main(words) == 0, words

    (start,) = read_kinds(folder.parent / "events.jsonl", "start")
    again, sample = (shlex.split(command)[1:] for command in re.findall(r"`(.*)`", start["note"]))
    assert main(sample) == 0
    assert main([*again, "--set", "train.iterations=1", "--set", "pictures.report=false", "--plain"]) == 0


def test_a_run_that_a_check_stopped_is_resumed_with_the_options_that_it_had(project, capsys):
    options = ["--plugin", "own parts.py", "--tracking-uri", "sqlite:///my store.db", "--device", "cpu", "--plain"]
    assert main(["run", "my moons.toml", *options, *set_options(*STOPPING, 'generator={use="mine"}')]) == 1

    text = capsys.readouterr().err
    assert "stopped at iteration 10: divergence since iteration" in text
    resume = commands(text)["resume"]
    assert resume[:3] == ["run", "--resume", next(Path("runs").glob("*/*/run.json")).parent.name]
    assert {"--plugin", str(project / "own parts.py"), "--tracking-uri", "sqlite:///my store.db", "cpu"} <= set(resume)
    assert main([*resume, "--plain"]) == 0
    assert "finished in" in capsys.readouterr().err


@pytest.mark.slow
def test_a_sweep_shows_the_spread_and_how_to_compare(project, capsys):
    # The seeds are processes of their own: one thread, no pictures.
    options = ["--seeds", "2", "--jobs", "2", "--runs-dir", "all my runs"]
    assert main(["run", "my moons.toml", *options, *set_options(METRIC, "train.iterations=4", "health.enabled=false")]) == 0
    text = capsys.readouterr().err
    (folder,) = [path.parent for path in Path("all my runs").glob("*/*-seeds-*/run.json")]

    assert "2 seeds to run; logs in " in text
    assert re.search(r"^2 of 2 seeds finished in \d\d:\d\d$", text, re.MULTILINE)
    assert re.search(r"^Metric +Median +Least +Greatest +Seeds +Good is$", text, re.MULTILINE)
    assert re.search(r"^wasserstein +[\d.]+ +[\d.]+ +[\d.]+ +2 of 2 +lower is better", text, re.MULTILINE)
    assert f"  report    {folder / 'report.html'}\n" in text
    found = commands(text)
    assert main(found["compare"]) == 0
    assert "wasserstein" in capsys.readouterr().out
    assert found["send"][:2] == ["sync", str(folder)]
    assert len(found["send"]) == 4  # and both seeds


@pytest.mark.slow
def test_the_seeds_of_a_sweep_that_were_stopped_can_be_resumed(project, capsys):
    options = ["--seeds", "1", "--runs-dir", "all my runs", "--plugin", "own parts.py"]
    assert main(["run", "my moons.toml", *options, *set_options(*STOPPING, 'generator={use="mine"}')]) == 1
    resume = commands(capsys.readouterr().err)["resume"]
    assert main([*resume, "--plain"]) == 0, capsys.readouterr().err
    assert "finished in" in capsys.readouterr().err
