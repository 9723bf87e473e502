"""Turns: one network's chance to learn. The trainer knows turns, not GANs, so another game is another tuple of turns."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

from ganforge.core.params import Schedule
from ganforge.core.records import Latent, Samples, Terms
from ganforge.train.modules import frozen

_Kind = TypeVar("_Kind", bound=torch.optim.Optimizer)


@dataclass(frozen=True, slots=True)
class Batch:
    """The input of one turn.

    Attributes:
        real: a batch of real samples.
        latent: as many latents.
    """

    real: Samples
    latent: Latent


@dataclass(frozen=True, slots=True)
class LastOutputs:
    """The discriminator's logits in its last turn, for diagnostics.

    Attributes:
        real: the real samples.
        real_logits: their logits ``(n,)``, without a graph.
        fake: the generated samples.
        fake_logits: their logits ``(n,)``, without a graph.
    """

    real: Samples
    real_logits: Tensor
    fake: Samples
    fake_logits: Tensor


@dataclass(frozen=True, slots=True)
class ScheduledOptimizer:
    """An optimizer with hyperparameters that may follow a schedule.

    Attributes:
        optimizer: any torch optimizer over one network's parameters.
        schedules: by the key of its parameter groups, such as ``lr`` or ``momentum``.
    """

    optimizer: torch.optim.Optimizer
    schedules: Mapping[str, Schedule] = field(default_factory=dict)

    def set_rates(self, iteration: int, iterations: int) -> dict[str, float]:
        """Set the scheduled hyperparameters for this iteration, and return them."""
        if not self.schedules:
            return {}
        rates = {key: schedule.at(iteration, iterations) for key, schedule in self.schedules.items()}
        for group in self.optimizer.param_groups:
            group.update(rates)
        return rates

    def backward(self, total: Tensor) -> None:
        """Compute the gradients of ``total``, replacing earlier ones."""
        for group in self.optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = None
        total.backward()  # type: ignore[no-untyped-call]

    def step(self) -> None:
        """Update the weights."""
        self.optimizer.step()


@dataclass(frozen=True, slots=True)
class Turn:
    """One network's chance to learn.

    Attributes:
        name: the network that learns, as shown in logs.
        repeats: how often the turn is taken per iteration.
        optimizer: updates the network's weights.
        loss: gives the loss terms for a batch and the weights of the losses.
        frozen: parameters that require no gradients during this turn.
    """

    name: str
    repeats: int
    optimizer: ScheduledOptimizer
    loss: Callable[[Batch, list[float]], Terms]
    frozen: tuple[nn.Parameter, ...]

    def backward(self, batch: Batch, weights: list[float]) -> dict[str, Tensor]:
        """Compute the gradients without updating the weights; returns every loss term and the total, detached."""
        with frozen(self.frozen):
            terms = self.loss(batch, weights)
            total = terms.total
            self.optimizer.backward(total)
        values = {f"{self.name}/{name}": value.detach() for name, value in terms.values.items()}
        values[f"{self.name}/total"] = total.detach()
        return values

    def update(self, batch: Batch, weights: list[float]) -> dict[str, Tensor]:
        """Compute the gradients and update the weights; returns what :meth:`backward` returns."""
        terms = self.backward(batch, weights)
        self.optimizer.step()
        return terms


class Game(Protocol):
    """What the trainer needs to know about a game."""

    @property
    def turns(self) -> tuple[Turn, ...]:
        """The turns of one iteration, in order."""
        ...

    @property
    def last_outputs(self) -> LastOutputs | None:
        """The discriminator's logits in its last turn, if the game has a discriminator."""
        ...


_COMPILER_AWARE = ("add_param_group", "state_dict", "load_state_dict", "zero_grad")
"""Methods that torch wraps for its compiler only."""


@functools.cache
def eager(kind: type[_Kind]) -> type[_Kind]:
    """A subclass of an optimizer class that does not import torch's compiler, which takes longer than building a run.

    Torch wraps ``step`` and a few more methods in functions that import ``torch._dynamo`` when first called. The subclass uses the
    methods inside those wrappers, found through :func:`functools.wraps`. It must not be used inside ``torch.compile``.

    Args:
        kind: a class of :mod:`torch.optim`, without the option ``differentiable``.

    Returns:
        The subclass, the same one each time.
    """
    methods: dict[str, Any] = {name: inspect.unwrap(getattr(kind, name)) for name in _COMPILER_AWARE}
    methods["step"] = torch.no_grad()(inspect.unwrap(kind.step))
    return type(kind.__name__, (kind,), {**methods, "__module__": __name__, "__doc__": kind.__doc__})
