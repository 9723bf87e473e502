"""Checks of the built parts before training: one loss evaluation for each player, and warnings about known bad pairs."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from typing import Any

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
from ganforge.core.records import DiscriminatorOutput, Latent, LossTerms, Samples, Step, Turn
from ganforge.core.specs import network_key
from ganforge.games.checked_calls import discriminate, draw_latents, generate, loss_terms
from ganforge.games.game import Batch, Game, Player, cached
from ganforge.games.two_player import with_input_grad
from ganforge.train.evaluator import draw_samples
from ganforge.train.modules import copied, evaluating, load_network, network_state
from ganforge.train.random_streams import seeded
from ganforge.train.trainer import Trainer
from ganforge.train.updates import frozen

_REACHES: dict[type | None, tuple[float, float]] = {nn.Sigmoid: (0.0, 1.0), nn.Tanh: (-1.0, 1.0)}
_ACTIVATIONS = {(0.0, 1.0): "a sigmoid", (-1.0, 1.0): "tanh"}
_FAR = 1000.0
"""Factor of inputs for which a sigmoid or tanh at the end of a network reaches both ends of its range."""


def dry_run(blueprint: Blueprint, trainer: Trainer) -> None:
    """Let every player play once on one batch, without changing any part or random stream; an error names the key to change."""
    with seeded(0), ExitStack() as restored:
        game = _copy_game(trainer.game, restored)
        try:
            with named_parts(blueprint.parts, IncompatiblePartsError):
                _DryRun(blueprint, trainer, game).run()
        except (MemoryError, torch.OutOfMemoryError) as error:
            message = f"out of memory with batches of {trainer.batches.size}: {describe_error(error)}"
            raise IncompatiblePartsError(message, remedy="lower train.batch_size or the networks' widths") from error


def find_known_bad_pairs(blueprint: Blueprint, trainer: Trainer) -> Iterator[str]:
    """Warnings about parts that fit each other, but are known to train badly together. Each names the key to change."""
    spec, data = blueprint.spec, trainer.evaluator.data
    role, key = spec.generator, network_key(spec.generator)
    if spec.critic is not None:
        yield from _known_bad_critics(blueprint, trainer, spec.critic)
    reach = _REACHES.get(type(_last_module(trainer.networks[role]))) or _reach(lambda: _generated_far_out(trainer, role))
    if reach is not None and data.value_range is not None and data.value_range != reach:
        low, high = data.value_range
        yield (
            f"{key}: its output has range [{reach[0]:g}, {reach[1]:g}], as after {_ACTIVATIONS[reach]}, but the data have "
            f"range [{low:g}, {high:g}]; change {key}.params, or the data's range"
        )
    for name, network in trainer.networks.items() if trainer.batches.size == 1 else ():
        if _has_batch_norm(network):
            yield f"train.batch_size: batch normalisation in the {name} needs batches of 2 or more samples"


def _known_bad_critics(blueprint: Blueprint, trainer: Trainer, role: str) -> Iterator[str]:
    critic, key = trainer.networks[role], network_key(role)
    penalties = [part for part in blueprint.losses if "penalty" in part.component.tags]
    if penalties and _has_batch_norm(critic):  # the gradient of a logit depends on the batch (Gulrajani et al. 2017, sec. 4)
        yield (
            f"{penalties[0].key}: '{penalties[0].component.name}' penalises the gradient of each sample, but batch normalisation "
            f"in the {role} makes it depend on the batch; use layer or instance normalisation, or none"
        )
    reach = _REACHES.get(type(_last_module(critic))) or _reach(lambda: _judged_far_out(trainer, role))
    if reach is not None:
        yield f"{key}: its output ends with {_ACTIVATIONS[reach]}, but losses expect logits; remove it"


class _DryRun:
    """The parts, with a copy of the game whose networks and losses are watched while its players play."""

    def __init__(self, blueprint: Blueprint, trainer: Trainer, game: Game) -> None:
        self.blueprint, self.trainer, self.game, self.spec = blueprint, trainer, game, blueprint.spec
        self.turns: dict[tuple[int, str], Turn] = {}
        self._uses: dict[str, Any] = {}
        self._before: dict[int, Tensor] = {}
        game.objective.watch = self._watched_terms

    def run(self) -> None:
        """The turns of all players, as the trainer takes them; then samples, saving and loading."""
        with ExitStack() as hooks:
            for role, network in self.game.networks.items():
                hooks.enter_context(network.register_forward_pre_hook(partial(self._before_use, role)))
                hooks.enter_context(network.register_forward_hook(partial(self._after_use, role)))
            self._play_all()
        self._find_hidden_state()

    def _play_all(self) -> None:
        count, device, data = self.trainer.batches.size, self.trainer.device, self.trainer.evaluator.data
        latent = draw_latents(self.trainer.sampler, count, torch.Generator(device).manual_seed(0))
        labels = torch.zeros(count, dtype=torch.int64, device=device) if data.classes else None
        real = Samples(torch.rand(count, *data.shape, device=device), labels)
        for player in self.game.players:
            self._play(player, Batch(real, latent))

        generator = self.game.networks[self.spec.generator]
        draw_samples(generator, latent, data, self.spec.generator)

    def _play(self, player: Player, batch: Batch) -> None:
        """One player's loss, and one backward pass; with a gradient penalty it is the second one."""
        own = set(map(id, self.game.parameters_of(player)))
        with frozen(weight for weight in self.game.parameters() if id(weight) not in own):
            total = self._total(player, batch)
            for role in player.networks:
                is_last = role == player.networks[-1]
                key = network_key(role)
                with part_errors(key):
                    trainable = [weight for weight in self.game.networks[role].parameters() if weight.requires_grad]
                    gradients = torch.autograd.grad(total, trainable, retain_graph=not is_last, allow_unused=True)
                if all(gradient is None for gradient in gradients):
                    fault = "does not learn: no loss depends on its weights"
                    raise PartError(key, fault, remedy=f"change the [[loss]] tables or {key}.use")

    def _total(self, player: Player, batch: Batch) -> Tensor:
        """The player's loss."""
        terms = player.loss(batch, Step(0, self.trainer.config.iterations))
        if not terms.values:
            names = ", ".join(f"'{part.component.id}'" for part in self.blueprint.losses)
            raise IncompatiblePartsError(
                f"no loss trains the {player.name}: {names} returned no term for it",
                remedy='add an adversarial loss, such as [[loss]] use = "non-saturating", or fix the loss',
            )
        if not terms.total.requires_grad:
            losses = self.blueprint.losses
            key = losses[0].key if losses else self.blueprint.game.key
            raise PartError(key, f"returns {player.name} terms that are detached from the networks' outputs, so they train nothing")
        return terms.total

    def _find_hidden_state(self) -> None:
        """Whatever would be lost when a run is saved, or be missing in the average."""
        for role, network in self.game.networks.items():
            if role not in self._uses:
                continue
            key, inputs = network_key(role), self._uses[role]
            with part_errors(key):
                loaded = self._load(role, network)
                check_network(key, network, partial(_output, inputs=inputs))
                if loaded is not network:
                    few = inputs[:2] if self.spec.networks[role].kind == "generator" else inputs
                    check_loading(key, network, loaded, partial(_output, inputs=few))
        for (index, player), turn in self.turns.items():
            self._check_state(index, player, turn)
        check_sampler(self.trainer.sampler, self.trainer.batches.size, self.trainer.device)
        dataset = self.trainer.evaluator.dataset
        check_held_out(dataset, 16)
        if isinstance(dataset, StreamingDataset):
            check_source(dataset, dataset.spec, 4)

    def _check_state(self, index: int, player: str, turn: Turn) -> None:
        """Refuse a loss that keeps state."""
        key, loss = self.blueprint.losses[index].key, self.game.objective.losses[index].loss
        role = self.spec.critic
        critic = None if role is None else self.game.networks[role]
        state = {} if critic is None else {name: value.clone() for name, value in network_state("critic", critic).items()}
        kept = {name: value.clone() for name, value in loss.state_dict().items()} if isinstance(loss, nn.Module) else {}

        def call() -> LossTerms:
            if isinstance(loss, nn.Module):  # what it keeps in buffers is saved
                if grown := next((name for name, value in loss.state_dict().items() if value.shape != kept[name].shape), None):
                    remedy = "give it its final size when the loss is built"
                    raise PartError(
                        key, f"changes the size of its buffer '{grown}', which no checkpoint could restore", remedy=remedy
                    )
                loss.load_state_dict(kept)
            if critic is None or role is None:
                return loss_terms(loss, key, player, turn)
            load_network("critic", critic, state)
            fresh = cached(critic, key=network_key(role))
            return loss_terms(loss, key, player, replace(turn, critic=fresh, fake=with_input_grad(turn.fake)))

        with part_errors(key):
            check_loss(key, loss, call)

    def _load(self, role: str, used: nn.Module) -> nn.Module:
        """A new network, with what ``used`` holds after its turn loaded as from a checkpoint."""
        key, new = network_key(role), self.trainer.networks[role]
        network_state(key, new)
        with part_errors(key):
            state, sizes = network_state(key, used), {name: value.shape for name, value in new.state_dict().items()}
            try:
                load_network(key, loaded := new if used is new else copy.deepcopy(new), state)
                return loaded
            except RunFolderError as error:
                for name, value in used.state_dict().items():
                    if name not in sizes:
                        remedy = "create it in __init__, so that it is trained, averaged and loaded"
                        raise PartError(key, f"creates the state '{name}' when it is used", remedy=remedy) from error
                    if sizes[name] != value.shape:
                        change = f"from {tuple(sizes[name])} to {tuple(value.shape)} in its first iteration"
                        raise PartError(
                            key,
                            f"changes the size of '{name}' {change}; a checkpoint could not be loaded",
                            remedy="give it its final size when the network is built, or resize it in _load_from_state_dict",
                        ) from error
                fault = f"cannot load the state that it saves: {describe_error(error.__cause__ or error)}"
                raise PartError(key, fault) from error

    def _before_use(self, role: str, _network: nn.Module, given: tuple[Any, ...]) -> None:
        inputs = given[0]
        self._uses.setdefault(role, inputs)
        self._before[id(inputs)] = _values(inputs).detach().clone()

    def _after_use(self, role: str, network: nn.Module, given: tuple[Any, ...], output: Any) -> None:
        key, inputs, before = network_key(role), given[0], self._before.pop(id(given[0]))
        if not torch.equal(before, _values(inputs)):
            kind = "latents" if isinstance(inputs, Latent) else "samples"
            raise PartError(key, f"changes the {kind} that it is given", remedy="compute a new tensor instead")
        values = output.logits if isinstance(output, DiscriminatorOutput) else output
        if not isinstance(values, Tensor):
            return  # its caller says what is wrong
        what = "logits" if isinstance(output, DiscriminatorOutput) else "values"
        _require_finite(key, what if network.training else f"{what} in eval mode", values)
        learns = any(weight.requires_grad for weight in network.parameters())
        if learns and torch.is_grad_enabled() and not values.requires_grad:
            raise PartError(key, f"returns {what} that are detached from its weights, so no loss can train it")

    def _watched_terms(self, index: int, player: str, turn: Turn, compute: Callable[[], LossTerms]) -> LossTerms:
        """The terms of one loss in a player's turn, checked; the turn is kept."""
        part, loss = self.blueprint.losses[index], self.game.objective.losses[index].loss
        given = [samples.values.detach().clone() for samples in (turn.real, turn.fake)]
        terms = compute()
        for name, value in terms.values.items():
            _require_finite(part.key, f"values of the {player} term '{name}'", value)
            if f"{player}/{name}" not in loss.term_info:
                declared = f'add "{player}/{name}" to its term_info'
                raise PartError(part.key, f"returns the {player} term '{name}', which it does not declare", remedy=declared)
        self._check_loss(part.key, loss)
        if not all(map(torch.equal, given, (turn.real.values, turn.fake.values))):
            raise PartError(part.key, "changes the samples that it is given", remedy="compute a new tensor instead")
        self.turns.setdefault((index, player), turn)
        return terms

    def _check_loss(self, key: str, loss: Loss) -> None:
        """Refuse a loss that calls backward, switches gradients off, or has weights of its own."""
        if not torch.is_grad_enabled():
            torch.set_grad_enabled(True)
            raise PartError(key, "switches gradients off and leaves them so", remedy="use torch.no_grad() in a with statement")
        weights = list(self.game.parameters())
        if any(weight.grad is not None for weight in weights):
            raise PartError(key, "calls backward(): a loss only computes its terms")
        if name := unregistered(loss, weights):
            remedy = "make the loss a torch.nn.Module that registers them, or freeze them with requires_grad_(False)"
            raise PartError(key, f"has parameters of its own ('{name}'), which nothing would train", remedy=remedy)


def _output(network: nn.Module, inputs: Any) -> Tensor:
    """What a network gives: its values or logits."""
    output = network(inputs)
    values: Tensor = output.logits if isinstance(output, DiscriminatorOutput) else output
    return values


def _values(inputs: Latent | Samples) -> Tensor:
    return inputs.noise if isinstance(inputs, Latent) else inputs.values


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


def _generated_far_out(trainer: Trainer, role: str) -> Tensor:
    latent = draw_latents(trainer.sampler, 64, torch.Generator(trainer.device).manual_seed(0))
    with evaluating(generator := trainer.networks[role]):
        return generate(generator, replace(latent, noise=_FAR * latent.noise), trainer.evaluator.data.shape).values


def _judged_far_out(trainer: Trainer, role: str) -> Tensor:
    data = trainer.evaluator.data
    labels = torch.zeros(64, dtype=torch.int64, device=trainer.device) if data.classes else None
    with evaluating(critic := trainer.networks[role]):
        return discriminate(critic, Samples(_FAR * torch.randn(64, *data.shape, device=trainer.device), labels)).logits


def _require_finite(key: str, what: str, values: Tensor) -> None:
    if not bool(values.isfinite().all()):
        raise PartError(key, f"returns {what} that are not finite, for finite inputs, before any training")


def _copy_game(game: Game, restored: ExitStack) -> Game:
    """A copy of the game with copies of its networks and losses; see :func:`_copy_network` and :func:`_copy_loss`."""
    copies: dict[int, Any] = {id(network): _copy_network(network, restored) for network in game.networks.values()}
    copies |= {id(part.loss): _copy_loss(part.loss) for part in game.objective.losses}
    return copy.deepcopy(game, copies)


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
