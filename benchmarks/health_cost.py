"""The cost of health monitoring, as ratios measured side by side in one process.

    python benchmarks/health_cost.py [RECIPE …] [--iterations 3000] [--rounds 3]

The same recipe is trained with and without monitoring, by default vanilla_moons and dcgan_digits. Pieces of 10 iterations of each
alternate, in rotating order, so that other load affects all alike. The process's CPU time is compared over blocks of 100
iterations. *Diagnostics* is everything but samples: measuring, converting and checking; the median over all blocks, with the
middle half of the blocks and the median's 95 % interval by order statistics. *With samples* adds the checks of samples, which
most blocks lack, so it is the ratio of the sums.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from ganforge.build.blueprint import resolve_recipe
from ganforge.build.builder import Folders, build_trainer
from ganforge.core.events import Event, Stepped
from ganforge.core.health_config import Health
from ganforge.health.monitor import HealthMonitor, monitored
from ganforge.recipe.reader import read_recipe
from ganforge.registry.plugin_loader import load_plugins
from ganforge.storage.run_folder import data_folders

ROOT = Path(__file__).resolve().parent.parent
_PIECE, _PIECES = 10, 10


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    shipped = [ROOT / "recipes" / f"{name}.toml" for name in ("vanilla_moons", "dcgan_digits")]
    parser.add_argument("recipes", type=Path, nargs="*", metavar="RECIPE", default=shipped)
    parser.add_argument("--iterations", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)
    for recipe in options.recipes:
        _measure(recipe, options.iterations, options.rounds)


def _measure(recipe: Path, iterations: int, rounds: int) -> None:
    light: list[float] = []
    full: list[float] = []
    for _ in range(rounds):
        runs = [_seconds(recipe, health) for health in ("enabled=false", "sample_checks=0", "enabled=true")]
        for run in runs:
            next(run)
        blocks = [_block(runs) for _ in range(iterations // (_PIECE * _PIECES))]
        light += [with_statistics / bare for bare, with_statistics, _ in blocks]
        full.append(sum(whole for *_, whole in blocks) / sum(bare for bare, *_ in blocks))
    low, middle, high = statistics.quantiles(light, n=4)
    least, most = median_interval(light)
    print(f"{recipe.stem}, {len(light)} blocks in {rounds} rounds")
    print(f"  statistics: {middle:.3f} (median; 95 % interval {least:.3f} to {most:.3f}; middle half {low:.3f} to {high:.3f})")
    print(f"  with samples: {statistics.median(full):.3f} ({min(full):.3f} to {max(full):.3f})", flush=True)


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """An interval that holds the median of what ``values`` are drawn from in about 95 % of cases, whatever they are like."""
    ordered, count = sorted(values), len(values)
    away = 0.98 * count**0.5  # 1.96 standard deviations of a binomial with one half
    return ordered[max(0, int(count / 2 - away))], ordered[min(count - 1, int(count / 2 + away))]


def _block(runs: Sequence[Iterator[float]]) -> list[float]:
    """CPU seconds of 100 iterations of each run, in short pieces that take turns."""
    spent = [0.0] * len(runs)
    for piece in range(_PIECES):
        for place in range(len(runs)):
            which = (piece + place) % len(runs)
            spent[which] += next(runs[which])
    return spent


def _seconds(recipe: Path, health: str) -> Iterator[float]:
    """Build the trainer on the first step; then yield the CPU seconds of each further piece."""
    overrides = (f"health.{health}", "metric=[]", "pictures.every=1_000_000", "checkpoints.every=1_000_000")
    blueprint = resolve_recipe(read_recipe(recipe, overrides), load_plugins())
    data, *others = data_folders()
    trainer = build_trainer(blueprint, device=torch.device("cpu"), folders=Folders(recipe.parent, data, tuple(others)))
    table: Health = blueprint.recipe.health
    events: Iterator[Event] = monitored(trainer.run(), HealthMonitor(table)) if table.enabled else trainer.run()
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
