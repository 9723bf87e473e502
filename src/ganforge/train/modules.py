"""Helpers for modules: evaluate, average their weights (EMA), and turn their state into named tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping, MutableSequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from types import FunctionType
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


def copied(network: nn.Module) -> nn.Module:
    """A copy that shares nothing with the network.

    Raises:
        TypeError: a hook or another function that the network holds would use the network itself in its copy.
    """
    copy = deepcopy(network)
    kept = (value for module in network.modules() for value in (module, *vars(module).values()))
    own = {id(value) for value in kept if isinstance(value, nn.Module | Tensor | MutableMapping | MutableSequence)}
    for name, module in copy.named_modules():
        for function in _functions(vars(module)):
            if any(id(getattr(value, "__self__", value)) in own for value in _captured(function)):
                where = f"'{name}'" if name else "the network"
                raise TypeError(f"a function or hook of {where} refers to the network itself; use a method instead")
    return copy


def _functions(attributes: Mapping[str, Any]) -> Iterator[FunctionType]:
    """The functions among a module's attributes, its hooks included."""
    for value in attributes.values():
        inner = value.values() if isinstance(value, Mapping) else (value,)
        yield from (one for one in inner if isinstance(one, FunctionType))


def _captured(function: FunctionType) -> Iterator[object]:
    """What a function refers to besides global names."""
    yield from function.__defaults__ or ()
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # not yet filled
            yield cell.cell_contents


class EMA:
    """An exponential moving average of a network's weights, always in eval mode.

    Each update sets ``average ← decay·average + (1 - decay)·weights``. Buffers are copied, not averaged, as in R3GAN (Huang et al.
    2025), because batch-norm statistics are averages already. With a decay of 0 it is a copy of the latest weights.
    """

    def __init__(self, network: nn.Module) -> None:
        self.network = copied(network)
        self.network.eval()
        pairs = list(zip(self.network.parameters(), network.parameters(), strict=True))
        if any(average is weight for average, weight in pairs):
            raise TypeError("copy.deepcopy gives the same weights, not copies")
        for average, _ in pairs:
            average.requires_grad_(False)  # noqa: FBT003 - torch's own signature
        self._averages: list[Tensor] = [average for average, _ in pairs if average.is_floating_point()]
        self._weights: list[Tensor] = [weight for _, weight in pairs if weight.is_floating_point()]
        self._counts = [(average, weight) for average, weight in pairs if not average.is_floating_point()]
        modules = list(zip(self.network.modules(), network.modules(), strict=True))
        self._buffered = [pair for pair in modules if next(pair[1].buffers(recurse=False), None) is not None]
        self._extra = [pair for pair in modules if type(pair[1]).get_extra_state is not nn.Module.get_extra_state]

    @torch.no_grad()
    def update(self, decay: float) -> None:
        """Move the average towards the network's present weights."""
        # One call for all tensors, as in torch.optim.swa_utils.
        torch._foreach_lerp_(self._averages, self._weights, 1 - decay)
        for count, now in self._counts:
            count.copy_(now)
        for average, present in self._buffered:
            held = dict(average.named_buffers(recurse=False))
            for name, buffer in present.named_buffers(recurse=False):  # by name each time: a module may assign another tensor
                if name in held and held[name].shape == buffer.shape:
                    held[name].copy_(buffer)
                else:
                    setattr(average, name, buffer.detach().clone())
        for average, present in self._extra:
            average.set_extra_state(deepcopy(present.get_extra_state()))


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
