"""What a run still has to deliver, counted from its folder alone: without MLflow and without a network."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ganforge.storage.run_folder import RunFolder
from ganforge.tracking.acknowledgement import Ack
from ganforge.tracking.delivery import Delivery
from ganforge.tracking.downsampling import Point
from ganforge.tracking.run_metadata import StartRecord
from ganforge.tracking.sink import Refusal, Unreachable


@dataclass(frozen=True, slots=True)
class Pending:
    """What waits to be delivered.

    Attributes:
        points: metric points, thinned as they would be sent.
        images: pictures.
        others: whatever else: files, tags, the model, the run's status.
    """

    points: int = 0
    images: int = 0
    others: int = 0

    def __bool__(self) -> bool:
        return bool(self.points or self.images or self.others)


def pending(folder: RunFolder) -> Pending:
    """Count what ``ganforge sync`` would send: the journal is delivered, to nobody.

    Raises:
        StorageError: the journal cannot be read.
    """
    counter = _Counter()
    with suppress(Unreachable):  # a journal of which nobody knows what run it is
        Delivery(folder, counter, Ack.load(folder.acknowledged), save=_forget, reject=_forget).pump(final=True)
    return Pending(counter.seen, counter.images, counter.others)


def _forget(_: object) -> None:
    """Nothing was sent, so there is nothing to note."""


class _Counter:
    """A sink that only counts."""

    def __init__(self) -> None:
        self.seen = 0
        self.images = 0
        self.others = 0

    def begin(self, start: StartRecord, run_id: str | None) -> tuple[str, str]:
        return start.experiment, run_id or ""

    def describe(self, *_: Any, **__: Any) -> list[Refusal]:
        self.others += 1
        return []

    def points(self, points: Sequence[Point]) -> None:
        self.seen += len(points)

    def image(self, *_: Any, **__: Any) -> None:
        self.images += 1

    def file(self, *_: Any, **__: Any) -> None:
        self.others += 1

    def tag(self, *_: Any, **__: Any) -> None:
        self.others += 1

    def model(self, *_: Any, **__: Any) -> None:
        self.others += 1

    def running(self) -> None:
        self.others += 1

    def ended(self, *_: Any, **__: Any) -> None:
        self.others += 1
