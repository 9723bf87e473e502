"""Protocols state what two values of a metric must share, and comparisons find what they do not."""

from __future__ import annotations

import pytest
import torch

from ganforge.assembly.blueprint import resolve
from ganforge.assembly.building import Folders, build
from ganforge.assembly.protocols import differences
from ganforge.builtin import classifying
from ganforge.recipe.reading import read

RECIPE = """
[train]
iterations = 2
seed = {seed}
average = {average}
[dataset]
use = "moons"
params = {{ noise = {noise} }}
[sampler]
use = "normal"
params = {{ size = 2 }}
[generator]
use = "mlp"
[discriminator]
use = "mlp"
[[loss]]
use = "non-saturating"
[[metric]]
use = "{use}"
params = {params}
samples = {samples}
"""
USUAL = {"seed": 0, "average": 0.999, "noise": 0.05, "use": "wasserstein", "params": "{ order = 2 }", "samples": 20}


@pytest.fixture
def stated(registry, tmp_path):
    """The protocol of the recipe's metric, with some of its numbers changed."""

    def stated(**changes):
        path = tmp_path / "recipe.toml"
        path.write_text(RECIPE.format(**{**USUAL, **changes}))
        trainer = build(resolve(read(path), registry), device=torch.device("cpu"), folders=Folders(tmp_path, tmp_path))
        (metric,) = trainer.observer.metrics
        return metric.protocol

    return stated


def test_a_protocol_says_what_a_value_depends_on(stated):
    found = stated()
    assert found["metric"] == "ganforge/wasserstein@1"
    assert found["params"] == {"order": 2}
    assert found["samples"] == 20
    assert found["data.params"]["noise"] == 0.05
    assert found["generator"] == "average"
    assert stated(average=0)["generator"] == "raw"


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"samples": 30}, "samples"),
        ({"params": "{ order = 1 }"}, "params"),
        ({"noise": 0.1}, "data.params"),
        ({"average": 0}, "generator"),
    ],
)
def test_differences_name_what_keeps_two_values_apart(stated, changes, key):
    assert list(differences(stated(), stated(**changes))) == [key]
    assert not differences(stated(), {**stated(), "seed": 7})


def test_features_that_are_learnt_are_the_same_for_all_seeds_of_a_recipe_and_other_for_other_data(stated, monkeypatch):
    """Moons of two seeds are other points, so what is learnt from them would differ, and no two seeds could be compared."""
    monkeypatch.setattr(classifying, "_LEAST_STEPS", 20)
    learnt = {"use": "kernel", "params": '{ features = "classifier" }'}
    one, other = stated(**learnt, seed=1), stated(**learnt, seed=2)
    assert len(one["metric.sha256"]) == 64
    assert not differences(one, other)
    assert "metric.sha256" in differences(one, stated(**learnt, noise=0.2))
