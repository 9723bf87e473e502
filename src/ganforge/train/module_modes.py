"""Which weights may move, in which mode, and how far: changed only through context managers that restore what they found."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ganforge.core.schedules import Schedule


@contextmanager
def frozen(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """Look through networks without teaching them: gradients pass to their inputs, none gather in their ``parameters``."""
    learning = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)  # noqa: FBT003 - torch's own signature
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)  # noqa: FBT003 - torch's own signature


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Eval mode and no gradients; every submodule's own mode is restored afterwards."""
    with in_eval_mode(network), torch.no_grad():
        yield


@contextmanager
def in_eval_mode(network: nn.Module) -> Iterator[None]:
    """Eval mode, gradients or not; every submodule's own mode is restored afterwards."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, was_training in modes:
            module.training = was_training


@dataclass(frozen=True, slots=True)
class Descent:
    """An optimizer whose numbers may be scheduled.

    Attributes:
        optimizer: any torch optimizer over one turn's parameters.
        schedules: by the key of its parameter groups: ``lr``, ``momentum``.
    """

    optimizer: torch.optim.Optimizer
    schedules: Mapping[str, Schedule] = field(default_factory=dict)

    def set_rates(self, iteration: int, iterations: int) -> dict[str, float]:
        """Put the scheduled numbers of this iteration in force, and return them."""
        if not self.schedules:
            return {}
        rates = {key: schedule.at(iteration, iterations) for key, schedule in self.schedules.items()}
        for group in self.optimizer.param_groups:
            group.update(rates)
        return rates

    def gather(self, total: Tensor) -> None:
        """Compute the gradients of ``total`` afresh."""
        for group in self.optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = None
        total.backward()  # type: ignore[no-untyped-call]

    def step(self) -> None:
        """Move the weights along the gathered gradients."""
        self.optimizer.step()
