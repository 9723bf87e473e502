"""Traversals of the latent space: one thing varied, all else held; a row for each label, each value of a code, each code."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from ganforge.core.contracts import BoundedNoise, KnownNoiseMoments, Sampler
from ganforge.core.errors import UsageError
from ganforge.core.records import Codes, Latent
from ganforge.core.specs import DataSpec, LatentSpec
from ganforge.runs.conditioning import CODE_RANGE
from ganforge.runs.interpolation import Walk

MOST = 20
"""Most rows of labels or of a code's values."""
_FAR = 2.0
"""Standard deviations by which a dimension of the noise is moved to either side."""
_DRAWN = 4096
"""Latents whose noise tells the moments of a sampler that promises none."""

Change = Callable[[Latent], Latent]
Named = list[tuple[str, Change]]
Rows = list[tuple[str, Latent]]
Sweep = tuple[Callable[[Latent, Tensor], Latent], tuple[float, float]]
"""How latents get values, one each, and between which ends the values go."""

_Part = TypeVar("_Part")


@dataclass(frozen=True, slots=True)
class Bases:
    """Latents that all that is not varied is taken from.

    Attributes:
        across: one for each column, the same in each row: of labels and categorical codes.
        down: one for each row, held along it: of what is swept.
    """

    across: Latent
    down: Latent


def traversal(
    bases: Bases, sampler: Sampler, data: DataSpec, *, code: int | None = None, noise: int | None = None, hold_label: bool = False
) -> Walk:
    """The sheet that shows what labels, codes or noise do.

    - Nothing asked: a row for each label, each value of the first categorical code and each continuous code; for a generator that
      has none of them, a row for each of the first dimensions of the noise, as many as ``bases.down`` has latents.
    - A categorical code: a row for each of its values.
    - A continuous code is swept from −1 to 1, a dimension of the noise by two standard deviations to either side but not
      beyond its bounds: a row for each label, or each value of the first categorical code, or else each latent of ``bases.down``.

    Args:
        bases: what stays the same.
        sampler: what draws the latents.
        data: the data's spec, for the names of classes.
        code: a code's number, categorical ones first.
        noise: a dimension of the noise, from 0; not together with a code.
        hold_label: whether labels stay those of the bases, and make no rows.

    Raises:
        UsageError: a code or a dimension that these latents do not have.
    """
    spec = sampler.spec
    labels = [] if hold_label else _label_changes(spec, data)
    if code is None and noise is None:
        rows = _overview(bases, sampler, labels)
    elif code is not None and _known_code(code, spec) < len(spec.categorical):
        rows = _changed(bases.across, _value_changes(spec, code))
    else:
        sweep = _swept_code(spec, code) if code is not None else _swept_noise(sampler, _known_noise(noise or 0, spec))
        rows = [(name, _along(start, sweep, len(bases.across))) for name, start in _starts(bases.down, spec, labels)]
    return Walk(Latent.concatenate([latent for _, latent in rows]), len(bases.across), tuple(name for name, _ in rows))


def _overview(bases: Bases, sampler: Sampler, labels: Named) -> Rows:
    spec, categorical = sampler.spec, len(sampler.spec.categorical)
    rows = _changed(bases.across, labels + (_value_changes(spec, 0) if categorical else []))
    swept = [(f"code {at}", _swept_code(spec, at)) for at in range(categorical, categorical + spec.continuous)]
    if not rows and not swept:
        swept = [(f"noise {at}", _swept_noise(sampler, at)) for at in range(min(len(bases.down), spec.noise))]
    return rows + [(name, _along(_row(bases.down, 0), sweep, len(bases.across))) for name, sweep in swept]


def _starts(down: Latent, spec: LatentSpec, labels: Named) -> Rows:
    """What is held along each row while something is swept."""
    changes = labels or (_value_changes(spec, 0) if spec.categorical else [])
    return _changed(_row(down, 0), changes) or [("", _row(down, at)) for at in range(len(down))]


def _changed(latent: Latent, changes: Named) -> Rows:
    return [(name, change(latent)) for name, change in changes]


def _row(latent: Latent, at: int) -> Latent:
    return latent[at : at + 1]


def _along(start: Latent, sweep: Sweep, columns: int) -> Latent:
    """The only latent of ``start``, swept from one end to the other."""
    assign, (low, high) = sweep
    values = torch.linspace(low, high, columns) if columns > 1 else torch.tensor([(low + high) / 2])
    return assign(start[torch.zeros(columns, dtype=torch.int64)], values.to(start.noise))


def _label_changes(spec: LatentSpec, data: DataSpec) -> Named:
    def to(label: int) -> Change:
        return lambda latent: replace(latent, labels=torch.full_like(_there(latent.labels), label))

    names = data.class_names or [f"class {label}" for label in range(spec.classes or 0)]
    return [(names[label], to(label)) for label in range(min(spec.classes or 0, MOST))]


def _value_changes(spec: LatentSpec, column: int) -> Named:
    """For each value of a categorical code, how a latent gets it."""

    def to(value: int) -> Change:
        def change(latent: Latent) -> Latent:
            codes = _there(latent.codes)
            categorical = codes.categorical.clone()
            categorical[:, column] = value
            return replace(latent, codes=Codes(categorical, codes.continuous))

        return change

    return [(f"code {column} = {value}", to(value)) for value in range(min(spec.categorical[column], MOST))]


def _swept_code(spec: LatentSpec, code: int) -> Sweep:
    def assign(latent: Latent, values: Tensor) -> Latent:
        codes = _there(latent.codes)
        continuous = codes.continuous.clone()
        continuous[:, code - len(spec.categorical)] = values
        return replace(latent, codes=Codes(codes.categorical, continuous))

    return assign, CODE_RANGE


def _swept_noise(sampler: Sampler, dimension: int) -> Sweep:
    def assign(latent: Latent, values: Tensor) -> Latent:
        noise = latent.noise.clone()
        noise[:, dimension] = values
        return replace(latent, noise=noise)

    mean, std = sampler.noise_moments if isinstance(sampler, KnownNoiseMoments) else _found_moments(sampler, dimension)
    bounds = sampler.noise_bounds if isinstance(sampler, BoundedNoise) else None
    low, high = bounds or (-torch.inf, torch.inf)
    return assign, (max(low, mean - _FAR * std), min(high, mean + _FAR * std))


def _found_moments(sampler: Sampler, dimension: int) -> tuple[float, float]:
    noise = sampler.draw(_DRAWN, torch.Generator().manual_seed(0)).noise[:, dimension].double()
    return float(noise.mean()), float(noise.std())


def _known_code(code: int, spec: LatentSpec) -> int:
    count = len(spec.categorical) + spec.continuous
    if not count:
        raise UsageError("this generator takes no code", remedy="drop --code; InfoGAN recipes use the sampler 'structured'")
    if not 0 <= code < count:
        kinds = [f"{at} with {values} values" for at, values in enumerate(spec.categorical)]
        kinds += [f"{at} from -1 to 1" for at in range(len(spec.categorical), count)]
        raise UsageError(f"there is no code {code}", remedy=f"this generator's codes are {', '.join(kinds)}")
    return code


def _known_noise(dimension: int, spec: LatentSpec) -> int:
    if not 0 <= dimension < spec.noise:
        raise UsageError(f"there is no dimension {dimension} of the noise", remedy=f"they go from 0 to {spec.noise - 1}")
    return dimension


def _there(part: _Part | None) -> _Part:
    assert part is not None  # noqa: S101 - the sampler's spec promises it
    return part
