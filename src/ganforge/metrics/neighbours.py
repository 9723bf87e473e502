"""Which reference sample lies nearest? Asked of images too, and of data sets that would not fit into memory as floats."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ganforge.core.errors import IncompatiblePartsError
from ganforge.metrics.pairwise_distances import insist_on_rows

_CHUNK = 1 << 22
"""Numbers that are looked at together, as 8 bytes each: what bounds the memory, whatever the samples' size and count."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The nearest reference sample of each query.

    Attributes:
        indices: ``(n,)`` int64, rows of the reference.
        distances: ``(n,)`` float64, Euclidean; NaN where the query is not finite or no reference is, and its index then means
            nothing.
    """

    indices: Tensor
    distances: Tensor


def nearest_neighbours(queries: Tensor, reference: Tensor) -> Neighbours:
    """The nearest reference sample of each query by Euclidean distance, as beside the samples of Goodfellow et al. (2014).

    Memory stays at a few times 32 MB beside the arguments. Candidates are found by matrix products in float64, and the distance of
    each to its query is then computed without their cancellation. Of equally near samples any one may be returned. A reference
    sample that is not finite is nobody's nearest.

    Args:
        queries: ``(n, *shape)``, on the device that is to compute.
        reference: ``(m, *shape)``, on any device. Bytes are taken as numbers, 0 to 255, and become floats in small parts only.

    Raises:
        IncompatiblePartsError: no reference, or shapes that differ.
    """
    insist_on_rows(queries, reference)
    if not len(reference) or queries.shape[1:] != reference.shape[1:]:
        raise IncompatiblePartsError(f"there are no neighbours of {tuple(queries.shape)} among {tuple(reference.shape)}")

    asked, known = queries.detach().flatten(1), reference.detach().flatten(1)
    rows = max(1, min(1024, _CHUNK // max(1, known.shape[1])))
    found = [_nearest(part.double(), known) for part in torch.split(asked, rows)]
    if not found:
        return Neighbours(torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.float64))
    indices, distances = (torch.cat(parts) for parts in zip(*found, strict=True))
    return Neighbours(indices, distances)


def _nearest(queries: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """Of ``(n, d)`` doubles: ``(n,)`` indices and distances."""
    least = queries.new_full((len(queries),), torch.inf)
    indices = torch.zeros(len(queries), dtype=torch.int64, device=queries.device)
    at = 0
    for part in torch.split(reference, max(1, _CHUNK // max(len(queries), reference.shape[1], 1))):
        known = part.to(queries.device).double()  # (p, d)
        squares = known.square().sum(1) - 2 * queries @ known.T  # (n, p), less the query's own square, which ranks nothing
        closest, where = squares.min(dim=1)
        if bool(closest.isnan().any()):  # one that is not finite would hide all beside it
            closest, where = squares.nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf).min(dim=1)
        nearer = closest < least
        least, indices = torch.where(nearer, closest, least), torch.where(nearer, where + at, indices)
        at += len(part)

    chosen = reference[indices.to(reference.device)].to(queries.device).double()
    return indices, (queries - chosen).norm(dim=1)
