"""The base of every component's parameters."""

from __future__ import annotations

from typing import ClassVar

from pydantic import BaseModel, ConfigDict


class Params(BaseModel):
    """Parameters of a component: plain data, checked strictly, frozen.

    A component declares its own model; the attribute docstrings become the descriptions that ``ganforge describe`` shows::

        class RingParams(Params):
            modes: int = Field(8, ge=2)
            '''Number of Gaussians on the circle.'''

    Numbers, booleans, strings, ``Literal``, ``Enum``, ``Path``, tuples, lists and dicts of those, and nested ``Params`` are
    allowed; ``Any``, ``Callable``, ``type`` and ``ImportString`` are not: a recipe must stay data. Unknown keys are refused and
    nothing is coerced (``"64"`` is not 64), except that a whole number serves as a float.

    Attributes:
        training_only: names of those parameters of a data set that change what is trained on and nothing of what is held out;
            values that differ in nothing else are compared.
    """

    training_only: ClassVar[frozenset[str]] = frozenset()

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, use_attribute_docstrings=True)


class NoParams(Params):
    """For components that take no parameters."""
