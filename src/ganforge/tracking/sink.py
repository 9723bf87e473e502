"""What a delivery needs of the place that it delivers to, and the ways in which that place can fail."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from ganforge.tracking.downsampling import Point
from ganforge.tracking.run_metadata import StartRecord


class Unreachable(Exception):  # noqa: N818 - a state of the store; nobody made an error
    """The store cannot take anything just now: try again later.

    Attributes:
        suspicious: the store did answer, but with an inner error, which a record that it cannot digest would explain too.
    """

    def __init__(self, message: str, *, suspicious: bool = False) -> None:
        super().__init__(message)
        self.suspicious = suspicious


class Refused(Exception):  # noqa: N818 - the store's answer
    """The store will never take this: sending it again is of no use."""


class Gone(Exception):  # noqa: N818 - a state of the run
    """The user deleted the run in the store: there is nowhere to deliver to, and it is not ours to bring it back."""


class Sink(Protocol):
    """Where a journal is delivered. Every method may raise :class:`Unreachable`, :class:`Refused` or :class:`Gone`."""

    def begin(self, start: StartRecord, run_id: str | None) -> tuple[str, str]:
        """Find the run or create it; ``(experiment id, run id)``. ``run_id`` is the one known from before."""

    def describe(self, start: StartRecord, folder: Path) -> list[Refusal]:
        """Send params, tags, data set and first artifacts; give what was refused of them."""

    def points(self, points: Sequence[Point]) -> None:
        """Send metrics, all or none."""

    def image(self, path: Path, key: str, iteration: int, ms: int) -> None:
        """Send a picture unless it is there already."""

    def file(self, path: Path, folder: str) -> None:
        """Send a file."""

    def tag(self, key: str, value: str) -> None:
        """Set a tag of the run."""

    def model(self, folder: Path, record: dict[str, Any]) -> None:
        """Send the trained generator unless it is there already."""

    def running(self) -> None:
        """The run goes on."""

    def ended(self, status: str, ms: int) -> None:
        """The run is over: FINISHED, FAILED or KILLED."""


Refusal = tuple[str, str]
"""What was refused, and why."""
