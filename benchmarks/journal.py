"""What logging costs an iteration: ``JournalWriter.metrics`` with four detached values, flushes included, against a floor.

The floor is the least that could be kept of an iteration: one ``os.write`` of a packed 48-byte record (iteration, time and the four
values), without keys and without a checksum. Both write to files of the same folder, in turns, in one process; the least of many
repeats counts, since everything that disturbs adds time. Run: ``python benchmarks/journal.py [--json]``.
"""

from __future__ import annotations

import argparse
import json
import os
import struct
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from ganforge.callbacks.run_recorder import journal
from ganforge.core.events import Stepped
from ganforge.storage.journal import JournalWriter
from ganforge.storage.run_folder import RunFolder

ITERATIONS = 1024
REPEATS = 100

TERMS = {
    name: torch.tensor(float(place))
    for place, name in enumerate(("discriminator/real", "discriminator/fake", "generator/adversarial"))
}
RATES = {"lr/generator": 1e-3}
VALUES = {f"loss/{name}": value for name, value in TERMS.items()} | {f"rate/{name}": value for name, value in RATES.items()}


def floor(folder: Path) -> Callable[[int], None]:
    """The least: pack and write."""
    file = os.open(folder / "floor", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    pack = struct.Struct("<qqdddd").pack

    def log(iteration: int) -> None:
        os.write(file, pack(iteration, time.time_ns() // 1_000_000, *map(float, VALUES.values())))

    return log


def logged(folder: Path) -> Callable[[int], None]:
    """The journal's writer alone."""
    writer = JournalWriter(folder / "events.jsonl")

    def log(iteration: int) -> None:
        writer.metrics(iteration, VALUES)

    return log


def observed(folder: Path) -> Callable[[int], None]:
    """The observer: names, speed and heartbeat as well."""
    run = RunFolder.create(folder, "benchmark", "journal")
    tell = journal(run, JournalWriter(run.journal)).__enter__()

    def log(iteration: int) -> None:
        tell(Stepped(iteration, TERMS, RATES))

    return log


def measure() -> dict[str, float]:
    """Least microseconds an iteration of each, and ratios to the floor."""
    with TemporaryDirectory() as temporary:
        logs = {make.__name__: make(Path(temporary)) for make in (floor, logged, observed)}
        best = dict.fromkeys(logs, float("inf"))
        for repeat in range(REPEATS):
            for name, log in logs.items():
                began = time.perf_counter()
                for iteration in range(repeat * ITERATIONS, (repeat + 1) * ITERATIONS):
                    log(iteration)
                best[name] = min(best[name], (time.perf_counter() - began) / ITERATIONS * 1e6)
    return {
        "floor_us": best["floor"],
        "log_us": best["logged"],
        "observer_us": best["observed"],
        "log_ratio": best["logged"] / best["floor"],
        "observer_ratio": best["observed"] / best["floor"],
    }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    found = measure()
    if arguments.json:
        print(json.dumps(found, indent=2))
        return
    print(f"floor: one packed os.write        {found['floor_us']:6.2f} µs an iteration")
    print(f"JournalWriter.metrics, 4 values   {found['log_us']:6.2f} µs   {found['log_ratio']:.2f} × the floor")
    print(f"the journal's observer            {found['observer_us']:6.2f} µs   {found['observer_ratio']:.2f} × the floor")


if __name__ == "__main__":
    main()
