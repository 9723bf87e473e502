"""The files of a folder that are meant as data. Light: brings in no torch."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_LITTER = frozenset({"thumbs.db", "desktop.ini"})
"""What file managers leave; like hidden files it is passed over in silence."""


def files_below(folder: Path) -> Iterator[Path]:
    """Every file in the folder and those below it, in the order of their names; links are followed, in circles only once."""
    seen: set[Path] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = Path(place).resolve()
        if real in seen:  # a link back to where it came from
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place, name) for name in sorted(files) if not name.startswith(".") and name.lower() not in _LITTER)
