"""Every copy of a plugin's distribution on the import path, by metadata alone; Python itself takes the first and says nothing."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ganforge.registry.hookspecs import ENTRY_POINT_GROUP
from ganforge.registry.selection import normalise


@dataclass(frozen=True, slots=True)
class Copy:
    """One distribution that offers plugins, as it lies in one folder.

    Attributes:
        distribution: its name, normalised.
        version: its version.
        folder: the folder of the import path that it lies in.
        entries: its entry points, each as ``name = module``.
    """

    distribution: str
    version: str
    folder: Path
    entries: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Metadata that cannot be read, of a plugin or of any other package: nobody can tell which.

    Attributes:
        place: where it lies.
        reason: what is wrong with it.
    """

    place: Path
    reason: str


def find_copies() -> tuple[dict[str, tuple[Copy, ...]], tuple[Unreadable, ...]]:
    """The copies of each distribution that offers plugins, the one that counts first; and metadata that cannot be read."""
    copies: dict[str, dict[Copy, None]] = {}
    unreadable: dict[Unreadable, None] = {}
    for distribution in metadata.distributions():
        try:
            mine = distribution.entry_points.select(group=ENTRY_POINT_GROUP)
            if not mine:
                continue
            found = Copy(
                normalise(distribution.metadata["Name"]),
                distribution.metadata["Version"],
                Path(str(distribution.locate_file(""))).resolve(),
                tuple(sorted(f"{entry.name} = {entry.value}" for entry in mine)),
            )
        except Exception as error:  # noqa: BLE001 - a package's metadata may be damaged in any way
            place = Path(str(getattr(distribution, "_path", None) or distribution.locate_file("")))
            unreadable[Unreadable(place, f"{type(error).__name__}: {error}")] = None
        else:
            copies.setdefault(found.distribution, {})[found] = None
    return {name: tuple(copies[name]) for name in sorted(copies)}, tuple(unreadable)
