"""The files of a folder that are meant as data. Light: brings in no torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

_LITTER = frozenset({"thumbs.db", "desktop.ini"})
"""What file managers leave; like hidden files it is passed over in silence."""


def files_below(folder: Path, failed: Callable[[OSError], object]) -> Iterator[Path]:
    """All that is no folder, in the folder and those below it, in the order of their names; links are followed, but in no circle.

    Args:
        folder: where to begin.
        failed: hears of each folder that cannot be listed.
    """
    ahead: list[tuple[Path, frozenset[str]]] = [(folder, frozenset())]
    while ahead:
        place, above = ahead.pop()
        real = os.path.realpath(place)
        if real in above:  # a link back to where it came from; one to a folder beside it is no circle
            continue
        try:
            with os.scandir(place) as entries:
                kinds = {entry.name: _is_folder(entry) for entry in entries if not entry.name.startswith(".")}
        except OSError as error:
            failed(error)
            continue
        names = sorted(kinds)
        yield from (place / name for name in names if not kinds[name] and name.lower() not in _LITTER)
        ahead += [(place / name, above | {real}) for name in reversed(names) if kinds[name]]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link in a circle of its own, or behind a folder without rights
        return False
