"""The two-player game of Goodfellow et al. 2014: its turns, each one network's update by the losses of a recipe."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ganforge.core.contracts import Critic, Discriminator, LogOddsLoss, Loss, TermInfo
from ganforge.core.errors import IncompatiblePartsError, PartError, part_errors
from ganforge.core.params import Schedule, value_at
from ganforge.core.records import DiscriminatorOutput, Latent, LossTerms, Samples
from ganforge.games.checked_calls import Side, discriminate, generate, loss_terms

_Kind = TypeVar("_Kind", bound=torch.optim.Optimizer)

OutputCache = dict[tuple[int, bool], tuple[Samples, DiscriminatorOutput]]
"""Discriminator outputs by the id of their samples, and whether they have gradients. It holds the samples too, so that no id is
used twice."""


def cached(discriminator: Discriminator, outputs: OutputCache | None = None) -> Critic:
    """The discriminator as losses see it within one turn: it runs once per samples and then returns the cached output.

    Several losses therefore share one forward pass and one dropout mask. ``outputs`` is for a caller that reads the cache.
    """
    outputs = {} if outputs is None else outputs

    def critic(samples: Samples) -> DiscriminatorOutput:
        key = (id(samples), torch.is_grad_enabled())
        if key not in outputs:
            outputs[key] = (samples, discriminate(discriminator, samples))
        return outputs[key][1]

    return critic


@dataclass(frozen=True, slots=True)
class Batch:
    """The input of one turn: a batch of real samples, and as many latents."""

    real: Samples
    latent: Latent


@dataclass(frozen=True, slots=True)
class LastOutputs:
    """The samples and logits ``(n,)`` of the discriminator's last turn, without a graph, for diagnostics."""

    real: Samples
    real_logits: Tensor
    fake: Samples
    fake_logits: Tensor


@dataclass(frozen=True, slots=True)
class WeightedLoss:
    """One loss of the objective, with its name in logs and the factor of its terms."""

    name: str
    loss: Loss
    weight: float | Schedule = 1.0


class Objective:
    """The weighted sum of losses, ``Σ weight_i(iteration) · loss_i``.

    Raises:
        IncompatiblePartsError: two losses declare the same term, or no loss trains one of the networks.
    """

    def __init__(self, losses: Sequence[WeightedLoss]) -> None:
        self.losses = tuple(losses)
        self.term_info = _term_info(self.losses)
        self.second_order = any(part.loss.second_order for part in self.losses)
        self.logits_are_log_odds = any(isinstance(part.loss, LogOddsLoss) and part.loss.logits_are_log_odds for part in self.losses)

    def terms(self, side: Side, critic: Critic, real: Samples, fake: Samples, weights: Sequence[float]) -> LossTerms:
        """One network's terms, each loss scaled by its entry in ``weights``."""
        total = LossTerms({})
        for index, (part, weight) in enumerate(zip(self.losses, weights, strict=True)):
            total = total + loss_terms(part.loss, f"loss[{index}]", side, critic, real, fake).weighted(weight)
        return total

    def weights(self, iteration: int, iterations: int) -> list[float]:
        """The weight of each loss at ``iteration``."""
        return [value_at(part.weight, iteration, iterations) for part in self.losses]

    def scheduled(self, weights: Sequence[float]) -> dict[str, float]:
        """Those of ``weights`` that follow a schedule, by the loss's name, for logs."""
        return {
            f"weight/{part.name}": weight
            for part, weight in zip(self.losses, weights, strict=True)
            if isinstance(part.weight, Schedule)
        }


def _term_info(losses: Sequence[WeightedLoss]) -> dict[str, TermInfo]:
    found: dict[str, TermInfo] = {}
    for part in losses:
        for key, info in part.loss.term_info.items():
            if key in found:
                side, _, term = key.partition("/")
                raise IncompatiblePartsError(
                    f"two losses give the {side} a term named '{term}'; one of them is '{part.name}'",
                    remedy="remove one of the two [[loss]] tables",
                )
            found[key] = info

    for side in ("discriminator", "generator"):
        if not any(key.startswith(f"{side}/") for key in found):
            listed = "; ".join(f"'{part.name}' declares {', '.join(part.loss.term_info) or 'no terms'}" for part in losses)
            raise IncompatiblePartsError(
                f"no loss trains the {side}: {listed}",
                remedy=f'add an adversarial loss, such as [[loss]] use = "non-saturating"; or, if one of these trains it, '
                f'declare its terms as "{side}/NAME" in its term_info',
            )
        found[f"{side}/total"] = TermInfo(f"total {side} loss (weighted sum of its terms)", _total_equilibrium(side, losses))
    return found


def _total_equilibrium(side: str, losses: Sequence[WeightedLoss]) -> float | None:
    """The total at equilibrium, or ``None`` unless every term has an equilibrium that no scheduled weight changes."""
    terms = [(part.weight, info) for part in losses for key, info in part.loss.term_info.items() if key.startswith(f"{side}/")]
    total = 0.0
    for weight, info in terms:
        if info.equilibrium is None or (isinstance(weight, Schedule) and info.equilibrium != 0):
            return None
        total += info.equilibrium * (0.0 if isinstance(weight, Schedule) else weight)
    return total


@dataclass(frozen=True, slots=True)
class ScheduledOptimizer:
    """An optimizer whose hyperparameters may follow a schedule, by their key in parameter groups, such as ``lr``."""

    optimizer: torch.optim.Optimizer
    schedules: Mapping[str, Schedule] = field(default_factory=dict)

    def set_rates(self, iteration: int, iterations: int) -> dict[str, float]:
        """Set the scheduled hyperparameters for this iteration, and return them."""
        if not self.schedules:
            return {}
        rates = {key: schedule.at(iteration, iterations) for key, schedule in self.schedules.items()}
        for group in self.optimizer.param_groups:
            group.update(rates)
        return rates


@contextmanager
def frozen(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """Within the block these parameters require no gradients; gradients still flow through to the inputs."""
    learning = [parameter for parameter in parameters if parameter.requires_grad]
    for parameter in learning:
        parameter.requires_grad_(False)  # noqa: FBT003 - torch's own signature
    try:
        yield
    finally:
        for parameter in learning:
            parameter.requires_grad_(True)  # noqa: FBT003 - torch's own signature


@dataclass(frozen=True, slots=True)
class Turn:
    """One network's chance to learn, taken ``repeats`` times per iteration, while the ``frozen`` parameters need no gradients.

    ``loss`` gives the loss terms for a batch and the weights of the losses.
    """

    name: str
    repeats: int
    optimizer: ScheduledOptimizer
    loss: Callable[[Batch, list[float]], LossTerms]
    frozen: tuple[nn.Parameter, ...]

    def backward(self, batch: Batch, weights: list[float]) -> dict[str, Tensor]:
        """Compute the gradients without updating the weights; returns every loss term and the total, detached."""
        with frozen(self.frozen):
            terms = self.loss(batch, weights)
            total = terms.total
            self.optimizer.optimizer.zero_grad()
            with part_errors(self.name):
                if not total.requires_grad:
                    raise PartError(
                        self.name, "cannot learn: the losses, or the discriminator's outputs, are detached from its weights"
                    )
                total.backward()  # type: ignore[no-untyped-call]
        values = {f"{self.name}/{name}": value.detach() for name, value in terms.values.items()}
        values[f"{self.name}/total"] = total.detach()
        return values

    def update(self, batch: Batch, weights: list[float]) -> dict[str, Tensor]:
        """Compute the gradients and update the weights; returns what :meth:`backward` returns."""
        terms = self.backward(batch, weights)
        self.optimizer.optimizer.step()
        return terms


class TwoPlayerGame:
    """The discriminator's turn k times, then the generator's turn once.

    Fakes for the discriminator are generated without a graph but in train mode, so that batch norm sees batch statistics in both
    turns, as in DCGAN. Each network is frozen while the other learns.

    ``steps`` is k of Algorithm 1, the discriminator's updates per iteration. ``last_outputs`` holds the logits of the
    discriminator's last turn, or ``None`` if the losses did not use both kinds of samples.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        objective: Objective,
        *,
        generator_optimizer: ScheduledOptimizer,
        discriminator_optimizer: ScheduledOptimizer,
        steps: int = 1,
    ) -> None:
        self.generator, self.discriminator, self.objective = generator, discriminator, objective
        self.last_outputs: LastOutputs | None = None
        self.turns = (
            Turn("discriminator", steps, discriminator_optimizer, self.discriminator_loss, tuple(generator.parameters())),
            Turn("generator", 1, generator_optimizer, self.generator_loss, tuple(discriminator.parameters())),
        )

    def discriminator_loss(self, batch: Batch, weights: list[float]) -> LossTerms:
        """The discriminator's loss terms on a batch, each loss scaled by its entry in ``weights``."""
        with torch.no_grad():
            real, fake = batch.real, self._generate(batch)
        if self.objective.second_order:
            real, fake = with_input_grad(real), with_input_grad(fake)
        outputs: OutputCache = {}
        terms = self.objective.terms("discriminator", cached(self.discriminator, outputs), real, fake, weights)
        self.last_outputs = None
        if (id(real), True) in outputs and (id(fake), True) in outputs:
            real_logits, fake_logits = (outputs[id(samples), True][1].logits.detach() for samples in (real, fake))
            self.last_outputs = LastOutputs(real, real_logits, fake, fake_logits)
        return terms

    def generator_loss(self, batch: Batch, weights: list[float]) -> LossTerms:
        """The generator's loss terms on a batch, each loss scaled by its entry in ``weights``."""
        fake = self._generate(batch)
        return self.objective.terms("generator", cached(self.discriminator), batch.real, fake, weights)

    def _generate(self, batch: Batch) -> Samples:
        return generate(self.generator, batch.latent, tuple(batch.real.values.shape[1:]))


def with_input_grad(samples: Samples) -> Samples:
    """The same samples as a leaf that requires gradients, so that a gradient penalty can share the other losses' forward pass."""
    return replace(samples, values=samples.values.detach().requires_grad_())


_COMPILER_AWARE = ("add_param_group", "state_dict", "load_state_dict", "zero_grad")
"""Methods that torch wraps for its compiler only."""


@functools.cache
def eager(kind: type[_Kind]) -> type[_Kind]:
    """A subclass of an optimizer class that does not import torch's compiler, which takes longer than building a run.

    Torch wraps ``step`` and a few more methods in functions that import ``torch._dynamo`` when first called. The subclass uses the
    methods inside those wrappers. It must not be used inside ``torch.compile``, or with the option ``differentiable``.
    """
    methods: dict[str, Any] = {name: inspect.unwrap(getattr(kind, name)) for name in _COMPILER_AWARE}
    methods["step"] = torch.no_grad()(inspect.unwrap(kind.step))
    return type(kind.__name__, (kind,), {**methods, "__module__": __name__, "__doc__": kind.__doc__})
