"""What was measured of a run, by training and by ``ganforge evaluate``, as far as it tells what became of the run. No torch."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ganforge.runs.evaluation_records import recorded
from ganforge.storage import checkpoints, journal
from ganforge.storage.run_folder import RunFolder

TRAINING = "training"
"""Origin of what training measured."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One value of one metric of one run.

    Attributes:
        value: the value.
        iteration: of the weights.
        protocol: how it was measured, or ``None`` where that was never written down.
        measure: what the value means at this number of samples: ``label``, ``better``, ``ideal``, ``floor``.
        origin: ``training``, or ``evaluation 2`` for what ``ganforge evaluate`` found.
    """

    value: float
    iteration: int
    protocol: Mapping[str, Any] | None
    measure: Mapping[str, Any]
    origin: str


def measurements(folder: RunFolder) -> tuple[dict[str, list[Measurement]], dict[str, dict[int, float]]]:
    """Measurements of the weights that the run came to in the end, newest first, and the curves of training."""
    trained, curves, forgone = _trained(folder)
    later = [one for one in reversed(recorded(folder)) if one["number"] not in forgone]
    found: dict[str, list[Measurement]] = {}
    for one in later:
        for key, value in one["values"].items():
            protocol = one["protocols"].get(key.partition("/")[0])
            origin = f"evaluation {one['number']}"
            found.setdefault(key, []).append(Measurement(value, one["iteration"], protocol, one["value_info"][key], origin))
    for key, measurement in trained.items():
        found.setdefault(key, []).append(measurement)
    held = _held(folder, {one["iteration"] for one in later})
    return {key: _of_the_end(each, held) for key, each in found.items()}, curves


def _trained(folder: RunFolder) -> tuple[dict[str, Measurement], dict[str, dict[int, float]], set[int]]:
    """What training measured last, its curves, and the numbers of evaluations of weights that were given up later.

    Each value has the protocol that was in force when it was measured; iterations that came again count as they came last.
    """
    limits = journal.surviving_iterations(folder.journal)
    protocols: dict[str, Mapping[str, Any]] = {}
    value_info: dict[str, Mapping[str, Any]] = {}
    last: dict[str, Measurement] = {}
    curves: dict[str, dict[int, float]] = {}
    forgone: set[int] = set()
    for record in journal.read_kinds(folder.journal, "protocols", "eval", "evaluated", *journal.REWINDS):
        given_up = record.get("iteration", 0) > limits[0]
        match record["kind"]:
            case "protocols":
                protocols |= record["protocols"]
                value_info |= record["value_info"]
            case "evaluated" if given_up:
                forgone.add(record["number"])
            case "eval" if not given_up:
                at, values = record["iteration"], {key.removeprefix("eval/"): one for key, one in record["values"].items()}
                told = {
                    key: Measurement(value, at, protocols.get(key.partition("/")[0]), value_info.get(key, {}), TRAINING)
                    for key, value in values.items()
                }
                last = journal.merge_metrics(last, told, record.get("missing", ()))
                for key, value in values.items():
                    curves.setdefault(key, {})[at] = value
            case "resume" | "rollback":
                limits.popleft()
    return last, curves, forgone


def _held(folder: RunFolder, evaluated: Collection[int]) -> int | None:
    """Iterations of the weights that the run's folder holds, where these were evaluated; else ``None``."""
    for path in checkpoints.list_checkpoints(folder):
        if int(path.name) in evaluated:
            return int(path.name)
        try:
            checkpoints.read_verified(path)
        except checkpoints.DamagedCheckpointError:
            continue  # `ganforge evaluate` passes it over too
        return None
    return None


def _of_the_end(found: Sequence[Measurement], held: int | None) -> list[Measurement]:
    """Those of the weights that the folder holds, where these were evaluated; else of those that were trained longest.

    What was measured before a run went on says nothing about what became of it, and a process that was killed takes with it
    what it trained since its last checkpoint.
    """
    if any(one.iteration == held and one.origin != TRAINING for one in found):
        return [one for one in found if one.iteration == held]
    end = max(one.iteration for one in found)
    return [one for one in found if one.iteration == end]
