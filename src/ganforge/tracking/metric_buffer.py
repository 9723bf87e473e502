"""Metrics on their way from journal to store: thinned, each iteration once, measured values first."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from ganforge.storage import journal
from ganforge.tracking.downsampling import FULL, Point, Windows, base_width, finite
from ganforge.tracking.mlflow_names import metric_key

_ENOUGH_ROWS = 256
_ENOUGH_MS = 1000
_JUDGED = "health/"
"""Metrics that thresholds are held against: of a window the newest value, as it was judged, and no mean."""


class PointStream:
    """Turns the journal's metrics into points that wait to be sent.

    Args:
        width: width of the first windows, or ``None`` when it is to be chosen from the speed that the journal shows.
        highest: highest iteration that was sent of each metric; what a resumed run logs again is left out.

    Attributes:
        waiting: points to be sent, in their order.
        last_iteration: the newest iteration seen.
    """

    def __init__(self, width: int | None, highest: Mapping[str, int]) -> None:
        self.waiting: deque[Point] = deque()
        self.last_iteration = 0
        self._windows = None if width is None else Windows(width)
        self._held: list[tuple[int, dict[str, Any]]] = []  # records read before the width is known
        self._newest = dict(highest)  # by metric: highest iteration sent, waiting or inside a window

    @property
    def width(self) -> int | None:
        """Width of the first windows, once it is known."""
        return None if self._windows is None else self._windows.base

    def take_metrics(self, since: int, record: dict[str, Any]) -> None:
        """Take an ``m`` record that begins at byte ``since``."""
        self.last_iteration = max(self.last_iteration, *record["iterations"], 0)
        if self._windows is None:
            self._held.append((since, record))
            return
        for name, values in record["values"].items():
            key = metric_key(name)
            newest = self._newest.get(key, -1)
            for iteration, ms, value in zip(record["iterations"], record["ms"], values, strict=True):
                if iteration > newest:
                    newest = iteration
                    self.waiting.extend(self._windows.add(key, iteration, ms, value, since, newest=name.startswith(_JUDGED)))
            self._newest[key] = newest

    def take_evaluation(self, since: int, record: dict[str, Any]) -> None:
        """Take an ``eval`` record. Measured values are few and matter most: never thinned, and before all that waits.

        Those of ``evaluated``, which a run was measured with again, get names of their own, and are counted instead of placed at an
        iteration: there may be several of one iteration, and the last one shall stand as the newest.

        Raises:
            KeyError, TypeError, ValueError: the record is not one.
        """
        again = record.get("kind") == "evaluated"
        prefix, iteration, ms = "evaluated/" if again else "eval/", record["number" if again else "iteration"], record["ms"]
        for name, value in record["values"].items():
            key = _prefixed(prefix, name)
            if iteration > self._newest.get(key, -1):
                self._newest[key] = iteration
                self.waiting.appendleft(Point(key, iteration, ms, finite(float(value)), since))

    def settle(self, *, full: bool, final: bool) -> None:
        """Choose the width as soon as the speed is known, or now when ``final``; ``full`` asks for no thinning."""
        if self._windows is not None or not (self._held or full):
            return
        # A look of the watch is a row of its own beside its iteration's, and no iteration more.
        times = sorted(ms for _, record in self._held for ms in record["ms"] if not _is_judged(record))
        enough = len(times) >= _ENOUGH_ROWS or (len(times) > 1 and times[-1] - times[0] >= _ENOUGH_MS)
        if not (full or enough or final):
            return
        self._windows = Windows(FULL if full else base_width(sorted(set(times)) if len(times) < _ENOUGH_ROWS else times))
        held, self._held = self._held, []
        for since, record in held:
            self.take_metrics(since, record)

    def close(self) -> None:
        """Let the open windows' points go as far as they got."""
        if self._windows is not None:
            self.waiting.extend(self._windows.close())

    def batch(self, size: int) -> list[Point]:
        """The first points that wait, at most ``size``; they stay until :meth:`drop`."""
        return list(islice(self.waiting, size))

    def drop(self, count: int) -> None:
        """Forget the first ``count`` points."""
        for _ in range(count):
            self.waiting.popleft()

    def since(self, position: int) -> int:
        """Byte of the journal from which all that was not sent can be made again; ``position`` is where reading stands."""
        bytes_needed = [position, *(point.since for point in self.waiting)]
        if self._held:
            bytes_needed.append(self._held[0][0])
        if self._windows is not None and self._windows.since is not None:
            bytes_needed.append(self._windows.since)
        return min(bytes_needed)


def _prefixed(prefix: str, name: str) -> str:
    return metric_key(name if name.startswith(prefix) else f"{prefix}{name}")


def _is_judged(record: Mapping[str, Any]) -> bool:
    return all(name.startswith(_JUDGED) for name in record["values"])


def last_values(path: Path, until: int) -> dict[str, tuple[int, float]]:
    """By metric, the newest value up to an iteration and which that was: of an iteration that came again, the last time counts.

    Raises:
        StorageError: the journal cannot be read.
    """
    found: dict[str, tuple[int, float]] = {}
    lasting = journal.surviving_iterations(path)
    for _, record in journal.read(path):
        limit = min(lasting[0], until)
        if record["kind"] in journal.REWINDS:
            lasting.popleft()
        elif record["kind"] == "eval" and record["iteration"] <= limit:
            found |= {_prefixed("eval/", key): (record["iteration"], float(value)) for key, value in record["values"].items()}
        elif record["kind"] == "metrics":
            rows = [row for row, at in enumerate(record["iterations"]) if at <= limit]
            for key, values in record["values"].items():
                found |= {metric_key(key): (record["iterations"][row], values[row]) for row in rows[-1:]}
    return found
