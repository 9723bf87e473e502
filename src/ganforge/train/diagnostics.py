"""Training diagnostics: a few scalars about the last iteration, such as gradient norms, kept on the device."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from ganforge.core.errors import describe_error
from ganforge.core.records import Samples
from ganforge.games.checked_calls import discriminate
from ganforge.games.game import Game
from ganforge.train.modules import in_eval_mode
from ganforge.train.random_streams import seeded
from ganforge.train.updates import ScheduledOptimizer, frozen

_REJECTED = math.log(0.99 / 0.01)
"""Log odds of 0.99. A fake with a logit below the negative of it is rejected: D is below 0.01."""


class Diagnostics:
    """Measures gradients, weights and logits after an iteration, without changing them.

    A measurement that raises is not tried again: a critic may have no derivative in eval mode, which must not end training.
    ``unavailable`` holds the error of each.
    """

    def __init__(self, game: Game, optimizers: Mapping[str, ScheduledOptimizer], seed: int) -> None:
        self.unavailable: dict[str, str] = {}
        self._game, self._seed = game, seed
        self._parameters = {role: optimizer.parameters for role, optimizer in optimizers.items()}
        self._initial_norms = {name: _initial_norm(parameters) for name, parameters in self._parameters.items()}

    def cheap(self) -> dict[str, Tensor]:
        """Values that need no forward pass: norms of gradients, norms of weights over their initial ones, and log odds."""
        with torch.no_grad():
            values = self._measured("gradients", self._gradients) | self._measured("weights", self._weights)
            return values | self._measured("dominance", self._dominance) if self._game.objective.logits_are_log_odds else values

    def expensive(self) -> dict[str, Tensor]:
        """Values that need forward and backward passes: ``input_gradient/…``, see :func:`input_gradient`."""
        return self._measured("input_gradient", self._input_gradient)

    def _measured(self, check: str, measure: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        if check not in self.unavailable:
            try:
                return measure()
            except Exception as error:  # noqa: BLE001 - a plugin's network may raise anything, and a diagnostic must not end training
                self.unavailable[check] = describe_error(error)
        return {}

    def _gradients(self) -> dict[str, Tensor]:
        gradients = {
            name: [one.grad for one in parameters if one.grad is not None] for name, parameters in self._parameters.items()
        }
        return {f"gradients/{name}": _norm(tensors) for name, tensors in gradients.items() if tensors}

    def _weights(self) -> dict[str, Tensor]:
        return {f"weights/{name}": _norm(weights) / self._initial_norms[name] for name, weights in self._parameters.items()}

    def _dominance(self) -> dict[str, Tensor]:
        """From logits ``(n,)`` that are log odds: the log loss and three shares.

        - ``dominance/loss``: binary cross-entropy of both halves; 2·log 2 at chance. Probabilities are clamped to 0.01 … 0.99,
          because one sample that is far wrong would hide that all others are classified correctly;
        - ``dominance/accuracy``: share of all samples, real and generated, that are classified correctly;
        - ``dominance/sign``: mean sign of the logits of real samples, r_t of Karras et al. (2020);
        - ``dominance/rejected``: share of the fakes with D below 0.01.
        """
        if (last := self._game.critic_outputs) is None:
            return {}
        real, fake = last.real_logits, last.fake_logits
        clamped = torch.cat((-real, fake)).clamp(-_REJECTED, _REJECTED)
        loss = 2 * softplus(clamped).mean()
        over, under, rejected = ((real > 0).float().mean(), (fake < 0).float().mean(), (fake < -_REJECTED).float().mean())
        return {
            "dominance/loss": loss,
            "dominance/accuracy": (over + under) / 2,
            "dominance/sign": 2 * over - 1,
            "dominance/rejected": rejected,
        }

    def _input_gradient(self) -> dict[str, Tensor]:
        last, role = self._game.critic_outputs, self._game.spec.critic
        if last is None or role is None:
            return {}
        return input_gradient(self._game.networks[role], last.real, last.fake, seed=self._seed)


@torch.no_grad()
def _initial_norm(parameters: Sequence[Tensor]) -> float:
    """The norm of all weights, at least that of weights of 0.01, because some networks start at zero."""
    return max(float(_norm(parameters)), 0.01 * math.sqrt(sum(parameter.numel() for parameter in parameters)))


def _norm(tensors: Sequence[Tensor]) -> Tensor:
    """The Euclidean norm of all elements together."""
    norms = torch._foreach_norm(list(tensors))  # noqa: SLF001 - as torch's own clipping does it
    total: Tensor = torch.linalg.vector_norm(torch.stack([norm.float() for norm in norms]))
    return total


def input_gradient(critic: nn.Module, real: Samples, fake: Samples, *, seed: int) -> dict[str, Tensor]:
    """Mean norms of the critic's input gradient at samples: ``input_gradient/real`` and ``input_gradient/fake``.

    Runs in eval mode and leaves weights, buffers, modes and random state as they were.
    """
    with seeded(seed), in_eval_mode(critic), frozen(critic.parameters()), torch.enable_grad():
        both = {"real": real, "fake": fake}
        return {f"input_gradient/{name}": _gradient_norm(critic, samples) for name, samples in both.items()}


def _gradient_norm(critic: nn.Module, samples: Samples) -> Tensor:
    values = samples.values.detach().requires_grad_()
    logits = discriminate(critic, replace(samples, values=values)).logits
    (gradient,) = torch.autograd.grad(logits.sum(), values)
    norm: Tensor = gradient.flatten(1).norm(dim=1).mean()
    return norm
