"""Whether small multilayer perceptrons on images learn faster on one thread or on two: both by turns, in one process.

    python benchmarks/threads.py [--rounds 7]

Prints wall and CPU time of an iteration (median), and the ratio of two threads to one, round by round. Run it without
``OMP_NUM_THREADS``, on the CPU. ``ganforge.session.run_plan`` holds the rule that follows from it.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch

from ganforge.build.blueprint import resolve_recipe
from ganforge.build.builder import Folders, build_trainer
from ganforge.recipe.reader import read_recipe
from ganforge.registry.plugin_loader import load_plugins
from ganforge.storage.run_folder import data_folders
from ganforge.train.trainer import Trainer

RECIPE = """
[train]
iterations = 1000
batch_size = {batch}
[dataset]
use = "{data}"
[sampler]
use = "normal"
params = {{ size = 64 }}
[generator]
use = "mlp"
params = {{ hidden = {hidden}, output = "tanh" }}
[discriminator]
use = "mlp"
params = {{ hidden = {hidden} }}
[[loss]]
use = "non-saturating"
"""
SYSTEMS = (("digits", [64], 64), ("digits", [256, 256], 64), ("mnist", [128], 100))
AT_ONCE = 20
"""Iterations of one measurement."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        for data, hidden, batch in SYSTEMS:
            recipe = Path(folder, "recipe.toml")
            recipe.write_text(RECIPE.format(data=data, hidden=hidden, batch=batch))
            blueprint = resolve_recipe(read_recipe(recipe), load_plugins())
            trainer = build_trainer(blueprint, device=torch.device("cpu"), folders=Folders(Path(folder), data_folders()[0]))
            report(f"{data} {hidden}", trainer, options.rounds)


def report(name: str, trainer: Trainer, rounds: int) -> None:
    """One line for wall time, one for CPU time."""
    times: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    for _ in range(rounds):
        for threads, found in times.items():
            torch.set_num_threads(threads)
            trainer.step()
            found.append(taken(trainer))

    weights = sum(weight.numel() for network in trainer.networks.values() for weight in network.parameters())
    print(f"{name}, {weights:,} parameters")
    for place, kind in enumerate(("wall", "cpu")):
        one, two = ([found[place] for found in times[threads]] for threads in (1, 2))
        ratios = sorted(b / a for a, b in zip(one, two, strict=True))
        times = f"{statistics.median(one) * 1e3:.2f} ms on one thread, {statistics.median(two) * 1e3:.2f} ms on two"
        print(f"  {kind:5} {times}: {statistics.median(ratios):.2f} × ({ratios[0]:.2f} to {ratios[-1]:.2f})")


def taken(trainer: Trainer) -> tuple[float, float]:
    """Seconds of wall and CPU time for an iteration."""
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(AT_ONCE):
        trainer.step()
    return (time.perf_counter() - wall) / AT_ONCE, (time.process_time() - cpu) / AT_ONCE


if __name__ == "__main__":
    main()
