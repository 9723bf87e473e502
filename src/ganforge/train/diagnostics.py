"""Vital signs of training: a few scalars of the iteration just done, made of what it left behind, still on the device."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ganforge.core.isolation import describe_error
from ganforge.core.records import Samples
from ganforge.train.module_modes import frozen, in_eval_mode
from ganforge.train.random_streams import seeded
from ganforge.train.turns import Turn

_REJECTED = math.log(0.99 / 0.01)
"""The log odds of a fake that the discriminator takes for real with less than one per cent, with the sign turned."""


class Signals:
    """Measures without a further pass through a network; the slopes alone take one, and are asked for more rarely.

    What raises is lost, and never tried again: a discriminator may have no derivative in eval mode, and that must not end training.

    Args:
        turns: whose gradients and weights are looked at.
        discriminator: whose slopes are.
        log_odds: whether its logits are log odds.
        seed: of the randomness that a discriminator may draw while its slopes are taken.

    Attributes:
        lost: what could not be measured, by the check that goes without, and why.
    """

    def __init__(self, turns: Sequence[Turn], discriminator: nn.Module, *, log_odds: bool, seed: int) -> None:
        self.lost: dict[str, str] = {}
        self._parameters = {
            turn.name: [parameter for group in turn.descent.optimizer.param_groups for parameter in group["params"]]
            for turn in turns
        }
        self._began = {name: _size(parameters) for name, parameters in self._parameters.items()}
        self._saids = [turn.said for turn in turns if turn.name == "discriminator"]
        self._discriminator, self._log_odds, self._seed = discriminator, log_odds, seed

    def cheap(self) -> dict[str, Tensor]:
        """Norms and shares.

        - ``gradients/NETWORK``: the norm of its whole gradient;
        - ``weights/NETWORK``: the norm of all its weights over what it was at first;
        - ``dominance/…`` of a discriminator that speaks in log odds.
        """
        with torch.no_grad():
            found = self._tried("gradients", self._gradients) | self._tried("weights", self._weights)
            return found | self._tried("dominance", self._dominance) if self._log_odds else found

    def dear(self) -> dict[str, Tensor]:
        """``slopes/…``, see :func:`slopes`."""
        return self._tried("slopes", self._slopes)

    def _tried(self, check: str, take: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        if check in self.lost:
            return {}
        try:
            return take()
        except Exception as error:  # noqa: BLE001 - a stranger's network; the watch must not end training
            self.lost[check] = describe_error(error)
            return {}

    def _gradients(self) -> dict[str, Tensor]:
        found = {}
        for name, parameters in self._parameters.items():
            if gradients := [parameter.grad for parameter in parameters if parameter.grad is not None]:
                found[f"gradients/{name}"] = _norm(gradients)
        return found

    def _weights(self) -> dict[str, Tensor]:
        return {f"weights/{name}": _norm(parameters) / self._began[name] for name, parameters in self._parameters.items()}

    def _dominance(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for memory in self._saids:
            if memory.real is not None and memory.fake is not None:
                found |= _odds(memory.real[1], memory.fake[1])
        return found

    def _slopes(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for memory in self._saids:
            if memory.real is not None and memory.fake is not None:
                found |= slopes(self._discriminator, memory.real[0], memory.fake[0], seed=self._seed)
        return found


@torch.no_grad()
def _size(parameters: Sequence[Tensor]) -> float:
    """The norm of all weights, but not below that of weights of 0.01, as where some network begins at zero."""
    return max(float(_norm(parameters)), 0.01 * math.sqrt(sum(parameter.numel() for parameter in parameters)))


def _norm(tensors: Sequence[Tensor]) -> Tensor:
    """The Euclidean norm of all numbers together."""
    norms: Sequence[Tensor] = torch._foreach_norm(list(tensors))  # noqa: SLF001 - as torch's own clipping does it
    total: Tensor = torch.linalg.vector_norm(torch.stack([norm.float() for norm in norms]))
    return total


def _odds(real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    """The log loss, and three shares; each batch is looked at once for all of them, since small tensors cost by the call.

    - ``dominance/loss``: binary cross-entropy of both halves, 2·log 2 of a discriminator that cannot tell; its probabilities are
      taken for 0.01 to 0.99 at most, since one sample far on the wrong side would hide that all others are told;
    - ``dominance/accuracy``: share of the samples, real and generated alike, on whose right side it is;
    - ``dominance/sign``: mean sign of the logits of real samples, r_t of Karras et al. (2020);
    - ``dominance/rejected``: share of the fakes with D below 0.01.
    """
    clamped = torch.cat((-real, fake)).clamp(-_REJECTED, _REJECTED)
    loss = 2 * softplus(clamped).mean()
    over, under, rejected = ((real > 0).float().mean(), (fake < 0).float().mean(), (fake < -_REJECTED).float().mean())
    return {
        "dominance/loss": loss,
        "dominance/accuracy": (over + under) / 2,
        "dominance/sign": 2 * over - 1,
        "dominance/rejected": rejected,
    }


def slopes(discriminator: nn.Module, real: Samples, fake: Samples, *, seed: int) -> dict[str, Tensor]:
    """How steep the discriminator is where the real samples lie, and where the fakes do: mean norms of the input gradient.

    One forward and backward pass in eval mode, after which weights, statistics and random numbers are as they were.
    """
    with seeded(seed), in_eval_mode(discriminator), frozen(discriminator.parameters()), torch.enable_grad():
        return {"slopes/real": _slope(discriminator, real), "slopes/fake": _slope(discriminator, fake)}


def _slope(discriminator: nn.Module, samples: Samples) -> Tensor:
    values = samples.values.detach().requires_grad_()
    logits = discriminator(replace(samples, values=values)).logits
    (gradient,) = torch.autograd.grad(logits.sum(), values)
    norm: Tensor = gradient.flatten(1).norm(dim=1).mean()
    return norm
