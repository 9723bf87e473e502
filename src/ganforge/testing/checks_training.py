"""E check: a component trained end to end in a small recipe."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ganforge.build.blueprint import resolve_recipe
from ganforge.build.builder import Folders, build_trainer
from ganforge.core.contracts import BuildContext, DatasetContext, SamplerContext
from ganforge.core.events import Finished, Stepped
from ganforge.core.params import NoParams, Params
from ganforge.core.records import Latent
from ganforge.core.specs import DataSpec, LatentSpec
from ganforge.recipe.config import Recipe
from ganforge.recipe.reader import read_recipe
from ganforge.recipe.toml_writer import to_toml
from ganforge.registry.component import Component, Factory, Kind, PluginRef
from ganforge.registry.registry import Registry
from ganforge.storage.run_folder import data_folders
from ganforge.testing import stub_components
from ganforge.testing.checks_losses import TURNS, find_discriminator, turn_terms
from ganforge.testing.component_case import ComponentCase, FixedDataset, random_latents, random_samples, recipe_folder
from ganforge.testing.conformance import BUILDS, CheckFailedError, check, require
from ganforge.train.trainer import Trainer

_ITERATIONS = 20
_KIT = PluginRef("kit", "ganforge-testing", "1")


@check("E01", *Kind, after=(*BUILDS, "T04"))
def trains(subject: ComponentCase) -> None:
    """Twenty iterations of a small recipe with the component finish and change both networks.

    The other components are stubs; a loss with terms for one turn only is combined with a stub loss.
    """
    with recipe_folder() as folder:
        trainer = _trainer(subject, folder)
        before = _weights(trainer)
        steps, end = _run(trainer)
    require(end.outcome == "finished", f"it ends after {end.iteration} iterations: {end.reason or end.outcome}")
    require(steps == _ITERATIONS, f"{steps} of {_ITERATIONS} iterations were reported")
    require(math.isfinite(end.seconds) and end.seconds > 0, f"it reports a duration of {end.seconds} s")
    for name, weights in _weights(trainer).items():
        moved = any(not torch.equal(tensor, before[name][key]) for key, tensor in weights.items())
        require(moved, f"after {_ITERATIONS} iterations the {name} has not changed")


def _trainer(subject: ComponentCase, folder: Path) -> Trainer:
    stubs = dict(_stubs(subject))
    parts = stubs | {subject.kind: subject.component}
    losses = [parts[Kind.LOSS]]
    if subject.kind is Kind.LOSS:
        parts[Kind.DISCRIMINATOR] = find_discriminator(subject) or stubs[Kind.DISCRIMINATOR]
        if not all(turn_terms(subject, turn).values for turn in TURNS):
            losses.append(stubs[Kind.LOSS])

    single = {kind.value: _table(parts[kind]) for kind in (Kind.DATASET, Kind.SAMPLER, Kind.GENERATOR, Kind.DISCRIMINATOR)}
    metrics = [{**_table(parts[Kind.METRIC]), "samples": 16, "every": _ITERATIONS}] if Kind.METRIC in parts else []
    recipe = Recipe.model_validate(
        {
            "train": {"iterations": _ITERATIONS, "batch_size": 8, "seed": 0},
            **single,
            "loss": tuple(map(_table, losses)),
            "metric": tuple(metrics),
            "pictures": {"samples": 16, "every": _ITERATIONS},
            "checkpoints": {"every": _ITERATIONS},
        }
    )
    file = folder / "end_to_end.toml"
    file.write_text(to_toml(recipe), encoding="utf-8")
    registry = Registry((), {one.id + one.kind: one for one in (*stubs.values(), *parts.values())}.values())
    folders = Folders(folder, folder / "data", fallbacks=data_folders(), cache=folder / "cache")
    return build_trainer(resolve_recipe(read_recipe(file), registry), device=torch.device("cpu"), folders=folders)


def _run(trainer: Trainer) -> tuple[int, Finished]:
    steps = 0
    for event in trainer.run():
        if isinstance(event, Stepped):
            steps += 1
        elif isinstance(event, Finished):
            return steps, event
    raise CheckFailedError("training ends without a Finished event")


def _weights(trainer: Trainer) -> Mapping[str, Mapping[str, torch.Tensor]]:
    return {
        name: {key: weight.detach().clone() for key, weight in network.named_parameters()}
        for name, network in trainer.networks.items()
    }


def _table(component: Component) -> dict[str, object]:
    return {"use": component.id, "params": _plain(component.check_params)}


def _plain(item: object) -> object:
    """Convert check_params to TOML data: tuples become lists."""
    if isinstance(item, Mapping):
        return {str(name): _plain(part) for name, part in item.items()}
    return [_plain(part) for part in item] if isinstance(item, list | tuple) else item


def _stubs(subject: ComponentCase) -> Iterator[tuple[Kind, Component]]:
    """Stubs for every component of a recipe, with the data and latents of the case."""
    data, latent = subject.data, subject.latent

    def build_data(_params: NoParams, context: DatasetContext) -> FixedDataset:
        return FixedDataset(data, random_samples(data, 64, torch.Generator().manual_seed(context.seed)))

    def build_sampler(params: NoParams, context: SamplerContext) -> _StubSampler:
        return _StubSampler(latent_spec(params, context.data))

    def data_spec(_params: Params) -> DataSpec:
        return data

    def latent_spec(_params: Params, spec: DataSpec) -> LatentSpec:
        return replace(latent, classes=spec.classes)

    def stub(kind: Kind, factory: Factory, **options: Any) -> tuple[Kind, Component]:
        return kind, Component(kind, "stub", _KIT, factory, NoParams, "Stub.", **options)

    heads = stub_components.build_discriminator(NoParams(), BuildContext(data, latent)).heads
    yield stub(Kind.DATASET, build_data, spec=data_spec)
    yield stub(Kind.SAMPLER, build_sampler, spec=latent_spec)
    yield stub(Kind.GENERATOR, stub_components.build_generator)
    yield stub(Kind.DISCRIMINATOR, stub_components.build_discriminator, provides=tuple(f"head:{name}" for name in heads))
    yield stub(Kind.LOSS, stub_components.build_loss)


@dataclass(frozen=True, slots=True)
class _StubSampler:
    """Random latents of a spec."""

    spec: LatentSpec

    def draw(self, count: int, generator: torch.Generator) -> Latent:
        return random_latents(self.spec, count, generator)
