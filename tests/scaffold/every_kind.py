"""Write a plugin package for every combination of kinds and build the wheel of each: ``python every_kind.py INTO``.

For the nox session ``packages``. It runs in an environment that has ganforge installed, and hatchling, whose builder is called in
this process: pip would make an environment for each of the 63.
"""

from __future__ import annotations

import sys
from itertools import chain, combinations
from pathlib import Path

from hatchling.builders.wheel import WheelBuilder

from ganforge.registry.component import Kind
from ganforge.scaffold import WRITTEN, write_plugin

COMBINATIONS = tuple(chain.from_iterable(combinations(WRITTEN, size) for size in range(1, len(WRITTEN) + 1)))


def name_of(kinds: tuple[Kind, ...]) -> str:
    """A name for the package of these kinds: ``acme-ge-lo-gan``."""
    return "-".join(["acme", *(kind[:2] for kind in kinds), "gan"])


def main(into: Path) -> None:
    """Write and build them all."""
    for kinds in COMBINATIONS:
        folder = write_plugin(name_of(kinds), kinds, into / "packages")
        list(WheelBuilder(str(folder)).build(directory=str(into / "wheels"), versions=["standard"]))  # it builds when asked


if __name__ == "__main__":
    main(Path(sys.argv[1]))
