"""The base class of games, and the objective that they share: the weighted sum of a recipe's losses."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ganforge.core.contracts import LogOddsLoss, Loss, TermInfo
from ganforge.core.errors import IncompatiblePartsError
from ganforge.core.params import Schedule, value_at
from ganforge.core.records import Critic, DiscriminatorOutput, Latent, LossTerms, Samples, Step, Turn
from ganforge.core.specs import DataSpec, GameSpec, LatentSpec
from ganforge.games.checked_calls import discriminate, encode, generate, loss_terms

OutputCache = dict[tuple[int, bool], tuple[Samples, DiscriminatorOutput]]
"""Discriminator outputs by the id of their samples, and whether they have gradients. It holds the samples too, so that no id is
used twice."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The input of one update.

    Attributes:
        real: a batch of real samples.
        latent: as many latents.
        others: a batch of each further data set, by its role.
    """

    real: Samples
    latent: Latent
    others: Mapping[str, Samples] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CriticOutputs:
    """The samples and logits ``(n,)`` of the critic's last turn, without a graph, for diagnostics."""

    real: Samples
    real_logits: Tensor
    fake: Samples
    fake_logits: Tensor


@dataclass(frozen=True, slots=True)
class Player:
    """One player: the networks that learn together, and from which loss.

    Attributes:
        name: its name in logs, and the name of the method that losses have for it.
        networks: roles of the networks that it trains.
        loss: its loss terms on a batch.
        steps: updates in one iteration, each on a batch of its own.
        every: it plays in every n-th iteration only, with its loss multiplied by n (lazy regularisation, Karras et al. 2020).
        after: called after each of its updates, without gradients, for example to clip weights.
    """

    name: str
    networks: tuple[str, ...]
    loss: Callable[[Batch, Step], LossTerms]
    steps: int = 1
    every: int = 1
    after: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class WeightedLoss:
    """One loss of the objective: its name in logs, the factor of its terms, and every how many iterations it is computed."""

    name: str
    loss: Loss
    weight: float | Schedule = 1.0
    every: int = 1


class Objective:
    """The weighted sum of losses, ``Σ weight_i(iteration) · loss_i``, for each player.

    A loss that is computed in every n-th iteration only has n times its weight there.

    Attributes:
        watch: if set, computes each loss's terms, given its number, the player, the turn and the function that computes them; for
            checks before training.

    Raises:
        IncompatiblePartsError: two losses declare the same term, or no loss trains one of the ``players``.
    """

    def __init__(self, losses: Sequence[WeightedLoss], players: Sequence[str] = ("discriminator", "generator")) -> None:
        self.losses = tuple(losses)
        self.term_info = _term_info(self.losses, players)
        self.second_order = any(part.loss.second_order for part in self.losses)
        self.logits_are_log_odds = any(isinstance(part.loss, LogOddsLoss) and part.loss.logits_are_log_odds for part in self.losses)
        self.watch: Callable[[int, str, Turn, Callable[[], LossTerms]], LossTerms] | None = None

    @property
    def modules(self) -> dict[int, nn.Module]:
        """The losses that keep state or have parameters, by their number: those that are torch modules."""
        return {index: part.loss for index, part in enumerate(self.losses) if isinstance(part.loss, nn.Module)}

    def has_terms(self, index: int, player: str) -> bool:
        """Whether a loss declares terms for a player."""
        return any(key.startswith(f"{player}/") for key in self.losses[index].loss.term_info)

    def terms(self, player: str, turn: Turn) -> LossTerms:
        """One player's terms, each loss scaled by its weight in this iteration."""
        total = LossTerms({})
        for index, part in enumerate(self.losses):
            if turn.step.iteration % part.every:
                continue
            compute = functools.partial(loss_terms, part.loss, f"loss[{index}]", player, turn)
            terms = compute() if self.watch is None else self.watch(index, player, turn, compute)
            weight = value_at(part.weight, turn.step.iteration, turn.step.iterations) * part.every
            total = total + terms.weighted(weight)
        return total

    def scheduled(self, step: Step) -> dict[str, float]:
        """The weights that follow a schedule, by the loss's name, for logs."""
        return {
            f"weight/{part.name}": value_at(part.weight, step.iteration, step.iterations)
            for part in self.losses
            if isinstance(part.weight, Schedule)
        }


@dataclass(frozen=True, slots=True)
class GameContext:
    """What a game is built from.

    Attributes:
        spec: what the game declares.
        networks: its networks, by role.
        objective: the weighted sum of the recipe's losses.
        data: shape, classes and range of the data.
        latent: widths of the latents that the sampler draws.
        discriminator_steps: ``train.discriminator_steps`` of the recipe.
    """

    spec: GameSpec
    networks: Mapping[str, nn.Module]
    objective: Objective
    data: DataSpec
    latent: LatentSpec
    discriminator_steps: int = 1


class Game(nn.Module):
    """The networks of a recipe and the players that train them; a subclass sets ``players``.

    State that a game keeps between iterations, such as an image pool, is in buffers (``register_buffer``), so that checkpoints
    contain it.

    Attributes:
        networks: by role, in training mode.
        players: in the order of their turns.
        critic_outputs: what the critic said in its last turn, for diagnostics; ``None`` if the losses did not use both kinds of
            samples, or the game has no critic.
    """

    players: tuple[Player, ...] = ()

    def __init__(self, context: GameContext) -> None:
        super().__init__()
        self.spec, self.objective = context.spec, context.objective
        self.networks: Mapping[str, nn.Module] = nn.ModuleDict(context.networks)  # type: ignore[assignment]
        self.losses = nn.ModuleDict({str(index): loss for index, loss in context.objective.modules.items()})
        self.critic_outputs: CriticOutputs | None = None

    def prepare(self, step: Step) -> None:
        """Called before each iteration, for networks that change as training goes on."""

    def generate(self, latent: Latent, shape: tuple[int, ...], role: str = "generator") -> Samples:
        """Samples of a network ``(n, *shape)`` that maps latents to values."""
        return generate(self.networks[role], latent, shape, role)

    def encode(self, samples: Samples, role: str = "encoder") -> Tensor:
        """The output ``(n, …)`` of an encoder."""
        return encode(self.networks[role], samples, role)

    def critic(self, role: str = "discriminator", outputs: OutputCache | None = None) -> Critic:
        """A discriminator as losses see it within one turn: it runs once per samples and then returns the cached output.

        Several losses therefore share one forward pass and one dropout mask. ``outputs`` is for a caller that reads the cache.
        """
        return cached(self.networks[role], outputs, role)

    def parameters_of(self, player: Player) -> list[nn.Parameter]:
        """What a player trains: its networks, and the parameters of losses that have terms for it."""
        modules = [self.networks[role] for role in player.networks]
        modules += [self.losses[str(index)] for index in self.objective.modules if self.objective.has_terms(index, player.name)]
        return [weight for module in modules for weight in module.parameters()]

    @property
    def term_info(self) -> Mapping[str, TermInfo]:
        """What each loss term means, by its name in logs."""
        return self.objective.term_info

    def own_state(self) -> dict[str, Tensor]:
        """The game's own buffers, and the buffers and parameters of its losses, by name; without its networks."""
        return {name: value for name, value in self.state_dict().items() if not name.startswith("networks.")}

    @torch.no_grad()
    def load_own_state(self, state: Mapping[str, Tensor]) -> None:
        """Restore :meth:`own_state`; a KeyError if something is missing."""
        for name, value in self.own_state().items():
            value.copy_(state[name])


def cached(discriminator: nn.Module, outputs: OutputCache | None = None, key: str = "discriminator") -> Critic:
    """A discriminator that runs once per samples and then returns the cached output; see :meth:`Game.critic`."""
    outputs = {} if outputs is None else outputs

    def critic(samples: Samples) -> DiscriminatorOutput:
        index = (id(samples), torch.is_grad_enabled())
        if index not in outputs:
            outputs[index] = (samples, discriminate(discriminator, samples, key))
        return outputs[index][1]

    return critic


def _term_info(losses: Sequence[WeightedLoss], players: Sequence[str]) -> dict[str, TermInfo]:
    found: dict[str, TermInfo] = {}
    for part in losses:
        for key, info in part.loss.term_info.items():
            if key in found:
                player, _, term = key.partition("/")
                raise IncompatiblePartsError(
                    f"two losses give the {player} a term named '{term}'; one of them is '{part.name}'",
                    remedy="remove one of the two [[loss]] tables",
                )
            found[key] = info

    for player in players:
        if not any(key.startswith(f"{player}/") for key in found):
            listed = "; ".join(f"'{part.name}' declares {', '.join(part.loss.term_info) or 'no terms'}" for part in losses)
            raise IncompatiblePartsError(
                f"no loss trains the {player}: {listed}",
                remedy=f'add an adversarial loss, such as [[loss]] use = "non-saturating"; or, if one of these trains it, '
                f'declare its terms as "{player}/NAME" in its term_info',
            )
        found[f"{player}/total"] = TermInfo(f"total {player} loss (weighted sum of its terms)", _total_equilibrium(player, losses))
    return found


def _total_equilibrium(player: str, losses: Sequence[WeightedLoss]) -> float | None:
    """The total at equilibrium, or ``None`` unless every term has an equilibrium that no scheduled weight changes."""
    terms = [(part.weight, info) for part in losses for key, info in part.loss.term_info.items() if key.startswith(f"{player}/")]
    total = 0.0
    for weight, info in terms:
        if info.equilibrium is None or (isinstance(weight, Schedule) and info.equilibrium != 0):
            return None
        total += info.equilibrium * (0.0 if isinstance(weight, Schedule) else weight)
    return total
