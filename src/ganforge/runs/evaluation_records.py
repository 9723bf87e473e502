"""Later evaluations of a run: ``evaluations.jsonl`` in its folder, one evaluation a line, each value with its protocol."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import ganforge
from ganforge.core.errors import GanforgeError, StorageError
from ganforge.core.metric_goal import WAYS
from ganforge.storage import atomic_files, strict_json
from ganforge.storage.journal import JournalWriter
from ganforge.storage.run_folder import RunFolder
from ganforge.tracking.delivery import Acknowledgement

if TYPE_CHECKING:
    from ganforge.runs.evaluation import EvaluationRequest, EvaluationResult
    from ganforge.tracking.supervisor import UploadSummary

FILE = "evaluations.jsonl"
_FIELDS = {"number": int, "iteration": int, "values": Mapping, "value_info": Mapping, "protocols": Mapping}


@dataclass(frozen=True, slots=True)
class RecordedEvaluation:
    """A run that was measured again.

    Attributes:
        evaluated: the values.
        delivered: what MLflow received; ``None`` where the run was never delivered.
        undelivered: why MLflow did not receive it, or ``None``.
    """

    evaluated: EvaluationResult
    delivered: UploadSummary | None = None
    undelivered: str | None = None


def evaluate_and_record(folder: RunFolder, request: EvaluationRequest, *, tracking_uri: str | None = None) -> RecordedEvaluation:
    """Measure a run again, record the values in its folder, and send them to MLflow where the run itself was sent.

    Args:
        folder: the run's folder.
        request: what to measure.
        tracking_uri: the MLflow store; the one that has the run unless given.

    Raises:
        RunFolderError: the run is still training, or has no intact checkpoint.
        StorageError: earlier evaluations cannot be read.
        GanforgeError: the run cannot be measured at all.
    """
    from ganforge.runs.evaluation import evaluate
    from ganforge.tracking.supervisor import sync

    with folder.locked():
        read_evaluations(folder)  # a damaged file is refused before minutes are spent on measuring
        evaluated = evaluate(folder, request)
        if not evaluated.values:
            return RecordedEvaluation(evaluated)
        record_evaluation(evaluated)
    if Acknowledgement.load(folder.acknowledged).run_id is None:
        return RecordedEvaluation(evaluated)
    try:
        summary = sync(folder, tracking_uri)
    except GanforgeError as error:  # the values are safe in the folder
        return RecordedEvaluation(evaluated, undelivered=str(error))
    return RecordedEvaluation(evaluated, summary, summary.message or "not delivered yet" if summary.pending else None)


def record_evaluation(evaluated: EvaluationResult) -> dict[str, Any]:
    """Append an evaluation to the run's folder, and for MLflow to its journal; returns what was written.

    The caller holds the folder's lock. What the run itself recorded does not change.

    Raises:
        StorageError: the disk or folder refused.
    """
    folder = evaluated.folder
    before = read_evaluations(folder)
    facts = {"number": len(before) + 1, "time": datetime.now(UTC).isoformat(timespec="seconds"), **to_plain(evaluated)}
    lines = "".join(strict_json.dumps(one) + "\n" for one in [*before, facts])
    atomic_files.write_text(folder.path / FILE, lines)
    with JournalWriter(folder.journal) as journal:
        journal.record("evaluated", number=facts["number"], iteration=evaluated.iteration, values=facts["values"])
        journal.record("file", path=FILE, folder="")
    return facts


def read_evaluations(folder: RunFolder) -> list[dict[str, Any]]:
    """All later evaluations of a run, the oldest first.

    Raises:
        StorageError: the file cannot be read, or a line of it is damaged.
    """
    path = folder.path / FILE
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror or error}") from error
    return [_read(line, f"{path}:{number}") for number, line in enumerate(lines, start=1) if line.strip()]


def _read(line: bytes, where: str) -> dict[str, Any]:
    try:
        found = strict_json.loads(line)
        fault = _fault(found)
    except ValueError as error:
        found, fault = {}, str(error)
    if fault:
        raise StorageError(f"{where} is damaged: {fault}", remedy="restore the file from a copy, or remove this line")
    return dict(found)


def _fault(found: Any) -> str | None:
    """Why a line is no evaluation, in which every value is a number with its meaning and protocol; ``None`` if it is one."""
    if not isinstance(found, Mapping):
        return "it is not a table"
    for name, kind in _FIELDS.items():
        if not isinstance(found.get(name), kind):
            return f"'{name}' is {'missing' if name not in found else f'{found[name]!r:.40}'}"
    for key, value in found["values"].items():
        if not _is_number(value):
            return f"the value of '{key}' is {value!r:.40}"
        if fault := _info_fault(key, found["value_info"].get(key)):
            return fault
        if not isinstance(found["protocols"].get(key.partition("/")[0]), Mapping):
            return f"'{key}' has no protocol"
    return None


def _info_fault(key: str, info: Any) -> str | None:
    if not isinstance(info, Mapping):
        return f"'{key}' has no meaning in value_info"
    for name in ("ideal", "floor"):
        if info.get(name) is not None and not _is_number(info[name]):
            return f"the {name} of '{key}' is {info[name]!r:.40}"
    better = info.get("better", "lower")
    return None if better in WAYS else f"'better' of '{key}' is {better!r:.40}, not one of {', '.join(WAYS)}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def to_plain(evaluated: EvaluationResult) -> dict[str, Any]:
    """JSON-able, with stable keys."""
    values = evaluated.values
    samples = {name: protocol.get("samples") for name, protocol in evaluated.protocols.items()}
    return {
        "iteration": evaluated.iteration,
        "weights": evaluated.weights,
        "seed": evaluated.seed,
        "device": evaluated.device,
        "versions": {
            "ganforge": ganforge.__version__,
            "python": platform.python_version(),
            **{name: version(name) for name in ("torch", "numpy")},
        },
        "values": {key: one.value for key, one in values.items()},
        "floors": {key: one.known_floor for key, one in values.items() if one.known_floor is not None},
        "measured_floors": {key: one.floor for key, one in values.items() if one.floor is not None},
        "value_info": {
            key: one.info.to_plain(count if isinstance(count := samples[one.metric], int) else None) for key, one in values.items()
        },
        "protocols": {name: dict(protocol) for name, protocol in evaluated.protocols.items()},
        "failed": {text: {"error": error.message, "remedy": error.remedy} for text, error in evaluated.failed.items()},
        "remarks": list(evaluated.remarks),
    }
