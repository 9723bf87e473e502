"""Helpers for modules: evaluate, average their weights (EMA), and turn their state into named tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from ganforge.core.errors import PartError, RunFolderError, describe_error, isolated, part_errors


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Eval mode without gradients; restores the mode of every submodule."""
    with in_eval_mode(network), torch.no_grad():
        yield


@contextmanager
def in_eval_mode(network: nn.Module) -> Iterator[None]:
    """Eval mode; restores the mode of every submodule."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, was_training in modes:
            module.training = was_training


def give_sizes(network: nn.Module, inputs: object) -> None:
    """Let lazy modules, such as ``nn.LazyLinear``, take their sizes from inputs; a network without any is left as it is."""
    if any(map(is_lazy, (*network.parameters(), *network.buffers()))):
        with evaluating(network):
            network(inputs)


class EMA:
    """An exponential moving average of a network's weights, always in eval mode.

    Each update sets ``average ← decay·average + (1 - decay)·weights``. Buffers are copied, not averaged, as in R3GAN (Huang et al.
    2025), because batch-norm statistics are averages already. With a decay of 0 it is a copy of the latest weights.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = deepcopy(network).eval().requires_grad_(False)  # noqa: FBT003 - torch's own signature
        self._averages: list[Tensor] = list(self.network.parameters())
        self._weights: list[Tensor] = list(network.parameters())
        if any(average is weight for average, weight in zip(self._averages, self._weights, strict=True)):
            raise TypeError("copy.deepcopy gives the same weights, not copies")
        pairs = zip(self.network.modules(), network.modules(), strict=True)
        self._buffered = [
            (average, present) for average, present in pairs if next(present.buffers(recurse=False), None) is not None
        ]

    @torch.no_grad()
    def update(self, decay: float) -> None:
        """Move the average towards the network's present weights."""
        # One call for all tensors, as in torch.optim.swa_utils.
        torch._foreach_lerp_(self._averages, self._weights, 1 - decay)
        for average, present in self._buffered:
            held = dict(average.named_buffers(recurse=False))
            for name, buffer in present.named_buffers(recurse=False):  # by name each time: a module may assign another tensor
                if name in held and held[name].shape == buffer.shape:
                    held[name].copy_(buffer)
                else:
                    setattr(average, name, buffer.detach().clone())


def network_state(name: str, network: nn.Module) -> dict[str, Tensor]:
    """A network's parameters and buffers under ``name/``, detached; a PartError if it has state of another type."""
    with part_errors(name):
        state = network.state_dict()
        for key, value in state.items():
            if not isinstance(value, Tensor):
                fault = f"has the state '{key}' of type {type(value).__name__}, which checkpoints cannot contain"
                raise PartError(name, fault, remedy="keep it in a buffer, a tensor")
            if value.layout is not torch.strided:
                raise PartError(
                    name, f"has the sparse state '{key}', which checkpoints cannot contain", remedy="keep it dense: to_dense()"
                )
            if value.is_inference():
                raise PartError(
                    name, f"has the state '{key}' from torch.inference_mode(), which cannot be loaded", remedy="use torch.no_grad()"
                )
    return {f"{name}/{key}": value.detach() for key, value in state.items()}


def load_network(name: str, network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Load the tensors under ``name/`` into the network; a mismatch is a :class:`RunFolderError`."""
    try:
        with isolated():
            network.load_state_dict(entries_under(name, tensors), strict=True)
    except Exception as error:  # a plugin's network may raise anything
        reason = str(error).strip().splitlines()[-1:] if isinstance(error, RuntimeError) else [describe_error(error)]
        raise RunFolderError(
            f"the checkpoint's {name} cannot be loaded into the network as it is built now: {' '.join(reason).strip()}",
            remedy="use the plugin version in the run's lock.json; with the same version, the network must keep its sizes",
        ) from error


def optimizer_state(name: str, optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """An optimizer's running statistics under ``name/index/key``: tensors, and plain data for the rest."""
    tensors: dict[str, Tensor] = {}
    plain: dict[str, Any] = {}
    for index, entries in optimizer.state_dict()["state"].items():
        for key, value in entries.items():
            target: dict[str, Any] = tensors if isinstance(value, Tensor) else plain
            target[f"{name}/{index}/{key}"] = value
    return tensors, plain


def load_optimizer(name: str, optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], plain: Mapping[str, Any]) -> None:
    """Load the statistics under ``name/`` into the optimizer. Learning rates come from the recipe, so none is stored."""
    state: dict[int, dict[str, Any]] = {}
    for path, value in {**entries_under(name, tensors), **entries_under(name, plain)}.items():
        index, _, key = path.partition("/")
        state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def entries_under(name: str, entries: Mapping[str, Any]) -> dict[str, Any]:
    """The entries below ``name/``, without that prefix."""
    prefix = f"{name}/"
    return {key.removeprefix(prefix): value for key, value in entries.items() if key.startswith(prefix)}
