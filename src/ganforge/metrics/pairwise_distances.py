"""Distances between sets of samples in blocks of rows, so that memory stays bounded whatever the number of samples."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
from torch import Tensor

from ganforge.core.errors import IncompatiblePartsError

_CHUNK = 1 << 22
"""Distances that are held together, as 8 bytes each."""
FEW = 32
"""Up to so many dimensions distances are taken of differences, which is exact; from there on of products, which is fast."""
_CANCELLED = 1e-14
"""Squared distances below this share of the squared norms are what rounding leaves of 0."""


def insist_on_rows(*sets: Tensor) -> None:
    """Refuse what is no ``(n, *shape)``.

    Raises:
        IncompatiblePartsError: a tensor of fewer than two dimensions.
    """
    for samples in sets:
        if samples.dim() < 2:
            raise IncompatiblePartsError(
                f"samples have the shape (n, …), and these are {tuple(samples.shape)}", remedy="give single numbers as (n, 1)"
            )


def comparable(purpose: str, least: int, *sets: Tensor) -> tuple[Tensor, ...]:
    """``(n, d)`` doubles of each set, on the first one's device, all moved so that the first one's mean is the origin.

    Args:
        purpose: what the samples are for, as in "a 1-NN test".
        least: samples that each set must have.
        sets: ``(n, *shape)`` each.

    Raises:
        IncompatiblePartsError: too few samples, or shapes that differ.
    """
    insist_on_rows(*sets)
    shapes = [tuple(samples.shape) for samples in sets]
    if len({shape[1:] for shape in shapes}) > 1:
        raise IncompatiblePartsError(f"{purpose} needs samples of one shape (n, …), and these are {' and '.join(map(str, shapes))}")
    for count, *_ in shapes:
        if count < least:
            raise IncompatiblePartsError(
                f"{purpose} needs at least {least} samples of each kind, and was given {count}",
                remedy=f"ask for more: `samples = {least}` or above in its [[metric]] table",
            )
    first = sets[0].detach().flatten(1).double()
    centre = first.mean(0)
    return (first - centre, *(samples.detach().to(first.device).flatten(1).double() - centre for samples in sets[1:]))


def blocks(one: Tensor, other: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Rows of ``one`` and their Euclidean distances to all of ``other``: ``(r, m)`` float32, NaN where a value is not finite.

    They are computed in float64 and rounded, so that the same two samples are equally far from each other in every block, and
    copies are at distance 0. At most 4 million are held at a time.

    Args:
        one: ``(n, d)`` doubles, near the origin.
        other: ``(m, d)``, likewise.
    """
    height = max(1, _CHUNK // max(1, len(other)))
    for at in range(0, len(one), height):
        rows = slice(at, min(at + height, len(one)))
        yield rows, _distances(one[rows], other).float()


def own_blocks(samples: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """As :func:`blocks` between the samples and themselves, with each one infinitely far from itself."""
    for rows, distances in blocks(samples, samples):
        distances[torch.arange(len(distances)), torch.arange(rows.start, rows.stop)] = torch.inf
        yield rows, distances


def _distances(rows: Tensor, other: Tensor) -> Tensor:
    if rows.shape[1] <= FEW:
        return torch.cdist(rows, other, compute_mode="donot_use_mm_for_euclid_dist")
    norms = rows.square().sum(1, keepdim=True) + other.square().sum(1)
    squares = norms - 2 * rows @ other.T
    found = torch.where(squares <= _CANCELLED * norms, 0.0, squares).sqrt()
    too_large = norms.isinf()
    if bool(too_large.any()):  # values from 1e154 differ by nothing or by more than float32 holds, along one axis at least
        wrong = rows.mul(0).sum(1, keepdim=True) + other.mul(0).sum(1)  # NaN where a value is not finite, else 0
        found = torch.where(too_large, torch.cdist(rows, other, p=math.inf) + wrong, found)
    return found
