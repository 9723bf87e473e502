"""Base class of component parameters, and schedules for parameters that change during training."""

from __future__ import annotations

import math
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Params(BaseModel):
    """Parameters of a component: plain data, validated strictly, frozen.

    Each component declares its own model. The docstrings of its fields become the descriptions in ``ganforge describe``::

        class RingParams(Params):
            modes: int = Field(8, ge=2)
            '''Number of Gaussians on the circle.'''

    Numbers, booleans, strings, ``Literal``, ``Enum``, ``Path``, tuples, lists and dicts of those, and nested ``Params`` are
    allowed. ``Any``, ``Callable``, ``type`` and ``ImportString`` are not, because a recipe is data. Unknown keys are rejected and
    nothing is coerced (``"64"`` is not 64), except that an integer is accepted as a float.
    """

    training_only: ClassVar[frozenset[str]] = frozenset()
    """Params of a data set that do not affect its held-out samples; metric values stay comparable if they differ."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class NoParams(Params):
    """The model of components without parameters."""


class Schedule(Params):
    """A number that changes from ``start`` to ``end`` during training and then stays constant.

    With t the progress from 0 to 1:

    - ``linear``: ``start + (end - start)·t``
    - ``cosine``: ``end + (start - end)·(1 + cos πt)/2`` (Loshchilov & Hutter 2017, without restarts)
    - ``exponential``: ``start·(end/start)^t``, a straight line on a log axis; or, with ``factor`` instead of ``end``,
      ``start·factor^iteration``, as the 2014 GAN divides its learning rate by 1.000004 at each update.
    """

    schedule: Literal["linear", "cosine", "exponential"]
    """Shape of the curve."""
    start: float
    """Value at the first iteration."""
    end: float | None = None
    """Final value."""
    factor: float | None = Field(None, gt=0)
    """Exponential only, instead of `end`: multiplier of the value at each iteration."""
    until: float = Field(1.0, gt=0, le=1)
    """Fraction of the run after which the value stays constant."""
    floor: float | None = None
    """Lower bound of the value."""

    @model_validator(mode="after")
    def _one_way_to_end(self) -> Self:
        if self.factor is not None and self.schedule != "exponential":
            raise ValueError("'factor' requires schedule = \"exponential\"")
        if (self.end is None) == (self.factor is None):
            raise ValueError("give 'end'" if self.factor is None else "give either 'end' or 'factor', not both")
        if self.schedule == "exponential" and (self.start <= 0 or (self.end is not None and self.end <= 0)):
            raise ValueError("an exponential schedule needs 'start' and 'end' above 0; 'floor' may be 0")
        return self

    def at(self, iteration: int, iterations: int) -> float:
        """The value after ``iteration`` of ``iterations`` updates."""
        length = max(1.0, self.until * iterations)
        value = self._interpolated(min(float(iteration), length), min(iteration / length, 1.0))
        return value if self.floor is None else max(value, self.floor)

    def _interpolated(self, iteration: float, t: float) -> float:
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
