"""What streaming pictures costs, as ratios measured side by side in one process.

    python benchmarks/streaming.py [--pictures 400] [--side 128] [--workers 1 2] [--rounds 3] [--device cpu]

A folder of JPEG files is read as ``image-folder`` with ``size = 64`` reads it: in memory, streamed without workers, and streamed by
workers. Two loops take batches of 64 from each in turn: one does nothing else, the other computes for about as long as a batch
takes to decode, as training does, so that decoding can overlap with it.

For each batch it prints the CPU time of the training process, which does not depend on the machine's load, and the wall time, which
workers reduce and which is meaningful only on idle cores. Each has its ratio to memory: median over rounds and spread.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ganforge.builtin.datasets.dataset_specs import ImageFolderParams
from ganforge.builtin.datasets.image_folder import build_image_folder
from ganforge.plugin import Dataset, DatasetContext, StreamingDataset
from ganforge.train.batches import Batches, InMemoryBatches, StreamedBatches

SIZE = 64
BATCH = 64
AT_ONCE = 10
"""Batches of one measurement."""

Seconds = tuple[float, float]
Ways = dict[str, Batches]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=400)
    parser.add_argument("--side", type=int, default=128, help="pixels of each side of the files")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)

    with tempfile.TemporaryDirectory() as name:
        paint(Path(name), options.pictures, options.side)
        ways = opened(Path(name), options.workers, torch.device(options.device))
        decoding, _ = seconds(ways["0 workers"], 0, lambda: None)
        print(f"decoding a batch of {BATCH} here: {decoding * 1e3:.1f} ms")
        for title, work in (("nothing else", lambda: None), ("as much computing", computing(decoding))):
            print(f"\n{title}")
            report(compared(ways, work, options.rounds))


def paint(folder: Path, count: int, side: int) -> None:
    """Smooth pictures with a little noise, of which JPEG makes files of the size of photographs."""
    draw = np.random.default_rng(0)
    slope = np.linspace(0, 255, side)
    for number in range(count):
        noise = draw.normal(0, 20, (side, side, 3))
        smooth = slope[:, None, None] * draw.random(3) + slope[None, :, None] * draw.random(3)
        Image.fromarray((smooth / 2 + noise).clip(0, 255).astype(np.uint8)).save(folder / f"{number}.jpg", quality=90)


def opened(folder: Path, workers: Sequence[int], device: torch.device) -> Ways:
    """The same batches in every way."""

    def dataset(*, stream: bool) -> Dataset:
        return build_image_folder(ImageFolderParams(folder=folder, size=SIZE, stream=stream), DatasetContext(0, folder, folder))

    inside, streaming = dataset(stream=False), dataset(stream=True)
    assert isinstance(streaming, StreamingDataset)  # noqa: S101
    ways: Ways = {"memory": InMemoryBatches(inside.training(), inside.spec, size=BATCH, seed=0, device=device)}
    for count in (0, *workers):
        batches = StreamedBatches(streaming.streamed(), inside.spec, size=BATCH, seed=0, device=device, workers=count)
        ways[f"{count} workers"] = batches
    return ways


def computing(wanted: float) -> Callable[[], None]:
    """Something that takes about ``wanted`` seconds of one thread."""
    matrix = torch.rand(128, 128)

    def times(count: int) -> None:
        for _ in range(count):
            matrix @ matrix

    began = time.process_time()
    times(1000)
    count = max(1, round(1000 * wanted / (time.process_time() - began)))
    return lambda: times(count)


def compared(ways: Ways, work: Callable[[], None], rounds: int) -> dict[str, list[Seconds]]:
    """Seconds for each batch in each round, of each way; the ways take turns."""
    found: dict[str, list[Seconds]] = {name: [] for name in ways}
    for turn in range(rounds):
        for name, batches in ways.items():
            with batches.prefetching():
                batches[turn * AT_ONCE]  # the first one is waited for by whoever has workers
                found[name].append(seconds(batches, turn * AT_ONCE + 1, work))
    return found


def seconds(batches: Batches, start: int, work: Callable[[], None]) -> Seconds:
    """Mean CPU time of this process and wall time of a batch, with what is done beside it."""
    cpu, wall = time.process_time(), time.perf_counter()
    for index in range(start, start + AT_ONCE):
        batches[index]
        work()
    return (time.process_time() - cpu) / AT_ONCE, (time.perf_counter() - wall) / AT_ONCE


def report(found: dict[str, list[Seconds]]) -> None:
    """Two lines for each way."""
    for name, times in found.items():
        for kind, column, floor in zip(("cpu", "wall"), zip(*times, strict=True), zip(*found["memory"], strict=True), strict=True):
            ratios = sorted(one / memory for one, memory in zip(column, floor, strict=True))
            row = f"{statistics.median(ratios):8.2f} × memory ({ratios[0]:.2f} to {ratios[-1]:.2f})"
            print(f"  {name:10} {kind:5} {statistics.median(column) * 1e3:8.2f} ms {row}")


if __name__ == "__main__":
    main()
