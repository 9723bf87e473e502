"""Interpolation between latents: along straight lines, or along arcs as suits normal noise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from ganforge.core.contracts import BoundedNoise, Sampler
from ganforge.core.records import Codes, Latent

Method = Literal["linear", "spherical"]
"""Along the straight line between two noise vectors, or along the arc."""


@dataclass(frozen=True, slots=True)
class LatentGrid:
    """Latents that are shown on one sheet.

    Attributes:
        latent: ``rows × columns`` latents, row by row.
        columns: latents in each row.
        names: caption of each row; may be empty texts.
    """

    latent: Latent
    columns: int
    names: tuple[str, ...]


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
    """Points on arcs (Shoemake 1985; White 2016): the direction turns at constant speed, the length changes evenly.

    The arc lies in the plane of both vectors, whose second axis is the part of ``end`` perpendicular to ``start``: unlike
    sin((1 − t)Ω)/sin Ω, this divides by nothing that vanishes for small angles. Opposite vectors span no plane; one of the shortest
    arcs between them is then taken, always the same. Where there is no arc (one dimension, or a vector of length 0) the line is
    straight.

    Args:
        start: ``(n, z)``.
        end: ``(n, z)``.
        shares: ``(s,)``, of the way, from 0 to 1.

    Returns:
        ``(n, s, z)`` in the type of ``start``; exact at both ends.
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
