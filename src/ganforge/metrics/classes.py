"""Do codes and labels mean what they should? Matchings of codes to classes, and classes read off real neighbours."""

from __future__ import annotations

import torch
from torch import Tensor

from ganforge.core.errors import Disagreement

_CHUNK = 1024


def hungarian_accuracy(codes: Tensor, labels: Tensor) -> float:
    """Share of samples whose code stands for their label, under the best one-to-one matching of codes to labels (Kuhn 1955).

    It is how InfoGAN's 5 % error on MNIST was counted (Chen et al. 2016). Codes without meaning score about 1/classes, not 0.
    Where there are more codes than labels or the reverse, those left over count as wrong.

    Args:
        codes: ``(n,)`` whole numbers from 0.
        labels: ``(n,)`` whole numbers from 0.

    Raises:
        Disagreement: no samples, or lengths that differ.
    """
    if codes.shape != labels.shape or codes.dim() != 1 or not len(codes):
        raise Disagreement(f"cannot match codes of shape {tuple(codes.shape)} to labels of shape {tuple(labels.shape)}")

    from scipy.optimize import linear_sum_assignment

    codes, labels = codes.detach().cpu().long(), labels.detach().cpu().long()
    height, width = int(codes.max()) + 1, int(labels.max()) + 1
    together = (codes * width + labels).bincount(minlength=height * width).reshape(height, width)  # (codes, labels)

    rows, columns = linear_sum_assignment(together.numpy(), maximize=True)
    return float(together[rows, columns].sum()) / len(codes)


def nearest_labels(queries: Tensor, reference: Tensor, labels: Tensor) -> Tensor:
    """The label of each query's nearest reference sample by Euclidean distance (1-NN, Cover & Hart 1967).

    Args:
        queries: ``(n, *shape)``.
        reference: ``(m, *shape)``.
        labels: ``(m,)``, the reference samples' labels.

    Returns:
        ``(n,)`` labels. Memory stays at 1,024 × m distances.

    Raises:
        Disagreement: no reference, or shapes that do not fit.
    """
    if not len(reference) or queries.shape[1:] != reference.shape[1:] or labels.shape != (len(reference),):
        raise Disagreement(
            f"queries {tuple(queries.shape)}, reference {tuple(reference.shape)} and labels {tuple(labels.shape)} do not fit"
        )

    known = reference.detach().flatten(1)
    nearest = [
        torch.cdist(chunk, known, compute_mode="donot_use_mm_for_euclid_dist").argmin(dim=1)
        for chunk in torch.split(queries.detach().flatten(1), _CHUNK)
    ]
    return labels[torch.cat(nearest)]
