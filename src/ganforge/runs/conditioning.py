"""Labels and codes that somebody asks a generator for, put into latents; what makes no sense is refused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from ganforge.core.errors import UsageError
from ganforge.core.records import Codes, Latent
from ganforge.core.specs import LatentSpec

CODE_RANGE = (-1.0, 1.0)
"""Between which continuous codes are drawn, as :class:`~ganforge.core.specs.LatentSpec` has it; other numbers may be asked for."""


def with_label(latent: Latent, label: Any, spec: LatentSpec) -> Latent:
    """The latents with one class for all.

    Raises:
        UsageError: the generator takes no label, or not this one.
    """
    if latent.labels is None or spec.classes is None:
        raise UsageError("this generator takes no label", remedy="drop --label; conditional recipes use the sampler 'labelled'")
    remedy = f"labels go from 0 to {spec.classes - 1}"
    number = _number(label)
    if number is None or not number.is_integer():
        raise UsageError(f"a label is one whole number, and {label!r} is none", remedy=remedy)
    if not 0 <= number < spec.classes:
        raise UsageError(f"there is no label {label}", remedy=remedy)
    return replace(latent, labels=torch.full_like(latent.labels, int(number)))


def with_code(latent: Latent, code: Any, spec: LatentSpec) -> Latent:
    """The latents with these values of the codes, categorical ones first; ``None`` leaves one as it was drawn.

    Raises:
        UsageError: the generator takes no codes, or not these.
    """
    if latent.codes is None:
        raise UsageError("this generator takes no code", remedy="drop --code; InfoGAN recipes use the sampler 'structured'")
    if isinstance(code, str) or not isinstance(code, Sequence | np.ndarray):
        raise UsageError(f"codes are a list of numbers, and {code!r} is none", remedy=f"such as [{code}]")
    count = len(spec.categorical) + spec.continuous
    if len(code) > count:
        raise UsageError(f"{len(code)} codes were given, the generator has {count}", remedy=f"give at most {count}")

    categorical, continuous = latent.codes.categorical.clone(), latent.codes.continuous.clone()
    for column, value in enumerate(code):
        if value is None:
            continue
        if column < len(spec.categorical):
            categorical[:, column] = _category(column, value, spec.categorical[column])
        else:
            continuous[:, column - len(spec.categorical)] = _anywhere(column, value)
    return replace(latent, codes=Codes(categorical, continuous))


def _category(column: int, value: Any, values: int) -> int:
    number = _number(value)
    if number is None or not number.is_integer() or not 0 <= number < values:
        raise UsageError(f"code {column} cannot be {_shown(value)}", remedy=f"it is a whole number from 0 to {values - 1}")
    return int(number)


def _anywhere(column: int, value: Any) -> float:
    """Beyond the range that training draws from is allowed too: the InfoGAN paper sweeps from -2 to 2."""
    number, (low, high) = _number(value), CODE_RANGE
    if number is None:
        remedy = f"it is a number; training draws it from {low:g} to {high:g}"
        raise UsageError(f"code {column} cannot be {_shown(value)}", remedy=remedy)
    return number


def _number(value: Any) -> float | None:
    """A finite number, of Python, numpy or torch; ``None`` for anything else, texts and lists of one among them."""
    is_one = isinstance(value, int | float | np.number) or (isinstance(value, np.ndarray | torch.Tensor) and value.ndim == 0)
    if not is_one or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else repr(value)
