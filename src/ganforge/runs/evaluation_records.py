"""What runs were measured with again: ``evaluations.jsonl`` in the run folder, one evaluation a line, each with its protocols."""

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
from ganforge.tracking.upload_state import Acknowledgement

if TYPE_CHECKING:
    from ganforge.runs.evaluation import Evaluated, Wish
    from ganforge.tracking.supervisor import UploadSummary

FILE = "evaluations.jsonl"


def recorded(folder: RunFolder) -> list[dict[str, Any]]:
    """All evaluations of a run, the oldest first.

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
    """An evaluation, as far as others rely on it."""
    try:
        found = strict_json.loads(line)
        fault = _fault(found)
    except ValueError as error:
        found, fault = {}, str(error)
    if fault:
        raise StorageError(f"{where} is damaged: {fault}", remedy="restore the file from a copy, or take this line out of it")
    return dict(found)


def _fault(found: Any) -> str | None:
    """What keeps a line from being an evaluation: every value needs a number, its meaning and its protocol."""
    if not isinstance(found, Mapping):
        return "it is no table"
    for name, kind in (("number", int), ("iteration", int), ("values", Mapping), ("value_info", Mapping), ("protocols", Mapping)):
        if not isinstance(found.get(name), kind):
            return f"'{name}' is {'missing' if name not in found else f'{found[name]!r:.40}'}"
    for key, value in found["values"].items():
        if isinstance(value, bool) or not isinstance(value, int | float):
            return f"the value of '{key}' is {value!r:.40}"
        if fault := _unclear(key, found["value_info"].get(key)):
            return fault
        if not isinstance(found["protocols"].get(key.partition("/")[0]), Mapping):
            return f"'{key}' has no protocol"
    return None


def _unclear(key: str, measure: Any) -> str | None:
    """What keeps a value from being judged by what is said of it; a word for what is better that is not known judges nothing."""
    if not isinstance(measure, Mapping):
        return f"nothing says what '{key}' means"
    for name in ("ideal", "floor"):
        told = measure.get(name)
        if told is not None and (isinstance(told, bool) or not isinstance(told, int | float)):
            return f"the {name} of '{key}' is {told!r:.40}"
    better = measure.get("better", "lower")
    return None if better in WAYS else f"what is better of '{key}' is {better!r:.40}, and not one of {', '.join(WAYS)}"


def record(evaluated: Evaluated) -> dict[str, Any]:
    """Append an evaluation to the run's folder, and tell the journal, by which MLflow gets it; give what was written.

    Whoever calls it holds the folder's lock. What the run itself recorded stays as it is.

    Raises:
        StorageError: the disk or folder refused.
    """
    folder = evaluated.folder
    before = recorded(folder)
    facts = {"number": len(before) + 1, "time": datetime.now(UTC).isoformat(timespec="seconds"), **to_plain(evaluated)}
    path = folder.path / FILE
    lines = "".join(strict_json.dumps(one) + "\n" for one in [*before, facts])
    atomic_files.write_text(path, lines)
    with JournalWriter(folder.journal) as journal:
        journal.record("evaluated", number=facts["number"], iteration=evaluated.iteration, values=facts["values"])
        journal.record("file", path=FILE, folder="")
    return facts


def to_plain(evaluated: Evaluated) -> dict[str, Any]:
    """JSON-able, with stable keys."""
    values = evaluated.values
    return {
        "iteration": evaluated.iteration,
        "weights": evaluated.weights,
        "seed": evaluated.seed,
        "device": evaluated.device,
        "versions": _versions(),
        "values": {key: one.value for key, one in values.items()},
        "floors": _given({key: one.known_floor for key, one in values.items()}),
        "measured_floors": _given({key: one.floor for key, one in values.items()}),
        "value_info": {key: one.measure.to_plain(_samples(evaluated.protocols[one.metric])) for key, one in values.items()},
        "protocols": {name: dict(protocol) for name, protocol in evaluated.protocols.items()},
        "failed": {text: {"error": error.message, "remedy": error.remedy} for text, error in evaluated.failed.items()},
        "remarks": list(evaluated.remarks),
    }


def _given(values: Mapping[str, float | None]) -> dict[str, float]:
    return {key: value for key, value in values.items() if value is not None}


def _samples(protocol: Mapping[str, object]) -> int | None:
    samples = protocol.get("samples")
    return samples if isinstance(samples, int) else None


def _versions() -> dict[str, str]:
    return {
        "ganforge": ganforge.__version__,
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "numpy")},
    }


@dataclass(frozen=True, slots=True)
class RecordedEvaluation:
    """A run that was measured again.

    Attributes:
        evaluated: the values.
        delivered: what MLflow received; ``None`` where the run was never delivered.
        undelivered: why MLflow did not receive it, or ``None``.
    """

    evaluated: Evaluated
    delivered: UploadSummary | None = None
    undelivered: str | None = None


def evaluate_and_record(folder: RunFolder, wish: Wish, *, tracking_uri: str | None = None) -> RecordedEvaluation:
    """Measure a run again, record the values in its folder, and send them to MLflow where the run itself was sent.

    Args:
        folder: the run's folder.
        wish: what to measure.
        tracking_uri: the MLflow store; the one that has the run unless given.

    Raises:
        RunFolderError: the run is still training, or has no intact checkpoint.
        StorageError: earlier evaluations cannot be read.
        GanforgeError: the run cannot be measured at all.
    """
    from ganforge.runs.evaluation import evaluate
    from ganforge.tracking.supervisor import sync

    with folder.locked():
        recorded(folder)  # a damaged file is refused before minutes are spent on measuring
        evaluated = evaluate(folder, wish)
        if not evaluated.values:
            return RecordedEvaluation(evaluated)
        record(evaluated)
    if Acknowledgement.load(folder.acknowledged).run_id is None:
        return RecordedEvaluation(evaluated)
    try:
        summary = sync(folder, tracking_uri)
    except GanforgeError as error:  # the values are safe in the folder
        return RecordedEvaluation(evaluated, undelivered=str(error))
    return RecordedEvaluation(evaluated, summary, summary.message or "not delivered yet" if summary.pending else None)
