"""The losses of a recipe as one: weighted, scheduled, added up, seeing the discriminator through a memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ganforge.core.contracts import Critic, Discriminator, LogOddsLoss, Loss, TermInfo
from ganforge.core.errors import IncompatiblePartsError
from ganforge.core.records import DiscriminatorOutput, Samples, Terms
from ganforge.core.schedules import Schedule, value_at

Side = Literal["discriminator", "generator"]


Heard = dict[int, tuple[Samples, DiscriminatorOutput]]
"""What was said of which samples, by their id; the samples are kept too, so that no id is used again."""


def remembering(discriminator: Discriminator, heard: Heard | None = None) -> Critic:
    """The discriminator as losses see it within one turn: asked twice about the same samples, it answers from memory.

    So an adversarial loss, a code term and an auxiliary classifier cost one forward pass together, and dropout shows them one mask.

    Args:
        discriminator: asked once about each samples.
        heard: the memory, for whoever wants to read it afterwards.
    """
    heard = {} if heard is None else heard

    def critic(samples: Samples) -> DiscriminatorOutput:
        if id(samples) not in heard:
            heard[id(samples)] = (samples, discriminator(samples))
        return heard[id(samples)][1]

    return critic


@dataclass(frozen=True, slots=True)
class Weighted:
    """One loss of the objective.

    Attributes:
        name: its name in logs.
        loss: the loss.
        weight: what its terms count.
    """

    name: str
    loss: Loss
    weight: float | Schedule = 1.0


class Objective:
    """Losses added up, as optax chains transformations: ``Σ weight_i(iteration) · loss_i``.

    Attributes:
        losses: the parts.
        term_info: what each term means, the two totals included.
        second_order: whether a part differentiates through a gradient.
        logits_are_log_odds: whether a part trains the logits to be log odds.

    Raises:
        IncompatiblePartsError: two losses declare one term, or none gives the generator or the discriminator anything to learn.
    """

    def __init__(self, losses: Sequence[Weighted]) -> None:
        self.losses = tuple(losses)
        self.term_info = _joined(self.losses)
        self.second_order = any(part.loss.second_order for part in self.losses)
        self.logits_are_log_odds = any(isinstance(part.loss, LogOddsLoss) and part.loss.logits_are_log_odds for part in self.losses)

    def terms(self, side: Side, critic: Critic, real: Samples, fake: Samples, weights: Sequence[float]) -> Terms:
        """One side's terms, loss by loss weighted with ``weights``."""
        found = Terms({})
        for part, weight in zip(self.losses, weights, strict=True):
            ask = part.loss.discriminator if side == "discriminator" else part.loss.generator
            found = found + ask(critic, real, fake).weighted(weight)
        return found

    def weights(self, iteration: int, iterations: int) -> list[float]:
        """The weights in force at ``iteration``."""
        return [value_at(part.weight, iteration, iterations) for part in self.losses]

    def scheduled(self, weights: Sequence[float]) -> dict[str, float]:
        """Those of ``weights`` that move, by the loss's name, for logs."""
        return {
            f"weight/{part.name}": weight
            for part, weight in zip(self.losses, weights, strict=True)
            if isinstance(part.weight, Schedule)
        }


def _joined(losses: Sequence[Weighted]) -> dict[str, TermInfo]:
    term_info: dict[str, TermInfo] = {}
    for part in losses:
        for key, reading in part.loss.term_info.items():
            if key in term_info:
                side, _, term = key.partition("/")
                raise IncompatiblePartsError(
                    f"two losses give the {side} a term named '{term}'; one of them is '{part.name}'",
                    remedy="drop one of the two [[loss]] tables",
                )
            term_info[key] = reading

    for side in ("discriminator", "generator"):
        if not any(key.startswith(f"{side}/") for key in term_info):
            raise IncompatiblePartsError(
                f"no loss teaches the {side}", remedy='add an adversarial loss, such as [[loss]] use = "non-saturating"'
            )
        term_info[f"{side}/total"] = _total(side, losses)
    return term_info


def _total(side: str, losses: Sequence[Weighted]) -> TermInfo:
    """The total's equilibrium, where every term has one and its weight does not move it."""
    value = 0.0
    for part in losses:
        for reading in _of(side, part.loss.term_info):
            if reading.equilibrium is None or (isinstance(part.weight, Schedule) and reading.equilibrium != 0):
                return TermInfo(f"what the {side} descends: the weighted sum of its terms")
            value += reading.equilibrium * (0.0 if isinstance(part.weight, Schedule) else part.weight)
    return TermInfo(f"what the {side} descends: the weighted sum of its terms", value)


def _of(side: str, term_info: Mapping[str, TermInfo]) -> list[TermInfo]:
    return [reading for key, reading in term_info.items() if key.startswith(f"{side}/")]
