"""Runs by name: from a user's reference to a run's folder, and to the recipe that it was created with."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganforge.core.errors import RecipeError, RunFolderError, StorageError, UsageError, did_you_mean
from ganforge.recipe.reader import RecipeSource, read_recipe
from ganforge.storage.run_folder import RunFolder

_SHOWN = 8
"""Candidates that an error lists."""


@dataclass(frozen=True, slots=True)
class IdentifiedRun:
    """A run folder with its names.

    Attributes:
        folder: the folder.
        name: the name as given, which several runs may share.
        id: 32 hex digits.
        experiment: the experiment's name as given.
        identity: the content of ``run.json``; empty when that is damaged.
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


def run_folders(root: Path) -> list[IdentifiedRun]:
    """Every run below ``root``, by experiment and folder name; other folders are skipped."""
    return [identify(RunFolder(identity.parent)) for identity in sorted(root.glob("*/*/run.json"))]


def identify(folder: RunFolder) -> IdentifiedRun:
    """A folder with its names; where ``run.json`` is damaged, they come from the path."""
    try:
        identity = folder.read_json(folder.identity)
    except StorageError:
        identity = None
    if not isinstance(identity, dict):
        identity = {}
    path = folder.path
    return IdentifiedRun(
        folder,
        name=str(identity.get("name", path.name.rpartition("-")[0])),
        id=str(identity.get("id", path.name.rpartition("-")[2])),
        experiment=str(identity.get("experiment", path.parent.name)),
        identity=identity,
    )


def find(reference: str, root: Path) -> RunFolder:
    """The one run that ``reference`` names: a folder, a name, or the beginning of a folder's name or id.

    Whole names win over beginnings. ``root`` is the folder that contains the runs.

    Raises:
        UsageError: no run or several; similar names or all candidates are listed.
    """
    if folder := _folder(reference):
        return folder

    runs = run_folders(root)
    for matches in (
        [run for run in runs if run.is_called(reference)],
        [run for run in runs if run.name == reference],
        [run for run in runs if reference and run.begins_with(reference)],
    ):
        if len(matches) == 1:
            return matches[0].folder
        if matches:
            raise UsageError(
                f"'{reference}' means {len(matches)} runs:\n{_list(matches)}",
                remedy=f"name one by its folder or the 8 digits at the end, such as {matches[0].hex}",
            )
    raise _unknown(reference, runs, root)


def members(folder: RunFolder) -> Iterator[RunFolder]:
    """The run itself, or the seeds of a sweep.

    Raises:
        UsageError: a sweep whose seeds are missing.
    """
    identity = folder.read_json(folder.identity) or {}
    if identity.get("kind") != "sweep":
        yield folder
        return
    siblings = (identify(RunFolder(path.parent)) for path in sorted(folder.path.resolve().parent.glob("*/run.json")))
    seeds = [one.folder for one in siblings if one.identity.get("parent") == identity.get("id")]
    if not seeds:
        raise UsageError(f"{folder.path} is a sweep, but none of its seeds is beside it", remedy="name the runs themselves")
    yield from seeds


def read_run_recipe(folder: RunFolder) -> RecipeSource:
    """A run's ``resolved.toml``, which has no problems; parameters of components are not validated.

    Raises:
        RunFolderError: the file is missing, damaged, or from another version of ganforge.
    """
    path = folder.resolved
    if not path.exists():
        raise RunFolderError(f"{folder.path} has no resolved.toml: the run never started", remedy="name another run")
    try:
        source = read_recipe(path)
    except RecipeError as error:
        raise _damaged(path, error.problems[0].message) from error
    if source.problems:
        raise _damaged(path, f"{source.problems[0].key}: {source.problems[0].message}")
    if source.value("train.seed") is None:  # every run writes its seed; the default would be a wrong guess
        raise _damaged(path, "train.seed is missing")
    return source


def _damaged(path: Path, reason: str) -> RunFolderError:
    return RunFolderError(f"{path} is damaged, or from another version of ganforge: {reason}", remedy="name another run")


def _folder(reference: str) -> RunFolder | None:
    path = Path(reference)
    try:
        is_folder = bool(reference) and path.is_dir()
    except (OSError, ValueError):  # not a valid name of a file
        return None
    if not is_folder:
        return None
    if (path / "run.json").is_file():
        return RunFolder(path)
    if len(path.parts) > 1:
        raise UsageError(f"{path} is not a run folder: it has no run.json", remedy="`ganforge runs` lists the runs")
    return None  # a folder that happens to have the name of a run


def _unknown(reference: str, runs: Sequence[IdentifiedRun], root: Path) -> UsageError:
    if not runs:
        return UsageError(
            f"there is no run '{reference}': {root} has no runs", remedy="name the folder of the runs with --runs-dir"
        )
    names: Iterable[str] = {name for run in runs for name in (run.name, run.folder.path.name, run.hex)}
    newest = sorted(runs, key=lambda run: run.folder.identity.stat().st_mtime, reverse=True)[:_SHOWN]
    return UsageError(
        f"there is no run '{reference}' in {root}; the newest are:\n{_list(newest)}",
        remedy=did_you_mean(reference, names) or "`ganforge runs` lists them all",
    )


def _list(runs: Sequence[IdentifiedRun]) -> str:
    lines = [f"  {run.folder.path.parent.name}/{run.folder.path.name}" for run in runs[:_SHOWN]]
    return "\n".join([*lines, f"  … and {len(runs) - _SHOWN} more"] if len(runs) > _SHOWN else lines)
