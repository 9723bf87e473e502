"""What the trainer costs, as ratios measured side by side in one process.

    python benchmarks/loop.py [--iterations 4000] [--rounds 3]

Two comparisons, both in CPU time of the process (wall time depends on the load of the machine):

- *against the course*: the moons networks of the course notebook (32-128-2 and 2-128-1, batch 50, Adam), trained by a plain loop as
  a student writes it (DataLoader, sigmoid, log) and by ganforge's trainer. A ratio below 1 means that ganforge is faster.
- *with everything on*: recipe infogan_moons with view, journal, checkpoints, pictures and curves, against the same turns in a bare
  loop. Pictures and checkpoints come as often as in the whole run. What happens once, at the first and the last event (the figure
  is set up, the last curves and the animation are drawn), is reported in seconds, since its share depends on the run's length.

Rounds alternate, and the median of the ratios is reported with their spread.
"""

from __future__ import annotations

import argparse
import io
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from rich.console import Console
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from ganforge.build.blueprint import resolve_recipe
from ganforge.build.builder import Folders, build_trainer
from ganforge.callbacks import broadcast
from ganforge.callbacks.picture_writer import animation, curves, pictures
from ganforge.callbacks.run_recorder import CheckpointSaver, journal
from ganforge.core.events import Event, Finished, Started
from ganforge.recipe.reader import read_recipe
from ganforge.registry.plugin_loader import load_plugins
from ganforge.storage.journal import JournalWriter
from ganforge.storage.run_folder import RunFolder
from ganforge.terminal.progress_ui import create_ui
from ganforge.train.trainer import Trainer

ROOT = Path(__file__).resolve().parent.parent
COURSE = """
[train]
iterations = {iterations}
batch_size = 50
ema_decay = 0
[dataset]
use = "moons"
params = {{ samples = 2000, noise = 0.05 }}
[sampler]
use = "normal"
params = {{ size = 32 }}
[generator]
use = "mlp"
params = {{ hidden = [128], activation = "relu" }}
optimizer = {{ lr = 1e-3, betas = [0.9, 0.999] }}
[discriminator]
use = "mlp"
params = {{ hidden = [128], activation = "relu" }}
optimizer = {{ lr = 1e-3, betas = [0.9, 0.999] }}
[[loss]]
use = "non-saturating"
"""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--iterations", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(1)

    with tempfile.TemporaryDirectory() as folder:
        recipe = Path(folder, "course.toml")
        recipe.write_text(COURSE.format(iterations=options.iterations))
        ratios = compare(
            lambda: bare(trainer(recipe, options.iterations)), lambda: student_loop(options.iterations), options.rounds
        )
        print(f"ganforge / course loop: {shown(ratios)}")

        infogan = ROOT / "recipes" / "infogan_moons.toml"
        once: list[float] = []
        ratios = compare(
            lambda: once.append(observed(trainer(infogan, options.iterations), Path(folder))),
            lambda: bare(trainer(infogan, options.iterations)),
            options.rounds,
            apart=once,
        )
        print(f"everything on / bare turns: {shown(ratios)}, and once a run {statistics.median(once[1:]):.1f} s")


def compare(one: Callable[[], None], other: Callable[[], None], rounds: int, apart: Sequence[float] = ()) -> list[float]:
    """The ratios of CPU time, round by round; a first round warms up and does not count.

    Args:
        one: what is measured.
        other: what it is measured against.
        rounds: how often.
        apart: gets seconds of each ``one`` that do not count.
    """
    ratios = []
    for _ in range(rounds + 1):
        mine = cpu_seconds(one) - sum(apart[-1:])
        ratios.append(mine / cpu_seconds(other))
    return ratios[1:]


def cpu_seconds(work: Callable[[], None]) -> float:
    """CPU seconds of this process."""
    began = time.process_time()
    work()
    return time.process_time() - began


def shown(ratios: list[float]) -> str:
    """Median and spread."""
    return f"{statistics.median(ratios):.3f} (from {min(ratios):.3f} to {max(ratios):.3f} in {len(ratios)} rounds)"


def trainer(recipe: Path, iterations: int) -> Trainer:
    """A recipe's trainer, without metrics: they cost the same in both."""
    # Pictures and checkpoints as often as in a whole run, although this one is shorter.
    whole = read_recipe(recipe).recipe.train.iterations
    rates = (f"pictures.every={max(1, whole // 40)}", f"checkpoints.every={max(1, whole // 10)}")
    source = read_recipe(recipe, (f"train.iterations={iterations}", "metric=[]", *rates))
    return build_trainer(resolve_recipe(source, load_plugins()), device=torch.device("cpu"), folders=Folders(ROOT, ROOT))


def bare(made: Trainer) -> None:
    """The same turns without callbacks."""
    for _ in range(made.config.iterations):
        made.step()


def observed(made: Trainer, root: Path) -> float:
    """All that ``ganforge run`` has on: live view, journal, checkpoints, pictures, curves, animation.

    Returns:
        CPU seconds spent once: in all callbacks for the events Started and Finished.
    """
    folder = RunFolder.create(root, "benchmark", "loop")
    console = Console(file=io.StringIO(), force_terminal=True, width=100, height=40)
    face = create_ui(console, plain=False, title="benchmark", folder=folder.path, seed=0)
    once = 0.0

    def watched(events: Iterator[Event]) -> Iterator[Event]:
        nonlocal once
        for event in events:
            began = time.process_time()
            yield event  # until all callbacks have handled it
            if isinstance(event, Started | Finished):
                once += time.process_time() - began

    with JournalWriter(folder.journal) as writer:
        broadcast(
            watched(made.run()),
            [
                face.callback(),
                pictures(folder, title="benchmark", recorded=lambda *_: None),
                curves(folder, title="benchmark"),
                animation(folder),
            ],
            essential=[journal(folder, writer), CheckpointSaver(folder, 2).callback()],
        )
    return once


def student_loop(iterations: int) -> None:
    """The course's GAN for two moons as a student writes it."""
    generator = nn.Sequential(nn.Linear(32, 128), nn.ReLU(), nn.Linear(128, 2))
    discriminator = nn.Sequential(nn.Linear(2, 128), nn.ReLU(), nn.Linear(128, 1), nn.Sigmoid())
    move_generator = torch.optim.Adam(generator.parameters(), lr=1e-3)
    move_discriminator = torch.optim.Adam(discriminator.parameters(), lr=1e-3)
    points = torch.randn(2000, 2)
    loader = DataLoader(TensorDataset(points), batch_size=50, shuffle=True)

    done = 0
    while done < iterations:
        for (real,) in loader:
            fake = generator(torch.randn(50, 32))
            loss = -torch.mean(torch.log(1 - discriminator(fake)) + torch.log(discriminator(real)))
            move_discriminator.zero_grad()
            loss.backward()
            move_discriminator.step()

            fake = generator(torch.randn(50, 32))
            loss = -torch.mean(torch.log(discriminator(fake)))
            move_generator.zero_grad()
            loss.backward()
            move_generator.step()

            done += 1
            if done == iterations:
                return


if __name__ == "__main__":
    main()
