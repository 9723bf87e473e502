"""Grids of latents: interpolations between latents, and traversals, in which one input varies while all others are held."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from ganforge.core.contracts import BoundedNoise, KnownNoiseMoments, Sampler
from ganforge.core.errors import UsageError
from ganforge.core.records import Codes, Latent
from ganforge.core.specs import DataSpec, LatentSpec
from ganforge.games.checked_calls import draw_latents

MAX_ROWS = 20
"""Rows of labels or of a code's values at most."""
_CODE_RANGE = (-1.0, 1.0)  # that training draws continuous codes from; values beyond it are allowed
_DEVIATIONS = 2.0  # standard deviations by which a dimension of the noise is moved to either side
_DRAWN = 4096  # latents from which the moments of a sampler are estimated where it does not declare them

Rows = list[tuple[str, Latent]]
Method = Literal["linear", "spherical"]
"""Along the straight line between two noise vectors, or along the arc."""


@dataclass(frozen=True, slots=True)
class LatentGrid:
    """Latents that are shown on one sheet."""

    latent: Latent  # rows × columns latents, row by row
    columns: int  # latents in each row
    names: tuple[str, ...]  # caption of each row; may be empty texts


def default_method(sampler: Sampler) -> Method:
    """The method that suits a sampler's noise: spherical, unless it has ``noise_bounds``.

    Normal noise of many dimensions lies close to a sphere; the straight line between two draws leads through its inside, where a
    generator was never trained. Uniform noise fills a box, which a straight line never leaves and an arc may.
    """
    return "linear" if isinstance(sampler, BoundedNoise) and sampler.noise_bounds is not None else "spherical"


def lerp(start: Tensor, end: Tensor, shares: Tensor) -> Tensor:
    """Points on straight lines: ``(n, z)``, ``(n, z)`` and ``(s,)`` shares from 0 to 1 → ``(n, s, z)``; exact at both ends."""
    along = shares.to(start.dtype)[None, :, None]
    between = start[:, None] * (1 - along) + end[:, None] * along
    return _with_ends(between, start, end, shares)


def slerp(start: Tensor, end: Tensor, shares: Tensor) -> Tensor:
    """Points on arcs (Shoemake 1985; White 2016), shapes as of :func:`lerp`: constant angular speed, and evenly changing length.

    The arc lies in the plane of both vectors, whose second axis is the part of ``end`` perpendicular to ``start``: unlike
    sin((1 − t)Ω)/sin Ω, this divides by nothing that vanishes for small angles. Opposite vectors span no plane; one of the shortest
    arcs between them is then taken, always the same. Where there is no arc (one dimension, or a vector of length 0) the line is
    straight.
    """
    if start.shape[1] < 2:
        return lerp(start, end, shares)
    first, last, along = start.double(), end.double(), shares.double()
    lengths, ends = first.norm(dim=1, keepdim=True), last.norm(dim=1, keepdim=True)  # (n, 1)
    tiny = torch.finfo(torch.float64).tiny
    one, other = first / lengths.clamp_min(tiny), last / ends.clamp_min(tiny)  # (n, z), unit vectors

    # Kahan's formula: exact to the last digits for angles near 0 and near π, where an arc cosine loses half of them.
    angle = 2 * torch.atan2((one - other).norm(dim=1), (one + other).norm(dim=1))  # (n,)
    turned = _perpendicular(other - (other * one).sum(1, keepdim=True) * one, one)
    theta = angle[:, None] * along  # (n, s)
    directions = theta.cos()[..., None] * one[:, None] + theta.sin()[..., None] * turned[:, None]  # (n, s, z)
    radii = lengths * (1 - along) + ends * along  # (n, s)
    arcs = (radii[..., None] * directions).to(start.dtype)

    is_arc = ((lengths > 0) & (ends > 0))[..., None]
    return _with_ends(torch.where(is_arc, arcs, lerp(start, end, shares)), start, end, shares)


def _perpendicular(beyond: Tensor, one: Tensor) -> Tensor:
    """Unit vectors ``(n, z)`` perpendicular to ``one``: along ``beyond``, or along an axis where that is only rounding error."""
    axis = torch.zeros_like(one).scatter_(1, one.abs().argmin(dim=1, keepdim=True), 1.0)
    vanishes = beyond.norm(dim=1, keepdim=True) < 1e-12
    chosen = torch.where(vanishes, axis, beyond)
    # Twice is enough (Kahan): what the first pass leaves of `one` is rounding, blown up where `beyond` is short.
    for _ in range(2):
        chosen = chosen - (chosen * one).sum(1, keepdim=True) * one
        chosen = chosen / chosen.norm(dim=1, keepdim=True).clamp_min(torch.finfo(chosen.dtype).tiny)
    return chosen


def _with_ends(between: Tensor, start: Tensor, end: Tensor, shares: Tensor) -> Tensor:
    at = shares[None, :, None]
    return torch.where(at == 0, start[:, None], torch.where(at == 1, end[:, None], between))


def interpolate(start: Latent, end: Latent, steps: int, method: Method, names: Sequence[str] | None = None) -> LatentGrid:
    """Interpolate from each of ``n`` latents to another in ``steps`` steps, both ends included: a grid of ``n`` rows.

    The noise follows ``method``, continuous codes go straight; labels and categorical codes stay the start's.
    """
    shares = torch.linspace(0, 1, steps, device=start.noise.device) if steps > 1 else torch.zeros(1, device=start.noise.device)
    return LatentGrid(_between(start, end, shares, method), steps, tuple(names or [""] * len(start)))


def interpolate_through(stops: Latent, steps: int, method: Method) -> Latent:
    """``steps`` latents, evenly spaced, from the first of two or more stops through the others to the last.

    No stop is repeated; those between the ends are met exactly only where a step falls on them.
    """
    legs = len(stops) - 1
    along = torch.linspace(0, legs, steps, dtype=torch.float64, device=stops.noise.device)
    leg = along.floor().clamp_max(legs - 1)  # the last stop belongs to the last leg
    ends = [(stops[at : at + 1], stops[at + 1 : at + 2]) for at in range(legs)]
    return Latent.concatenate([_between(*pair, along[leg == at] - at, method) for at, pair in enumerate(ends)])


def _between(start: Latent, end: Latent, shares: Tensor, method: Method) -> Latent:
    """For each of ``n`` pairs, the latents at these shares of the way: ``n × s``, pair by pair."""
    noise = (slerp if method == "spherical" else lerp)(start.noise, end.noise, shares).flatten(0, 1)
    held = start[torch.arange(len(start)).repeat_interleave(len(shares))]
    codes = held.codes
    if codes is not None and end.codes is not None and start.codes is not None:
        continuous = lerp(start.codes.continuous, end.codes.continuous, shares).flatten(0, 1)
        codes = Codes(codes.categorical, continuous)
    return replace(held, noise=noise, codes=codes)


def with_label(latent: Latent, label: Any, spec: LatentSpec) -> Latent:
    """The latents with one class for all."""
    if latent.labels is None or spec.classes is None:
        raise UsageError("this generator takes no label", remedy="drop --label; conditional recipes use the sampler 'labelled'")
    number = finite_number(label, below=spec.classes)
    if number is None:
        raise UsageError(f"there is no label {label!r}", remedy=f"labels go from 0 to {spec.classes - 1}")
    return replace(latent, labels=torch.full_like(latent.labels, int(number)))


def with_code(latent: Latent, code: Any, spec: LatentSpec) -> Latent:
    """The latents with these values of the codes, categorical ones first; ``None`` keeps a code as drawn."""
    if latent.codes is None:
        raise _no_code()
    if isinstance(code, str) or not isinstance(code, Sequence | np.ndarray):
        raise UsageError(f"codes must be a list of numbers, got {code!r}", remedy=f"such as [{code}]")
    count = len(spec.code_ranges)
    if len(code) > count:
        raise UsageError(f"{len(code)} codes were given, the generator has {count}", remedy=f"its codes: {spec.describe_codes()}")
    for column, value in enumerate(code):
        if value is None:
            continue
        values = spec.categorical[column] if column < len(spec.categorical) else None
        number = finite_number(value, below=values)
        if number is None:  # beyond -1 and 1 is allowed: the InfoGAN paper sweeps from -2 to 2
            expected = "a number; training draws it from -1 to 1" if values is None else f"an integer from 0 to {values - 1}"
            raise UsageError(f"code {column} cannot be {value!r}", remedy=f"it must be {expected}")
        latent = _set_code(latent, column, number, spec)
    return latent


def _no_code() -> UsageError:
    return UsageError("this generator takes no code", remedy="drop --code; InfoGAN recipes use the sampler 'structured'")


def finite_number(value: Any, *, below: int | None) -> float | None:
    """A finite number of Python, numpy or torch, an integer from 0 where it must lie below a count; ``None`` for anything else."""
    is_scalar = isinstance(value, Real) or (isinstance(value, np.ndarray | Tensor) and value.ndim == 0)
    if not is_scalar or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, OverflowError):
        return None
    fits = math.isfinite(number) if below is None else number.is_integer() and 0 <= number < below
    return number if fits else None


def _set_code(latent: Latent, code: int, values: float | Tensor, spec: LatentSpec) -> Latent:
    """Latents with one code set: to one value for all, or to ``(n,)`` values."""
    assert latent.codes is not None  # noqa: S101 - the sampler's spec promises it
    categorical, continuous = latent.codes.categorical.clone(), latent.codes.continuous.clone()
    if code < len(spec.categorical):
        categorical[:, code] = values
    else:
        continuous[:, code - len(spec.categorical)] = values
    return replace(latent, codes=Codes(categorical, continuous))


def traverse(
    across: Latent,
    down: Latent,
    sampler: Sampler,
    data: DataSpec,
    *,
    code: int | None = None,
    noise: int | None = None,
    hold_label: bool = False,
) -> LatentGrid:
    """The grid that shows the effect of labels, codes, numbered with categorical ones first, or one dimension of the noise.

    - By default: a row for each label, each value of the first categorical code and each continuous code; for a generator that
      has none of them, a row for each of the first dimensions of the noise, as many as ``down`` has latents.
    - A categorical code: a row for each of its values.
    - A continuous code is swept from −1 to 1, a dimension of the noise by two standard deviations to either side but not
      beyond its bounds: a row for each label, or each value of the first categorical code, or else each latent of ``down``.

    Labels and categorical codes are set in ``across``, a latent for each column; ``down`` has a latent for each row, which is
    swept. With ``hold_label``, labels stay as they are and make no rows.
    """
    spec, columns = sampler.spec, len(across)
    _check(spec, code, noise)
    names = data.class_names or [f"class {label}" for label in range(spec.classes or 0)]
    classes = 0 if hold_label else min(spec.classes or 0, MAX_ROWS)

    def labels(latent: Latent) -> Rows:
        return [(names[label], with_label(latent, label, spec)) for label in range(classes)]

    if code is None and noise is None:
        rows = labels(across) + _code_rows(across, 0, spec)
        codes = range(len(spec.categorical), len(spec.categorical) + spec.continuous)
        rows += [(f"code {at}", _sweep(down[:1], sampler, columns, code=at)) for at in codes]
        dimensions = range(0 if rows else min(len(down), spec.noise))
        rows += [(f"noise {at}", _sweep(down[:1], sampler, columns, noise=at)) for at in dimensions]
    elif code is not None and code < len(spec.categorical):
        rows = _code_rows(across, code, spec)
    else:
        starts = labels(down[:1]) or _code_rows(down[:1], 0, spec) or [("", down[at : at + 1]) for at in range(len(down))]
        rows = [(name, _sweep(start, sampler, columns, code=code, noise=noise or 0)) for name, start in starts]
    return LatentGrid(Latent.concatenate([latent for _, latent in rows]), columns, tuple(name for name, _ in rows))


def _check(spec: LatentSpec, code: int | None, noise: int | None) -> None:
    count = len(spec.code_ranges)
    if code is not None and not count:
        raise _no_code()
    if code is not None and not 0 <= code < count:
        raise UsageError(f"there is no code {code}", remedy=f"its codes: {spec.describe_codes()}")
    if noise is not None and not 0 <= noise < spec.noise:
        raise UsageError(f"the noise has no dimension {noise}", remedy=f"its dimensions go from 0 to {spec.noise - 1}")


def _code_rows(latent: Latent, code: int, spec: LatentSpec) -> Rows:
    """A row for each value of a categorical code; none where there are no such codes."""
    values = min(spec.categorical[code], MAX_ROWS) if spec.categorical else 0
    return [(f"code {code} = {value}", _set_code(latent, code, value, spec)) for value in range(values)]


def _sweep(start: Latent, sampler: Sampler, columns: int, *, code: int | None = None, noise: int = 0) -> Latent:
    """The only latent of ``start`` with a continuous code, or a dimension of the noise, from one end of its range to the other."""
    low, high = _noise_range(sampler, noise) if code is None else _CODE_RANGE
    values = torch.linspace(low, high, columns) if columns > 1 else torch.tensor([(low + high) / 2])
    values, latent = values.to(start.noise), start[torch.zeros(columns, dtype=torch.int64)]
    if code is not None:
        return _set_code(latent, code, values, sampler.spec)
    dimensions = latent.noise.clone()
    dimensions[:, noise] = values
    return replace(latent, noise=dimensions)


def _noise_range(sampler: Sampler, dimension: int) -> tuple[float, float]:
    if isinstance(sampler, KnownNoiseMoments):
        mean, std = sampler.noise_moments
    else:
        drawn = draw_latents(sampler, _DRAWN, torch.Generator().manual_seed(0)).noise[:, dimension].double()
        mean, std = float(drawn.mean()), float(drawn.std())
    bounds = sampler.noise_bounds if isinstance(sampler, BoundedNoise) else None
    low, high = bounds or (-torch.inf, torch.inf)
    return max(low, mean - _DEVIATIONS * std), min(high, mean + _DEVIATIONS * std)
