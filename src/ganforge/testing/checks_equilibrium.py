"""L checks of what a loss wants: which way each player is pushed, and what the terms are worth where the game is settled or won.

Both replace the logits of a discriminator by numbers of their own; heads and features stay those of a real network.
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
from ganforge.testing.check_registry import check
from ganforge.testing.check_results import NotApplicable
from ganforge.testing.component_case import Bench, require
from ganforge.testing.loss_harness import TURNS, Turn, ask, both_samples, built_loss, opponent

_SURE = 3.0
_SIDE = 0.5
_NEAR = 1e-2
_FAR = 4.0
_LEVELS = [step / 4 for step in range(-32, 33)]
_REFINEMENTS = 40


class _Levels(nn.Module):
    """Says one number of samples on the one side and another of those on the other, whatever else they hold.

    A slope that no level moves keeps gradient penalties defined.
    """

    def __init__(self, judge: nn.Module, real: float, fake: float) -> None:
        super().__init__()
        self.judge = judge
        self.real = torch.tensor(real, requires_grad=True)
        self.fake = torch.tensor(fake, requires_grad=True)

    def forward(self, samples: Samples) -> DiscriminatorOutput:
        verdict: DiscriminatorOutput = self.judge(samples)
        place = samples.values.flatten(1).mean(1)
        logits = torch.where(place > 0, self.real, self.fake) + 0.01 * place
        return replace(verdict, logits=logits)


class _Undecided(nn.Module):
    """Says the same of everything."""

    def __init__(self, judge: nn.Module) -> None:
        super().__init__()
        self.judge = judge
        self.level = 0.0

    def forward(self, samples: Samples) -> DiscriminatorOutput:
        verdict: DiscriminatorOutput = self.judge(samples)
        return replace(verdict, logits=self.level + 0 * samples.values.flatten(1).sum(1))


@check("L07", Kind.LOSS)
def pushes_the_right_way(bench: Bench) -> None:
    """Descending pushes logits the right way: high means real.

    The discriminator raises those of real samples and lowers those of generated ones, and the generator raises the latter. Asked
    of a discriminator that is surely wrong in its own turn, and surely right in the generator's. Terms that do not depend on the
    logits, such as gradient penalties, have no direction.
    """
    pushed = [_push(bench, turn) for turn in TURNS]
    if not any(pushed):
        raise NotApplicable("its terms do not depend on the logits")


@check("L08", Kind.LOSS)
def agrees_with_its_equilibrium(bench: Bench) -> None:
    """At equilibrium, terms have the values that their readings declare.

    That is where generated samples are the real ones and the discriminator says of everything what costs it least. Terms that read
    a head are passed over: their values depend on how well it can read.
    """
    loss, judge = built_loss(bench), opponent(bench)
    declared = {key: reading.equilibrium for key, reading in loss.term_info.items() if reading.equilibrium is not None}
    if not declared:
        raise NotApplicable("its readings declare no equilibrium")
    _, fake = both_samples(bench)
    real = Samples(fake.values, fake.labels)
    critic = _Undecided(judge)

    def cost(level: float) -> float:
        critic.level = level
        values = _terms(loss, "discriminator", critic, real, fake)
        return float(values.total.detach()) if values.values else 0.0

    critic.level = _least(cost)
    found = {f"{turn}/{name}": value for turn in TURNS for name, value in _terms(loss, turn, critic, real, fake).values.items()}
    settled = {key: value for key, value in found.items() if key in declared and not _reads_heads(value, judge)}
    if not settled:
        raise NotApplicable("the terms whose equilibrium is declared read a head")
    for key, value in settled.items():
        near = math.isclose(float(value.detach()), declared[key], rel_tol=_NEAR, abs_tol=_NEAR)
        require(near, f"at equilibrium '{key}' is {float(value.detach()):.4g}, and its reading declares {declared[key]:.4g}")


@check("L09", Kind.LOSS)
def knows_its_best(bench: Bench) -> None:
    """Where a player has won for certain, its terms have the best value that their readings declare.

    There the discriminator says one thing of all real samples and another of all generated ones, whatever costs that player least;
    terms without a lower bound keep falling. Terms that read a head are passed over.
    """
    loss, judge = built_loss(bench), opponent(bench)
    declared = {key: reading.best for key, reading in loss.term_info.items() if reading.best is not None}
    if not declared:
        raise NotApplicable("its readings declare no best value")
    real, fake = (
        replace(one, values=_beside(one.values, side)) for one, side in zip(both_samples(bench), (_SIDE, -_SIDE), strict=True)
    )
    won: dict[str, Tensor] = {}
    for turn in TURNS:
        if any(key.startswith(f"{turn}/") for key in declared):
            terms = _won(loss, turn, judge, real, fake)
            won |= {f"{turn}/{name}": value for name, value in terms.values.items() if not _reads_heads(value, judge)}
    settled = [key for key in declared if key in won]
    if not settled:
        raise NotApplicable("the terms whose best value is declared read a head")
    for key in settled:
        value, best = float(won[key].detach()), declared[key]
        if best == -math.inf:
            require(
                value < -_FAR, f"where its player has won '{key}' is {value:.4g}, and its reading declares that it has no bound"
            )
        else:
            near = math.isclose(value, best, rel_tol=_NEAR, abs_tol=_NEAR)
            require(near, f"where its player has won '{key}' is {value:.4g}, and its reading declares {best:.4g}")


def _won(loss: Loss, turn: Turn, judge: nn.Module, real: Samples, fake: Samples) -> Terms:
    """The terms of the turn, at the logits of real and generated samples that cost least; found one after the other."""
    levels = {"real": 0.0, "fake": 0.0}

    def asked() -> Terms:
        return _terms(loss, turn, _Levels(judge, **levels), real, fake)

    for side in levels:

        def cost(level: float, side: str = side) -> float:
            levels[side] = level
            return float(asked().total.detach())

        levels[side] = _least(cost)
    return asked()


def _terms(loss: Loss, turn: Turn, critic: nn.Module, real: Samples, fake: Samples) -> Terms:
    """The turn's terms, with copies of the samples, and always the same random numbers."""
    shown = [
        replace(one, values=one.values.clone().requires_grad_(loss.second_order or turn == "generator")) for one in (real, fake)
    ]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return ask(loss, turn, critic, *shown)


def _push(bench: Bench, turn: Turn) -> bool:
    """Whether the logits are pushed at all; the wrong way is a failure."""
    sure = -_SURE if turn == "discriminator" else _SURE
    critic = _Levels(opponent(bench), sure, -sure)
    loss = built_loss(bench)
    real, fake = (
        replace(one, values=_beside(one.values, side)) for one, side in zip(both_samples(bench), (_SIDE, -_SIDE), strict=True)
    )
    if turn == "generator" or loss.second_order:
        real, fake = (replace(one, values=one.values.requires_grad_()) for one in (real, fake))
    terms = ask(loss, turn, critic, real, fake)
    if not terms.values or not terms.total.requires_grad:
        return False
    slopes: Any = torch.autograd.grad(terms.total, (critic.real, critic.fake), allow_unused=True)
    up, down = (0.0 if slope is None else float(slope) for slope in slopes)
    if turn == "generator":
        require(down <= 0, "in its turn the generator is pushed to lower the logits of its samples: it learns to be seen through")
        return down < 0
    require(up <= 0, "the discriminator is pushed to lower the logits of real samples; high means real")
    require(down >= 0, "the discriminator is pushed to raise the logits of generated samples; high means real")
    return up < 0 or down > 0


def _beside(values: Tensor, side: float) -> Tensor:
    """The samples shrunk and moved to one side of zero, within any range from -1 to 1."""
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


def _reads_heads(value: Tensor, judge: nn.Module) -> bool:
    """Whether a term depends on the network behind the replaced logits: on its heads, or on its features."""
    weights = [weight for weight in judge.parameters() if weight.requires_grad]
    if not value.requires_grad or not weights:
        return False
    slopes: Any = torch.autograd.grad(value, weights, retain_graph=True, allow_unused=True)
    return any(slope is not None and bool(slope.abs().sum() > 0) for slope in slopes)
