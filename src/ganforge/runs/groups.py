"""Runs as a comparison sees them: gathered by recipe over their seeds, with their values, protocols and curves. No torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ganforge.core.health_config import Health
from ganforge.recipe.tables import Recipe
from ganforge.recipe.toml_writer import COSMETIC_KEYS, fingerprint, flatten
from ganforge.registry.selection import LOCAL
from ganforge.runs.measurements import Measurement, measurements
from ganforge.runs.run_lookup import IdentifiedRun, find, identify, members, read_run_recipe
from ganforge.storage.run_folder import RunFolder

_SHOWN_KEYS = 2
"""Most keys that tell two groups of one name apart in their names."""
_TOLD = 12
"""Digits of a sum that are shown."""


@dataclass(frozen=True, slots=True)
class Gathered:
    """A run.

    Attributes:
        run: its folder's name, or its whole path where another folder is called so too.
        name: the name as given, which runs of one recipe share.
        folder: where it lies.
        seed: its seed.
        created: unix seconds.
        fingerprint: of what its training follows from: its resolved recipe without the seed, the metrics and a health watch that
            only warns, and the files of its data and of its own plugins.
        keys: its resolved recipe, by dotted key, without the seed and what changes no result.
        measurements: by ``wasserstein`` or ``modes/captured``, of the weights that it came to in the end, the newest first.
        curves: by metric, the values of training by iteration.
    """

    run: str
    name: str
    folder: Path
    seed: int
    created: float
    fingerprint: str
    keys: Mapping[str, str]
    measurements: Mapping[str, Sequence[Measurement]]
    curves: Mapping[str, Mapping[int, float]]


@dataclass(frozen=True, slots=True)
class Group:
    """Runs of one recipe at different seeds.

    Attributes:
        name: what it is called, unlike every other group.
        runs: by seed.
    """

    name: str
    runs: tuple[Gathered, ...]

    @property
    def keys(self) -> Mapping[str, str]:
        """The recipe that they share."""
        return self.runs[0].keys


def gather(references: Sequence[str], root: Path) -> tuple[list[Group], list[str]]:
    """The groups that the references mean, in their order, and remarks on what was left aside.

    Args:
        references: runs, or sweeps, which stand for their seeds.
        root: where runs lie.

    Raises:
        UsageError: no run is called so, or a sweep without seeds.
        RunFolderError: a run's recipe cannot be read any more.
    """
    found: dict[Path, Gathered] = {}
    for reference in references:
        for folder in members(find(reference, root)):
            found.setdefault(folder.path.resolve(), _gathered(identify(folder)))
    sets: dict[str, list[Gathered]] = {}
    names = Counter(run.run for run in found.values())
    for run in [run if names[run.run] == 1 else replace(run, run=str(path)) for path, run in found.items()]:
        sets.setdefault(run.fingerprint, []).append(run)
    remarks: list[str] = []
    return _named_apart([Group(runs[0].name, tuple(_one_per_seed(runs, remarks))) for runs in sets.values()]), remarks


def recipe_differences(groups: Sequence[Group]) -> dict[str, list[str | None]]:
    """Keys of the resolved recipes whose values differ, with the value of each group."""
    keys = dict.fromkeys(key for group in groups for key in group.keys)
    values = {key: [group.keys.get(key) for group in groups] for key in keys}
    return {key: each for key, each in values.items() if len(set(each)) > 1}


def _gathered(run: IdentifiedRun) -> Gathered:
    folder = run.folder
    recipe = read_run_recipe(folder).recipe
    same = _training(recipe)
    measured, curves = measurements(folder)
    sums = _sums(folder)
    created = run.identity.get("created")
    return Gathered(
        run=folder.path.resolve().name,
        name=run.name,
        folder=folder.path,
        seed=recipe.train.seed,
        created=float(created) if isinstance(created, int | float) else 0.0,
        fingerprint=" ".join([fingerprint(same), *(f"{key}={sum_}" for key, sum_ in sums.items())]),
        keys={**_keys(same), **{f"{key} sha256": sum_[:_TOLD] for key, sum_ in sums.items()}},
        measurements=measured,
        curves=curves,
    )


def _sums(folder: RunFolder) -> dict[str, str]:
    """SHA-256 by recipe key, as the run's lock has them, of what a recipe only names: the data's files, and files that are plugins.

    One path means other files in other folders, and nobody gives a file of their own a new revision. Metrics train nothing.
    """
    lock = folder.read_json(folder.lock)
    files = {str(one.get("key")): str(one.get("sha256")) for one in _tables(lock, "data_files")}
    own = [one for one in _tables(lock, "components") if one.get("distribution") == LOCAL and one.get("kind") != "metric"]
    return {**files, **{str(one.get("key")): str(one.get("version")) for one in own}}


def _tables(lock: Any, key: str) -> list[Mapping[str, Any]]:
    found = lock.get(key) if isinstance(lock, Mapping) else None
    return [one for one in found if isinstance(one, Mapping)] if isinstance(found, list) else []


def _training(recipe: Recipe) -> Recipe:
    """What training follows from, all else as by default: a watch that may stop a run or roll it back has a part in it."""
    without: dict[str, Any] = {"train": recipe.train.model_copy(update={"seed": 0}), "metric": ()}
    if recipe.health.on_fail == "warn" or not recipe.health.on:
        without["health"] = Health()
    return recipe.model_copy(update=without)


def _keys(recipe: Recipe) -> dict[str, str]:
    flat = flatten(recipe)
    return {key: value for key, value in flat.items() if key != "train.seed" and key.partition(".")[0] not in COSMETIC_KEYS}


def _one_per_seed(runs: Iterable[Gathered], remarks: list[str]) -> list[Gathered]:
    """The newest run of each seed: two of one seed are one observation, not two."""
    newest: dict[int, Gathered] = {}
    for run in sorted(runs, key=lambda run: run.created):
        if run.seed in newest:
            remarks.append(f"{newest[run.seed].run} is left out: {run.run} is of the same recipe and seed, and newer")
        newest[run.seed] = run
    return [newest[seed] for seed in sorted(newest)]


def _named_apart(groups: Sequence[Group]) -> list[Group]:
    """Groups of one name get what tells their recipes apart, or a number."""
    named_apart = []
    for index, group in enumerate(groups):
        alike = [other for other in groups if other.name == group.name]
        if len(alike) == 1:
            named_apart.append(group)
            continue
        keys = list(recipe_differences(alike))
        told = ", ".join(f"{key.rpartition('.')[2]}={group.keys.get(key, 'not set')}" for key in keys)
        number = 1 + sum(other.name == group.name for other in groups[:index])
        named_apart.append(
            replace(group, name=f"{group.name} ({told})" if 0 < len(keys) <= _SHOWN_KEYS else f"{group.name} #{number}")
        )
    return named_apart
