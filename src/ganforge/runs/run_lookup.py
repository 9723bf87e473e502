"""From what a user calls a run to its folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganforge.core.errors import StorageError, UsageError, did_you_mean
from ganforge.storage.run_folder import RunFolder

_SHOWN = 8
"""Candidates that an error lists."""


@dataclass(frozen=True, slots=True)
class Named:
    """A run folder with what it may be called.

    Attributes:
        folder: the folder.
        name: the name as given, which several runs may share.
        id: 32 hex digits.
        experiment: the experiment's name as given.
        identity: all of ``run.json``; empty when it is damaged.
    """

    folder: RunFolder
    name: str
    id: str
    experiment: str
    identity: Mapping[str, Any]

    @property
    def hex(self) -> str:
        """The end of the folder's name, with which the id begins."""
        return self.folder.path.name.rpartition("-")[2]

    def is_called(self, reference: str) -> bool:
        """Whether ``reference`` is a whole name of it: folder, experiment and folder, id, or hex."""
        path = self.folder.path
        return reference in {path.name, f"{path.parent.name}/{path.name}", f"{self.experiment}/{path.name}", self.id, self.hex}

    def begins_with(self, reference: str) -> bool:
        """Whether ``reference`` is the beginning of its folder's name or id."""
        return self.folder.path.name.startswith(reference) or self.id.startswith(reference)


def run_folders(root: Path) -> list[Named]:
    """Every run below ``root``, by experiment and folder name; what is no run folder is passed over."""
    return [named(RunFolder(identity.parent)) for identity in sorted(root.glob("*/*/run.json"))]


def named(folder: RunFolder) -> Named:
    """``folder`` with its names; a damaged identity leaves those that the path tells."""
    try:
        identity = folder.read_json(folder.identity)
    except StorageError:
        identity = None
    if not isinstance(identity, dict):
        identity = {}
    path = folder.path
    return Named(
        folder,
        name=str(identity.get("name", path.name.rpartition("-")[0])),
        id=str(identity.get("id", path.name.rpartition("-")[2])),
        experiment=str(identity.get("experiment", path.parent.name)),
        identity=identity,
    )


def find(reference: str, root: Path) -> RunFolder:
    """The one run that ``reference`` means: a folder, a name, or the beginning of a folder's name or id.

    Whole names win over beginnings. ``root`` is the folder that runs lie in.

    Raises:
        UsageError: none or several; near ones or all candidates are listed.
    """
    if folder := _folder(reference):
        return folder

    runs = run_folders(root)
    for ring in (
        [run for run in runs if run.is_called(reference)],
        [run for run in runs if run.name == reference],
        [run for run in runs if reference and run.begins_with(reference)],
    ):
        if len(ring) == 1:
            return ring[0].folder
        if ring:
            raise _ambiguous(reference, ring)
    raise _unknown(reference, runs, root)


def _folder(reference: str) -> RunFolder | None:
    path = Path(reference)
    try:
        is_folder = bool(reference) and path.is_dir()
    except (OSError, ValueError):  # nothing on a disk can be called that
        return None
    if not is_folder:
        return None
    if (path / "run.json").is_file():
        return RunFolder(path)
    if len(path.parts) > 1:
        raise UsageError(f"{path} is no run folder: it has no run.json", remedy="`ganforge runs` lists the runs")
    return None  # a folder that only happens to be called like a run


def _ambiguous(reference: str, runs: Sequence[Named]) -> UsageError:
    return UsageError(
        f"'{reference}' means {len(runs)} runs:\n{_lines(runs)}",
        remedy=f"name one by its folder or the 8 digits at the end, such as {runs[0].hex}",
    )


def _unknown(reference: str, runs: Sequence[Named], root: Path) -> UsageError:
    if not runs:
        return UsageError(
            f"there is no run '{reference}': {root} has no runs", remedy="name the folder they lie in with --runs-dir"
        )
    names: Iterable[str] = {name for run in runs for name in (run.name, run.folder.path.name, run.hex)}
    guess = did_you_mean(reference, names)
    return UsageError(
        f"there is no run '{reference}' in {root}; the newest are:\n{_lines(_newest(runs))}",
        remedy=guess or "`ganforge runs` lists them all",
    )


def _newest(runs: Sequence[Named]) -> list[Named]:
    return sorted(runs, key=lambda run: run.folder.identity.stat().st_mtime, reverse=True)[:_SHOWN]


def _lines(runs: Sequence[Named]) -> str:
    shown = [f"  {run.folder.path.parent.name}/{run.folder.path.name}" for run in runs[:_SHOWN]]
    if len(runs) > _SHOWN:
        shown.append(f"  … and {len(runs) - _SHOWN} more")
    return "\n".join(shown)
