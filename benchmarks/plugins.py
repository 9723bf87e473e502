"""What 100 installed plugin distributions add to ``ganforge list``, as a difference measured side by side.

    python benchmarks/plugins.py [--plugins 100] [--rounds 9]

Each plugin is a distribution of its own with a light module and one generator. Commands run in fresh interpreters, with and without
the plugins by turns; CPU time (user and system) is compared, since wall time on a shared machine says little. The plugins' modules
are compiled before, as pip does when it installs them, and a first round, which fills the disk's cache, is not counted.
"""

from __future__ import annotations

import argparse
import compileall
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from ganforge.testing import fake_plugin

LIMIT = 150
"""Milliseconds that 100 plugins may add."""

_MODULE = '''\
"""A plugin that works."""

from ganforge.plugin import hookimpl


@hookimpl
def ganforge_register_generators(register):
    register("linear-{index}", "ganforge.testing.stub_components:LinearGenerator", summary="One linear layer.")
'''


def main() -> None:
    """Measure, and print one line for each command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--plugins", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=9)
    asked = parser.parse_args()

    with tempfile.TemporaryDirectory() as temporary:
        site = Path(temporary)
        for index in range(asked.plugins):
            requires = ["ganforge>=0.1.dev0,<99", "torch>=2"]
            fake_plugin(site, name=f"acme-gan-{index}", source=_MODULE.replace("{index}", str(index)), requires=requires)
        compileall.compile_dir(site, quiet=1)
        for command in (["list"], ["--help"]):
            compare(command, site, asked.plugins, asked.rounds)


def compare(command: list[str], site: Path, plugins: int, rounds: int) -> None:
    """Print what the plugins add to one command, median and range over the rounds."""
    added = []
    for _ in range(rounds + 1):
        without = milliseconds(command, None)
        added.append(milliseconds(command, site) - without)
    added = sorted(added[1:])
    middle = statistics.median(added)
    verdict = "within" if middle < LIMIT else "over"
    print(
        f"ganforge {' '.join(command):<7} {plugins} plugins add {middle:4.0f} ms of CPU ({added[0]:.0f} to {added[-1]:.0f}): "
        f"{verdict} the limit of {LIMIT} ms"
    )


def milliseconds(command: list[str], site: Path | None) -> float:
    """CPU time of one command in an interpreter of its own."""
    paths = [*([str(site)] if site else []), *filter(None, [os.environ.get("PYTHONPATH")])]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run([sys.executable, "-m", "ganforge", *command], env=environ, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if command == ["list"] and ("linear-0" in done.stdout) != bool(site):
        sys.exit(f"the plugins were not listed as they should be:\n{done.stderr}")
    return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)


if __name__ == "__main__":
    main()
