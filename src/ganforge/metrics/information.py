"""How much do samples tell of the codes that they were made from?"""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional as F

from ganforge.core.errors import IncompatiblePartsError


def mutual_information_bound(logits: Tensor, codes: Tensor) -> float:
    """Lower bound ``H(c) + E[log Q(c | x)]`` on the information between a categorical code and samples (Chen et al. 2016, eq. 4).

    H(c) is log k, since samplers draw every value equally often. The bound reaches it where the reader Q is certain and right, is 0
    where Q says nothing, and falls below 0 where Q is certain and wrong. A bad reader and a code without effect look alike.

    Args:
        logits: ``(n, k)``, of Q for each value of the code.
        codes: ``(n,)`` whole numbers from 0 that the samples were made from.

    Returns:
        Nats; NaN where a logit is not finite.

    Raises:
        IncompatiblePartsError: no samples, shapes that do not fit, or a code that no logit is for.
    """
    if logits.dim() != 2 or codes.shape != logits.shape[:1] or not len(codes):
        raise IncompatiblePartsError(f"logits of shape {tuple(logits.shape)} do not read codes of shape {tuple(codes.shape)}")
    least, most = int(codes.min()), int(codes.max())
    if least < 0 or most >= logits.shape[1]:
        raise IncompatiblePartsError(f"{logits.shape[1]} logits read no codes from {least} to {most}")
    if not bool(logits.isfinite().all()):  # a reader that rules a value out for certain would seem to know the others for certain
        return math.nan
    cost = F.cross_entropy(logits.detach().double(), codes.to(logits.device).long())
    return math.log(logits.shape[1]) - float(cost)
