"""Everything a trainer needs to go on, to and from plain tensors and plain data; nothing is pickled."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ganforge.core.errors import RunFolderError


def network_state(name: str, network: nn.Module) -> dict[str, Tensor]:
    """A network's parameters and buffers under ``name/``, detached."""
    return {f"{name}/{key}": value.detach() for key, value in network.state_dict().items()}


def load_network(name: str, network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put the tensors under ``name/`` into the network.

    Raises:
        RunFolderError: keys or shapes are not the network's: the checkpoint belongs to another recipe or plugin version.
    """
    try:
        network.load_state_dict(under(name, tensors), strict=True)
    except RuntimeError as error:
        raise RunFolderError(
            f"the checkpoint's {name} does not fit the recipe's: {str(error).splitlines()[-1].strip()}",
            remedy="sample or resume with the plugin version in the run's lock.json",
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
    """Put the statistics under ``name/`` into the optimizer; learning rates follow from schedules, so none is stored."""
    state: dict[int, dict[str, Any]] = {}
    for path, value in {**under(name, tensors), **under(name, plain)}.items():
        index, _, key = path.partition("/")
        state.setdefault(int(index), {})[key] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})


def under(name: str, entries: Mapping[str, Any]) -> dict[str, Any]:
    """The entries below ``name/``, without that prefix."""
    prefix = f"{name}/"
    return {key.removeprefix(prefix): value for key, value in entries.items() if key.startswith(prefix)}


def not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """The name of the first tensor with a NaN or infinity in it, or ``None``."""
    return next((name for name, value in tensors.items() if value.is_floating_point() and not bool(value.isfinite().all())), None)
