"""What the health watch costs, as ratios measured side by side in one process.

    python benchmarks/health_cost.py [--recipe recipes/vanilla_moons.toml] [--iterations 3000] [--rounds 3]

The same recipe is trained with and without the watch. Pieces of 100 iterations of each alternate, so that what else the machine
does meets both, and CPU time is compared. *Vital signs* is the cheap part, which runs all the time: signals in the engine, their
way to the watch, and its judgements; the median over all pairs of pieces. *With samples* adds the probes, of which most pieces have
none, so it is the ratio of the sums.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from ganforge.assembly.blueprint import resolve
from ganforge.assembly.building import Folders, build
from ganforge.core.events import Event, Stepped
from ganforge.core.thresholds import Health
from ganforge.health.watch import Watch, watched
from ganforge.hooks.loading import load_plugins
from ganforge.recipe.reading import read
from ganforge.storage.data_folders import data_folders

ROOT = Path(__file__).resolve().parent.parent
_PIECE = 100


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=ROOT / "recipes" / "vanilla_moons.toml")
    parser.add_argument("--iterations", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    signs: list[float] = []
    looks: list[float] = []
    for _ in range(options.rounds):
        runs = [_seconds(options.recipe, health) for health in ("on=false", "probes=0", "on=true")]
        for run in runs:
            next(run)
        times = [[next(run) for run in runs] for _ in range(options.iterations // _PIECE)]
        signs += [vital / bare for bare, vital, _ in times]
        looks.append(sum(whole for *_, whole in times) / sum(bare for bare, *_ in times))
    low, middle, high = statistics.quantiles(signs, n=4)
    print(f"vital signs: {middle:.3f} ({low:.3f} to {high:.3f} for the middle half of {len(signs)} pairs)")
    print(f"with samples: {statistics.median(looks):.3f} ({min(looks):.3f} to {max(looks):.3f} in {len(looks)} rounds)")


def _seconds(recipe: Path, health: str) -> Iterator[float]:
    """Begin when first asked; then the CPU seconds of each further piece."""
    overrides = (f"health.{health}", "metric=[]", "pictures.every=1_000_000", "checkpoints.every=1_000_000")
    blueprint = resolve(read(recipe, overrides), load_plugins())
    data, *others = data_folders()
    trainer = build(blueprint, device=torch.device("cpu"), folders=Folders(recipe.parent, data, tuple(others)))
    table: Health = blueprint.recipe.health
    events: Iterator[Event] = watched(trainer.run(), Watch(table)) if table.on else trainer.run()
    while True:
        yield _piece(events)


def _piece(events: Iterator[Event]) -> float:
    began, done = time.process_time(), 0
    for event in events:
        done += isinstance(event, Stepped)
        if done == _PIECE:
            break
    return time.process_time() - began


if __name__ == "__main__":
    main()
