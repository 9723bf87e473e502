"""Numbers that move during training: learning rates, loss weights, EMA decay."""

from __future__ import annotations

import math
from typing import Literal, Self

from pydantic import Field, model_validator

from ganforge.core.params import Params


class Schedule(Params):
    """A number that moves from ``start`` to ``end`` over a part of the run and then stays there.

    With t the share of the way done, from 0 to 1:

    - ``linear``: ``start + (end - start)·t``
    - ``cosine``: ``end + (start - end)·(1 + cos πt)/2`` (Loshchilov & Hutter 2017, without restarts)
    - ``exponential``: ``start·(end/start)^t``, a straight line on a log axis; or, with ``factor`` in place of ``end``,
      ``start·factor^iteration``, as the 2014 GAN divides its learning rate by 1.000004 at each update.
    """

    schedule: Literal["linear", "cosine", "exponential"]
    """Shape of the curve."""
    start: float
    """Value at the first iteration."""
    end: float | None = None
    """Value at the end of the way."""
    factor: float | None = Field(None, gt=0)
    """Exponential only, in place of `end`: what the value is multiplied by at each iteration."""
    until: float = Field(1.0, gt=0, le=1)
    """Share of the run after which the value stays where it is."""
    floor: float | None = None
    """The value never falls below this."""

    @model_validator(mode="after")
    def _one_way_to_end(self) -> Self:
        if self.factor is not None and self.schedule != "exponential":
            raise ValueError("'factor' goes with schedule = \"exponential\" only")
        if (self.end is None) == (self.factor is None):
            raise ValueError("give 'end'" if self.factor is None else "give either 'end' or 'factor', not both")
        if self.schedule == "exponential" and (self.start <= 0 or (self.end is not None and self.end <= 0)):
            raise ValueError("an exponential schedule needs 'start' and 'end' above 0; 'floor' may be 0")
        return self

    def at(self, iteration: int, iterations: int) -> float:
        """The value for the update that follows ``iteration`` finished ones, in a run of ``iterations``."""
        way = max(1.0, self.until * iterations)
        value = self._moved(min(float(iteration), way), min(iteration / way, 1.0))
        return value if self.floor is None else max(value, self.floor)

    def _moved(self, iteration: float, t: float) -> float:
        if self.factor is not None:
            return self.start * math.pow(self.factor, iteration)
        end = self.start if self.end is None else self.end
        if self.schedule == "linear":
            return self.start + (end - self.start) * t
        if self.schedule == "cosine":
            return end + (self.start - end) * (1 + math.cos(math.pi * t)) / 2
        return self.start * math.pow(end / self.start, t)


def value_at(scalar: float | Schedule, iteration: int, iterations: int) -> float:
    """The value of a constant or scheduled number at ``iteration`` of ``iterations``."""
    return scalar.at(iteration, iterations) if isinstance(scalar, Schedule) else scalar
