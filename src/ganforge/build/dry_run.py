"""Checks of the built parts before training: one loss evaluation for each player, and warnings about known bad pairs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ganforge.build.blueprint import Blueprint
from ganforge.build.hidden_state import (
    check_held_out,
    check_loading,
    check_loss,
    check_network,
    check_sampler,
    check_source,
    unregistered,
)
from ganforge.build.parts import named_parts
from ganforge.core.contracts import Loss, StreamingDataset
from ganforge.core.errors import IncompatiblePartsError, PartError, RunFolderError, describe_error, isolated, part_errors
from ganforge.core.records import DiscriminatorOutput, Latent, LossTerms, Samples
from ganforge.games.checked_calls import Side, discriminate, draw_latents, generate, loss_terms
from ganforge.games.two_player import cached, with_input_grad
from ganforge.train.evaluator import draw_samples
from ganforge.train.modules import copied, evaluating, load_network, network_state
from ganforge.train.random_streams import seeded
from ganforge.train.trainer import Trainer

_REACHES: dict[type | None, tuple[float, float]] = {nn.Sigmoid: (0.0, 1.0), nn.Tanh: (-1.0, 1.0)}
_ACTIVATIONS = {(0.0, 1.0): "a sigmoid", (-1.0, 1.0): "tanh"}
_FAR = 1000.0
"""Factor of inputs for which a sigmoid or tanh at the end of a network reaches both ends of its range."""


def dry_run(blueprint: Blueprint, trainer: Trainer) -> None:
    """Evaluate both players' losses on one batch, without changing any part or random stream; an error names the key to change."""
    with seeded(0), ExitStack() as restored:
        networks = {name: _copy_network(network, restored) for name, network in trainer.networks.items()}
        try:
            with named_parts(blueprint.parts, IncompatiblePartsError):
                _DryRun(blueprint, trainer, networks["generator"], networks["discriminator"]).run()
        except (MemoryError, torch.OutOfMemoryError) as error:
            message = f"out of memory with batches of {trainer.batches.size}: {describe_error(error)}"
            raise IncompatiblePartsError(message, remedy="lower train.batch_size or the networks' widths") from error


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
    reach = _REACHES.get(type(last)) or _reach(lambda: _generated_far_out(trainer))
    if reach is not None and data.value_range is not None and data.value_range != reach:
        low, high = data.value_range
        yield (
            f"generator: its output has range [{reach[0]:g}, {reach[1]:g}], as after {_ACTIVATIONS[reach]}, but the data have "
            f"range [{low:g}, {high:g}]; change generator.params, or the data's range"
        )
    reach = _REACHES.get(type(_last_module(discriminator))) or _reach(lambda: _judged_far_out(trainer))
    if reach is not None:
        yield f"discriminator: its output ends with {_ACTIVATIONS[reach]}, but losses expect logits; remove it"
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
        """The generator's turn, then the discriminator's, as the trainer takes them; then samples, saving and loading."""
        count, device, data = self.trainer.batches.size, self.trainer.device, self.trainer.evaluator.data
        latent = draw_latents(self.trainer.sampler, count, torch.Generator(device).manual_seed(0))
        noise = latent.noise.clone()
        fake = generate(self.generator, latent, data.shape)
        _require_finite("generator", "values", fake.values)
        if not torch.equal(noise, latent.noise):
            raise PartError("generator", "changes the latents that it is given", remedy="compute a new tensor instead")
        labels = torch.zeros(count, dtype=torch.int64, device=device) if data.classes else None
        real = Samples(torch.rand(count, *data.shape, device=device), labels)

        losses = [_copy_loss(weighted.loss) for weighted in self.trainer.objective.losses]
        total = self._total("generator", losses, real, fake)
        self._differentiate("generator", self.generator, total)

        if self.trainer.objective.second_order:
            real, fake = with_input_grad(real), with_input_grad(fake)
        total = self._total("discriminator", losses, real, fake)
        self._differentiate("discriminator", self.discriminator, total)
        _require_finite("generator", "values in eval mode", draw_samples(self.generator, latent, data).values)
        self._find_hidden_state(losses, latent, real, fake)

    def _find_hidden_state(self, losses: Sequence[Loss], latent: Latent, real: Samples, fake: Samples) -> None:
        """Whatever would be lost when a run is saved, or be missing in the average."""
        trainer, shape = self.trainer, self.trainer.evaluator.data.shape

        def generated(network: nn.Module, most: int | None = None) -> Tensor:
            return generate(network, latent[:most], shape).values

        def judged(network: nn.Module) -> Tensor:
            return discriminate(network, real).logits

        uses: dict[Side, Callable[[nn.Module], Tensor]] = {"generator": generated, "discriminator": judged}
        networks: dict[Side, nn.Module] = {"generator": self.generator, "discriminator": self.discriminator}
        for name, used in networks.items():
            with part_errors(name):
                loaded = self._load(name, used)
                check_network(name, used, uses[name])
                if loaded is not used:
                    check_loading(name, used, loaded, partial(generated, most=2) if name == "generator" else judged)
        for part, loss in zip(self.blueprint.losses, losses, strict=True):
            self._check_state(part.key, loss, real, with_input_grad(fake))
        check_sampler(trainer.sampler, trainer.batches.size, trainer.device)
        dataset = trainer.evaluator.dataset
        check_held_out(dataset, 16)
        if isinstance(dataset, StreamingDataset):
            check_source(dataset, dataset.spec, 4)

    def _check_state(self, key: str, loss: Loss, real: Samples, fake: Samples) -> None:
        """Refuse a loss that keeps state."""
        state = {name: value.clone() for name, value in network_state("discriminator", self.discriminator).items()}

        def call(side: Side) -> LossTerms:
            load_network("discriminator", self.discriminator, state)
            return loss_terms(loss, key, side, cached(self._discriminate), real, fake)

        for side in ("generator", "discriminator"):
            with part_errors(key):
                check_loss(key, loss, partial(call, side))

    def _load(self, name: Side, used: nn.Module) -> nn.Module:
        """A new network, with what ``used`` holds after its turn loaded as from a checkpoint."""
        new = self.trainer.networks[name]
        network_state(name, new)
        with part_errors(name):
            state, sizes = network_state(name, used), {key: value.shape for key, value in new.state_dict().items()}
            try:
                load_network(name, loaded := new if used is new else copy.deepcopy(new), state)
                return loaded
            except RunFolderError as error:
                for key, value in used.state_dict().items():
                    if key not in sizes:
                        remedy = "create it in __init__, so that it is trained, averaged and loaded"
                        raise PartError(name, f"creates the state '{key}' when it is used", remedy=remedy) from error
                    if sizes[key] != value.shape:
                        raise PartError(
                            name,
                            f"changes the size of '{key}' from {tuple(sizes[key])} to {tuple(value.shape)} in its first iteration; "
                            "a checkpoint could not be loaded",
                            remedy="give it its final size when the network is built, or resize it in _load_from_state_dict",
                        ) from error
                fault = f"cannot load the state that it saves: {describe_error(error.__cause__ or error)}"
                raise PartError(name, fault) from error

    def _discriminate(self, samples: Samples) -> DiscriminatorOutput:
        values = samples.values.detach().clone()
        output = discriminate(self.discriminator, samples)
        _require_finite("discriminator", "logits", output.logits)
        if not torch.equal(values, samples.values):
            raise PartError("discriminator", "changes the samples that it is given", remedy="compute a new tensor instead")
        learns = any(weight.requires_grad for weight in self.discriminator.parameters())
        if learns and torch.is_grad_enabled() and not output.logits.requires_grad:
            raise PartError("discriminator", "returns logits that are detached from its weights, so no loss can train it")
        return output

    def _total(self, side: Side, losses: Sequence[Loss], real: Samples, fake: Samples) -> Tensor:
        """The sum of all losses' terms for one player."""
        total, critic = LossTerms({}), cached(self._discriminate)
        given = [samples.values.detach().clone() for samples in (real, fake)]
        for part, loss in zip(self.blueprint.losses, losses, strict=True):
            terms = loss_terms(loss, part.key, side, critic, real, fake)
            for name, value in terms.values.items():
                _require_finite(part.key, f"values of the {side} term '{name}'", value)
                if f"{side}/{name}" not in loss.term_info:
                    declared = f'add "{side}/{name}" to its term_info'
                    raise PartError(part.key, f"returns the {side} term '{name}', which it does not declare", remedy=declared)
            self._check_loss(part.key, loss)
            if not all(map(torch.equal, given, (real.values, fake.values))):
                raise PartError(part.key, "changes the samples that it is given", remedy="compute a new tensor instead")
            total = total + terms
        if not total.values:
            names = ", ".join(f"'{part.component.id}'" for part in self.blueprint.losses)
            raise IncompatiblePartsError(
                f"no loss trains the {side}: {names} returned no term for it",
                remedy='add an adversarial loss, such as [[loss]] use = "non-saturating", or fix the loss',
            )
        if not total.total.requires_grad:
            key = self.blueprint.losses[0].key
            raise PartError(key, f"returns {side} terms that are detached from the discriminator's output, so they train nothing")
        return total.total

    def _check_loss(self, key: str, loss: Loss) -> None:
        """Refuse a loss that calls backward, switches gradients off, or has weights of its own."""
        if not torch.is_grad_enabled():
            torch.set_grad_enabled(True)
            raise PartError(key, "switches gradients off and leaves them so", remedy="use torch.no_grad() in a with statement")
        weights = [*self.generator.parameters(), *self.discriminator.parameters()]
        if any(weight.grad is not None for weight in weights):
            raise PartError(key, "calls backward(): a loss only computes its terms")
        if name := unregistered(loss, weights):
            remedy = "make them part of a network, or freeze them with requires_grad_(False)"
            raise PartError(key, f"has parameters of its own ('{name}'), which nothing would train", remedy=remedy)

    def _differentiate(self, key: Side, network: nn.Module, total: Tensor) -> None:
        """One backward pass; with a gradient penalty it is the second one."""
        with part_errors(key):
            trainable = [weight for weight in network.parameters() if weight.requires_grad]
            gradients = torch.autograd.grad(total, trainable, allow_unused=True)
        if all(gradient is None for gradient in gradients):
            fault = "does not learn: no loss depends on its weights"
            raise PartError(key, fault, remedy=f"change the [[loss]] tables or {key}.use")


def _reach(use: Callable[[], Tensor]) -> tuple[float, float] | None:
    """The range of a sigmoid or tanh, if values for inputs far out keep to it and reach both ends."""
    with suppress(PartError), seeded(0), torch.no_grad():
        values = use()
        least, most = float(values.min()), float(values.max())
        for low, high in _ACTIVATIONS:
            slack = 0.01 * (high - low)
            if low <= least < low + slack and high - slack < most <= high:
                return (low, high)
    return None


def _generated_far_out(trainer: Trainer) -> Tensor:
    latent = draw_latents(trainer.sampler, 64, torch.Generator(trainer.device).manual_seed(0))
    with evaluating(generator := trainer.networks["generator"]):
        return generate(generator, replace(latent, noise=_FAR * latent.noise), trainer.evaluator.data.shape).values


def _judged_far_out(trainer: Trainer) -> Tensor:
    data = trainer.evaluator.data
    labels = torch.zeros(64, dtype=torch.int64, device=trainer.device) if data.classes else None
    with evaluating(discriminator := trainer.networks["discriminator"]):
        return discriminate(discriminator, Samples(_FAR * torch.randn(64, *data.shape, device=trainer.device), labels)).logits


def _require_finite(key: str, what: str, values: Tensor) -> None:
    if not bool(values.isfinite().all()):
        raise PartError(key, f"returns {what} that are not finite, for finite inputs, before any training")


def _copy_network(network: nn.Module, restored: ExitStack) -> nn.Module:
    """A copy; a network that cannot be copied, such as one with torch's old weight_norm, is used itself and restored afterwards."""
    try:
        with isolated():
            return copied(network)
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


def _has_batch_norm(network: nn.Module) -> bool:
    return any(isinstance(module, _BatchNorm) for module in network.modules())


def _last_module(network: nn.Module) -> nn.Module | None:
    """The last module without submodules in order of registration, which in a plain network is its output layer."""
    leaves = [module for module in network.modules() if not list(module.children())]
    return leaves[-1] if leaves else None
