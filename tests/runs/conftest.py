"""Generators without training: folders as a finished run leaves them, with random weights."""

import io
import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from rich.console import Console
from safetensors.torch import save_file

from ganforge.build.blueprint import resolve_recipe
from ganforge.build.builder import build_network
from ganforge.build.lock import make_lock
from ganforge.core.contracts import BuildContext
from ganforge.core.specs import Normalization
from ganforge.recipe.reader import read_recipe
from ganforge.recipe.toml_writer import to_plain, to_toml
from ganforge.registry.plugin_loader import load_plugins
from ganforge.train.modules import network_state

SMOKE = Path(__file__).parents[2] / "recipes" / "smoke"


@pytest.fixture
def bundle(tmp_path):
    """Write the folder of a generator, as MLflow gets it: ``bundle("infogan_moons", "generator.use=mlp")``."""

    def bundle(recipe, *overrides, folder=None):
        blueprint = resolve_recipe(read_recipe(SMOKE / f"{recipe}.toml", overrides), load_plugins())
        data, latent = blueprint.specs.data, blueprint.specs.latent
        if blueprint.recipe.dataset.standardise:
            normalization = Normalization(offset=(0.5, 2.0)[: data.size], scale=(3.0, 0.25)[: data.size])
            data = replace(data, normalization=normalization, value_range=None)
        network = build_network(blueprint.networks["generator"], blueprint.spec, BuildContext(data, latent), seed=0)
        draw = torch.Generator().manual_seed(1)
        for name, tensor in network.state_dict().items():
            if tensor.is_floating_point():  # statistics of batch norm included, and these are greater than zero
                tensor.copy_(torch.rand(tensor.shape, generator=draw) + (0.5 if "running_var" in name else -0.4))

        folder = folder or tmp_path / recipe
        folder.mkdir()
        save_file(network_state("ema/generator", network), folder / "generator.safetensors", {"iteration": "20"})
        (folder / "resolved.toml").write_text(to_toml(to_plain(blueprint.resolved)))
        (folder / "specs.json").write_text(json.dumps({"data": asdict(data), "latent": asdict(latent)}))
        (folder / "lock.json").write_text(json.dumps(make_lock(blueprint).to_plain()))
        return folder

    return bundle


@pytest.fixture
def console():
    """A console that is no terminal."""
    return Console(file=io.StringIO(), width=100)
