"""The state of a run, collected from its events, and the base class of the displays that show it."""

from __future__ import annotations

import math
import statistics
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ganforge.core import formatting
from ganforge.core.contracts import goal_cost
from ganforge.core.events import Evaluated, Event, Finished, HealthChecked, RolledBack, SamplesDrawn, Started, Stepped
from ganforge.figures import Floats
from ganforge.figures.charts import best_value, smooth
from ganforge.figures.run_history import BinnedCurve, terms_to_floats
from ganforge.storage.value_info import StoredMetricInfo, ValueInfo

if TYPE_CHECKING:
    from torch import Tensor

Clock = Callable[[], float]

_SMOOTHED = 48  # the displayed value of a term is the mean over this many iterations
_POINTS = 256  # largest number of points of each term's trend
_PENDING = 256  # iterations whose terms stay on the device until they are read together
STOPPING = "finishing this iteration and saving … press Ctrl-C again to stop at once"
"""The message after the first Ctrl-C."""
_WINDOW = 20.0  # seconds over which the speed is measured


@dataclass(frozen=True, slots=True)
class RunHeading:
    """What is known about a run before it starts."""

    title: str
    folder: Path
    seed: int


@dataclass(frozen=True, slots=True)
class MetricHistory:
    """The values of one metric by iteration, ``None`` where the measurement failed."""

    info: StoredMetricInfo
    points: dict[int, float | None] = field(default_factory=dict)

    @property
    def values(self) -> list[float]:
        """All successful measurements."""
        return [value for value in self.points.values() if value is not None]

    @property
    def value(self) -> float | None:
        """The newest value; ``None`` if the last measurement failed or there is none."""
        return next(reversed(self.points.values()), None)

    @property
    def best(self) -> float:
        """The best finite value; NaN if there is none, or if it is undefined which values are better."""
        best = best_value({at: value for at, value in self.points.items() if value is not None}, self.info)
        return best[1] if best else math.nan

    @property
    def progress(self) -> int:
        """1 if the newest value is better than the previous one, -1 if worse, 0 if equal, unknown or undefined."""
        newest = [math.nan, math.nan, *self.values][-2:]
        before, now = (goal_cost(value, self.info.better, self.info.aim) for value in newest)
        if self.value is None or not (math.isfinite(before) and math.isfinite(now)):
            return 0
        return (now < before) - (now > before)


class RunState:
    """The state of the run according to the events so far."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self.clock = clock
        self.started: Started | None = None
        self.finished: Finished | None = None
        self.picture: SamplesDrawn | None = None
        self.health: HealthChecked | None = None
        self.healthy_since: int | None = None  # iteration of the first health check since which there are no findings
        self.iteration = 0  # iterations done
        self.scores: dict[str, MetricHistory] = {}  # by key, in the order of the recipe
        self._recent: deque[Mapping[str, float]] = deque(maxlen=_SMOOTHED)
        self._pending: list[tuple[int, Mapping[str, Tensor]]] = []
        self._trends: dict[str, BinnedCurve] = {}
        self._restart_pace(0)

    def update(self, event: Event) -> None:
        """Take in an event; the terms of a `Stepped` stay on the device."""
        match event:
            case Stepped():
                self.iteration = event.iteration
                self._pending.append((event.iteration, event.terms))
                if len(self._pending) >= _PENDING:
                    self._read_pending()
            case Started():
                self.started, self.iteration = event, event.iteration
                info = ValueInfo.resolve(event.term_info, event.value_info, event.samples, floors=False)
                self.scores = {key: MetricHistory(one) for key, one in info.metrics.items()}
                self._restart_pace(event.iteration)
            case Evaluated():
                self._add_scores(event)
            case HealthChecked():
                self._add_health(event)
            case SamplesDrawn():
                self.picture = event
            case RolledBack():
                self._roll_back(event.iteration)
            case Finished():
                self.finished, self.iteration = event, event.iteration

    def _roll_back(self, iteration: int) -> None:
        """Forget what happened after ``iteration``, and measure the speed anew."""
        self._read_pending()
        for trend in self._trends.values():
            trend.drop_after(iteration)
        self.iteration = iteration
        self._restart_pace(iteration)
        self._recent.clear()
        self.health = self.healthy_since = None
        for score in self.scores.values():
            for at in [at for at in score.points if at > iteration]:
                del score.points[at]
        if self.picture and self.picture.iteration > iteration:
            self.picture = None

    def _add_scores(self, event: Evaluated) -> None:
        for key, value in event.values.items():
            self.scores.setdefault(key, MetricHistory(StoredMetricInfo("", "lower"))).points[event.iteration] = value
        for key, score in self.scores.items():
            if key.partition("/")[0] in event.missing:
                score.points[event.iteration] = None

    def _add_health(self, event: HealthChecked) -> None:
        if event.findings:
            self.healthy_since = None
        elif self.healthy_since is None and event.conclusive:
            self.healthy_since = event.iteration
        self.health = event

    def _read_pending(self) -> None:
        columns: dict[str, tuple[list[int], list[float]]] = {}
        rows = terms_to_floats([terms for _, terms in self._pending])
        self._recent.extend(rows)
        for (iteration, _), row in zip(self._pending, rows, strict=True):
            for key, value in row.items():
                iterations, values = columns.setdefault(key, ([], []))
                iterations.append(iteration)
                values.append(value)
        for key, column in columns.items():
            self._trends.setdefault(key, BinnedCurve(_POINTS)).add(*column)
        self._pending.clear()

    def terms(self) -> dict[str, float]:
        """Each term's mean over the last iterations; this waits for the device."""
        self._read_pending()
        keys = dict.fromkeys(key for row in self._recent for key in row)
        return {key: statistics.fmean(row[key] for row in self._recent if key in row) for key in keys}

    def trends(self) -> dict[str, Floats]:
        """Each term over the whole run, smoothed, at most 256 points; this waits for the device."""
        self._read_pending()
        return {key: smooth(trend.series()[2], 5) for key, trend in self._trends.items()}

    def measured(self) -> dict[str, float]:
        """The newest value of each metric whose last measurement succeeded."""
        return {key: value for key, score in self.scores.items() if (value := score.value) is not None}

    def pace(self) -> tuple[float, float | None]:
        """Iterations per second over the last seconds, and the seconds left or ``None`` while unknown.

        Evaluations and pictures are included, since they recur.
        """
        self._paces.append((self.clock(), self.iteration))
        while len(self._paces) > 2 and self._paces[-1][0] - self._paces[0][0] > _WINDOW:
            self._paces.popleft()
        (began, first), (now, last) = self._paces[0], self._paces[-1]
        per_second = (last - first) / (now - began) if now > began else 0.0
        if self.started is None or per_second <= 0:
            return per_second, None
        return per_second, (self.started.iterations - self.iteration) / per_second

    def _restart_pace(self, iteration: int) -> None:
        self._paces: deque[tuple[float, int]] = deque([(self.clock(), iteration)])


class ProgressUI(ABC):
    """Shows the progress of one run."""

    def __init__(self, heading: RunHeading, clock: Clock = time.monotonic) -> None:
        self._heading, self._clock = heading, clock
        self._state = RunState(clock)
        self._messages: deque[str] = deque()
        self._running = False

    @contextmanager
    def callback(self) -> Iterator[Callable[[Event], None]]:
        """The event handler; pending messages are shown at the end."""
        self._running = True
        try:
            yield self._handle
        finally:
            self._running = False
            self._print_messages()

    def notify(self, text: str) -> None:
        """Show a message, such as ``"saving; press Ctrl-C again to stop at once"``: at the next event while the run is running.

        Before and after, it appears at once. Safe to call from signal handlers and other threads.
        """
        self._messages.append(text)
        if not self._running:
            self._print_messages()

    def _print_messages(self) -> None:
        while self._messages:
            with suppress(OSError):  # the terminal is gone, or the disk is full: no reason to stop training
                self._print(formatting.clean(self._messages.popleft()))

    @abstractmethod
    def _handle(self, event: Event) -> None: ...

    @abstractmethod
    def _print(self, line: str) -> None: ...
