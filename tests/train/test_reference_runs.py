"""Three short runs reach the losses and weights of the code that made the numbers in docs/results.md.

The values were printed by commit da941f9, before the code was renamed and reshaped, on an x86-64 CPU with torch 2.13.0 and one
thread: each recipe of ``recipes/smoke`` was read, resolved and built with its own seed, trained for its 20 iterations by
``trainer.run()``, and then the totals of the last ``Stepped`` event and the Euclidean norm of each network's parameters (in double
precision) were written down. The tolerance is for other CPUs, which may round differently; on one machine all bits are equal.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from ganforge.build.blueprint import resolve_recipe
from ganforge.build.builder import Folders, build_trainer
from ganforge.core.events import Stepped
from ganforge.recipe.reader import read_recipe
from ganforge.registry.plugin_loader import load_plugins

RECIPES = Path(__file__).parents[2] / "recipes" / "smoke"
EXPECTED = {
    "infogan_moons": {
        "discriminator/total": 3.090421438217163,
        "generator/total": 2.3822107315063477,
        "generator": 3.707387561923385,
        "discriminator": 4.197679323651342,
        "ema": 3.7026745707501503,
    },
    "dcgan_digits": {
        "discriminator/total": 1.231935739517212,
        "generator/total": 0.6776790618896484,
        "generator": 3.5283186364894883,
        "discriminator": 2.892572496179151,
        "ema": 3.523693595435345,
    },
    "ring_relativistic": {
        "discriminator/total": 0.6440780758857727,
        "generator/total": 0.7553542852401733,
        "generator": 3.826900169290461,
        "discriminator": 3.7275159864044656,
        "ema": 3.821674939620564,
    },
}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_short_run_reaches_the_recorded_losses_and_weights(name):
    folders = Folders(RECIPES, RECIPES)
    blueprint = resolve_recipe(read_recipe(RECIPES / f"{name}.toml"), load_plugins())
    trainer = build_trainer(blueprint, device=torch.device("cpu"), folders=folders)
    last = [event for event in trainer.run() if isinstance(event, Stepped)][-1]
    assert last.iteration == 20
    totals = {key: float(value) for key, value in last.terms.items() if key.endswith("/total")}
    norms = {
        key: float(torch.cat([parameter.detach().double().flatten() for parameter in network.parameters()]).norm())
        for key, network in {**trainer.networks, "ema": trainer.generator}.items()
    }
    assert totals | norms == pytest.approx(EXPECTED[name], rel=1e-5)
