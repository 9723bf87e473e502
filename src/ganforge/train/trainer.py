"""The trainer: lets the players of a game take turns, updates the EMA, and yields events. No other code updates weights."""

from __future__ import annotations

import functools
import hashlib
import math
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ganforge.core import events
from ganforge.core.contracts import Sampler
from ganforge.core.errors import GanforgeError, RunFolderError, describe_error
from ganforge.core.events import Event, State
from ganforge.core.params import Schedule, value_at
from ganforge.core.records import Step
from ganforge.games.checked_calls import draw_latents
from ganforge.games.game import Batch, Game
from ganforge.train import modules
from ganforge.train.batches import Batches
from ganforge.train.diagnostics import Diagnostics
from ganforge.train.evaluator import Evaluator
from ganforge.train.random_streams import derive, global_state, restore_global_state, seed_globally, stream
from ganforge.train.updates import PlayerUpdate, ScheduledOptimizer

EMA = "ema"
"""Where a state holds the moving averages: ``ema/`` and the role of the network."""
_EXPENSIVE_EVERY = 10
"""Diagnostics that need a forward pass are measured this many times less often than the others."""
_HASHED = 64
"""Training samples whose hash is saved."""
_CHECK_EVERY = 50
"""Iterations between checks for non-finite losses on an accelerator, because each check waits for the device."""


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """How long to train, and how often to draw, save and measure; every ``…_every`` counts iterations, 0 for never.

    ``alternating`` updates one player after the other; ``simultaneous`` computes all gradients with the same weights and the same
    batch before any update. Diagnostics that need a forward pass come a tenth as often as the others.
    """

    iterations: int
    seed: int
    picture_every: int
    save_every: int
    updates: Literal["alternating", "simultaneous"] = "alternating"
    ema_decay: float | Schedule = 0.999  # of the moving averages; 0 turns them off
    diagnostics_every: int = 0
    health_samples_every: int = 0
    health_samples: int = 512  # generated samples, and as many held-out real ones


class Trainer:
    """Trains the networks of a game.

    :meth:`run` trains to the end. A caller that decides between iterations whether to stop or roll back calls :meth:`start`,
    :meth:`advance`, :meth:`save`, :meth:`roll_back` and :meth:`finish` itself.

    Attributes:
        iteration: iterations done.
        rollbacks: how often training was rolled back, earlier parts of a resumed run included.
        iterations_run: iterations that this trainer has done, those included that a rollback discarded.
        evaluated: whether the evaluations and pictures due after the last iteration are done.
        divergence: which value is no longer finite, or ``None``; training cannot go on then, except after a rollback.
    """

    def __init__(
        self,
        *,
        config: TrainConfig,
        game: Game,
        optimizers: Mapping[str, ScheduledOptimizer],
        averages: Mapping[str, modules.EMA],
        batches: Batches,
        sampler: Sampler,
        evaluator: Evaluator,
        device: torch.device,
    ) -> None:
        self.config, self.game, self.objective = config, game, game.objective
        self.networks, self.optimizers = dict(game.networks.items()), optimizers
        self.batches, self.sampler, self.evaluator, self.device = batches, sampler, evaluator, device
        self.averages = averages
        self.updates = [PlayerUpdate(player, game, optimizers) for player in game.players]
        self._infinite = {  # from the beginning, such as masks
            f"{name}/{key}"
            for name, network in self._saved_networks().items()
            for key, buffer in network.named_buffers()
            if buffer.layout is torch.strided and not bool(buffer.isfinite().all())
        }
        self.iteration = self.rollbacks = self.iterations_run = 0
        self.divergence: str | None = None
        self.evaluated = True
        self._diagnostics = Diagnostics(game, optimizers, config.seed)
        self._reported_unavailable: set[str] = set()
        self._latents = stream(config.seed, "training", "latent", device=device)
        self._batch_index = 0
        self._check_every = 1 if device.type == "cpu" else _CHECK_EVERY
        self._began = time.perf_counter()

    @property
    def generator(self) -> nn.Module:
        """The moving average of the network that makes samples, in eval mode."""
        return self.averages[self.game.spec.generator].network

    @property
    def evaluated_networks(self) -> dict[str, nn.Module]:
        """All networks by role, as they are evaluated: moving averages where there are any."""
        return {**self.networks, **{role: average.network for role, average in self.averages.items()}}

    @property
    def done(self) -> bool:
        """Whether there is nothing more to train: all iterations are done, or a value is not finite."""
        return self.divergence is not None or self.iteration >= self.config.iterations

    @functools.cached_property
    def data_hash(self) -> str:
        """A hash of a few training samples as networks see them, by which a resumed run recognises them."""
        samples = self.batches.subsample(_HASHED)
        labels = b"" if samples.labels is None else samples.labels.cpu().numpy().tobytes()
        return hashlib.sha256(samples.values.numpy().tobytes() + labels).hexdigest()[:12]

    def run(self) -> Iterator[Event]:
        """Train to the end, or until a value is not finite."""
        yield from self.start()
        while not self.done:
            yield from self.advance()
        yield self.finish()

    def start(self) -> Iterator[Event]:
        """The first events. At iteration 0 this seeds the global generators, because layers such as dropout use them."""
        self._began = time.perf_counter()
        yield self._started()
        if self.iteration == 0:
            seed_globally(derive(self.config.seed, "training"))
            yield self._draw_picture()
        elif not self.evaluated:
            yield from self._evaluate()

    def advance(self) -> Iterator[Event]:
        """One iteration, then the state to save and the evaluations and pictures, where they are due.

        The state comes first, and is saved if a metric or picture fails, so that none can cost what was trained before it. Sets
        :attr:`divergence` if a loss, or a value of that state, is not finite.
        """
        stepped = self.step()
        yield stepped
        self.divergence = self._non_finite_loss(stepped.terms)
        if self._is_due(self.config.save_every) and self.divergence is None and (saved := self.save()):
            yield saved
        if self.divergence is not None:
            return
        try:
            yield from self._evaluate()
        except Exception:
            with suppress(GanforgeError):
                if not self._is_due(self.config.save_every) and (saved := self.save()):
                    yield saved
            raise

    def save(self) -> events.Saved | None:
        """The state to save. Sets :attr:`divergence` and returns ``None`` if it is not finite throughout."""
        state = self.state()
        floats = ((name, value) for name, value in state.tensors.items() if value.is_floating_point())
        infinite = (name for name, value in floats if not bool(value.isfinite().all()))
        if name := next((name for name in infinite if name not in self._infinite), None):
            self.divergence = f"{name} is not finite at iteration {self.iteration}"
            return None
        return events.Saved(self.iteration, state)

    def finish(self, stop_reason: str | None = None) -> events.Finished:
        """The last event; ``stop_reason`` says why training stops before its end."""
        seconds = time.perf_counter() - self._began
        if self.divergence is not None:
            return events.Finished(self.iteration, "diverged", seconds, self.divergence)
        return events.Finished(self.iteration, "stopped" if stop_reason else "finished", seconds, stop_reason)

    def step(self) -> events.Stepped:
        """The turns of all players, then one update of the moving averages."""
        at, config = Step(self.iteration, self.config.iterations), self.config
        self._batch_index = self._batches_before(self.iteration)
        self.game.prepare(at)
        rates = self.objective.scheduled(at)
        for role, optimizer in self.optimizers.items():
            rates |= {f"{key}/{role}": value for key, value in optimizer.set_rates(at).items()}

        terms = self._update(at)
        decay = value_at(config.ema_decay, at.iteration, at.iterations)
        for average in self.averages.values():
            average.update(decay)
        if isinstance(config.ema_decay, Schedule):
            rates["ema_decay"] = decay
        self.iteration += 1
        self.iterations_run += 1
        self.evaluated = False
        return events.Stepped(self.iteration, terms, rates, self._measure_diagnostics())

    def state(self) -> State:
        """Everything needed to continue bit for bit on the same machine. Its tensors are the live ones, not copies."""
        tensors: dict[str, Tensor] = {}
        for name, network in self._saved_networks().items():
            tensors |= modules.network_state(name, network)
        tensors |= {f"game/{name}": value for name, value in self.game.own_state().items()}
        optimizers: dict[str, Any] = {}
        for role, scheduled in self.optimizers.items():
            statistics, plain = modules.optimizer_state(f"optimizers/{role}", scheduled.optimizer)
            tensors |= statistics
            optimizers |= plain

        random, plain_random = global_state()
        tensors |= {f"random/{key}": value for key, value in random.items()}
        tensors["random/latents"] = self._latents.get_state()
        return State(
            tensors,
            {
                "iteration": self.iteration,
                "rollbacks": self.rollbacks,
                "evaluated": self.evaluated,
                "seed": self.config.seed,
                "optimizers": optimizers,
                "random": plain_random,
                "torch": torch.__version__,
                "threads": torch.get_num_threads(),
                "device": str(self.device),
                "training data": self.data_hash,
            },
        )

    def restore(self, state: State) -> None:
        """Continue from ``state``; one of another recipe or plugin version is a :class:`RunFolderError`."""
        tensors, values = state.tensors, state.values
        for name, network in self._saved_networks().items():
            modules.load_network(name, network, tensors)
        try:
            self.game.load_own_state(modules.entries_under("game", tensors))
            for role, scheduled in self.optimizers.items():
                modules.load_optimizer(f"optimizers/{role}", scheduled.optimizer, tensors, values["optimizers"])
            self._latents.set_state(tensors["random/latents"])
            restore_global_state(modules.entries_under("random", tensors), values["random"])
            self.iteration, self.rollbacks = int(values["iteration"]), int(values["rollbacks"])
            self.evaluated = bool(values["evaluated"])
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError, RuntimeError) as error:
            reason = f"lacks {error}" if isinstance(error, KeyError) else f"does not have the expected form: {error}"
            raise RunFolderError(f"the checkpoint {reason}", remedy="resume from another one, or start again") from error
        self.divergence = None

    def roll_back(self, state: State, number: int | None = None) -> events.RolledBack:
        """Restore an earlier ``state``, and draw other latents from there on, for the same data in the same order.

        Each rollback has its own random stream, by its ``number``: a run with rollbacks is reproducible too.
        """
        reached, number = self.iteration, self.rollbacks + 1 if number is None else number
        self.restore(state)
        self.rollbacks = number
        self._latents = stream(self.config.seed, "training", "latent", "return", number, device=self.device)
        seed_globally(derive(self.config.seed, "training", "return", number))
        return events.RolledBack(self.iteration, reached)

    def _saved_networks(self) -> dict[str, nn.Module]:
        averaged = {f"{EMA}/{role}": average.network for role, average in self.averages.items()}
        return {**self.networks, **averaged}

    def _update(self, at: Step) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = {}
        due = [update for update in self.updates if at.iteration % update.player.every == 0]
        if self.config.updates == "simultaneous":
            batch = self.next_batch()
            for update in due:
                terms |= update.backward(batch, at)
            for update in due:
                update.step()
            return terms

        for update in due:
            for _ in range(update.player.steps):
                terms |= update.backward(self.next_batch(), at)
                update.step()
        return terms

    def _batches_before(self, iteration: int) -> int:
        """The number of batches that the first iterations use."""
        if self.config.updates == "simultaneous":
            return iteration
        return sum(update.player.steps * -(-iteration // update.player.every) for update in self.updates)

    def next_batch(self) -> Batch:
        """The next batch, with latents drawn for it."""
        real = self.batches[self._batch_index]
        self._batch_index += 1
        return Batch(real, draw_latents(self.sampler, self.batches.size, self._latents))

    def _measure_diagnostics(self) -> dict[str, Tensor]:
        every = self.config.diagnostics_every
        if not every or self.iteration % every:
            return {}
        values = self._diagnostics.cheap()
        if self.iteration % (_EXPENSIVE_EVERY * every) == 0:
            values |= self._diagnostics.expensive()
        return values

    def _started(self) -> events.Started:
        evaluator = self.evaluator
        return events.Started(
            iteration=self.iteration,
            iterations=self.config.iterations,
            device=str(self.device),
            data=evaluator.data,
            latent=self.sampler.spec,
            parameters={
                name: sum(weight.numel() for weight in network.parameters() if weight.requires_grad)
                for name, network in self.networks.items()
            },
            generator=self.game.spec.generator,
            critic=self.game.spec.critic,
            term_info=self.game.term_info,
            value_info=evaluator.value_info,
            real=evaluator.real,
            protocols={metric.name: metric.protocol for metric in evaluator.metrics},
        )

    def _evaluate(self) -> Iterator[Event]:
        due = [metric for metric in self.evaluator.metrics if self._is_due(metric.every)]
        if due:
            began = time.perf_counter()
            values, missing = self.evaluator.measure(self.evaluated_networks, due)
            yield events.Evaluated(self.iteration, values, time.perf_counter() - began, missing)
        if self.config.health_samples_every and self._is_due(self.config.health_samples_every):
            yield from self._draw_health_samples()
        for check, reason in self._diagnostics.unavailable.items():
            if check not in self._reported_unavailable:
                self._reported_unavailable.add(check)
                yield events.CheckUnavailable(self.iteration, check, reason)
        if self._is_due(self.config.picture_every):
            yield self._draw_picture()
        self.evaluated = True

    def _draw_health_samples(self) -> Iterator[Event]:
        unavailable = self._diagnostics.unavailable
        if "samples" in unavailable:
            return
        networks, raw = self.evaluated_networks, self.networks[self.game.spec.generator]
        try:
            evaluation, samples = self.evaluator.draw_health_samples(networks, raw, self.config.health_samples)
        except Exception as error:  # noqa: BLE001 - only the health checks need these samples, and they must not end training
            unavailable["samples"] = describe_error(error)
        else:
            yield events.HealthSamples(self.iteration, evaluation, samples)

    def _draw_picture(self) -> events.SamplesDrawn:
        return events.SamplesDrawn(self.iteration, *self.evaluator.draw_picture(self.evaluated_networks))

    def _is_due(self, every: int) -> bool:
        return self.iteration % every == 0 or self.iteration == self.config.iterations

    def _non_finite_loss(self, terms: Mapping[str, Tensor]) -> str | None:
        if not self._is_due(self._check_every):
            return None
        if all(math.isfinite(value.item()) for key, value in terms.items() if key.endswith("/total")):
            return None

        name = next((key for key, value in terms.items() if not math.isfinite(value.item())), "a loss")
        return f"{name} is {terms[name].item():g} at iteration {self.iteration}"
