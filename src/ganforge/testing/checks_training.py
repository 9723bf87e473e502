"""E check: a component trained end to end in a small recipe."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch.nn.utils import parameters_to_vector

from ganforge.build.blueprint import resolve_recipe
from ganforge.build.builder import Folders, build_trainer
from ganforge.build.dry_run import dry_run
from ganforge.build.parts import game_spec
from ganforge.builtin.games import two_player_spec
from ganforge.core.contracts import BuildContext, DatasetContext, Loss, SamplerContext
from ganforge.core.errors import GanforgeError
from ganforge.core.events import Finished, Stepped
from ganforge.core.params import NoParams, Params
from ganforge.core.records import Latent
from ganforge.core.specs import DataSpec, GameSpec, LatentSpec, network_key
from ganforge.games.two_player import TwoPlayerGame
from ganforge.recipe.config import NETWORK_KINDS, SINGLE_KINDS, Recipe
from ganforge.recipe.reader import read_recipe
from ganforge.recipe.toml_writer import to_plain, to_toml
from ganforge.registry.component import Component, Factory, Kind, PluginRef
from ganforge.registry.registry import Registry
from ganforge.storage.run_folder import data_folders
from ganforge.testing.checks_losses import PLAYERS, find_discriminator, find_game
from ganforge.testing.component_case import ComponentCase, FixedDataset, random_latents, random_samples, recipe_folder
from ganforge.testing.conformance import BUILDS, CheckFailedError, NotApplicableError, check, require
from ganforge.testing.stub_components import LinearDiscriminator, LinearEncoder, LinearGenerator, StubLoss
from ganforge.train.trainer import Trainer

_ITERATIONS = 20
_KIT = PluginRef("kit", "ganforge-testing", "1")


@check("E01", *Kind, after=(*BUILDS, "T04", "G01", "D01", "T01", "L06", "M01", "S02", "T06"))
def trains(subject: ComponentCase) -> None:
    """Twenty iterations of a small recipe with the component finish and change every network.

    The other components are stubs; a loss with terms for one turn only is combined with a stub loss.
    """
    with recipe_folder() as folder:
        trainer = built_trainer(subject, folder)
        before = _weights(trainer)
        *events, end = trainer.run()
    steps = sum(isinstance(event, Stepped) for event in events)
    if not isinstance(end, Finished):
        raise CheckFailedError("training ends without a Finished event")
    require(end.outcome == "finished", f"it ends after {end.iteration} iterations: {end.reason or end.outcome}")
    require(steps == _ITERATIONS, f"{steps} of {_ITERATIONS} iterations were reported")
    require(math.isfinite(end.seconds) and end.seconds > 0, f"it reports a duration of {end.seconds} s")
    for name, weights in _weights(trainer).items():
        require(not torch.equal(weights, before[name]), f"after {_ITERATIONS} iterations the {name} has not changed")


def built_trainer(subject: ComponentCase, folder: Path) -> Trainer:
    """A trainer of a small recipe with the component, after a dry run; the other components are stubs where these fit."""
    first: GanforgeError | None = None
    for partners in _partners(subject):
        try:
            return _built(subject, folder, partners)
        except GanforgeError as error:
            first = first or error
    assert first is not None  # noqa: S101 - there is at least one choice of partners
    raise first


def _partners(subject: ComponentCase) -> Iterator[dict[Kind, Component]]:
    """What to try in the place of stubs: partners that a loss needs, then a game and networks of the same distribution.

    Raises:
        NotApplicableError: no installed game has an encoder, or the players of a loss.
    """
    own = [one for one in subject.registry.components() if one.plugin == subject.component.plugin and not one.missing]
    networks = {kind: one for kind in NETWORK_KINDS for one in own if one.kind is kind}
    if subject.kind is Kind.LOSS:
        game, discriminator = find_game(subject), None
        if game is None and (discriminator := find_discriminator(subject)):
            yield {Kind.DISCRIMINATOR: discriminator}
        else:
            yield {} if game is None else {Kind.GAME: game}
        return
    if subject.kind is not Kind.ENCODER:
        yield {}
    if subject.kind is Kind.GAME:
        yield dict(networks)
    if subject.kind in NETWORK_KINDS:
        games = sorted(subject.registry.components(Kind.GAME), key=lambda one: one not in own)
        specs = [(one, game_spec(one, one.load_params()())) for one in games if not one.missing]
        found = [one for one, spec in specs if any(Kind(role.kind) is subject.kind for role in spec.networks.values())]
        if not found and subject.kind is Kind.ENCODER:
            raise NotApplicableError("no installed game has an encoder")
        yield from ({Kind.GAME: one} for one in found if one in own or subject.kind is Kind.ENCODER)


def _built(subject: ComponentCase, folder: Path, partners: Mapping[Kind, Component]) -> Trainer:
    stubs = _stubs(subject)
    parts = stubs | dict(partners) | {subject.kind: subject.component}
    spec = game_spec(parts[Kind.GAME], subject.params() if subject.kind is Kind.GAME else NoParams())
    losses = _losses(subject, spec, parts[Kind.LOSS], stubs[Kind.LOSS]) if spec.needs_loss else []

    metrics = [parts[Kind.METRIC]] if Kind.METRIC in parts else []
    networks = {role: _table(parts[Kind(one.kind)]) for role, one in spec.networks.items()}
    named = {role: networks.pop(role) for role in tuple(networks) if network_key(role) == role}
    tables = {
        "train": {"iterations": _ITERATIONS, "batch_size": 8, "seed": 0},
        **{kind.value: _table(parts[kind]) for kind in SINGLE_KINDS},
        **named,
        "networks": networks,
        "loss": [_table(loss) for loss in losses],
        "metric": [{**_table(metric), "samples": 16, "every": _ITERATIONS} for metric in metrics],
        "pictures": {"samples": 16, "every": _ITERATIONS},
        "checkpoints": {"every": _ITERATIONS},
    }
    file = folder / "end_to_end.toml"
    file.write_text(to_toml(to_plain(Recipe.model_validate_json(json.dumps(tables)))), encoding="utf-8")
    registry = Registry((), {one.id + one.kind: one for one in (*stubs.values(), *parts.values(), *losses)}.values())
    folders = Folders(folder, folder / "data", fallbacks=data_folders(), cache=folder / "cache")
    blueprint = resolve_recipe(read_recipe(file), registry)
    trainer = build_trainer(blueprint, device=torch.device("cpu"), folders=folders)
    dry_run(blueprint, trainer)
    return trainer


def _losses(subject: ComponentCase, spec: GameSpec, loss: Component, stub: Component) -> list[Component]:
    """Losses that train every player: the one under test, then those of its distribution for this game, the stub, and others.

    Raises:
        NotApplicableError: a player has no installed loss.
    """
    outputs, mine = {f"output:{name}" for name in spec.outputs}, subject.component.plugin.distribution
    installed = [one for one in subject.registry.components(Kind.LOSS) if not one.missing and one.id != loss.id]
    readable = [one for one in installed if set(one.requires) <= outputs | subject.words]
    players = {one.id: _players(subject, one) for one in (loss, stub, *readable)}

    chosen = [loss] if loss is not stub else []
    chosen += [one for one in readable if one.plugin.distribution == mine and players[one.id] <= spec.players.keys() - set(PLAYERS)]
    trained = {player for one in chosen for player in players[one.id]}
    for one in (stub, *readable):  # the stub's terms have names of their own
        fits = players[one.id] <= spec.players.keys() if one is stub else not players[one.id] & trained
        if fits and players[one.id] & spec.players.keys() - trained:
            chosen.append(one)
            trained |= players[one.id]
    if lacking := sorted(spec.players.keys() - trained):
        raise NotApplicableError(f"no installed loss trains {', '.join(lacking)}")
    return chosen


def _players(subject: ComponentCase, loss: Component) -> set[str]:
    """The players that a loss has terms for."""
    built: Loss = loss.load_factory()(loss.load_params().model_validate(dict(loss.check_params)), subject.context)  # type: ignore[assignment]
    return {key.partition("/")[0] for key in built.term_info}


def _weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {name: parameters_to_vector(network.parameters()).detach().clone() for name, network in trainer.networks.items()}


def _table(component: Component) -> dict[str, object]:
    return {"use": component.id, "params": component.check_params}


def _stubs(subject: ComponentCase) -> dict[Kind, Component]:
    """Stubs for every component of a recipe, with the data and latents of the case."""
    data, latent = subject.data, subject.latent

    def build_data(_params: NoParams, context: DatasetContext) -> FixedDataset:
        return FixedDataset(data, random_samples(data, 64, torch.Generator().manual_seed(context.seed)))

    def build_sampler(params: NoParams, context: SamplerContext) -> _StubSampler:
        return _StubSampler(latent_spec(params, context.data))

    def latent_spec(_params: Params, spec: DataSpec) -> LatentSpec:
        is_undrawn = latent.classes is None and data.classes is not None  # it requires labelled data only
        return replace(latent, classes=None if is_undrawn else spec.classes)

    def stub(kind: Kind, factory: Factory, **options: Any) -> Component:
        return Component(kind, "stub", _KIT, factory, NoParams, "Stub.", **options)

    heads = LinearDiscriminator(NoParams(), BuildContext(data, latent)).heads
    stubs = (
        stub(Kind.DATASET, build_data, spec=lambda _params: data),
        stub(Kind.SAMPLER, build_sampler, spec=latent_spec),
        stub(Kind.GENERATOR, LinearGenerator),
        stub(Kind.DISCRIMINATOR, LinearDiscriminator, provides=tuple(f"head:{name}" for name in heads)),
        stub(Kind.ENCODER, LinearEncoder),
        stub(Kind.LOSS, lambda _params, _context: StubLoss()),
        stub(Kind.GAME, TwoPlayerGame, spec=two_player_spec),
    )
    return {one.kind: one for one in stubs}


@dataclass(frozen=True, slots=True)
class _StubSampler:
    """Random latents of a spec."""

    spec: LatentSpec

    def draw(self, count: int, generator: torch.Generator) -> Latent:
        return random_latents(self.spec, count, generator)
