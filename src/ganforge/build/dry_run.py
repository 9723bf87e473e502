"""Checks of the built parts before training: one loss evaluation for each player, and warnings about known bad pairs."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ganforge.build.blueprint import Blueprint
from ganforge.build.parts import Part
from ganforge.core.contracts import Critic, Loss
from ganforge.core.errors import GanforgeError, IncompatiblePartsError, RunFolderError, describe_error, isolated
from ganforge.core.records import DiscriminatorOutput, Latent, LossTerms, Samples
from ganforge.games.two_player import Side, cached, with_input_grad
from ganforge.train.modules import load_network, network_state
from ganforge.train.random_streams import seeded
from ganforge.train.trainer import Trainer


class _PartError(IncompatiblePartsError):
    """A part failed in the dry run."""


def dry_run(blueprint: Blueprint, trainer: Trainer) -> None:
    """Evaluate both players' losses on one batch, without changing any part or random stream; an error names the key to change."""
    with seeded(0), ExitStack() as restored:
        networks = {name: _copy_network(network, restored) for name, network in trainer.networks.items()}
        try:
            _DryRun(blueprint, trainer, networks["generator"], networks["discriminator"]).run()
        except (MemoryError, torch.OutOfMemoryError) as error:
            message = f"out of memory with batches of {trainer.batches.size}: {describe_error(error)}"
            raise _PartError(message, remedy="lower train.batch_size or the networks' widths") from error


def find_known_bad_pairs(blueprint: Blueprint, trainer: Trainer) -> Iterator[str]:
    """Warnings about parts that fit each other, but are known to train badly together. Each names the key to change."""
    generator, discriminator = (trainer.networks[name] for name in ("generator", "discriminator"))
    last, data = _last_module(generator), trainer.evaluator.data
    penalties = [part for part in blueprint.losses if "penalty" in part.component.tags]
    if penalties and _has_batch_norm(discriminator):  # the gradient of a logit depends on the batch (Gulrajani et al. 2017, sec. 4)
        yield (
            f"{penalties[0].key}: '{penalties[0].component.name}' penalises the gradient of each sample, but batch normalisation "
            "in the discriminator makes it depend on the batch; use layer or instance normalisation, or none"
        )
    for activation, reach in ((nn.Tanh, (-1.0, 1.0)), (nn.Sigmoid, (0.0, 1.0))):
        if isinstance(last, activation) and data.value_range is not None and data.value_range != reach:
            low, high = data.value_range
            yield (
                f"generator: its last layer, {type(last).__name__}, has range [{reach[0]:g}, {reach[1]:g}], but the data have "
                f"range [{low:g}, {high:g}]; change generator.params, or the data's range"
            )
    if isinstance(last := _last_module(discriminator), nn.Sigmoid | nn.Tanh):
        yield f"discriminator: its last layer is {type(last).__name__}, but losses expect logits; remove that layer"
    for name, network in trainer.networks.items() if trainer.batches.size == 1 else ():
        if _has_batch_norm(network):
            yield f"train.batch_size: batch normalisation in the {name} needs batches of 2 or more samples"


@dataclass(frozen=True, slots=True)
class _DryRun:
    """The parts, with copies of the networks."""

    blueprint: Blueprint
    trainer: Trainer
    generator: nn.Module
    discriminator: nn.Module

    def run(self) -> None:
        """The generator's turn, then the discriminator's, as the trainer takes them."""
        count, device, data = self.trainer.batches.size, self.trainer.device, self.trainer.evaluator.data
        with _errors_of(self.blueprint.sampler):
            latent = self.trainer.sampler.draw(count, torch.Generator(device).manual_seed(0))
        fake = Samples(self._generate(latent), latent.labels, latent)
        labels = torch.zeros(count, dtype=torch.int64, device=device) if data.classes else None
        real = Samples(torch.rand(count, *data.shape, device=device), labels)

        critic = cached(self._discriminate)
        losses = [_copy_loss(weighted.loss) for weighted in self.trainer.objective.losses]
        total = self._total("generator", losses, critic, real, fake)
        self._differentiate(self.blueprint.generator, self.generator, total)

        if self.trainer.objective.second_order:
            real, fake = with_input_grad(real), with_input_grad(fake)
        critic = cached(self._discriminate)
        total = self._total("discriminator", losses, critic, real, fake)
        self._differentiate(self.blueprint.discriminator, self.discriminator, total)
        for part, name in ((self.blueprint.generator, "generator"), (self.blueprint.discriminator, "discriminator")):
            with _errors_of(part):
                self._load(name)

    def _load(self, name: str) -> None:
        """Load what the network holds after its turn into a new one, as a checkpoint is loaded."""
        used, new = getattr(self, name), self.trainer.networks[name]
        state, sizes = network_state(name, used), {key: value.shape for key, value in new.state_dict().items()}
        try:
            load_network(name, new if used is new else copy.deepcopy(new), state)
        except RunFolderError as error:
            for key, value in used.state_dict().items():
                if key in sizes and sizes[key] != value.shape:
                    raise IncompatiblePartsError(
                        f"changes the size of '{key}' from {tuple(sizes[key])} to {tuple(value.shape)} in its first iteration; "
                        "a checkpoint could not be loaded",
                        remedy="give it its final size when the network is built, or resize it in _load_from_state_dict",
                    ) from error
            raise

    def _generate(self, latent: Latent) -> Tensor:
        part = self.blueprint.generator
        with _errors_of(part):
            values, shape = self.generator(latent), self.trainer.evaluator.data.shape
            expected = (len(latent), *shape)
            if not isinstance(values, Tensor) or tuple(values.shape) != expected:
                raise IncompatiblePartsError(
                    f"returns {_shape(values)} for {len(latent)} latents, expected {expected}",
                    remedy=f"change {part.key}.params, or use a generator for samples of shape {shape}",
                )
            if values.dtype != torch.float32:
                raise IncompatiblePartsError(f"returns {values.dtype} values, expected torch.float32", remedy=part.report_hint)
            return values

    def _discriminate(self, samples: Samples) -> DiscriminatorOutput:
        part = self.blueprint.discriminator
        with _errors_of(part):
            output = self.discriminator(samples)
            if not isinstance(output, DiscriminatorOutput) or tuple(output.logits.shape) != (len(samples),):
                returned = f"logits {_shape(output.logits)}" if isinstance(output, DiscriminatorOutput) else _shape(output)
                raise IncompatiblePartsError(
                    f"returns {returned} for {len(samples)} samples, expected a DiscriminatorOutput with logits ({len(samples)},)",
                    remedy=f"change {part.key}.params, or {part.report_hint}",
                )
            return output

    def _total(self, side: Side, losses: Sequence[Loss], critic: Critic, real: Samples, fake: Samples) -> Tensor:
        """The sum of all losses' terms for one player."""
        total = torch.zeros((), device=self.trainer.device)
        for part, loss in zip(self.blueprint.losses, losses, strict=True):
            call: Callable[[], Any] = partial(getattr(loss, side), critic, real, fake)
            with _errors_of(part):
                before = _fingerprint(loss)
                terms = call()
                if not isinstance(terms, LossTerms):
                    raise IncompatiblePartsError(f"returns {_shape(terms)}, expected LossTerms", remedy=part.report_hint)
                for name, value in terms.values.items():
                    if _shape(value) != "()":
                        message = f"returns the {side} term '{name}' as {_shape(value)}, expected a scalar tensor, of shape ()"
                        raise IncompatiblePartsError(message, remedy=part.report_hint)
                    total = total + value
                self._check_loss(part, loss, call, before)
        return total

    def _check_loss(self, part: Part, loss: Loss, call: Callable[[], Any], before: Mapping[str, object]) -> None:
        """Refuse a loss that calls backward, has parameters, or keeps state between calls: checkpoints contain no losses."""
        weights = [*self.generator.parameters(), *self.discriminator.parameters()]
        if any(weight.grad is not None for weight in weights):
            raise IncompatiblePartsError("calls backward(): a loss only computes its terms", remedy=part.report_hint)
        if isinstance(loss, nn.Module) and any(weight.requires_grad for weight in loss.parameters()):
            message = "has parameters of its own, which nothing would train"
            raise IncompatiblePartsError(message, remedy="make them part of a network, or freeze them with requires_grad_(False)")
        if (first := _fingerprint(loss)) != before:
            call()  # a cache or the last value is now the same as after the first call; a running mean or counter is not
            if changed := sorted(name for name, value in _fingerprint(loss).items() if value != first.get(name)):
                raise IncompatiblePartsError(
                    f"keeps state from one iteration to the next ({', '.join(changed[:3])}), which checkpoints do not contain",
                    remedy="compute it from the samples of the iteration",
                )

    def _differentiate(self, part: Part, network: nn.Module, total: Tensor) -> None:
        """One backward pass; with a gradient penalty it is the second one."""
        with _errors_of(part):
            trainable = [weight for weight in network.parameters() if weight.requires_grad]
            gradients = torch.autograd.grad(total, trainable, allow_unused=True)
            if all(gradient is None for gradient in gradients):
                raise IncompatiblePartsError(
                    "does not learn: no loss depends on its weights", remedy=f"change the [[loss]] tables or {part.key}.use"
                )


@contextmanager
def _errors_of(part: Part) -> Iterator[None]:
    """Attribute errors to a part, with the key to change; if parts call each other, to the innermost one."""
    try:
        with isolated():
            yield
    except (_PartError, MemoryError, torch.OutOfMemoryError):
        raise
    except GanforgeError as error:
        raise _PartError(f"{part.title} {error.message}", remedy=error.remedy) from error
    except Exception as error:  # a plugin's part may raise anything
        source = part.component.source()
        raise _PartError(
            f"{part.title} fails on its inputs: {describe_error(error, source and source.parent)}",
            remedy=f"change {part.key}.params; if they are right, {part.report_hint}",
        ) from error


def _copy_network(network: nn.Module, restored: ExitStack) -> nn.Module:
    """A copy; a network that cannot be copied, such as one with torch's old weight_norm, is used itself and restored afterwards."""
    try:
        with isolated():
            return copy.deepcopy(network)
    except Exception:  # noqa: BLE001 - a plugin's network may raise anything
        tensors = [*network.parameters(), *network.buffers()]
        for tensor, value in [(tensor, tensor.detach().clone()) for tensor in tensors]:
            restored.callback(tensor.detach().copy_, value)
        return network


def _copy_loss(loss: Loss) -> Loss:
    """A copy, since losses may have state; a loss that cannot be copied, such as one with an open file, is used itself."""
    try:
        with isolated():
            return copy.deepcopy(loss)
    except Exception:  # noqa: BLE001 - a plugin's loss may raise anything
        return loss


def _fingerprint(loss: object) -> dict[str, str]:
    """The state of a loss by attribute: shape and sum of each tensor, numbers and strings as they are.

    This includes containers, modules, and objects of the loss's own package, but not those of others, such as loggers.
    """
    own = type(loss).__module__.partition(".")[0]
    found: dict[str, str] = {}
    seen: set[int] = set()
    left: list[tuple[str, object]] = [("", loss)]
    while left:
        name, value = left.pop()
        if isinstance(value, bool | int | float | str | None):
            found[name] = repr(value)  # as text, in which NaN equals NaN
        elif id(value) not in seen:
            seen.add(id(value))
            if isinstance(value, Tensor):
                dtype = torch.complex128 if value.is_complex() else torch.float64
                found[name] = f"{tuple(value.shape)} {value.detach().cpu().sum(dtype=dtype).item()!r}"
            elif isinstance(value, Mapping):
                left += [(f"{name}.{key}", inner) for key, inner in value.items()]
            elif isinstance(value, list | tuple | deque):
                left += [(f"{name}[{index}]", inner) for index, inner in enumerate(value)]
            elif isinstance(value, nn.Module) or (type(value).__module__.partition(".")[0] == own and hasattr(value, "__dict__")):
                left += [(f"{name}.{key}".lstrip("."), inner) for key, inner in vars(value).items()]
    return found


def _shape(value: object) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else f"a {type(value).__name__}"


def _has_batch_norm(network: nn.Module) -> bool:
    return any(isinstance(module, _BatchNorm) for module in network.modules())


def _last_module(network: nn.Module) -> nn.Module | None:
    """The last module without submodules in order of registration, which in a plain network is its output layer."""
    leaves = [module for module in network.modules() if not list(module.children())]
    return leaves[-1] if leaves else None
