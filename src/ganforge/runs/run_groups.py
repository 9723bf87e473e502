"""Runs grouped by recipe over their seeds, with their measurements, protocols and curves, for comparisons. No torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from ganforge.build.lock import describe_invalid, read_lock
from ganforge.core.contracts import Better
from ganforge.core.errors import StorageError
from ganforge.core.health_config import Health
from ganforge.recipe.config import Recipe
from ganforge.recipe.toml_writer import COSMETIC_KEYS, fingerprint, flatten
from ganforge.registry.selection import LOCAL
from ganforge.runs.run_index import IdentifiedRun, find, identify, members, read_run_recipe
from ganforge.storage import checkpoints, journal, strict_json
from ganforge.storage.run_folder import RunFolder

EVALUATIONS = "evaluations.jsonl"
"""The later evaluations in a run's folder, one a line, each value with its protocol."""
TRAINING = "training"  # origin of values that training measured
_SHOWN_KEYS = 2  # recipe keys in a group's name at most


@dataclass(frozen=True, slots=True)
class Measurement:
    """One value of one metric of one run."""

    value: float
    iteration: int  # iterations of the weights
    protocol: Mapping[str, Any] | None  # how it was measured, or None where that was never recorded
    info: Mapping[str, Any]  # what the value means at this number of samples: label, better, ideal, floor
    origin: str  # training, or evaluation 2 for the second ganforge evaluate


@dataclass(frozen=True, slots=True)
class MeasuredRun:
    """One run with its values.

    ``fingerprint`` identifies everything that training depends on except the seed: the resolved recipe without metrics and without
    health checks that only warn, the data files, and local plugin files.
    """

    run: str  # its folder's name, or its whole path where two folders have the same name
    name: str  # the name as given, which runs of one recipe share
    folder: Path
    seed: int
    created: float
    fingerprint: str
    keys: Mapping[str, str]  # its resolved recipe by dotted key, without the seed and keys that change no result
    measurements: Mapping[str, Sequence[Measurement]]  # by wasserstein or modes/captured, of the final weights, newest first
    curves: Mapping[str, Mapping[int, float]]  # by metric, the values of training by iteration


@dataclass(frozen=True, slots=True)
class RunGroup:
    """Runs of one recipe at different seeds, in the order of seeds, under a name that no other group has."""

    name: str
    runs: tuple[MeasuredRun, ...]

    @property
    def keys(self) -> Mapping[str, str]:
        """The recipe that they share."""
        return self.runs[0].keys


class _RecordedInfo(BaseModel):
    better: Better = "lower"
    ideal: float | None = None
    floor: float | None = None


class _RecordedEvaluation(BaseModel):
    """A line of :data:`EVALUATIONS`, in which every value has its meaning and its protocol."""

    model_config = ConfigDict(strict=True)
    number: int
    iteration: int
    values: dict[str, float]
    value_info: dict[str, _RecordedInfo]
    protocols: dict[str, dict[str, Any]]

    @model_validator(mode="after")
    def _check(self) -> Self:
        for key in self.values:
            if key not in self.value_info or key.partition("/")[0] not in self.protocols:
                raise ValueError(f"'{key}' has no value_info or no protocol")
        return self


def read_evaluations(folder: RunFolder) -> list[dict[str, Any]]:
    """All later evaluations of a run, the oldest first."""
    path = folder.path / EVALUATIONS
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error
    return [_read_evaluation(line, f"{path}:{number}") for number, line in enumerate(lines, start=1) if line.strip()]


def _read_evaluation(line: bytes, where: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = strict_json.loads(line)
        _RecordedEvaluation.model_validate(found)
    except ValueError as error:
        fault = describe_invalid(error) if isinstance(error, ValidationError) else str(error)
        raise StorageError(f"{where} is damaged: {fault}", remedy="restore the file from a copy, or remove this line") from error
    return found


def group_runs(references: Sequence[str], root: Path) -> tuple[list[RunGroup], list[str]]:
    """The groups of the named runs below ``root``, and remarks on runs that are left out; a sweep stands for its seeds."""
    found: dict[Path, MeasuredRun] = {}
    for reference in references:
        for folder in members(find(reference, root)):
            found.setdefault(folder.path.resolve(), _measured(identify(folder)))
    groups: dict[str, list[MeasuredRun]] = {}
    names = Counter(run.run for run in found.values())
    for path, run in found.items():
        groups.setdefault(run.fingerprint, []).append(run if names[run.run] == 1 else replace(run, run=str(path)))
    remarks: list[str] = []
    found_groups = [RunGroup(runs[0].name, tuple(_one_per_seed(runs, remarks))) for runs in groups.values()]
    return [replace(group, name=_unique_name(group, found_groups)) for group in found_groups], remarks


def recipe_differences(groups: Sequence[RunGroup]) -> dict[str, list[str | None]]:
    """Keys of the resolved recipes whose values differ, with the value of each group."""
    keys = dict.fromkeys(key for group in groups for key in group.keys)
    values = {key: [group.keys.get(key) for group in groups] for key in keys}
    return {key: each for key, each in values.items() if len(set(each)) > 1}


def _measured(run: IdentifiedRun) -> MeasuredRun:
    folder, created = run.folder, run.identity.get("created")
    recipe = read_run_recipe(folder).recipe
    trained = _training_recipe(recipe)
    ignored = {"train.seed", "train.threads", *COSMETIC_KEYS}
    keys = {key: value for key, value in flatten(trained).items() if ignored.isdisjoint((key, key.partition(".")[0]))}
    hashes = _file_hashes(folder)
    measurements, curves = _measurements(folder)
    return MeasuredRun(
        run=folder.path.resolve().name,
        name=run.name,
        folder=folder.path,
        seed=recipe.train.seed,
        created=float(created) if isinstance(created, int | float) else 0.0,
        fingerprint=" ".join([fingerprint(trained), *(f"{key}={sha256}" for key, sha256 in hashes.items())]),
        keys={**keys, **{f"{key} sha256": sha256[:12] for key, sha256 in hashes.items()}},
        measurements=measurements,
        curves=curves,
    )


def _file_hashes(folder: RunFolder) -> dict[str, str]:
    """SHA-256 by recipe key of the files that the recipe only names: data files and local plugins, from the run's lock.

    The same path means other files in other folders, and local files rarely get a new revision. Metrics do not affect training.
    """
    if not folder.lock.exists():
        return {}
    lock = read_lock(folder.path)
    own = {one.key: one.version for one in lock.components if one.distribution == LOCAL and one.kind != "metric"}
    return {**{one.key: one.sha256 for one in lock.data_files}, **own}


def _training_recipe(recipe: Recipe) -> Recipe:
    """The parts of a recipe that training depends on, all else as by default; health checks count where they may stop a run."""
    without: dict[str, Any] = {"train": recipe.train.model_copy(update={"seed": 0}), "metric": ()}
    if recipe.health.on_fail == "warn" or not recipe.health.enabled:
        without["health"] = Health()
    return recipe.model_copy(update=without)


def _one_per_seed(runs: Iterable[MeasuredRun], remarks: list[str]) -> list[MeasuredRun]:
    """The newest run of each seed: two runs of one seed are one observation."""
    newest: dict[int, MeasuredRun] = {}
    for run in sorted(runs, key=lambda run: run.created):
        if run.seed in newest:
            remarks.append(f"{newest[run.seed].run} is left out: {run.run} has the same recipe and seed, and is newer")
        newest[run.seed] = run
    return [newest[seed] for seed in sorted(newest)]


def _unique_name(group: RunGroup, groups: Sequence[RunGroup]) -> str:
    """Its name; where others have it too, with the recipe keys that differ, or with a number."""
    alike = [other for other in groups if other.name == group.name]
    if len(alike) == 1:
        return group.name
    keys = list(recipe_differences(alike))
    if 0 < len(keys) <= _SHOWN_KEYS:
        values = (f"{key.rpartition('.')[2]}={group.keys.get(key, 'not set')}" for key in keys)
        return f"{group.name} ({', '.join(values)})"
    return f"{group.name} #{1 + alike.index(group)}"


def _measurements(folder: RunFolder) -> tuple[dict[str, list[Measurement]], dict[str, dict[int, float]]]:
    """Measurements of the run's final weights, newest first, and the curves of training."""
    trained, curves, discarded = _trained(folder)
    later = [one for one in reversed(read_evaluations(folder)) if one["number"] not in discarded]
    found: dict[str, list[Measurement]] = {}
    for one in later:
        for key, value in one["values"].items():
            protocol, origin = one["protocols"].get(key.partition("/")[0]), f"evaluation {one['number']}"
            found.setdefault(key, []).append(Measurement(value, one["iteration"], protocol, one["value_info"][key], origin))
    for key, measurement in trained.items():
        found.setdefault(key, []).append(measurement)
    held = _held(folder, {one["iteration"] for one in later})
    return {key: _of_final_weights(each, held) for key, each in found.items()}, curves


def _trained(folder: RunFolder) -> tuple[dict[str, Measurement], dict[str, dict[int, float]], set[int]]:
    """What training measured last, its curves, and the numbers of evaluations of weights that were discarded later.

    Each value has the protocol that was in force when it was measured; iterations that were repeated count once, as repeated.
    """
    protocols: dict[str, Mapping[str, Any]] = {}
    value_info: dict[str, Mapping[str, Any]] = {}
    last: dict[str, Measurement] = {}
    curves: dict[str, dict[int, float]] = {}
    discarded: set[int] = set()
    for limit, record in journal.read_with_limits(folder.journal, "protocols", "eval", "evaluated"):
        survives = record.get("iteration", 0) <= limit
        match record["kind"]:
            case "protocols":
                protocols |= record["protocols"]
                value_info |= record["value_info"]
            case "evaluated" if not survives:
                discarded.add(record["number"])
            case "eval" if survives:
                at, values = record["iteration"], {key.removeprefix("eval/"): one for key, one in record["values"].items()}
                new = {
                    key: Measurement(value, at, protocols.get(key.partition("/")[0]), value_info.get(key, {}), TRAINING)
                    for key, value in values.items()
                }
                last = journal.merge_metrics(last, new, record.get("missing", ()))
                for key, value in values.items():
                    curves.setdefault(key, {})[at] = value
    return last, curves, discarded


def _held(folder: RunFolder, evaluated: Collection[int]) -> int | None:
    """Iterations of the weights in the run's folder, where these were evaluated; else ``None``."""
    for path in checkpoints.list_checkpoints(folder):
        if int(path.name) in evaluated:
            return int(path.name)
        with suppress(checkpoints.DamagedCheckpointError):  # `ganforge evaluate` skips it too
            checkpoints.read_verified(path)
            return None
    return None


def _of_final_weights(found: Sequence[Measurement], held: int | None) -> list[Measurement]:
    """Measurements of the weights in the folder, where these were evaluated; else of those trained longest.

    Values measured before a run was resumed do not describe its end, and a process that was killed loses what it trained since its
    last checkpoint.
    """
    if any(one.iteration == held and one.origin != TRAINING for one in found):
        return [one for one in found if one.iteration == held]
    end = max(one.iteration for one in found)
    return [one for one in found if one.iteration == end]
