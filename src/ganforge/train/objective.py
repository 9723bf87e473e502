"""The objective: a recipe's losses, weighted, scheduled and added up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ganforge.core.contracts import Critic, Discriminator, LogOddsLoss, Loss, TermInfo
from ganforge.core.errors import IncompatiblePartsError
from ganforge.core.params import Schedule, value_at
from ganforge.core.records import DiscriminatorOutput, Samples, Terms

Side = Literal["discriminator", "generator"]

OutputCache = dict[int, tuple[Samples, DiscriminatorOutput]]
"""Discriminator outputs by the id of their samples. It holds the samples too, so that no id is used twice."""


def cached(discriminator: Discriminator, outputs: OutputCache | None = None) -> Critic:
    """The discriminator as losses see it within one turn: it runs once per samples and then returns the cached output.

    An adversarial loss, a code loss and an auxiliary classifier therefore share one forward pass and one dropout mask.

    Args:
        discriminator: runs once for each samples.
        outputs: the cache, for a caller that reads it afterwards.
    """
    outputs = {} if outputs is None else outputs

    def critic(samples: Samples) -> DiscriminatorOutput:
        if id(samples) not in outputs:
            outputs[id(samples)] = (samples, discriminator(samples))
        return outputs[id(samples)][1]

    return critic


@dataclass(frozen=True, slots=True)
class WeightedLoss:
    """One loss of the objective.

    Attributes:
        name: its name in logs.
        loss: the loss.
        weight: the factor of its terms.
    """

    name: str
    loss: Loss
    weight: float | Schedule = 1.0


class Objective:
    """The weighted sum of losses, ``Σ weight_i(iteration) · loss_i``.

    Attributes:
        losses: the weighted losses.
        term_info: what each term means, the two totals included.
        second_order: whether a loss differentiates through a gradient.
        logits_are_log_odds: whether a loss trains the logits to be log odds.

    Raises:
        IncompatiblePartsError: two losses declare the same term, or no loss trains one of the networks.
    """

    def __init__(self, losses: Sequence[WeightedLoss]) -> None:
        self.losses = tuple(losses)
        self.term_info = _term_info(self.losses)
        self.second_order = any(part.loss.second_order for part in self.losses)
        self.logits_are_log_odds = any(isinstance(part.loss, LogOddsLoss) and part.loss.logits_are_log_odds for part in self.losses)

    def terms(self, side: Side, critic: Critic, real: Samples, fake: Samples, weights: Sequence[float]) -> Terms:
        """One network's terms, each loss scaled by its entry in ``weights``."""
        total = Terms({})
        for part, weight in zip(self.losses, weights, strict=True):
            loss = part.loss.discriminator if side == "discriminator" else part.loss.generator
            total = total + loss(critic, real, fake).weighted(weight)
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
            raise IncompatiblePartsError(
                f"no loss trains the {side}", remedy='add an adversarial loss, such as [[loss]] use = "non-saturating"'
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
