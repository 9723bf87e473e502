"""How a run stands, gathered from its events: what the live view, the plain lines and nobody else need to remember."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from ganforge.core import metric_goal
from ganforge.core.contracts import MetricInfo
from ganforge.core.events import Evaluated, Event, Finished, HealthChecked, RolledBack, SamplesDrawn, Started, Stepped
from ganforge.figures.history import Floats, History, floats, smoothed

if TYPE_CHECKING:
    from torch import Tensor

Clock = Callable[[], float]

_SMOOTHED = 48
"""Iterations that the shown value of a term is the mean of."""
_POINTS = 256
"""Points kept of each term, for its sparkline."""
_WINDOW = 20.0
"""Seconds that the speed is measured over."""


class Pace:
    """Speed and time left, over the last seconds; evaluations and pictures count, since they will come again."""

    def __init__(self, iteration: int, now: float) -> None:
        self._looks: deque[tuple[float, int]] = deque([(now, iteration)])

    def look(self, iteration: int, now: float) -> float:
        """Iterations per second up to ``now``."""
        self._looks.append((now, iteration))
        while len(self._looks) > 2 and now - self._looks[0][0] > _WINDOW:
            self._looks.popleft()
        began, first = self._looks[0]
        return (iteration - first) / (now - began) if now > began else 0.0


class Score:
    """One metric value: the newest, the one before, and the best so far.

    Attributes:
        value: the newest, NaN before the first measurement.
        before: the measurement before it, or NaN.
        best: the best finite value, or NaN; none of a value that is never judged.
        best_iteration: when that was.
        times: how often it was measured.
        missing: whether it failed the last time.
        aim: what it is to be near to, where that is the better.
    """

    def __init__(self, measure: MetricInfo, samples: int | None = None) -> None:
        self.measure = measure
        self.aim = measure.aim_at(samples)
        self._points: dict[int, float | None] = {}
        self._clear()

    def _clear(self) -> None:
        self.value = self.before = self.best = math.nan
        self.best_iteration = self.times = 0
        self.missing = False

    def forget(self, after: int) -> None:
        """Drop what was measured after an iteration: training went back to it."""
        kept = [(at, value) for at, value in self._points.items() if at <= after]
        self._points = {}
        self._clear()
        for at, value in kept:
            self.add(at, value)

    def add(self, iteration: int, value: float | None) -> None:
        """A new measurement; ``None`` where it failed."""
        self._points[iteration] = value
        self.missing = value is None
        if value is None:
            return
        self.before, self.value, self.times = self.value, value, self.times + 1
        if self._beats(value, self.best):
            self.best, self.best_iteration = value, iteration

    @property
    def progress(self) -> int:
        """1 when the newest value is better than the one before, -1 when worse, 0 when equal, unknown or not judged."""
        if self.missing or not (math.isfinite(self.value) and math.isfinite(self.before)):
            return 0
        return self._beats(self.value, self.before) - self._beats(self.before, self.value)

    def _beats(self, value: float, other: float) -> bool:
        """Whether a value is finite and better than another one, which need not be."""
        one, two = (metric_goal.cost(number, self.measure.better, self.aim) for number in (value, other))
        return one < two


class Standing:
    """Everything told so far.

    Attributes:
        started: how it began, ``None`` before.
        iteration: iterations done.
        scores: by metric key, in the order of the recipe.
        picture: the newest picture.
        examined: what the health watch saw last, ``None`` where it has not looked.
        healthy_since: iteration of the first look from which on it saw no trouble, ``None`` while it sees one.
        finished: how it ended, ``None`` before.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self.clock = clock
        self.started: Started | None = None
        self.finished: Finished | None = None
        self.picture: SamplesDrawn | None = None
        self.examined: HealthChecked | None = None
        self.healthy_since: int | None = None
        self.iteration = 0
        self.scores: dict[str, Score] = {}
        self._recent: deque[Mapping[str, Tensor]] = deque(maxlen=_SMOOTHED)
        self._history = History(_POINTS)
        self._pace = Pace(0, clock())

    def hear(self, event: Event) -> None:
        """Remember what an event says; the terms of a `Stepped` stay on the device."""
        match event:
            case Stepped():
                self.iteration = event.iteration
                self._recent.append(event.terms)
                self._history.add(event.iteration, event.terms)
            case Started():
                self.started, self.iteration = event, event.iteration
                self.scores = {key: Score(measure, _samples(event, key)) for key, measure in event.value_info.items()}
                self._pace = Pace(event.iteration, self.clock())
            case Evaluated():
                self._evaluate(event)
            case HealthChecked():
                self._examine(event)
            case SamplesDrawn():
                self.picture = event
            case RolledBack():
                self._go_back(event.iteration)
            case Finished():
                self.finished, self.iteration = event, event.iteration

    def _go_back(self, iteration: int) -> None:
        """Forget what was seen of the part that is given up; time and iterations go apart."""
        self.iteration = iteration
        self._pace = Pace(iteration, self.clock())
        self._recent.clear()
        self.examined = self.healthy_since = None
        for score in self.scores.values():
            score.forget(iteration)
        if self.picture and self.picture.iteration > iteration:
            self.picture = None

    def _evaluate(self, event: Evaluated) -> None:
        for key, value in event.values.items():
            self.scores.setdefault(key, Score(MetricInfo("", "lower"))).add(event.iteration, value)
        for key, score in self.scores.items():
            if key.partition("/")[0] in event.missing:
                score.add(event.iteration, None)

    def _examine(self, event: HealthChecked) -> None:
        if event.findings:
            self.healthy_since = None
        elif self.healthy_since is None and event.judged:
            self.healthy_since = event.iteration
        self.examined = event

    def terms(self) -> dict[str, float]:
        """Each term's mean over the last iterations; this waits for the device."""
        rows = floats(list(self._recent))
        keys = dict.fromkeys(key for row in rows for key in row)
        return {key: sum(found) / len(found) for key in keys if (found := [row[key] for row in rows if key in row])}

    def trends(self) -> dict[str, Floats]:
        """Each term over the whole run, smoothed, at 256 points at most."""
        return {key: smoothed(values, 5) for key, values in self._history.series()[1].items()}

    def measured(self) -> dict[str, float]:
        """The newest value of each metric that has one and did not fail since."""
        return {key: score.value for key, score in self.scores.items() if score.times and not score.missing}

    def pace(self) -> tuple[float, float | None]:
        """Iterations per second, and the seconds left or ``None`` while unknown."""
        per_second = self._pace.look(self.iteration, self.clock())
        if self.started is None or per_second <= 0:
            return per_second, None
        return per_second, (self.started.iterations - self.iteration) / per_second


def _samples(event: Started, key: str) -> int | None:
    """How many samples a metric is measured with, where its protocol says it."""
    samples = event.protocols.get(key.partition("/")[0], {}).get("samples")
    return samples if isinstance(samples, int) else None
