"""Chosen labels and codes in latents, and traversals: one input varied while all others are held."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganforge.core.contracts import BoundedNoise, KnownNoiseMoments, Sampler
from ganforge.core.errors import UsageError
from ganforge.core.records import Codes, Latent
from ganforge.core.specs import DataSpec, LatentSpec
from ganforge.runs.interpolation import LatentGrid

MAX_ROWS = 20
"""Rows of labels or of a code's values at most."""
_CODE_RANGE = (-1.0, 1.0)
"""The range that training draws continuous codes from; values beyond it are allowed."""
_DEVIATIONS = 2.0
"""Standard deviations by which a dimension of the noise is moved to either side."""
_DRAWN = 4096
"""Latents from which the moments of a sampler are estimated where it does not declare them."""

Rows = list[tuple[str, Latent]]
Sweep = tuple[Callable[[Latent, Tensor], Latent], tuple[float, float]]
"""A function that gives latents one value each, and the range of the values."""


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
        raise UsageError(f"label must be an integer, got {label!r}", remedy=remedy)
    if not 0 <= number < spec.classes:
        raise UsageError(f"there is no label {label}", remedy=remedy)
    return replace(latent, labels=torch.full_like(latent.labels, int(number)))


def with_code(latent: Latent, code: Any, spec: LatentSpec) -> Latent:
    """The latents with these values of the codes, categorical ones first; ``None`` keeps a code as drawn.

    Raises:
        UsageError: the generator takes no codes, or not these.
    """
    if latent.codes is None:
        raise UsageError("this generator takes no code", remedy="drop --code; InfoGAN recipes use the sampler 'structured'")
    if isinstance(code, str) or not isinstance(code, Sequence | np.ndarray):
        raise UsageError(f"codes must be a list of numbers, got {code!r}", remedy=f"such as [{code}]")
    count = len(spec.categorical) + spec.continuous
    if len(code) > count:
        raise UsageError(f"{len(code)} codes were given, the generator has {count}", remedy=f"give at most {count}")
    for column, value in enumerate(code):
        if value is not None:
            latent = _set_code(latent, column, _code_value(column, value, spec), spec)
    return latent


def _code_value(column: int, value: Any, spec: LatentSpec) -> float:
    number, values = _number(value), spec.categorical[column] if column < len(spec.categorical) else None
    shown = f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else repr(value)
    if values is not None and (number is None or not number.is_integer() or not 0 <= number < values):
        raise UsageError(f"code {column} cannot be {shown}", remedy=f"it must be an integer from 0 to {values - 1}")
    if number is None:  # beyond the range is allowed: the InfoGAN paper sweeps from -2 to 2
        low, high = _CODE_RANGE
        raise UsageError(
            f"code {column} cannot be {shown}", remedy=f"it must be a number; training draws it from {low:g} to {high:g}"
        )
    return number


def _number(value: Any) -> float | None:
    """A finite number of Python, numpy or torch; ``None`` for anything else, texts and lists of one number among them."""
    is_one = isinstance(value, int | float | np.number) or (isinstance(value, np.ndarray | torch.Tensor) and value.ndim == 0)
    if not is_one or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _set_code(latent: Latent, code: int, values: float | Tensor, spec: LatentSpec) -> Latent:
    """Latents with one code set: to one value for all, or to ``(n,)`` values."""
    assert latent.codes is not None  # noqa: S101 - the sampler's spec promises it
    categorical, continuous = latent.codes.categorical.clone(), latent.codes.continuous.clone()
    if code < len(spec.categorical):
        categorical[:, code] = values
    else:
        continuous[:, code - len(spec.categorical)] = values
    return replace(latent, codes=Codes(categorical, continuous))


@dataclass(frozen=True, slots=True)
class Anchors:
    """Latents from which everything that is not varied is taken.

    Attributes:
        across: one for each column, the same in each row: for labels and categorical codes.
        down: one for each row, held along it: for sweeps.
    """

    across: Latent
    down: Latent


def traverse(
    anchors: Anchors,
    sampler: Sampler,
    data: DataSpec,
    *,
    code: int | None = None,
    noise: int | None = None,
    hold_label: bool = False,
) -> LatentGrid:
    """The grid that shows the effect of labels, codes or noise.

    - By default: a row for each label, each value of the first categorical code and each continuous code; for a generator that
      has none of them, a row for each of the first dimensions of the noise, as many as ``anchors.down`` has latents.
    - A categorical code: a row for each of its values.
    - A continuous code is swept from −1 to 1, a dimension of the noise by two standard deviations to either side but not
      beyond its bounds: a row for each label, or each value of the first categorical code, or else each latent of ``anchors.down``.

    Args:
        anchors: what stays the same.
        sampler: what draws the latents.
        data: the data's spec, for the names of classes.
        code: a code's number, categorical ones first.
        noise: a dimension of the noise, from 0; not together with a code.
        hold_label: whether labels stay those of the anchors, and make no rows.

    Raises:
        UsageError: a code or a dimension that these latents do not have.
    """
    spec, across, down = sampler.spec, anchors.across, anchors.down
    classes = 0 if hold_label else min(spec.classes or 0, MAX_ROWS)
    if code is None and noise is None:
        rows = _overview(anchors, sampler, data, classes)
    elif code is not None and _check_code(code, spec) < len(spec.categorical):
        rows = _code_rows(across, code, spec)
    else:
        sweep = _code_sweep(code, spec) if code is not None else _noise_sweep(_check_noise(noise or 0, spec), sampler)
        starts = _label_rows(down[:1], classes, spec, data) or _code_rows(down[:1], 0, spec)
        starts = starts or [("", down[at : at + 1]) for at in range(len(down))]
        rows = [(name, _swept(start, sweep, len(across))) for name, start in starts]
    return LatentGrid(Latent.concatenate([latent for _, latent in rows]), len(across), tuple(name for name, _ in rows))


def _overview(anchors: Anchors, sampler: Sampler, data: DataSpec, classes: int) -> Rows:
    spec, categorical = sampler.spec, len(sampler.spec.categorical)
    rows = _label_rows(anchors.across, classes, spec, data) + _code_rows(anchors.across, 0, spec)
    swept = [(f"code {at}", _code_sweep(at, spec)) for at in range(categorical, categorical + spec.continuous)]
    if not rows and not swept:
        swept = [(f"noise {at}", _noise_sweep(at, sampler)) for at in range(min(len(anchors.down), spec.noise))]
    return rows + [(name, _swept(anchors.down[:1], sweep, len(anchors.across))) for name, sweep in swept]


def _label_rows(latent: Latent, classes: int, spec: LatentSpec, data: DataSpec) -> Rows:
    names = data.class_names or [f"class {label}" for label in range(classes)]
    return [(names[label], with_label(latent, label, spec)) for label in range(classes)]


def _code_rows(latent: Latent, code: int, spec: LatentSpec) -> Rows:
    """A row for each value of a categorical code; none where there are no such codes."""
    values = min(spec.categorical[code], MAX_ROWS) if spec.categorical else 0
    return [(f"code {code} = {value}", _set_code(latent, code, value, spec)) for value in range(values)]


def _swept(start: Latent, sweep: Sweep, columns: int) -> Latent:
    """The only latent of ``start``, swept from one end of the range to the other."""
    assign, (low, high) = sweep
    values = torch.linspace(low, high, columns) if columns > 1 else torch.tensor([(low + high) / 2])
    return assign(start[torch.zeros(columns, dtype=torch.int64)], values.to(start.noise))


def _code_sweep(code: int, spec: LatentSpec) -> Sweep:
    return lambda latent, values: _set_code(latent, code, values, spec), _CODE_RANGE


def _noise_sweep(dimension: int, sampler: Sampler) -> Sweep:
    def assign(latent: Latent, values: Tensor) -> Latent:
        noise = latent.noise.clone()
        noise[:, dimension] = values
        return replace(latent, noise=noise)

    mean, std = sampler.noise_moments if isinstance(sampler, KnownNoiseMoments) else _estimate_moments(sampler, dimension)
    bounds = sampler.noise_bounds if isinstance(sampler, BoundedNoise) else None
    low, high = bounds or (-torch.inf, torch.inf)
    return assign, (max(low, mean - _DEVIATIONS * std), min(high, mean + _DEVIATIONS * std))


def _estimate_moments(sampler: Sampler, dimension: int) -> tuple[float, float]:
    noise = sampler.draw(_DRAWN, torch.Generator().manual_seed(0)).noise[:, dimension].double()
    return float(noise.mean()), float(noise.std())


def _check_code(code: int, spec: LatentSpec) -> int:
    count = len(spec.categorical) + spec.continuous
    if not count:
        raise UsageError("this generator takes no code", remedy="drop --code; InfoGAN recipes use the sampler 'structured'")
    if not 0 <= code < count:
        kinds = [f"{at} with {values} values" for at, values in enumerate(spec.categorical)]
        kinds += [f"{at} from -1 to 1" for at in range(len(spec.categorical), count)]
        raise UsageError(f"there is no code {code}", remedy=f"this generator's codes are {', '.join(kinds)}")
    return code


def _check_noise(dimension: int, spec: LatentSpec) -> int:
    if not 0 <= dimension < spec.noise:
        raise UsageError(f"the noise has no dimension {dimension}", remedy=f"its dimensions go from 0 to {spec.noise - 1}")
    return dimension
