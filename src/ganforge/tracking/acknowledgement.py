"""What MLflow has accepted of a run: written after every acceptance, read to go on from there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from ganforge.storage import atomic_files, strict_json


@dataclass(frozen=True, slots=True)
class Ack:
    """The acknowledgement, ``acknowledged.json`` in the run folder.

    A crash between sending and acknowledging means sending again, which changes nothing: metrics are the same rows, files the same
    files, and images and models are looked for first.

    Attributes:
        store: the store that accepted, without login; another store starts again.
        experiment_id: MLflow's id of the experiment.
        run_id: MLflow's id of the run.
        begun: whether params, tags, data set and first artifacts were accepted.
        offset: byte of the journal from which points may still be needed.
        handled: byte of the journal before which all records but metrics are done.
        width: width of the first thinning windows, 0 for no thinning, ``None`` until it is chosen.
        highest: highest iteration accepted of each metric.
        images: highest iteration accepted of each image key.
        status: final status that MLflow holds, or ``None`` while the run goes on.
        points: points accepted.
        pictures: images accepted.
        rejected: records that MLflow refused for good; they stand in ``rejected.jsonl``.
    """

    store: str = ""
    experiment_id: str | None = None
    run_id: str | None = None
    begun: bool = False
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
    def load(cls, path: Path) -> Ack:
        """Read it; a missing or damaged file is one that acknowledges nothing, since sending twice does no harm."""
        try:
            stored: dict[str, Any] = strict_json.loads(path.read_bytes())
            return cls(**{each.name: stored[each.name] for each in fields(cls) if each.name in stored})
        except (OSError, ValueError, TypeError, AttributeError):
            return cls()

    def save(self, path: Path) -> None:
        """Replace the file as a whole.

        Raises:
            StorageError: the folder or disk refused.
        """
        atomic_files.write_json(path, asdict(self))

    def for_store(self, store: str) -> Ack:
        """This one, or for another store one that acknowledges nothing but keeps the windows, so that points stay the same rows."""
        return replace(self, store=store) if self.store in {"", store} else Ack(store=store, width=self.width)

    def with_points(self, sent: Mapping[str, int], count: int) -> Ack:
        """After points were accepted: ``sent`` holds the highest iteration of each metric among them."""
        highest = dict(self.highest)
        for key, iteration in sent.items():
            highest[key] = max(iteration, highest.get(key, iteration))
        return replace(self, highest=highest, points=self.points + count)
