"""What the health watch costs, as ratios measured side by side in one process.

    python benchmarks/health_cost.py [--recipe recipes/vanilla_moons.toml] [--iterations 4000] [--rounds 5]

The same recipe is trained with and without the watch. Pieces of 200 iterations of each alternate, so that what else the machine
does meets both, and CPU time is compared. *Vital signs* is the cheap part, which runs all the time: signals in the engine, their
way to the watch, and its judgements. *With samples* adds the probes. The median over the rounds and its spread are printed.
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
_PIECE = 200


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", type=Path, default=ROOT / "recipes" / "vanilla_moons.toml")
    parser.add_argument("--iterations", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    signs, looks = [], []
    for _ in range(options.rounds):
        plain, cheap, full = (
            _seconds(options.recipe, options.iterations, health) for health in ("on=false", "probes=0", "on=true")
        )
        for one in (plain, cheap, full):
            next(one)
        times = [[next(one) for one in (plain, cheap, full)] for _ in range(options.iterations // _PIECE)]
        bare, vital, whole = (sum(column) for column in zip(*times, strict=True))
        signs.append(vital / bare)
        looks.append(whole / bare)
        print(
            f"{bare / options.iterations * 1e6:.0f} µs an iteration without the watch; ratios {signs[-1]:.3f}, {looks[-1]:.3f}",
            flush=True,
        )
    for name, ratios in (("vital signs", signs), ("with samples", looks)):
        print(f"{name}: {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})")


def _seconds(recipe: Path, iterations: int, health: str) -> Iterator[float]:
    """Begin when first asked; then the CPU seconds of each further piece."""
    overrides = (f"health.{health}", f"train.iterations={iterations + _PIECE}", "metric=[]", f"pictures.every={10 * iterations}")
    blueprint = resolve(read(recipe, (*overrides, f"checkpoints.every={10 * iterations}")), load_plugins())
    data, *others = data_folders()
    trainer = build(blueprint, device=torch.device("cpu"), folders=Folders(recipe.parent, data, tuple(others)))
    table: Health = blueprint.recipe.health
    events: Iterator[Event] = watched(trainer.run(), Watch(table)) if table.on else trainer.run()
    yield _piece(events)
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
