"""Ten seeds of each recipe, and the table of them in docs/results.md.

    python benchmarks/seeds.py [RECIPE …] [--seeds 10] [--jobs 2] [--out docs/results.md]

Each recipe is run by ``ganforge run RECIPE --seeds N --json``; the table is made from what that command printed and from nothing
else. Tables of recipes that are not named stay as they are.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Goal:
    """One line of what a recipe must reach.

    Attributes:
        text: the goal in words.
        met: whether the metrics of all seeds, each a list, meet it.
        found: the metrics in a few words.
    """

    text: str
    met: Callable[[dict[str, list[float]]], bool]
    found: Callable[[dict[str, list[float]]], str]


def at_least(metric: str, least: float, share: float) -> Goal:
    """``metric`` ≥ ``least`` in this share of the seeds."""
    return Goal(
        f"{metric} ≥ {least:g} in ≥ {share:.0%} of seeds",
        lambda values: sum(value >= least for value in values[metric]) >= math.ceil(share * len(values[metric])),
        lambda values: f"{sum(value >= least for value in values[metric])} of {len(values[metric])}",
    )


def at_most(metric: str, most: float, share: float) -> Goal:
    """``metric`` ≤ ``most`` in this share of the seeds."""
    return Goal(
        f"{metric} ≤ {most:g} in ≥ {share:.0%} of seeds",
        lambda values: sum(value <= most for value in values[metric]) >= math.ceil(share * len(values[metric])),
        lambda values: f"{sum(value <= most for value in values[metric])} of {len(values[metric])}",
    )


def median_at_most(metric: str, most: float) -> Goal:
    """The median of ``metric`` ≤ ``most``."""
    return Goal(
        f"median {metric} ≤ {most:g}",
        lambda values: statistics.median(values[metric]) <= most,
        lambda values: f"{statistics.median(values[metric]):.4f}",
    )


GOALS: dict[str, Sequence[Goal]] = {
    "infogan_moons": (at_least("code-recovery", 0.99, 0.9), median_at_most("wasserstein", 0.07)),
    "cgan_moons": (at_least("label-match", 0.99, 0.9), at_most("wasserstein", 0.08, 0.9)),
    "vanilla_moons": (median_at_most("wasserstein", 0.065), at_most("wasserstein", 0.10, 1.0)),
    "ring_relativistic": (at_least("modes/captured", 8, 0.9), at_least("modes/high-quality", 0.9, 0.9)),
    "vanilla_ring": (),
    "grid": (at_least("modes/captured", 25, 0.8), at_least("modes/high-quality", 0.7, 0.8)),
    "gaussian_1d": (),
}


def main() -> None:
    """Run and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help=f"of {', '.join(GOALS)}; all unless given")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results.md")
    options = parser.parse_args()

    for name in options.recipes or GOALS:
        section = measured(name, seeds=options.seeds, jobs=options.jobs)
        options.out.write_text(replaced(options.out.read_text() if options.out.exists() else HEAD, name, section))
        print(section)


HEAD = """# Results

Every number on this page was written by the command that stands beside it. The protocol of each metric is in its description
(`ganforge describe metric NAME`): all compare 2,000 generated samples (2,500 for `modes`) of the average generator with as many
fresh real ones.
"""


def measured(name: str, *, seeds: int, jobs: int) -> str:
    """The section of one recipe."""
    recipe = Path("recipes", f"{name}.toml")
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "ganforge", "run", str(recipe), "--seeds", str(seeds), "--jobs", str(jobs), "--json"]
        command += ["--plain", "--device", "cpu", "--runs-dir", folder, "--tracking-uri", f"sqlite:///{folder}/mlflow.db"]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    return section(name, json.loads(done.stdout), seeds=seeds, jobs=jobs)


def section(name: str, swept: dict[str, Any], *, seeds: int, jobs: int) -> str:
    """A recipe's table, goals and circumstances as Markdown."""
    runs = swept["seeds"]
    metrics = list(swept["spread"])
    values = {
        metric: [math.nan if run["metrics"].get(metric) is None else run["metrics"][metric] for run in runs] for metric in metrics
    }
    head = f"| seed | {' | '.join(metrics)} | seconds |"
    rows = [
        f"| {run['seed']} | {' | '.join(f'{run_value(run, metric)}' for metric in metrics)} | {run['seconds']:.0f} |"
        for run in runs
    ]
    spread = [f"{line['median']:.4f} ({line['min']:.4f} to {line['max']:.4f})" for line in swept["spread"].values()]
    seconds = statistics.median(run["seconds"] for run in runs)
    circumstances = f"{platform.machine()}, {os.cpu_count()} cores, CPU, one thread a run · torch {torch.__version__}"
    lines = [
        f"## {name}",
        "",
        f"`python benchmarks/seeds.py {name} --seeds {seeds} --jobs {jobs}` · {circumstances}",
        "",
        head,
        "|---" * (len(metrics) + 2) + "|",
        *rows,
        f"| **median (least to greatest)** | {' | '.join(spread)} | {seconds:.0f} |",
        "",
    ]
    lines += [f"- {goal.text}: **{goal.found(values)}**, {'met' if goal.met(values) else 'missed'}" for goal in GOALS.get(name, ())]
    return "\n".join(lines).rstrip() + "\n"


def run_value(run: dict[str, Any], metric: str) -> str:
    """One cell."""
    value = run["metrics"].get(metric)
    return "–" if value is None else f"{value:.4f}"


def replaced(page: str, name: str, text: str) -> str:
    """The page with one recipe's section put in, or put in place of an older one."""
    older = re.compile(rf"^## {re.escape(name)}\n.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)
    if older.search(page):
        return older.sub(lambda _: text + "\n", page).rstrip() + "\n"
    return page.rstrip() + "\n\n" + text


if __name__ == "__main__":
    main()
