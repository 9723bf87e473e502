"""The moving average of a network's weights: what is shown, measured, sampled and shipped."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn


class Average:
    """An exponential moving average (EMA) of a network, in eval mode for good.

    After each update ``average ← decay·average + (1 − decay)·weights``. Buffers are copied, not averaged, as in R3GAN (Huang et al.
    2025): batch-norm statistics are averages already. A decay of 0 makes it a plain copy of the latest weights.

    Attributes:
        network: the averaged copy; its parameters never require gradients.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = deepcopy(network).eval().requires_grad_(False)  # noqa: FBT003 - torch's own signature
        self._ours: list[Tensor] = list(self.network.parameters())
        self._theirs: list[Tensor] = list(network.parameters())
        self._buffers = list(zip(self.network.buffers(), network.buffers(), strict=True))

    @torch.no_grad()
    def update(self, decay: float) -> None:
        """Follow the network by one step."""
        # One call for all tensors, as torch.optim.swa_utils does.
        torch._foreach_lerp_(self._ours, self._theirs, 1 - decay)
        for ours, theirs in self._buffers:
            ours.copy_(theirs)
