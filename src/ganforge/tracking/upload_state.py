"""How far the upload of a run has come: what MLflow has accepted, and what the uploader is doing now."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from ganforge.core.errors import StorageError
from ganforge.storage import atomic_files, strict_json
from ganforge.storage.run_folder import RunFolder
from ganforge.tracking.tracking_store import Store

Phase = Literal["off", "starting", "uploading", "unreachable", "done", "stopped", "busy"]
"""``unreachable``: MLflow does not answer, and the uploader retries; ``stopped``: for good; ``busy``: another one is at work."""

_Stored = TypeVar("_Stored", "Acknowledgement", "UploadState")


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """What MLflow has accepted, ``acknowledged.json`` in the run folder.

    It is written after each acceptance. A crash in between means that records are sent again, which changes nothing: metrics are
    the same rows, files the same files, and the uploader checks whether images and models exist.

    Attributes:
        store: the store that accepted, without login; another store starts again.
        experiment_id: MLflow's id of the experiment.
        run_id: MLflow's id of the run.
        described: whether params, tags, data set and first artifacts were accepted.
        offset: byte of the journal from which points may still be needed.
        handled: byte of the journal before which all records other than metrics are done.
        width: width of the first windows of downsampling, 0 for none, ``None`` until it is chosen.
        highest: highest accepted iteration of each metric.
        images: highest accepted iteration of each image key.
        status: the final status that MLflow has, or ``None`` while the run continues.
        points: number of accepted points.
        pictures: number of accepted images.
        rejected: number of records that MLflow refused for good; ``rejected.jsonl`` holds them.
    """

    store: str = ""
    experiment_id: str | None = None
    run_id: str | None = None
    described: bool = False
    offset: int = 0
    handled: int = 0
    width: int | None = None
    highest: Mapping[str, int] = field(default_factory=dict)
    images: Mapping[str, int] = field(default_factory=dict)
    status: str | None = None
    points: int = 0
    pictures: int = 0
    rejected: int = 0

    @classmethod
    def load(cls, path: Path) -> Acknowledgement:
        """Read the file; a missing or damaged one acknowledges nothing, since sending records twice does no harm."""
        return _load(cls, path) or cls()

    def save(self, path: Path) -> None:
        """Replace the file as a whole.

        Raises:
            StorageError: the folder or disk refused.
        """
        atomic_files.write_json(path, asdict(self))

    def for_store(self, store: str) -> Acknowledgement:
        """This one; for another store, one that acknowledges nothing but keeps the windows, so that points stay the same rows."""
        return replace(self, store=store) if self.store in {"", store} else Acknowledgement(store=store, width=self.width)

    def with_points(self, sent: Mapping[str, int], count: int) -> Acknowledgement:
        """After ``count`` points were accepted; ``sent`` holds the highest iteration of each metric among them."""
        highest = dict(self.highest)
        for key, iteration in sent.items():
            highest[key] = max(iteration, highest.get(key, iteration))
        return replace(self, highest=highest, points=self.points + count)


@dataclass(frozen=True, slots=True)
class UploadState:
    """What the uploader is doing, ``upload_state.json`` in the run folder; the terminal shows it.

    Attributes:
        phase: what it is doing.
        since: unix seconds since when.
        message: the reason, for ``unreachable``, ``stopped`` and ``busy``.
        uri: the store, without login.
        points: points accepted in all.
        rejected: records that MLflow refused for good.
        outage: length of the last outage in seconds, once it is over.
    """

    phase: Phase
    since: float
    message: str | None = None
    uri: str = ""
    points: int = 0
    rejected: int = 0
    outage: float | None = None


def read_state(folder: RunFolder) -> UploadState | None:
    """The last state that the uploader wrote; ``None`` if there is none, or the file is damaged."""
    return _load(UploadState, _state_file(folder))


class StateWriter:
    """Writes the state when it changes.

    Args:
        folder: the run folder.
        store: the store that receives the run.
    """

    def __init__(self, folder: RunFolder, store: Store) -> None:
        self._path = _state_file(folder)
        self._state = UploadState("starting", time.time(), uri=store.shown)
        self._written: UploadState | None = None

    def write(self, phase: Phase, message: str | None = None, *, ack: Acknowledgement | None = None) -> UploadState:
        """Write a phase and what was accepted so far; a full disk is ignored here, since the acknowledgement reports it."""
        now, state = time.time(), self._state
        if phase != state.phase:
            recovered = state.phase == "unreachable" and phase in {"uploading", "done"}
            state = replace(state, phase=phase, since=now, outage=now - state.since if recovered else state.outage)
        if ack is not None:
            state = replace(state, points=ack.points, rejected=ack.rejected)
        self._state = state = replace(state, message=message)
        if state != self._written:
            try:
                atomic_files.write_json(self._path, asdict(state), durable=False)
                self._written = state
            except StorageError:
                self._written = None
        return state


def _state_file(folder: RunFolder) -> Path:
    return folder.path / "upload_state.json"


def _load(kind: type[_Stored], path: Path) -> _Stored | None:
    """Read a dataclass; unknown fields are ignored."""
    try:
        stored: dict[str, Any] = strict_json.loads(path.read_bytes())
        return kind(**{each.name: stored[each.name] for each in fields(kind) if each.name in stored})
    except (OSError, ValueError, TypeError):
        return None
