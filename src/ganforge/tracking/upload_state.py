"""How the delivery of a run stands: ``shipper.json`` in the run folder, written by the shipper, read by the terminal."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

from ganforge.core.errors import StorageError
from ganforge.storage import atomic_files, strict_json
from ganforge.storage.run_folder import RunFolder
from ganforge.tracking.acknowledgement import Ack
from ganforge.tracking.tracking_store import Store

Phase = Literal["off", "starting", "delivering", "unreachable", "done", "gone", "busy"]
"""``unreachable``: tried again and again; ``gone``: the user deleted the run in MLflow; ``busy``: another shipper is at work."""

_FILE = "shipper.json"


@dataclass(frozen=True, slots=True)
class ShipperState:
    """How delivery stands.

    Attributes:
        phase: what the shipper does.
        since: unix seconds since when it does so.
        message: why, for ``unreachable``, ``gone`` and ``busy``.
        uri: the store, without login.
        experiment_id: MLflow's id of the experiment, once known.
        run_id: MLflow's id of the run, once known.
        points: points delivered in all.
        images: images delivered in all.
        rejected: records that MLflow refused for good.
        outage: seconds that the last outage took, once it is over.
    """

    phase: Phase
    since: float
    message: str | None = None
    uri: str = ""
    experiment_id: str | None = None
    run_id: str | None = None
    points: int = 0
    images: int = 0
    rejected: int = 0
    outage: float | None = None


def read(folder: RunFolder) -> ShipperState | None:
    """The state that the shipper told last; ``None`` before it told any, or when the file is damaged."""
    try:
        stored: dict[str, Any] = strict_json.loads((folder.path / _FILE).read_bytes())
        return ShipperState(**{each.name: stored[each.name] for each in fields(ShipperState) if each.name in stored})
    except (OSError, ValueError, TypeError):
        return None


class StateFile:
    """Writes the state when it changes.

    Args:
        folder: the run folder.
        store: the store that is delivered to.
    """

    def __init__(self, folder: RunFolder, store: Store) -> None:
        self._path = folder.path / _FILE
        self._state = ShipperState("starting", time.time(), uri=store.shown)
        self._written: ShipperState | None = None

    def tell(self, phase: Phase, message: str | None = None, *, ack: Ack | None = None) -> ShipperState:
        """Write down a phase and how much has been delivered; a full disk is not this file's business and passes silently."""
        now = time.time()
        state = self._state
        if phase != state.phase:
            outage = now - state.since if state.phase == "unreachable" and phase in {"delivering", "done"} else state.outage
            state = replace(state, phase=phase, since=now, outage=outage)
        state = replace(state, message=message)
        if ack is not None:
            state = replace(
                state,
                experiment_id=ack.experiment_id,
                run_id=ack.run_id,
                points=ack.points,
                images=ack.pictures,
                rejected=ack.rejected,
            )
        self._state = state
        if state != self._written:
            try:
                atomic_files.write_json(self._path, asdict(state), durable=False)
                self._written = state
            except StorageError:
                self._written = None
        return state
