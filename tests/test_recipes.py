import math
import re
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from packaging.requirements import Requirement

from ganforge.build.blueprint import Blueprint, resolve_recipe
from ganforge.build.builder import Folders, build_trainer
from ganforge.core.events import Evaluated, Finished, SamplesDrawn, Saved, Started, State, Stepped
from ganforge.recipe.reader import read_recipe
from ganforge.registry.plugin_loader import load_plugins
from ganforge.train.trainer import Trainer

ROOT = Path(__file__).parents[1]
SHOWN = sorted([*(ROOT / "recipes").glob("*.toml"), *(ROOT / "recipes" / "tutorial").glob("*.toml")])
SMOKE = sorted((ROOT / "recipes" / "smoke").glob("*.toml"))
UNSEEN = {"discriminator.realness.bias"}
"""What a loss of differences, D(real) − D(fake), cannot see and so does not teach."""
OF_PLUGINS = sorted((ROOT / "plugins").glob("*/recipes/*.toml"))


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def resolved(path: Path, *overrides: str) -> Blueprint:
    return resolve_recipe(read_recipe(path, overrides), load_plugins())


def built(path: Path, *overrides: str) -> Trainer:
    folders = Folders(path.parent, path.parent)
    return build_trainer(resolved(path, *overrides), device=torch.device("cpu"), folders=folders)


def played(trainer: Trainer) -> dict[str, torch.Tensor]:
    for _ in trainer.run():
        pass
    return copied(trainer.state()).tensors


def copied(state: State) -> State:
    return State({name: tensor.clone() for name, tensor in state.tensors.items()}, dict(state.values))


def unequal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> list[str]:
    assert one.keys() == other.keys()
    return [name for name, tensor in one.items() if not tensor.equal(other[name])]


@pytest.mark.parametrize("path", [*SHOWN, *SMOKE, *OF_PLUGINS], ids=named)
def test_recipe_is_right_and_says_what_it_shows(path):
    blueprint = resolved(path)
    assert blueprint.warnings == ()
    assert blueprint.recipe.title


@pytest.mark.parametrize("path", [*SHOWN, *OF_PLUGINS], ids=named)
def test_recipe_names_the_plugins_that_it_needs(path):
    blueprint = resolved(path)
    needed = {part.component.plugin.distribution for part in blueprint.parts} - {"ganforge"}
    assert {Requirement(text).name for text in blueprint.recipe.requires.plugins} == needed


@pytest.mark.parametrize("path", OF_PLUGINS, ids=named)
def test_plugins_recipe_needs_no_plugin_that_it_does_not_require(path):
    project = tomllib.loads((path.parents[1] / "pyproject.toml").read_text())["project"]
    required = {Requirement(text).name for text in project["dependencies"]}
    distributions = {part.component.plugin.distribution for part in resolved(path).parts}
    assert {"ganforge", path.parents[1].name} <= distributions <= required | {path.parents[1].name}


@pytest.mark.parametrize("path", SHOWN, ids=named)
def test_shown_recipes_teach(path):
    text = path.read_text()
    assert re.search(r'^title = ".+"$', text, flags=re.MULTILINE)
    assert re.search(r"^description = ", text, flags=re.MULTILINE)
    assert resolved(path).metrics, "a recipe that is shown measures what it promises"


def test_ring_recipes_differ_in_their_losses_only():
    plain, relativistic = (resolved(ROOT / "recipes" / f"{name}.toml").recipe for name in ("vanilla_ring", "ring_relativistic"))
    differing = {name for name in type(plain).model_fields if getattr(plain, name) != getattr(relativistic, name)}
    assert differing == {"title", "description", "loss", "expect"}


@dataclass(frozen=True)
class Whole:
    """A smoke recipe trained to its end, and what it was before and halfway."""

    events: tuple[Any, ...]
    before: dict[str, torch.Tensor]
    halfway: State
    after: dict[str, torch.Tensor]
    state: dict[str, torch.Tensor]


@cache
def whole(path: Path) -> Whole:
    trainer = built(path)
    before, halfway, events = weights(trainer), None, []
    for event in trainer.run():
        if isinstance(event, Saved) and event.iteration == 10:
            halfway = copied(event.state)
        events.append(event)
    assert halfway
    return Whole(tuple(events), before, halfway, weights(trainer), copied(trainer.state()).tensors)


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {
        f"{kind}.{name}": weight.detach().clone()
        for kind, network in trainer.networks.items()
        for name, weight in network.named_parameters()
    }


@pytest.mark.parametrize("path", SMOKE, ids=named)
def test_smoke_recipe_runs_to_its_end(path):
    events = whole(path).events

    assert isinstance(events[0], Started)
    assert isinstance(events[-1], Finished)
    assert events[-1].outcome == "finished"
    assert [event.iteration for event in events if isinstance(event, Stepped)] == list(range(1, 21))
    assert [event.iteration for event in events if isinstance(event, Evaluated)] == [10, 20]
    assert [event.iteration for event in events if isinstance(event, SamplesDrawn)] == [0, 10, 20]
    assert [event.iteration for event in events if isinstance(event, Saved)] == [5, 10, 15, 20]
    assert {term for event in events if isinstance(event, Stepped) for term in event.terms} == events[0].term_info.keys()


@pytest.mark.parametrize("path", SMOKE, ids=named)
def test_every_parameter_of_all_networks_is_taught(path):
    run = whole(path)
    untaught = {name for name, weight in run.before.items() if weight.equal(run.after[name])}
    assert untaught <= (UNSEEN if path.stem in {"grid", "ring_relativistic"} else set())


@pytest.mark.parametrize("path", SMOKE, ids=named)
def test_resuming_equals_never_having_stopped(path):
    resumed = built(path)
    resumed.restore(copied(whole(path).halfway))

    assert unequal(played(resumed), whole(path).state) == []


@pytest.mark.parametrize("path", SMOKE, ids=named)
def test_one_seed_repeats_bit_for_bit_however_often_one_looks(path):
    calm = whole(path).state
    curious = played(built(path, "pictures.every=1", "checkpoints.every=1", "metric[0].every=1"))
    other = played(built(path, "train.seed=1"))

    assert unequal(calm, curious) == []
    assert unequal(calm, other)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_the_bell_ends_with_a_discriminator_of_one_half(seed):
    events = list(built(ROOT / "recipes" / "gaussian_1d.toml", f"train.seed={seed}", "metric=[]").run())

    field = next(event.logit_grid for event in reversed(events) if isinstance(event, SamplesDrawn))
    middle = field.points[:, 0].abs() <= 2  # where 95 % of the data lie
    assert (torch.sigmoid(field.logits[middle]) - 0.5).abs().max() < 0.05
    terms = [event.terms["discriminator/total"] for event in events[-200:] if isinstance(event, Stepped)]
    assert torch.stack(terms).mean() == pytest.approx(math.log(4), abs=0.01)
