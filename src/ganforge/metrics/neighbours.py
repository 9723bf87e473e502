"""Metrics based on nearest neighbours: search, 1-NN labels, the 1-NN two-sample test, precision, recall, density and coverage."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ganforge.core.errors import IncompatiblePartsError
from ganforge.metrics.pairwise_distances import all_finite, blocks, comparable, own_blocks, require_rows

_CHUNK = 1 << 22
"""Values processed at a time, 8 bytes each: bounds the memory for samples of any size and number."""
_QUERIES = 1024


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The nearest reference sample of each query.

    Where the query or every reference sample is not finite, the distance is NaN and the index meaningless.
    """

    indices: Tensor  # (n,) int64, rows of the reference
    distances: Tensor  # (n,) float64, Euclidean


@dataclass(frozen=True, slots=True)
class OneNearestNeighbour:
    """Result of :func:`one_nearest_neighbour`; NaN where a value is not finite."""

    accuracy: float  # share of all samples whose nearest neighbour is of their own kind; 0.5 for a perfect generator
    real: float  # the same for real samples alone
    fake: float  # the same for generated samples alone


@dataclass(frozen=True, slots=True)
class PrecisionRecall:
    """Result of :func:`precision_recall`; NaN where a value is not finite.

    Attributes:
        precision: share of generated samples inside the ball of some real one.
        recall: share of real samples inside the ball of some generated one.
        density: mean number of real balls that contain a generated sample, divided by k; 1 for a perfect generator, more is
            possible.
        coverage: share of real samples whose ball contains a generated one.
    """

    precision: float
    recall: float
    density: float
    coverage: float


def nearest_neighbours(queries: Tensor, reference: Tensor) -> Neighbours:
    """The nearest reference sample of each query by Euclidean distance, as shown in figures of Goodfellow et al. (2014).

    Memory stays at a few times 32 MB beside the arguments, so the reference may be a whole data set of images. Candidates come
    from matrix products in float64; the distance of each to its query is then computed from their difference. Ties are broken
    arbitrarily. Reference samples that are not finite are never nearest.

    Args:
        queries: ``(n, *shape)``, on the device that computes.
        reference: ``(m, *shape)``, on any device. Bytes count as numbers from 0 to 255, converted to floats in small parts.

    Raises:
        IncompatiblePartsError: no reference, or shapes that differ.
    """
    require_rows(queries, reference)
    if not len(reference) or queries.shape[1:] != reference.shape[1:]:
        raise IncompatiblePartsError(f"there are no neighbours of {tuple(queries.shape)} among {tuple(reference.shape)}")

    rows, references = queries.detach().flatten(1), reference.detach().flatten(1)
    height = max(1, min(_QUERIES, _CHUNK // max(1, references.shape[1])))
    found = [_nearest(part.double(), references) for part in torch.split(rows, height)]
    if not found:
        return Neighbours(torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.float64))
    indices, distances = (torch.cat(parts) for parts in zip(*found, strict=True))
    return Neighbours(indices, distances)


def nearest_labels(queries: Tensor, reference: Tensor, labels: Tensor) -> Tensor:
    """The label of each query's nearest reference sample by Euclidean distance (1-NN, Cover & Hart 1967).

    Args:
        queries: ``(n, *shape)``.
        reference: ``(m, *shape)``.
        labels: ``(m,)``, labels of the reference samples.

    Returns:
        ``(n,)`` labels; -1 for a query that is not finite. Memory stays at 1,024 × m distances.

    Raises:
        IncompatiblePartsError: no reference, a reference that is not finite, or shapes that do not fit.
    """
    require_rows(queries, reference)
    if not len(reference) or queries.shape[1:] != reference.shape[1:] or labels.shape != (len(reference),):
        raise IncompatiblePartsError(
            f"queries {tuple(queries.shape)}, reference {tuple(reference.shape)} and labels {tuple(labels.shape)} do not fit"
        )

    references, rows = reference.detach().flatten(1), queries.detach().flatten(1)
    if not all_finite(references):
        raise IncompatiblePartsError("nearest neighbours need reference samples that are finite")
    nearest = [
        torch.cdist(part, references, compute_mode="donot_use_mm_for_euclid_dist").argmin(dim=1)
        for part in torch.split(rows, _QUERIES)
    ]
    return torch.where(rows.isfinite().all(1), labels[torch.cat(nearest)], -1)


def one_nearest_neighbour(real: Tensor, fake: Tensor) -> OneNearestNeighbour:
    """Leave-one-out accuracy of a 1-NN classifier of real against generated samples (Xu et al. 2018).

    Near 1 the two sets lie apart, or the generated samples lie close together; near 0 each generated sample lies on a real one.
    With unequal counts a perfect generator is no longer at 0.5. A sample whose nearest neighbours of both kinds are equally near
    counts half, so that the order of samples does not matter.

    Args:
        real: ``(n, *shape)`` samples or features.
        fake: ``(m, *shape)``.

    Raises:
        IncompatiblePartsError: fewer than 2 of either kind, or shapes that differ.
    """
    here, there = comparable("a 1-nearest-neighbour test", 2, real, fake)
    if not all_finite(here, there):
        return OneNearestNeighbour(math.nan, math.nan, math.nan)

    to_fake, to_real = _cross_distances(here, there)
    real_hits, fake_hits = _hits(_radii(here, 1), to_fake), _hits(_radii(there, 1), to_real)
    total = float(real_hits.sum() + fake_hits.sum()) / (len(here) + len(there))
    return OneNearestNeighbour(total, float(real_hits.mean()), float(fake_hits.mean()))


def precision_recall(real: Tensor, fake: Tensor, k: int = 5) -> PrecisionRecall:
    """Precision and recall (Kynkäänniemi et al. 2019), density and coverage (Naeem et al. 2020).

    The ball of a sample reaches to its k-th neighbour among samples of its own kind, surface excluded. Precision and density are
    high for a collapsed generator; coverage is not, and it tolerates single real outliers. All four depend on k and on the
    counts; :func:`expected_coverage` is the coverage of a perfect generator.

    Args:
        real: ``(n, *shape)`` samples or features.
        fake: ``(m, *shape)``.
        k: number of neighbours.

    Raises:
        IncompatiblePartsError: k below 1, not more than k of either kind, or shapes that differ.
    """
    if k < 1:
        raise IncompatiblePartsError(
            f"precision and recall need k ≥ 1 neighbours, got {k}", remedy="set k to 1 or more; 5 is usual"
        )
    here, there = comparable(f"precision and recall with k = {k}", k + 1, real, fake)
    if not all_finite(here, there):
        return PrecisionRecall(math.nan, math.nan, math.nan, math.nan)

    real_radii, fake_radii = _radii(here, k), _radii(there, k)
    precise = torch.zeros(len(there), dtype=torch.bool, device=here.device)
    balls = covered = recalled = 0
    for rows, distances in blocks(here, there):  # (r, m)
        inside = distances < real_radii[rows, None]
        precise |= inside.any(0)
        balls += int(inside.sum())
        covered += int(inside.any(1).sum())
        recalled += int((distances < fake_radii).any(1).sum())
    n, m = len(here), len(there)
    return PrecisionRecall(float(precise.double().mean()), recalled / n, balls / (k * m), covered / n)


def expected_coverage(real_count: int, fake_count: int, k: int = 5) -> float:
    """Mean coverage of a perfect generator, the same for every distribution (Naeem et al. 2020, lemma 2).

    ``1 − Π (N − i) / (N + M − i)`` for i from 1 to k: nearly ``1 − 2⁻ᵏ`` with as many generated samples as real ones.

    Args:
        real_count: N, real samples.
        fake_count: M, generated samples.
        k: number of neighbours.

    Raises:
        IncompatiblePartsError: no k-th neighbour among the real samples, or no generated ones.
    """
    if not 1 <= k < real_count or fake_count < 1:
        raise IncompatiblePartsError(
            f"coverage of {real_count} real by {fake_count} generated samples is undefined for k = {k}",
            remedy="set k to 1 or more, with more than k real samples and at least one generated sample",
        )
    return 1 - math.prod((real_count - i) / (real_count + fake_count - i) for i in range(1, k + 1))


def _nearest(queries: Tensor, reference: Tensor) -> tuple[Tensor, Tensor]:
    """``(n,)`` indices and distances for ``(n, d)`` doubles."""
    least = queries.new_full((len(queries),), torch.inf)
    indices = torch.zeros(len(queries), dtype=torch.int64, device=queries.device)
    at = 0
    for part in torch.split(reference, max(1, _CHUNK // max(len(queries), reference.shape[1], 1))):
        rows = part.to(queries.device).double()  # (p, d)
        squares = rows.square().sum(1) - 2 * queries @ rows.T  # (n, p), without the query's own square, which ranks nothing
        closest, where = squares.min(dim=1)
        if bool(closest.isnan().any()):  # NaN would hide all other candidates of its part
            closest, where = squares.nan_to_num(nan=torch.inf, posinf=torch.inf, neginf=-torch.inf).min(dim=1)
        nearer = closest < least
        least, indices = torch.where(nearer, closest, least), torch.where(nearer, where + at, indices)
        at += len(part)

    chosen = reference[indices.to(reference.device)].to(queries.device).double()
    return indices, (queries - chosen).norm(dim=1)


def _cross_distances(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    """``(n,)`` and ``(m,)``: distance of each sample to the nearest of the other set."""
    there, back = [], torch.full((len(other),), torch.inf, device=one.device)
    for _, distances in blocks(one, other):
        there.append(distances.amin(1))
        back = torch.minimum(back, distances.amin(0))
    return torch.cat(there), back


def _hits(own: Tensor, others: Tensor) -> Tensor:
    """1 where the nearest neighbour is of the sample's own kind, 0 where it is not, and ½ for a tie."""
    return (own < others).double() + (own == others).double() / 2


def _radii(samples: Tensor, k: int) -> Tensor:
    """``(n,)`` distance of each sample to the k-th nearest other one."""
    return torch.cat([distances.kthvalue(k, dim=1).values for _, distances in own_blocks(samples)])
