"""Pairs of parts that fit in form and are known to train badly. Each is a warning that names the key to change."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from ganforge.build.blueprint import Blueprint
from ganforge.core.specs import DataSpec
from ganforge.train.trainer import Trainer

_ACTIVATIONS: tuple[tuple[type[nn.Module], tuple[float, float]], ...] = ((nn.Tanh, (-1.0, 1.0)), (nn.Sigmoid, (0.0, 1.0)))


def find_known_bad_pairs(blueprint: Blueprint, trainer: Trainer) -> Iterator[str]:
    """What is odd about how the built parts go together."""
    generator, discriminator = (trainer.networks[name] for name in ("generator", "discriminator"))
    yield from _mixed_slopes(blueprint, discriminator)
    yield from _wrong_range(generator, trainer.evaluator.data)
    yield from _squashed_logits(discriminator)
    yield from _lone_statistics(discriminator, generator, trainer.batches.size)


def _mixed_slopes(blueprint: Blueprint, discriminator: nn.Module) -> Iterator[str]:
    """Batch normalisation makes a sample's logit, and so its slope, depend on the others (Gulrajani et al. 2017, section 4)."""
    penalties = [part for part in blueprint.losses if "penalty" in part.component.tags]
    if penalties and any(isinstance(module, _BatchNorm) for module in discriminator.modules()):
        yield (
            f"{penalties[0].key}: '{penalties[0].component.name}' penalises each sample's own slope, and batch normalisation in "
            "the discriminator mixes the samples; use discriminator.params without it, or layer or instance normalisation"
        )


def _wrong_range(generator: nn.Module, data: DataSpec) -> Iterator[str]:
    last = _last(generator)
    for activation, reach in _ACTIVATIONS:
        if isinstance(last, activation) and data.value_range is not None and data.value_range != reach:
            low, high = data.value_range
            yield (
                f"generator: it ends in {type(last).__name__}, which reaches [{reach[0]:g}, {reach[1]:g}], and the data lie in "
                f"[{low:g}, {high:g}]; change generator.params, or the data's range"
            )


def _squashed_logits(discriminator: nn.Module) -> Iterator[str]:
    if isinstance(last := _last(discriminator), nn.Sigmoid | nn.Tanh):
        yield (
            f"discriminator: it ends in {type(last).__name__}, and losses take logits, to which they apply what they need; "
            "take that layer out"
        )


def _lone_statistics(discriminator: nn.Module, generator: nn.Module, batch: int) -> Iterator[str]:
    networks = (("generator", generator), ("discriminator", discriminator))
    for name, network in networks if batch == 1 else ():
        if any(isinstance(module, _BatchNorm) for module in network.modules()):
            yield f"train.batch_size: the {name} normalises over the batch, and a batch of 1 has no spread; use 2 or more"


def _last(network: nn.Module) -> nn.Module | None:
    """The module without parts of its own that was made last, which in a plain network is the one that is asked last."""
    leaves = [module for module in network.modules() if not any(True for _ in module.children())]
    return leaves[-1] if leaves else None
