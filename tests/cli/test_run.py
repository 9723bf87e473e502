"""What ``ganforge run`` says when a run has ended, and that it may be followed."""

from __future__ import annotations

import shlex
from pathlib import Path

from ganforge.cli.app import main

SMOKE = Path(__file__).parents[2] / "recipes" / "smoke" / "vanilla_moons.toml"
LEAN = ('tracking.mode="off"', "pictures.gif=false", "pictures.final_figures=false", "train.iterations=20", "metric=[]")


def test_a_run_that_the_watch_stopped_says_why_and_its_command_goes_on(tmp_path, capsys):
    runs = ["--runs-dir", str(tmp_path)]
    table = ('health.on_fail="stop"', "health.sample_checks=0", "health.weights={ warn = 0.01, fail = 0.02 }")
    words = [word for override in (*LEAN, *table) for word in ("--set", override)]
    assert main(["run", str(SMOKE), *runs, "--plain", *words]) == 1
    text = capsys.readouterr().err
    assert "stopped at iteration 10: divergence since iteration" in text

    (line,) = [line for line in text.splitlines() if line.startswith("  resume ")]
    resumed = shlex.split(line.removeprefix("  resume").strip())[1:]
    assert main([*resumed, *runs, "--plain"]) == 0
    assert "finished in" in capsys.readouterr().err
