"""Metrics of classes and codes: coverage of classes, matching of codes to classes, and mutual information of codes and samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ganforge.core.errors import IncompatiblePartsError
from ganforge.metrics.pairwise_distances import all_finite


@dataclass(frozen=True, slots=True)
class ClassCoverage:
    """How samples are distributed over classes."""

    captured: int  # classes with at least one sample
    reverse_kl: float  # KL(found ‖ target) of the class shares, in nats; infinite where a class is found whose target is 0


def class_coverage(classes: Tensor, target: Sequence[float]) -> ClassCoverage:
    """Coverage of classes, as the 1,000 modes of stacked MNIST are counted (Metz et al. 2017).

    Args:
        classes: ``(n,)`` class indices from 0, below ``len(target)``.
        target: share that each class should have; equal shares in the papers.

    Raises:
        IncompatiblePartsError: no samples, or a class without a target.
    """
    if classes.dim() != 1 or not len(classes) or int(classes.max()) >= len(target) or int(classes.min()) < 0:
        raise IncompatiblePartsError(f"classes of {len(classes)} samples cannot be compared with {len(target)} shares")
    found = torch.bincount(classes.detach().cpu().long(), minlength=len(target)).double() / len(classes)
    wanted = torch.tensor(target, dtype=torch.float64)
    divergence = torch.where(found > 0, found * (found / wanted).log(), 0.0).sum()
    return ClassCoverage(int((found > 0).sum()), max(0.0, float(divergence)))


def class_coverage_floor(shares: Sequence[float], target: Sequence[float], count: int) -> ClassCoverage:
    """Mean :func:`class_coverage` of ``count`` independent samples whose classes have the given shares.

    For shares equal to the target the divergence is about (classes − 1) / 2n: 0.0192 for stacked MNIST's 26,000 samples.

    Returns:
        The expected values; ``captured`` is rounded.

    Raises:
        IncompatiblePartsError: no samples, or shares of unequal numbers of classes.
    """
    if count < 1 or not shares or len(shares) != len(target):
        raise IncompatiblePartsError(f"{count} samples of {len(shares)} classes cannot be compared with {len(target)} shares")
    every, targets = (torch.tensor(part, dtype=torch.float64)[:, None] for part in (shares, target))  # (k, 1)
    p, wanted = every[every[:, 0] > 0], targets[every[:, 0] > 0]  # classes that never occur add to neither value
    most = float((count * p + 12 * (count * p).sqrt()).max()) + 30  # higher counts have negligible probability
    counts = torch.arange(1, min(count, int(most)) + 1, dtype=torch.float64)  # (c,)
    ways = math.lgamma(count + 1) - torch.lgamma(counts + 1) - torch.lgamma(count - counts + 1)
    chances = (ways + torch.xlogy(counts, p) + torch.xlogy(count - counts, 1 - p)).exp()  # binomial, (k, c)
    divergence = (chances * (counts / count) * (counts / count / wanted).log()).sum()
    return ClassCoverage(round(float((1 - (1 - p) ** count).sum())), float(divergence))


def hungarian_accuracy(codes: Tensor, labels: Tensor) -> float:
    """Share of samples whose code stands for their label, under the best one-to-one matching of codes to labels (Kuhn 1955).

    InfoGAN's 5 % error on MNIST was counted this way (Chen et al. 2016). Codes without meaning score about 1/classes, not 0.
    If there are more codes than labels or the reverse, those left over count as wrong.

    Args:
        codes: ``(n,)`` integers from 0.
        labels: ``(n,)`` integers from 0; a negative label means "no class" and counts as wrong.

    Raises:
        IncompatiblePartsError: no samples, lengths that differ, or a negative code.
    """
    if codes.shape != labels.shape or codes.dim() != 1 or not len(codes):
        raise IncompatiblePartsError(f"cannot match codes of shape {tuple(codes.shape)} to labels of shape {tuple(labels.shape)}")
    if int(codes.min()) < 0:
        raise IncompatiblePartsError(f"codes must be integers from 0, got {int(codes.min())}")

    from scipy.optimize import linear_sum_assignment

    count, named = len(codes), labels.detach().cpu() >= 0
    codes, labels = codes.detach().cpu().long()[named], labels.detach().cpu().long()[named]
    if not len(codes):
        return 0.0
    height, width = int(codes.max()) + 1, int(labels.max()) + 1
    together = (codes * width + labels).bincount(minlength=height * width).reshape(height, width)  # (codes, labels)

    rows, columns = linear_sum_assignment(together.numpy(), maximize=True)
    return float(together[rows, columns].sum()) / count


def mutual_information_bound(logits: Tensor, codes: Tensor) -> float:
    """Lower bound ``H(c) + E[log Q(c | x)]`` on the information between a categorical code and samples (Chen et al. 2016, eq. 4).

    H(c) is log k, since samplers draw every value equally often. The bound reaches it where the classifier Q is certain and
    right, is 0 where Q is undecided, and is negative where Q is certain and wrong. A bad classifier and a code without effect
    give the same values.

    Args:
        logits: ``(n, k)``, of Q for each value of the code.
        codes: ``(n,)`` integers from 0 that the samples were generated from.

    Returns:
        Nats; NaN where a logit is not finite.

    Raises:
        IncompatiblePartsError: no samples, shapes that do not fit, or a code without a logit.
    """
    if logits.dim() != 2 or codes.shape != logits.shape[:1] or not len(codes):
        raise IncompatiblePartsError(f"logits of shape {tuple(logits.shape)} do not fit codes of shape {tuple(codes.shape)}")
    least, most = int(codes.min()), int(codes.max())
    if least < 0 or most >= logits.shape[1]:
        raise IncompatiblePartsError(f"{logits.shape[1]} logits do not cover codes from {least} to {most}")
    if not all_finite(logits):  # Q would seem certain of the others if it rules out one value for certain
        return math.nan
    cost = F.cross_entropy(logits.detach().double(), codes.to(logits.device).long())
    return math.log(logits.shape[1]) - float(cost)
