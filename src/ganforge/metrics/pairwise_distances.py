"""Pairwise Euclidean distances in blocks of rows, so that memory stays bounded for any number of samples."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ganforge.core.errors import IncompatiblePartsError

_CHUNK = 1 << 22
"""Distances held at a time, 8 bytes each."""
FEW = 32
"""Up to this many dimensions, distances come from differences (exact); above it, from matrix products (fast)."""
_CANCELLED = 1e-14
"""Squared distances below this share of the squared norms are rounding errors of 0."""


def require_rows(*sets: Tensor) -> None:
    """Check that every tensor has the shape ``(n, *shape)``; else an IncompatiblePartsError."""
    for samples in sets:
        if samples.dim() < 2:
            raise IncompatiblePartsError(
                f"samples must have the shape (n, …), got {tuple(samples.shape)}", remedy="give single numbers as (n, 1)"
            )


def all_finite(*sets: Tensor) -> bool:
    """Whether no value is NaN or infinite."""
    return all(bool(samples.isfinite().all()) for samples in sets)


def require_alike(purpose: str, least: int, *sets: Tensor) -> None:
    """Check that each of the sets ``(n, *shape)`` has at least so many samples, all of one shape.

    Raises:
        IncompatiblePartsError: too few samples, or shapes that differ; names the purpose, such as "a 1-NN test".
    """
    require_rows(*sets)
    shapes = [tuple(samples.shape) for samples in sets]
    if len({shape[1:] for shape in shapes}) > 1:
        raise IncompatiblePartsError(f"{purpose} needs samples of one shape (n, …), got {' and '.join(map(str, shapes))}")
    for count, *_ in shapes:
        if count < least:
            raise IncompatiblePartsError(
                f"{purpose} needs at least {least} samples of each kind, got {count}",
                remedy=f"set `samples = {least}` or more in its [[metric]] table",
            )


def comparable(purpose: str, least: int, *sets: Tensor) -> tuple[Tensor, ...]:
    """``(n, d)`` doubles of each set, on the first one's device, all shifted so that the first one's mean is the origin.

    Checked by :func:`require_alike`.
    """
    require_alike(purpose, least, *sets)
    first = sets[0].detach().flatten(1).double()
    centre = first.mean(0)
    return (first - centre, *(samples.detach().to(first.device).flatten(1).double() - centre for samples in sets[1:]))


def blocks(one: Tensor, other: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Rows of ``one`` and their Euclidean distances to all of ``other``: ``(r, m)`` float32, NaN where a value is not finite.

    Distances are computed in float64 and rounded, so that two samples have the same distance in every block, and copies have
    distance 0. At most 4 million are held at a time.

    Args:
        one: ``(n, d)`` doubles near the origin.
        other: ``(m, d)`` doubles near the origin.
    """
    height = max(1, _CHUNK // max(1, len(other)))
    for at in range(0, len(one), height):
        rows = slice(at, min(at + height, len(one)))
        yield rows, _distances(one[rows], other).float()


def own_blocks(samples: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """:func:`blocks` between the samples and themselves, with an infinite distance from each sample to itself."""
    for rows, distances in blocks(samples, samples):
        distances[torch.arange(len(distances)), torch.arange(rows.start, rows.stop)] = torch.inf
        yield rows, distances


def distinct_pairs(rows: slice, distances: Tensor) -> Tensor:
    """Those of ``(r, n)`` distances of :func:`own_blocks` that are from a row to a later one: each pair once."""
    return distances[torch.ones_like(distances, dtype=torch.bool).triu(rows.start + 1)]


def _distances(rows: Tensor, other: Tensor) -> Tensor:
    if rows.shape[1] <= FEW:
        return torch.cdist(rows, other, compute_mode="donot_use_mm_for_euclid_dist")
    norms = rows.square().sum(1, keepdim=True) + other.square().sum(1)
    squares = norms - 2 * rows @ other.T
    found = torch.where(squares <= _CANCELLED * norms, 0.0, squares).sqrt()
    too_large = norms.isinf()
    if bool(too_large.any()):  # values from 1e154 up differ by nothing, or by more than float32 holds along one axis at least
        invalid = rows.mul(0).sum(1, keepdim=True) + other.mul(0).sum(1)  # NaN where a value is not finite, else 0
        found = torch.where(too_large, torch.cdist(rows, other, p=math.inf) + invalid, found)
    return found
