"""How long a user waits for the first signs, against importing torch alone.

    python benchmarks/startup.py [--rounds 5] [--recipe recipes/infogan_moons.toml]

Each command runs in a pseudo-terminal of its own, in turns with the yardstick ``python -c "import torch"``; the least wall time of
the rounds counts, since all that disturbs adds time. Each figure is also given as a ratio to the yardstick of the same run.

- ``--help``: until the command ends.
- ``check``: until the command ends.
- *first word*: ``ganforge run`` says what it is about.
- *live view*: the first screen.
- *progress*: the first count of iterations that is not 0.
"""

from __future__ import annotations

import argparse
import os
import pty
import re
import select
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

GANFORGE = [sys.executable, "-m", "ganforge"]
PATIENCE = 60.0  # seconds
ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\s")


def watched(command: Sequence[str], signs: Mapping[str, bytes]) -> dict[str, float]:
    """Seconds until each sign is on the screen of a command, which is asked to stop then; without signs, until it ends."""
    began = time.perf_counter()
    process, screen = pty.fork()
    if process == 0:
        os.environ |= {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}
        os.execv(command[0], list(command))  # noqa: S606 - our own command line
    seen: dict[str, float] = {}
    shown = b""
    try:
        while time.perf_counter() - began < PATIENCE and (len(seen) < len(signs) or not signs):
            if not select.select([screen], [], [], 0.02)[0]:
                continue
            try:
                shown += os.read(screen, 65_536)
            except OSError:  # the command has ended
                break
            text = ESCAPES.sub(b"", shown)
            seen |= {
                sign: time.perf_counter() - began for sign, form in signs.items() if sign not in seen and re.search(form, text)
            }
    finally:
        ended = time.perf_counter()
        os.kill(process, signal.SIGTERM)
        drain(screen)  # it saves and delivers what it has; a full screen would stop it
        os.waitpid(process, 0)
    if missing := signs.keys() - seen.keys():
        raise SystemExit(f"{' '.join(command)} never showed: {', '.join(sorted(missing))}\n{shown.decode(errors='replace')}")
    return seen or {"end": ended - began}


def drain(screen: int) -> None:
    """Read the output until its end."""
    try:
        while os.read(screen, 65_536):
            pass
    except OSError:
        pass
    os.close(screen)


def measured(recipe: Path) -> dict[str, float]:
    """Every figure once."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # nothing of the runs is left behind
        figures = {
            "import torch": watched([sys.executable, "-c", "import torch"], {})["end"],
            "--help": watched([*GANFORGE, "--help"], {})["end"],
            "check": watched([*GANFORGE, "check", str(recipe)], {})["end"],
        }
        signs = {"first word": rb"importingtorch", "live view": rb"0/[\d,]+", "progress": rb"[1-9][\d,]*/[\d,]+"}
        figures |= watched([*GANFORGE, "run", str(recipe)], signs)
        os.chdir("/")
    return figures


def main() -> None:
    """Measure and print a table."""
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--rounds", type=int, default=5)
    asked.add_argument("--recipe", type=Path, default=Path(__file__).parents[1] / "recipes" / "infogan_moons.toml")
    options = asked.parse_args()

    rounds = [measured(options.recipe.resolve()) for _ in range(options.rounds)]
    least = {name: min(figures[name] for figures in rounds) for name in rounds[0]}
    print(f"| what | seconds, least of {len(rounds)} | × import torch |\n|---|---|---|")
    for name, seconds in least.items():
        print(f"| {name} | {seconds:.2f} | {seconds / least['import torch']:.2f} |")


if __name__ == "__main__":
    main()
