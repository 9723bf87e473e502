"""Do codes and labels mean what they should? Matchings of codes to classes, and classes read off real neighbours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ganforge.core.errors import IncompatiblePartsError
from ganforge.metrics.pairwise_distances import insist_on_rows

_CHUNK = 1024


@dataclass(frozen=True, slots=True)
class ClassCoverage:
    """How samples spread over classes.

    Attributes:
        captured: classes with at least one sample.
        reverse_kl: KL(found ‖ target) of the classes' shares, in nats; infinite where a class is found that the target lacks.
    """

    captured: int
    reverse_kl: float


def class_coverage(classes: Tensor, target: Sequence[float]) -> ClassCoverage:
    """Classes found among samples, as the 1,000 modes of stacked MNIST are counted (Metz et al. 2017).

    Args:
        classes: ``(n,)`` whole numbers, 0 or more and below ``len(target)``.
        target: share that each class should have; the papers take equal shares.

    Raises:
        IncompatiblePartsError: no samples, or a class that the target does not name.
    """
    if classes.dim() != 1 or not len(classes) or int(classes.max()) >= len(target) or int(classes.min()) < 0:
        raise IncompatiblePartsError(f"classes of {len(classes)} samples cannot be compared with {len(target)} shares")
    found = torch.bincount(classes.detach().cpu().long(), minlength=len(target)).double() / len(classes)
    wanted = torch.tensor(target, dtype=torch.float64)
    divergence = torch.where(found > 0, found * (found / wanted).log(), 0.0).sum()
    return ClassCoverage(int((found > 0).sum()), max(0.0, float(divergence)))


def class_coverage_floor(shares: Sequence[float], target: Sequence[float], count: int) -> ClassCoverage:
    """What :func:`class_coverage` gives on average for ``count`` independent samples whose classes have the given shares.

    Where they are the target, the divergence is about (classes − 1) / 2n: 0.0192 for stacked MNIST's 26,000 samples.

    Returns:
        The expected values; ``captured`` is rounded.

    Raises:
        IncompatiblePartsError: no samples, or shares of unequal numbers of classes.
    """
    if count < 1 or not shares or len(shares) != len(target):
        raise IncompatiblePartsError(f"{count} samples of {len(shares)} classes cannot be compared with {len(target)} shares")
    every, targets = (torch.tensor(part, dtype=torch.float64)[:, None] for part in (shares, target))  # (k, 1)
    p, wanted = every[every[:, 0] > 0], targets[every[:, 0] > 0]  # what never comes has no part in either value
    most = float((count * p + 12 * (count * p).sqrt()).max()) + 30  # counts beyond have no weight
    counts = torch.arange(1, min(count, int(most)) + 1, dtype=torch.float64)  # (c,)
    chances = _binomial(counts, count, p)  # (k, c)
    divergence = (chances * (counts / count) * (counts / count / wanted).log()).sum()
    return ClassCoverage(round(float((1 - (1 - p) ** count).sum())), float(divergence))


def _binomial(counts: Tensor, total: int, p: Tensor) -> Tensor:
    """Chances of the counts among ``total`` trials that succeed with p; without scipy.stats, which takes a second to import."""
    rest = total - counts
    ways = math.lgamma(total + 1) - torch.lgamma(counts + 1) - torch.lgamma(rest + 1)
    return (ways + torch.xlogy(counts, p) + torch.xlogy(rest, 1 - p)).exp()


def hungarian_accuracy(codes: Tensor, labels: Tensor) -> float:
    """Share of samples whose code stands for their label, under the best one-to-one matching of codes to labels (Kuhn 1955).

    It is how InfoGAN's 5 % error on MNIST was counted (Chen et al. 2016). Codes without meaning score about 1/classes, not 0.
    Where there are more codes than labels or the reverse, those left over count as wrong.

    Args:
        codes: ``(n,)`` whole numbers from 0.
        labels: ``(n,)`` whole numbers from 0; one below 0 is no class, and its sample counts as wrong.

    Raises:
        IncompatiblePartsError: no samples, lengths that differ, or a code below 0.
    """
    if codes.shape != labels.shape or codes.dim() != 1 or not len(codes):
        raise IncompatiblePartsError(f"cannot match codes of shape {tuple(codes.shape)} to labels of shape {tuple(labels.shape)}")
    if int(codes.min()) < 0:
        raise IncompatiblePartsError(f"codes are whole numbers from 0, and one of these is {int(codes.min())}")

    from scipy.optimize import linear_sum_assignment

    count, named = len(codes), labels.detach().cpu() >= 0
    codes, labels = codes.detach().cpu().long()[named], labels.detach().cpu().long()[named]
    if not len(codes):
        return 0.0
    height, width = int(codes.max()) + 1, int(labels.max()) + 1
    together = (codes * width + labels).bincount(minlength=height * width).reshape(height, width)  # (codes, labels)

    rows, columns = linear_sum_assignment(together.numpy(), maximize=True)
    return float(together[rows, columns].sum()) / count


def nearest_labels(queries: Tensor, reference: Tensor, labels: Tensor) -> Tensor:
    """The label of each query's nearest reference sample by Euclidean distance (1-NN, Cover & Hart 1967).

    Args:
        queries: ``(n, *shape)``.
        reference: ``(m, *shape)``.
        labels: ``(m,)``, the reference samples' labels.

    Returns:
        ``(n,)`` labels; -1 for a query that is not finite. Memory stays at 1,024 × m distances.

    Raises:
        IncompatiblePartsError: no reference, a reference that is not finite, or shapes that do not fit.
    """
    insist_on_rows(queries, reference)
    if not len(reference) or queries.shape[1:] != reference.shape[1:] or labels.shape != (len(reference),):
        raise IncompatiblePartsError(
            f"queries {tuple(queries.shape)}, reference {tuple(reference.shape)} and labels {tuple(labels.shape)} do not fit"
        )

    known, asked = reference.detach().flatten(1), queries.detach().flatten(1)
    if not bool(known.isfinite().all()):
        raise IncompatiblePartsError("a nearest sample cannot be told among samples that are not finite")
    nearest = [
        torch.cdist(chunk, known, compute_mode="donot_use_mm_for_euclid_dist").argmin(dim=1) for chunk in torch.split(asked, _CHUNK)
    ]
    return torch.where(asked.isfinite().all(1), labels[torch.cat(nearest)], -1)
