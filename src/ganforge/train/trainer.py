"""The trainer: takes turns, keeps the average, and tells what happens as events. It alone moves weights."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ganforge.core.contracts import Sampler
from ganforge.core.errors import RunFolderError
from ganforge.core.events import (
    CheckUnavailable,
    Evaluated,
    Event,
    Finished,
    HealthSamples,
    Outcome,
    RolledBack,
    SamplesDrawn,
    Saved,
    Started,
    State,
    Stepped,
)
from ganforge.core.isolation import describe_error
from ganforge.core.schedules import Schedule, value_at
from ganforge.train.batches import Batches
from ganforge.train.diagnostics import Signals
from ganforge.train.ema import Average
from ganforge.train.evaluator import Observer
from ganforge.train.objective import Objective
from ganforge.train.random_streams import derive, global_state, restore_globally, seed_globally, stream
from ganforge.train.state_dicts import load_network, load_optimizer, network_state, not_finite, optimizer_state, under
from ganforge.train.streamed_batches import StreamedBatches
from ganforge.train.turns import Draw, Turn

_DEAR = 10
"""Vital signs without a further pass through a network that come between two with one."""
_PATIENCE = 50
"""Iterations between checks for non-finite terms on an accelerator, where each check waits for the device."""


Stop = Callable[[], bool | str]
"""Asked after each iteration: whether to stop, perhaps with the reason."""
Rescue = Callable[[str | None], State | None]
"""Asked after each iteration, with the reason where a loss, or the state to be saved, is no longer finite: the state to go back to,
or ``None`` for none."""


def _never() -> bool:
    return False


def _nothing(_reason: str | None) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Plan:
    """How long, and when to look.

    Attributes:
        iterations: iterations in all.
        seed: the run's seed.
        picture_every: iterations between pictures.
        save_every: iterations between states worth keeping.
        updates: one turn after the other, or all gradients at one point on one draw before any step.
        average: decay of the generator's moving average; 0 for none.
        signals_every: iterations between vital signs; 0 for none. Those that cost a pass come a tenth as often.
        probe_every: iterations between samples for the health watch; 0 for none.
        probe_samples: generated samples in each probe, and as many held-out real ones.
    """

    iterations: int
    seed: int
    picture_every: int
    save_every: int
    updates: Literal["alternating", "simultaneous"] = "alternating"
    average: float | Schedule = 0.999
    signals_every: int = 0
    probe_every: int = 0
    probe_samples: int = 512


class Trainer:
    """Trains a generator and its discriminator; :meth:`run` yields what happens.

    Args:
        plan: how long, and when to look.
        networks: by name; ``generator`` and ``discriminator`` are among them.
        turns: who learns, how often, from what.
        objective: the losses, for their weights and readings.
        batches: the training data, on the device or read for each batch.
        sampler: where latents come from.
        observer: what measures and pictures the average generator.
        device: where the networks live.

    Attributes:
        iteration: iterations done.
        average: the generator's moving average.
        returns: how often it went back, earlier parts of a resumed run included.
        trained: iterations that this trainer has made, those included that were given up when it went back.
    """

    def __init__(
        self,
        *,
        plan: Plan,
        networks: Mapping[str, nn.Module],
        turns: tuple[Turn, ...],
        objective: Objective,
        batches: Batches | StreamedBatches,
        sampler: Sampler,
        observer: Observer,
        device: torch.device,
    ) -> None:
        self.plan, self.networks, self.turns, self.objective = plan, networks, turns, objective
        self.batches, self.sampler, self.observer, self.device = batches, sampler, observer, device
        self.average = Average(networks["generator"])
        self._signals = Signals(turns, networks["discriminator"], log_odds=objective.logits_are_log_odds, seed=plan.seed)
        self.iteration = self.returns = self.trained = 0
        self._told_lost: set[str] = set()
        self._latents = stream(plan.seed, "training", "latent", device=device)
        self._draws_per_iteration = 1 if plan.updates == "simultaneous" else sum(turn.times for turn in turns)
        self._drawn = 0
        self._patience = 1 if device.type == "cpu" else _PATIENCE

    def run(self, should_stop: Stop = _never, rescue: Rescue = _nothing) -> Iterator[Event]:
        """Train to the end, or until ``should_stop`` says so after an iteration; the state at the end is always told.

        Where ``rescue`` gives a state, training goes back to it and on from there with other latents.

        At iteration 0 the global generators of torch, numpy and Python are seeded from the plan's seed, since layers such as
        dropout draw from them.
        """
        began = time.perf_counter()
        yield self._started()
        if self.iteration == 0:
            seed_globally(derive(self.plan.seed, "training"))
            yield self._pictured()

        outcome: Outcome = "finished"
        reason: str | None = None
        stopping: bool | str
        state: State | None
        while self.iteration < self.plan.iterations:
            stepped = self.step()
            yield stepped
            reason = self._divergence(stepped.terms)
            if reason is None:
                yield from self._looked()
            stopping, state, earlier = False, None, rescue(reason)
            if earlier is None and reason is None:
                stopping, state, reason = self._to_save(should_stop)
                earlier = rescue(reason) if reason else None
            if earlier is not None:
                reached = self.iteration
                self.go_back(earlier)
                yield RolledBack(self.iteration, reached)
                continue
            if reason is not None:
                outcome = "diverged"
                break
            if state:
                yield Saved(self.iteration, state)
            if stopping:
                outcome, reason = "stopped", stopping if isinstance(stopping, str) else "asked to stop"
                break

        yield Finished(self.iteration, outcome, time.perf_counter() - began, reason)

    def step(self) -> Stepped:
        """One iteration: every turn as often as it is taken, then one step of the average."""
        at, plan = self.iteration, self.plan
        self._drawn = at * self._draws_per_iteration
        weights = self.objective.weights(at, plan.iterations)
        rates = self.objective.scheduled(weights)
        for turn in self.turns:
            moved = turn.descent.set_rates(at, plan.iterations)
            rates |= {f"{key}/{turn.name}": value for key, value in moved.items()}

        take = self._simultaneously if plan.updates == "simultaneous" else self._alternately
        terms = take(weights)

        decay = value_at(plan.average, at, plan.iterations)
        self.average.update(decay)
        if isinstance(plan.average, Schedule):
            rates["average"] = decay
        self.iteration += 1
        self.trained += 1
        return Stepped(self.iteration, terms, rates, self._vital_signs())

    def state(self) -> State:
        """Everything needed to go on from here, bit for bit on the same machine; its tensors are the live ones, not copies."""
        tensors: dict[str, Tensor] = {}
        for name, network in {**self.networks, "average": self.average.network}.items():
            tensors |= network_state(name, network)
        optimizers: dict[str, object] = {}
        for turn in self.turns:
            found, plain = optimizer_state(f"optimizers/{turn.name}", turn.descent.optimizer)
            tensors |= found
            optimizers |= plain

        random, plain_random = global_state()
        tensors |= {f"random/{key}": value for key, value in random.items()}
        tensors["random/latents"] = self._latents.get_state()
        return State(
            tensors,
            {
                "iteration": self.iteration,
                "returns": self.returns,
                "seed": self.plan.seed,
                "optimizers": optimizers,
                "random": plain_random,
                "torch": torch.__version__,
                "threads": torch.get_num_threads(),
                "device": str(self.device),
            },
        )

    def restore(self, state: State) -> None:
        """Go on from ``state``.

        Raises:
            RunFolderError: the state is another recipe's or plugin version's, or lacks a part.
        """
        tensors, values = state.tensors, state.values
        for name, network in {**self.networks, "average": self.average.network}.items():
            load_network(name, network, tensors)
        try:
            for turn in self.turns:
                load_optimizer(f"optimizers/{turn.name}", turn.descent.optimizer, tensors, _table(values["optimizers"]))
            self._latents.set_state(tensors["random/latents"])
            restore_globally(under("random", tensors), _table(values["random"]))
            self.iteration = int(str(values["iteration"]))
            self.returns = int(str(values.get("returns", 0)))
        except KeyError as error:
            raise RunFolderError(f"the checkpoint lacks {error}", remedy="resume from another one, or start again") from error

    def go_back(self, state: State, returns: int | None = None) -> None:
        """Restore an earlier ``state``, and draw other latents from there than those that led into trouble.

        ``returns`` says which return this is, the next one unless given.

        The data comes in the same order again. Each return has a random stream of its own, so a run that went back is as
        reproducible as one that did not.
        """
        returns = self.returns + 1 if returns is None else returns
        self.restore(state)
        self.returns = returns
        self._latents = stream(self.plan.seed, "training", "latent", "return", returns, device=self.device)
        seed_globally(derive(self.plan.seed, "training", "return", returns))

    def _alternately(self, weights: list[float]) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = {}
        for turn in self.turns:
            for _ in range(turn.times):
                terms |= turn.take(self._draw(), weights)
        return terms

    def _simultaneously(self, weights: list[float]) -> dict[str, Tensor]:
        draw = self._draw()
        terms: dict[str, Tensor] = {}
        for turn in self.turns:
            terms |= turn.gather(draw, weights)
        for turn in self.turns:
            turn.descent.step()
        return terms

    def _vital_signs(self) -> dict[str, Tensor]:
        every = self.plan.signals_every
        if not every or self.iteration % every:
            return {}
        found = self._signals.cheap()
        if self.iteration % (_DEAR * every) == 0:
            found |= self._signals.dear()
        return found

    def _draw(self) -> Draw:
        real = self.batches[self._drawn]
        self._drawn += 1
        return Draw(real, self.sampler.draw(self.batches.size, self._latents))

    def _started(self) -> Started:
        observer = self.observer
        return Started(
            iteration=self.iteration,
            iterations=self.plan.iterations,
            device=str(self.device),
            data=observer.data,
            latent=self.sampler.spec,
            parameters={
                name: sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
                for name, network in self.networks.items()
            },
            term_info=self.objective.term_info,
            value_info=observer.value_info,
            real=observer.real,
            protocols={metric.name: metric.protocol for metric in observer.metrics},
        )

    def _looked(self) -> Iterator[Event]:
        due = [metric for metric in self.observer.metrics if self._is_due(metric.every)]
        if due:
            measured = self.observer.measure(self.average.network, self.networks["discriminator"], due)
            yield Evaluated(self.iteration, measured.values, measured.seconds, measured.missing)
        if self.plan.probe_every and self._is_due(self.plan.probe_every):
            yield from self._probed()
        yield from self._unwatched()
        if self._is_due(self.plan.picture_every):
            yield self._pictured()

    def _to_save(self, should_stop: Stop) -> tuple[bool | str, State | None, str | None]:
        """Whether to stop, the state where it is to be saved, and what is wrong with that."""
        stopping = should_stop() if self.iteration < self.plan.iterations else False
        if not (stopping or self._is_due(self.plan.save_every)):
            return stopping, None, None
        state = self.state()
        damaged = not_finite(state.tensors)
        return stopping, state, damaged and f"{damaged} is not finite at iteration {self.iteration}"

    def _is_due(self, every: int) -> bool:
        return self.iteration % every == 0 or self.iteration == self.plan.iterations

    def _probed(self) -> Iterator[Event]:
        if "samples" in self._signals.lost:
            return
        try:
            evaluation, raw = self.observer.probe(
                self.average.network, self.networks["generator"], self.networks["discriminator"], self.plan.probe_samples
            )
        except Exception as error:  # noqa: BLE001 - nobody asked but the watch, which must not end training
            self._signals.lost["samples"] = describe_error(error)
        else:
            yield HealthSamples(self.iteration, evaluation, raw)

    def _unwatched(self) -> Iterator[Event]:
        """What has turned out since the last time not to be measurable."""
        for check, reason in self._signals.lost.items():
            if check not in self._told_lost:
                self._told_lost.add(check)
                yield CheckUnavailable(self.iteration, check, reason)

    def _pictured(self) -> SamplesDrawn:
        return SamplesDrawn(self.iteration, *self.observer.picture(self.average.network, self.networks["discriminator"]))

    def _divergence(self, terms: Mapping[str, Tensor]) -> str | None:
        if not self._is_due(self._patience):
            return None
        if all(math.isfinite(value.item()) for key, value in terms.items() if key.endswith("/total")):
            return None

        name = next((key for key, value in terms.items() if not math.isfinite(value.item())), "a loss")
        return f"{name} is {terms[name].item():g} at iteration {self.iteration}"


def _table(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise RunFolderError("the checkpoint's state.json is not of the expected form", remedy="resume from another checkpoint")
    return value
