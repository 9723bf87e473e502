"""One player's update: gradients of its own networks only, then a step of their optimizers."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ganforge.core.errors import PartError, part_errors
from ganforge.core.params import Schedule
from ganforge.core.records import Step
from ganforge.games.game import Batch, Game, Player

_Kind = TypeVar("_Kind", bound=torch.optim.Optimizer)


@dataclass(frozen=True, slots=True)
class ScheduledOptimizer:
    """An optimizer whose hyperparameters may follow a schedule, by their key in parameter groups, such as ``lr``."""

    optimizer: torch.optim.Optimizer
    schedules: Mapping[str, Schedule] = field(default_factory=dict)

    @property
    def parameters(self) -> list[nn.Parameter]:
        """All parameters that it updates."""
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]

    def set_rates(self, step: Step) -> dict[str, float]:
        """Set the scheduled hyperparameters for this iteration, and return them."""
        if not self.schedules:
            return {}
        rates = {key: schedule.at(step.iteration, step.iterations) for key, schedule in self.schedules.items()}
        for group in self.optimizer.param_groups:
            group.update(rates)
        return rates


@contextmanager
def frozen(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """Within the block these parameters require no gradients; gradients still flow through to the inputs."""
    learning = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)  # noqa: FBT003 - torch's own signature
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)  # noqa: FBT003 - torch's own signature


class PlayerUpdate:
    """One player's update; all networks that it does not train are frozen meanwhile."""

    def __init__(self, player: Player, game: Game, optimizers: Mapping[str, ScheduledOptimizer]) -> None:
        self.player = player
        self._optimizers = [optimizers[role].optimizer for role in player.networks if role in optimizers]
        own = set(map(id, game.parameters_of(player)))
        self._frozen = tuple(weight for weight in game.parameters() if id(weight) not in own)

    def backward(self, batch: Batch, step: Step) -> dict[str, Tensor]:
        """Compute the gradients without updating the weights; returns every loss term and the total, detached."""
        player = self.player
        with frozen(self._frozen):
            terms = player.loss(batch, step)
            total = terms.total
            for optimizer in self._optimizers:
                optimizer.zero_grad()
            with part_errors(player.networks[0]):
                if not total.requires_grad:
                    fault = "cannot learn: the losses, or the discriminator's outputs, are detached from its weights"
                    raise PartError(player.networks[0], fault)
                (total if player.every == 1 else total * player.every).backward()  # type: ignore[no-untyped-call]
        values = {f"{player.name}/{name}": value.detach() for name, value in terms.values.items()}
        values[f"{player.name}/total"] = total.detach()
        return values

    def step(self) -> None:
        """Update the weights with the gradients of :meth:`backward`."""
        for optimizer in self._optimizers:
            optimizer.step()
        if self.player.after is not None:
            with torch.no_grad():
                self.player.after()


_COMPILER_AWARE = ("add_param_group", "state_dict", "load_state_dict", "zero_grad")
"""Methods that torch wraps for its compiler only."""


@functools.cache
def eager(kind: type[_Kind]) -> type[_Kind]:
    """A subclass of an optimizer class that does not import torch's compiler, which takes longer than building a run.

    Torch wraps ``step`` and a few more methods in functions that import ``torch._dynamo`` when first called. The subclass uses the
    methods inside those wrappers. It must not be used inside ``torch.compile``, or with the option ``differentiable``.
    """
    methods: dict[str, Any] = {name: inspect.unwrap(getattr(kind, name)) for name in _COMPILER_AWARE}
    methods["step"] = torch.no_grad()(inspect.unwrap(kind.step))
    return type(kind.__name__, (kind,), {**methods, "__module__": __name__, "__doc__": kind.__doc__})
