"""L checks of a loss's gradients and values: the sign of its gradients, and its terms at equilibrium and at their best.

They replace the logits of a discriminator; heads and features come from a real network.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ganforge.core.contracts import Loss
from ganforge.core.records import DiscriminatorOutput, Samples, Terms
from ganforge.registry.component import Kind
from ganforge.testing.checks_losses import TURNS, Turn, build_loss_component, loss_terms, make_discriminator, real_and_fake
from ganforge.testing.component_case import ComponentCase, require
from ganforge.testing.conformance_checks import NotApplicableError, check

_SURE = 3.0
_SIDE = 0.5
_NEAR = 1e-2
_FAR = 4.0
_LEVELS = [step / 4 for step in range(-32, 33)]
_REFINEMENTS = 40


class _Levels(nn.Module):
    """Outputs one logit for samples on one side of zero and another for those on the other side.

    A small constant slope keeps gradient penalties defined.
    """

    def __init__(self, discriminator: nn.Module, real: float, fake: float) -> None:
        super().__init__()
        self.discriminator = discriminator
        self.real = torch.tensor(real, requires_grad=True)
        self.fake = torch.tensor(fake, requires_grad=True)

    def forward(self, samples: Samples) -> DiscriminatorOutput:
        output: DiscriminatorOutput = self.discriminator(samples)
        place = samples.values.flatten(1).mean(1)
        logits = torch.where(place > 0, self.real, self.fake) + 0.01 * place
        return replace(output, logits=logits)


class _Undecided(nn.Module):
    """Outputs one logit for all samples."""

    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__()
        self.discriminator = discriminator
        self.level = 0.0

    def forward(self, samples: Samples) -> DiscriminatorOutput:
        output: DiscriminatorOutput = self.discriminator(samples)
        return replace(output, logits=self.level + 0 * samples.values.flatten(1).sum(1))


@check("L07", Kind.LOSS)
def gradients_have_the_right_sign(subject: ComponentCase) -> None:
    """Gradients have the right sign: high logits mean real.

    The discriminator raises the logits of real samples and lowers those of generated ones; the generator raises the latter. Tested
    with a discriminator that is certainly wrong in its own turn and certainly right in the generator's. Terms that do not depend on
    the logits, such as gradient penalties, are skipped.
    """
    pushed = [_push(subject, turn) for turn in TURNS]
    if not any(pushed):
        raise NotApplicableError("its terms do not depend on the logits")


@check("L08", Kind.LOSS)
def equilibrium_is_as_declared(subject: ComponentCase) -> None:
    """At equilibrium, terms have the values that term_info declares.

    There, generated samples equal the real ones and the discriminator outputs the constant logit with the lowest loss. Terms that
    read a head are skipped.
    """
    loss, discriminator = build_loss_component(subject), make_discriminator(subject)
    declared = {key: reading.equilibrium for key, reading in loss.term_info.items() if reading.equilibrium is not None}
    if not declared:
        raise NotApplicableError("term_info declares no equilibrium")
    _, fake = real_and_fake(subject)
    real = Samples(fake.values, fake.labels)
    critic = _Undecided(discriminator)

    def cost(level: float) -> float:
        critic.level = level
        values = _terms(loss, "discriminator", critic, real, fake)
        return float(values.total.detach()) if values.values else 0.0

    critic.level = _least(cost)
    found = {f"{turn}/{name}": value for turn in TURNS for name, value in _terms(loss, turn, critic, real, fake).values.items()}
    settled = {key: value for key, value in found.items() if key in declared and not _reads_heads(value, discriminator)}
    if not settled:
        raise NotApplicableError("the terms whose equilibrium is declared read a head")
    for key, value in settled.items():
        near = math.isclose(float(value.detach()), declared[key], rel_tol=_NEAR, abs_tol=_NEAR)
        require(near, f"at equilibrium '{key}' is {float(value.detach()):.4g}, but term_info declares {declared[key]:.4g}")


@check("L09", Kind.LOSS)
def best_is_as_declared(subject: ComponentCase) -> None:
    """Where a player wins with certainty, its terms have the best value that term_info declares.

    There, the discriminator outputs one logit for all real samples and another for all generated ones, whichever give that player
    the lowest loss; terms without a lower bound keep falling. Terms that read a head are skipped.
    """
    loss, discriminator = build_loss_component(subject), make_discriminator(subject)
    declared = {key: reading.best for key, reading in loss.term_info.items() if reading.best is not None}
    if not declared:
        raise NotApplicableError("term_info declares no best value")
    real, fake = (
        replace(one, values=_beside(one.values, side)) for one, side in zip(real_and_fake(subject), (_SIDE, -_SIDE), strict=True)
    )
    won: dict[str, Tensor] = {}
    for turn in TURNS:
        if any(key.startswith(f"{turn}/") for key in declared):
            terms = _won(loss, turn, discriminator, real, fake)
            won |= {f"{turn}/{name}": value for name, value in terms.values.items() if not _reads_heads(value, discriminator)}
    settled = [key for key in declared if key in won]
    if not settled:
        raise NotApplicableError("the terms whose best value is declared read a head")
    for key in settled:
        value, best = float(won[key].detach()), declared[key]
        if best == -math.inf:
            require(value < -_FAR, f"where its player has won '{key}' is {value:.4g}, but term_info declares that it has no bound")
        else:
            near = math.isclose(value, best, rel_tol=_NEAR, abs_tol=_NEAR)
            require(near, f"where its player has won '{key}' is {value:.4g}, but term_info declares {best:.4g}")


def _won(loss: Loss, turn: Turn, discriminator: nn.Module, real: Samples, fake: Samples) -> Terms:
    """The terms at the logits of real and generated samples with the lowest loss, found one after the other."""
    levels = {"real": 0.0, "fake": 0.0}

    def asked() -> Terms:
        return _terms(loss, turn, _Levels(discriminator, **levels), real, fake)

    for side in levels:

        def cost(level: float, side: str = side) -> float:
            levels[side] = level
            return float(asked().total.detach())

        levels[side] = _least(cost)
    return asked()


def _terms(loss: Loss, turn: Turn, critic: nn.Module, real: Samples, fake: Samples) -> Terms:
    """The turn's terms, for copies of the samples and with fixed random numbers."""
    shown = [
        replace(one, values=one.values.clone().requires_grad_(loss.second_order or turn == "generator")) for one in (real, fake)
    ]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return loss_terms(loss, turn, critic, *shown)


def _push(subject: ComponentCase, turn: Turn) -> bool:
    """Whether the terms depend on the logits; fails if the sign is wrong."""
    sure = -_SURE if turn == "discriminator" else _SURE
    critic = _Levels(make_discriminator(subject), sure, -sure)
    loss = build_loss_component(subject)
    real, fake = (
        replace(one, values=_beside(one.values, side)) for one, side in zip(real_and_fake(subject), (_SIDE, -_SIDE), strict=True)
    )
    if turn == "generator" or loss.second_order:
        real, fake = (replace(one, values=one.values.requires_grad_()) for one in (real, fake))
    terms = loss_terms(loss, turn, critic, real, fake)
    if not terms.values or not terms.total.requires_grad:
        return False
    slopes: Any = torch.autograd.grad(terms.total, (critic.real, critic.fake), allow_unused=True)
    up, down = (0.0 if slope is None else float(slope) for slope in slopes)
    if turn == "generator":
        require(down <= 0, "the generator's gradient lowers the logits of its own samples; high means real")
        return down < 0
    require(up <= 0, "the discriminator's gradient lowers the logits of real samples; high means real")
    require(down >= 0, "the discriminator's gradient raises the logits of generated samples; high means real")
    return up < 0 or down > 0


def _beside(values: Tensor, side: float) -> Tensor:
    """The samples, scaled down and shifted to one side of zero, within -1 to 1."""
    centred = values - values.flatten(1).mean(1).reshape(-1, *[1] * (values.dim() - 1))
    return side + 0.1 * centred.clamp(-1, 1)


def _least(cost: Callable[[float], float]) -> float:
    """Where a convex function is least; of many such places the one nearest to 0."""
    costs = {level: cost(level) for level in _LEVELS}
    least = min(costs.values())
    best = min((level for level in _LEVELS if costs[level] <= least + 1e-6), key=abs)
    low, high = best - 0.25, best + 0.25
    for _ in range(_REFINEMENTS):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        one, other = cost(left), cost(right)
        if abs(one - other) <= 1e-7:
            break
        low, high = (low, right) if one < other else (left, high)
    middle = (low + high) / 2
    return middle if cost(middle) < costs[best] - 1e-7 else best


def _reads_heads(value: Tensor, discriminator: nn.Module) -> bool:
    """Whether a term depends on the network behind the replaced logits: on its heads, or on its features."""
    weights = [weight for weight in discriminator.parameters() if weight.requires_grad]
    if not value.requires_grad or not weights:
        return False
    slopes: Any = torch.autograd.grad(value, weights, retain_graph=True, allow_unused=True)
    return any(slope is not None and bool(slope.abs().sum() > 0) for slope in slopes)
