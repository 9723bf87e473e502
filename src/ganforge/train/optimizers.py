"""Torch's optimizers without the import of torch's compiler, which takes longer than building all the rest of a run."""

from __future__ import annotations

import functools
import inspect
from typing import Any, TypeVar

import torch

_MARKED = ("add_param_group", "state_dict", "load_state_dict", "zero_grad")
"""Methods that torch keeps out of compiled graphs; only the mark on them, not their work, needs the compiler."""


_Kind = TypeVar("_Kind", bound=torch.optim.Optimizer)


@functools.cache
def eager(kind: type[_Kind]) -> type[_Kind]:
    """An optimizer class that works as ``kind`` does, but which ``torch.compile`` should not look into.

    Torch wraps ``step`` and a few more methods in functions that import ``torch._dynamo`` when first called, for the sake of
    graphs that are compiled around them. The methods within the wrappers are found as :func:`functools.wraps` leaves them; where
    a version of torch has no wrapper, its method is taken as it is.

    Args:
        kind: a class of :mod:`torch.optim` without the option ``differentiable``, whose steps would need their gradients.

    Returns:
        A subclass, always the same one.
    """
    methods: dict[str, Any] = {name: inspect.unwrap(getattr(kind, name)) for name in _MARKED}
    methods["step"] = torch.no_grad()(inspect.unwrap(kind.step))
    return type(kind.__name__, (kind,), {**methods, "__module__": __name__, "__doc__": kind.__doc__})
