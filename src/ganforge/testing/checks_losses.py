"""L checks: losses, run against a discriminator with the heads that they read.

L07 to L09 replace that discriminator's logits; heads and features come from a real network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ganforge.build.parts import game_spec
from ganforge.core.contracts import Loss, TermInfo
from ganforge.core.params import NoParams
from ganforge.core.records import Critic, DiscriminatorOutput, LossTerms, Samples, Step, Turn
from ganforge.games.game import Batch, Game, Objective, WeightedLoss
from ganforge.registry.component import Component, Kind
from ganforge.testing import stub_components
from ganforge.testing.component_case import ComponentCase, require_finite, without_gradient
from ganforge.testing.conformance import BUILDS, CheckFailedError, NotApplicableError, check, require

Player = Literal["discriminator", "generator"]
PLAYERS: tuple[Player, ...] = ("discriminator", "generator")
_MANY = 16
_SURE = 3.0
"""Logit of a discriminator that is certain."""
_SIDE = 0.5
"""Distance from zero to which samples are shifted, real ones up and generated ones down."""
_NEAR = 1e-2
_FAR = 4.0
"""A term below minus this counts as unbounded."""
_LEVELS = [step / 4 for step in range(-32, 33)]
_REFINEMENTS = 40


def find_discriminator(subject: ComponentCase) -> Component | None:
    """An installed discriminator with the heads that a loss reads; ``None`` if the stub has them.

    Raises:
        NotApplicableError: neither an installed discriminator nor the stub has them.
    """
    if partner := subject.partner:
        return partner
    lacking = subject.heads - {f"head:{name}" for name in stub_components.LinearDiscriminator(NoParams(), subject.context).heads}
    if lacking:
        raise NotApplicableError(f"no installed discriminator provides {', '.join(sorted(lacking))}")
    return None


def find_game(subject: ComponentCase) -> Component | None:
    """An installed game with the players and outputs of a loss; ``None`` if it is for a discriminator and a generator.

    Raises:
        NotApplicableError: no installed game has them.
    """
    loss: Loss = subject.build()
    players = {key.partition("/")[0] for key in loss.term_info}
    outputs = {word.removeprefix("output:") for word in subject.component.requires if word.startswith("output:")}
    if players <= set(PLAYERS) and not outputs:
        return None
    for game in subject.registry.components(Kind.GAME):
        spec = None if game.missing else game_spec(game, game.load_params()())
        if spec and players <= spec.players.keys() and outputs <= set(spec.outputs):
            return game
    raise NotApplicableError(f"no installed game has the players {sorted(players)} and the outputs {sorted(outputs)}")


def turns_of(subject: ComponentCase) -> dict[str, Turn]:
    """What a loss gets in the turn of each player, on random samples."""
    game = find_game(subject)
    if game is None:
        return {player: Turn(_discriminator(subject), *_samples(subject, player)) for player in PLAYERS}

    found: dict[str, Turn] = {}

    def watch(_index: int, player: str, turn: Turn, compute: Callable[[], LossTerms]) -> LossTerms:
        found[player] = turn
        return compute()

    context = replace(ComponentCase(game, subject.registry).game_context(), data=subject.data, latent=subject.latent)
    objective = Objective([WeightedLoss("loss", subject.build())], ())
    objective.watch = watch
    built: Game = game.load_factory()(game.load_params()(), replace(context, objective=objective))  # type: ignore[assignment]
    torch.manual_seed(0)
    for player in built.players:
        player.loss(Batch(subject.samples(_MANY, seed=11), subject.latents(_MANY)), Step(0, 1))
    return found


def turn_terms(subject: ComponentCase) -> dict[str, LossTerms]:
    """The terms of each player, on random samples."""
    return {player: _of(subject.build(), player, turn) for player, turn in turns_of(subject).items()}


def _only_adversarial(subject: ComponentCase) -> None:
    if find_game(subject) is not None:
        raise NotApplicableError("it is not for a discriminator and a generator")


def _discriminator(subject: ComponentCase) -> nn.Module:
    """A discriminator with the heads that the loss reads, in training mode."""
    if found := find_discriminator(subject):
        network: nn.Module = ComponentCase(found, subject.registry).build_for(subject.context)
        return network.train()
    torch.manual_seed(0)
    return stub_components.LinearDiscriminator(NoParams(), subject.context).train()


def _samples(subject: ComponentCase, player: Player) -> tuple[Samples, Samples]:
    """Random real and generated samples; in the generator's turn, gradients reach the latter."""
    latent = subject.latents(_MANY)
    real, fake = subject.samples(_MANY, seed=11), subject.samples(_MANY, seed=12, latent=latent)
    return real, replace(fake, labels=latent.labels, values=fake.values.requires_grad_(player == "generator"))


def _terms(loss: Loss, player: Player, critic: Critic, real: Samples, fake: Samples) -> LossTerms:
    return _of(loss, player, Turn(critic, real, fake))


def _of(loss: Loss, player: str, turn: Turn) -> LossTerms:
    terms: Any = getattr(loss, player)(turn) if hasattr(loss, player) else LossTerms({})
    if not isinstance(terms, LossTerms):
        raise CheckFailedError(f"the {player}'s turn returns a {type(terms).__name__}, not LossTerms")
    return terms


@check("L01", Kind.LOSS)
def terms_are_finite_scalars(subject: ComponentCase) -> None:
    """Terms are finite scalars, and at least one player has terms."""
    given = turn_terms(subject)
    require(any(terms.values for terms in given.values()), "it returns no terms for either turn")
    for player, terms in given.items():
        values: Mapping[str, Any] = terms.values
        for name, value in values.items():
            require(isinstance(value, Tensor) and value.dim() == 0, f"term {player}/{name} is not a scalar tensor")
            require_finite(value, f"term {player}/{name}")


@check("L02", Kind.LOSS)
def term_info_matches_terms(subject: ComponentCase) -> None:
    """term_info describes exactly the terms that the loss returns."""
    term_info: Mapping[str, TermInfo] = subject.build().term_info
    given = {f"{player}/{name}" for player, terms in turn_terms(subject).items() for name in terms}
    declared = set(term_info)
    require(given <= declared, f"terms missing from term_info: {', '.join(sorted(given - declared))}")
    require(declared <= given, f"term_info entries without a term: {', '.join(sorted(declared - given))}")
    unlabelled = [key for key, info in term_info.items() if not info.label.strip()]
    require(not unlabelled, f"term_info entries without a label: {', '.join(unlabelled)}")


@check("L03", Kind.LOSS)
def discriminator_gets_gradient(subject: ComponentCase) -> None:
    """The discriminator's terms reach its parameters."""
    _only_adversarial(subject)
    discriminator = _discriminator(subject)
    torch.autograd.backward(_total(subject, "discriminator", discriminator, *_samples(subject, "discriminator")))
    parameters = dict(discriminator.named_parameters())
    require(len(without_gradient(parameters.items())) < len(parameters), "no parameter of the discriminator receives a gradient")


@check("L04", Kind.LOSS, after=(*BUILDS, "L06"))
def generator_gets_gradient(subject: ComponentCase) -> None:
    """The generator's terms reach the generated values."""
    _only_adversarial(subject)
    real, fake = _samples(subject, "generator")
    total = _total(subject, "generator", _discriminator(subject), real, fake)
    gradient: Any = torch.autograd.grad(total, fake.values, allow_unused=True)[0]
    require(gradient is not None and bool(gradient.abs().sum() > 0), "the generated values receive no gradient; are they detached?")


def _total(subject: ComponentCase, player: Player, critic: Critic, real: Samples, fake: Samples) -> Tensor:
    """The sum of the turn's terms, which must have a graph."""
    terms = _terms(subject.build(), player, critic, real, fake)
    if not terms.values:
        raise NotApplicableError(f"it returns no terms for the {player}'s turn")
    require(terms.total.requires_grad, "the terms have no graph")
    return terms.total


@check("L05", Kind.LOSS, after=(*BUILDS, "L06"))
def single_backward_is_enough(subject: ComponentCase) -> None:
    """Without second_order, the loss does not differentiate twice."""
    _only_adversarial(subject)
    loss: Loss = subject.build()
    if loss.second_order:
        raise NotApplicableError("it declares second_order")
    for player in PLAYERS:
        terms = _terms(loss, player, _differentiable_once(_discriminator(subject)), *_samples(subject, player))
        if not terms.values:
            continue
        try:
            torch.autograd.backward(terms.total)
        except RuntimeError as error:
            raise CheckFailedError(f"the {player}'s terms are differentiated twice, but second_order is False ({error})") from error


@check("L06", Kind.LOSS)
def has_no_side_effects(subject: ComponentCase) -> None:
    """It does not call backward, change weights or modes, or modify its samples.

    Running statistics of batch normalisation may change, since every forward pass changes them.
    """
    if find_game(subject) is not None:
        for player, turn in turns_of(subject).items():
            kept = turn.real.values.clone(), turn.fake.values.detach().clone()
            _of(subject.build(), player, turn)
            same = torch.equal(turn.real.values, kept[0]) and torch.equal(turn.fake.values.detach(), kept[1])
            require(same, f"the {player}'s terms changed the samples in place")
        return
    for player in PLAYERS:
        discriminator = _discriminator(subject)
        before = {name: weight.detach().clone() for name, weight in discriminator.named_parameters()}
        real, fake = _samples(subject, player)
        values = real.values.clone(), fake.values.detach().clone()
        _terms(subject.build(), player, discriminator, real, fake)

        graded = [name for name, parameter in discriminator.named_parameters() if parameter.grad is not None]
        require(not graded, f"after the {player}'s terms these parameters have gradients: {', '.join(graded)}")
        moved = [name for name, weight in discriminator.named_parameters() if not torch.equal(weight, before[name])]
        require(not moved, f"after the {player}'s terms these weights have changed: {', '.join(moved)}")
        training = all(module.training for module in discriminator.modules())
        require(training, f"after the {player}'s terms the discriminator is in eval mode")
        same = torch.equal(real.values, values[0]) and torch.equal(fake.values.detach(), values[1])
        require(same, f"the {player}'s terms changed the samples in place")


@check("L07", Kind.LOSS, after=(*BUILDS, "L06"))
def gradients_have_the_right_sign(subject: ComponentCase) -> None:
    """Gradients have the right sign: high logits mean real.

    The discriminator raises the logits of real samples and lowers those of generated ones; the generator raises the latter. Tested
    with a discriminator that is certainly wrong in its own turn and certainly right in the generator's. Terms that do not depend on
    the logits, such as gradient penalties, are skipped.
    """
    _only_adversarial(subject)
    depends = [_depends_on_logits(subject, player) for player in PLAYERS]
    if not any(depends):
        raise NotApplicableError("its terms do not depend on the logits")


@check("L08", Kind.LOSS)
def equilibrium_is_as_declared(subject: ComponentCase) -> None:
    """At equilibrium, terms have the values that term_info declares.

    There, generated samples equal the real ones and the discriminator outputs the constant logit with the lowest loss. Terms that
    read a head are skipped.
    """
    _only_adversarial(subject)
    loss: Loss = subject.build()
    discriminator = _discriminator(subject)
    declared = {key: info.equilibrium for key, info in loss.term_info.items() if info.equilibrium is not None}
    if not declared:
        raise NotApplicableError("term_info declares no equilibrium")
    _, fake = _samples(subject, "discriminator")
    real = Samples(fake.values, fake.labels)

    def terms(player: Player, level: float) -> LossTerms:
        undecided = _replace_logits(discriminator, lambda values: level + 0 * values.sum(1))
        return _repeatable_terms(loss, player, undecided, real, fake)

    def cost(level: float) -> float:
        found = terms("discriminator", level)
        return float(found.total.detach()) if found.values else 0.0

    level = _minimize(cost)
    found = {f"{player}/{name}": value for player in PLAYERS for name, value in terms(player, level).values.items()}
    _require_values(found, declared, discriminator, "at equilibrium")


@check("L09", Kind.LOSS)
def best_is_as_declared(subject: ComponentCase) -> None:
    """Where a player wins with certainty, its terms have the best value that term_info declares.

    There, the discriminator outputs one logit for all real samples and another for all generated ones, whichever give that player
    the lowest loss; terms without a lower bound keep falling. Terms that read a head are skipped.
    """
    _only_adversarial(subject)
    loss: Loss = subject.build()
    discriminator = _discriminator(subject)
    declared = {key: info.best for key, info in loss.term_info.items() if info.best is not None}
    if not declared:
        raise NotApplicableError("term_info declares no best value")
    real, fake = _separated(subject)
    found: dict[str, Tensor] = {}
    for player in PLAYERS:
        if any(key.startswith(f"{player}/") for key in declared):
            terms = _best_terms(loss, player, discriminator, real, fake)
            found |= {f"{player}/{name}": value for name, value in terms.values.items()}
    _require_values(found, declared, discriminator, "where its player has won")


def _require_values(found: Mapping[str, Tensor], declared: Mapping[str, float], discriminator: nn.Module, where: str) -> None:
    """Compare the terms that do not read a head with their declared values; minus infinity means that they have no bound."""
    kept = {key: float(found[key].detach()) for key in declared if key in found and not _reads_heads(found[key], discriminator)}
    if not kept:
        raise NotApplicableError(f"the terms whose value {where} is declared read a head")
    for key, value in kept.items():
        wanted = declared[key]
        near = value < -_FAR if wanted == -math.inf else math.isclose(value, wanted, rel_tol=_NEAR, abs_tol=_NEAR)
        bound = "that it has no bound" if wanted == -math.inf else f"{wanted:.4g}"
        require(near, f"{where} '{key}' is {value:.4g}, but term_info declares {bound}")


def _reads_heads(value: Tensor, discriminator: nn.Module) -> bool:
    """Whether a term depends on the network behind the replaced logits: on its heads, or on its features."""
    weights = [weight for weight in discriminator.parameters() if weight.requires_grad]
    if not value.requires_grad or not weights:
        return False
    slopes: Any = torch.autograd.grad(value, weights, retain_graph=True, allow_unused=True)
    return any(slope is not None and bool(slope.abs().sum() > 0) for slope in slopes)


def _best_terms(loss: Loss, player: Player, discriminator: nn.Module, real: Samples, fake: Samples) -> LossTerms:
    """The terms at the logits of real and generated samples with the lowest loss, found one after the other."""
    levels = [0.0, 0.0]

    def terms() -> LossTerms:
        high, low = (torch.tensor(level, requires_grad=True) for level in levels)
        return _repeatable_terms(loss, player, _replace_logits(discriminator, _two_levels(high, low)), real, fake)

    for kind in (0, 1):

        def cost(level: float, kind: int = kind) -> float:
            levels[kind] = level
            return float(terms().total.detach())

        levels[kind] = _minimize(cost)
    return terms()


def _repeatable_terms(loss: Loss, player: Player, critic: Critic, real: Samples, fake: Samples) -> LossTerms:
    """The turn's terms, for copies of the samples and with fixed random numbers."""
    with_gradient = loss.second_order or player == "generator"
    copies = [replace(one, values=one.values.clone().requires_grad_(with_gradient)) for one in (real, fake)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return _terms(loss, player, critic, *copies)


def _depends_on_logits(subject: ComponentCase, player: Player) -> bool:
    """Whether the turn's terms depend on the logits; fails if a gradient has the wrong sign."""
    sure = -_SURE if player == "discriminator" else _SURE
    high, low = (torch.tensor(level, requires_grad=True) for level in (sure, -sure))
    critic = _replace_logits(_discriminator(subject), _two_levels(high, low))
    terms = _repeatable_terms(subject.build(), player, critic, *_separated(subject))
    if not terms.values or not terms.total.requires_grad:
        return False
    slopes: Any = torch.autograd.grad(terms.total, (high, low), allow_unused=True)
    of_real, of_fake = (0.0 if slope is None else float(slope) for slope in slopes)
    if player == "generator":
        require(of_fake <= 0, "the generator's gradient lowers the logits of its own samples; high means real")
        return of_fake < 0
    require(of_real <= 0, "the discriminator's gradient lowers the logits of real samples; high means real")
    require(of_fake >= 0, "the discriminator's gradient raises the logits of generated samples; high means real")
    return of_real < 0 or of_fake > 0


def _separated(subject: ComponentCase) -> tuple[Samples, Samples]:
    """Real samples above zero and generated ones below, all scaled down to lie within -1 to 1."""
    real, fake = _samples(subject, "discriminator")
    return replace(real, values=_SIDE + _scaled(real.values)), replace(fake, values=-_SIDE + _scaled(fake.values))


def _scaled(values: Tensor) -> Tensor:
    centred = values - values.flatten(1).mean(1).reshape(-1, *[1] * (values.dim() - 1))
    return 0.1 * centred.clamp(-1, 1)


def _minimize(cost: Callable[[float], float]) -> float:
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


def _two_levels(real: Tensor, fake: Tensor) -> Callable[[Tensor], Tensor]:
    """One logit above zero and another below; a small constant slope keeps gradient penalties defined."""

    def logits(values: Tensor) -> Tensor:
        place = values.mean(1)
        return torch.where(place > 0, real, fake) + 0.01 * place

    return logits


def _replace_logits(discriminator: nn.Module, logits: Callable[[Tensor], Tensor]) -> Critic:
    """A discriminator whose logits are a function of the flattened values ``(n, d)``."""
    return lambda samples: replace(discriminator(samples), logits=logits(samples.values.flatten(1)))


class _Identity(torch.autograd.Function):
    """Identity that can be differentiated once."""

    @staticmethod
    def forward(_ctx: Any, values: Tensor) -> Tensor:
        return values.clone()

    @staticmethod
    @once_differentiable
    def backward(_ctx: Any, gradient: Tensor) -> Tensor:
        return gradient.clone()


_once: Callable[[Tensor], Tensor] = _Identity.apply


def _differentiable_once(discriminator: nn.Module) -> Critic:
    """A discriminator that can be differentiated only once, with respect to inputs and weights."""

    def critic(samples: Samples) -> DiscriminatorOutput:
        output: DiscriminatorOutput = discriminator(replace(samples, values=_once(samples.values)))
        heads = {name: _once(head) for name, head in output.heads.items()}
        return DiscriminatorOutput(_once(output.logits), heads, output.features)

    return critic
