"""Vital signs of training: a few scalars of the iteration just done, made of what it left behind, still on the device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ganforge.core.records import Samples
from ganforge.engine.learning import frozen, in_eval_mode
from ganforge.engine.seeding import seeded
from ganforge.engine.turns import Turn

_REJECTED = math.log(0.99 / 0.01)
"""The log odds of a fake that the discriminator takes for real with less than one per cent, with the sign turned."""


class Signals:
    """Measures without a further pass through a network; the slopes alone take one, and are asked for more rarely.

    Args:
        turns: whose gradients and weights are looked at.
        discriminator: whose slopes are.
        logistic: whether its logits are log odds.
        seed: of the randomness that a discriminator may draw while its slopes are taken.
    """

    def __init__(self, turns: Sequence[Turn], discriminator: nn.Module, *, logistic: bool, seed: int) -> None:
        self._parameters = {
            turn.name: [parameter for group in turn.descent.optimizer.param_groups for parameter in group["params"]]
            for turn in turns
        }
        self._began = {name: _size(parameters) for name, parameters in self._parameters.items()}
        self._saids = [turn.said for turn in turns if turn.name == "discriminator"]
        self._discriminator, self._logistic, self._seed = discriminator, logistic, seed

    @torch.no_grad()
    def cheap(self) -> dict[str, Tensor]:
        """``gradients/NETWORK``, the norm of its whole gradient; ``dominance/…`` of a discriminator that speaks in log odds."""
        found = {}
        for name, parameters in self._parameters.items():
            if gradients := [parameter.grad for parameter in parameters if parameter.grad is not None]:
                found[f"gradients/{name}"] = _norm(gradients)
        if self._logistic:
            for said in self._saids:
                if said.real is not None and said.fake is not None:
                    found |= _odds(said.real[1], said.fake[1])
        return found

    def dear(self) -> dict[str, Tensor]:
        """``weights/NETWORK``, the norm of all its weights over what it was at first, and ``slopes/…``, see :func:`slopes`."""
        with torch.no_grad():
            found = {f"weights/{name}": _norm(parameters) / self._began[name] for name, parameters in self._parameters.items()}
        for said in self._saids:
            if said.real is not None and said.fake is not None:
                found |= slopes(self._discriminator, said.real[0], said.fake[0], seed=self._seed)
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
