"""Protocols state what two values of a metric must share, and comparisons find what they do not."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
import torch

from ganforge.build.blueprint import resolve_recipe
from ganforge.build.builder import Folders, build_trainer, metric_protocol
from ganforge.build.parts import Part
from ganforge.builtin.features import classifier_features
from ganforge.recipe.reader import read_recipe
from ganforge.registry.component import Kind
from ganforge.runs.comparison import protocol_differences

RECIPE = """
[train]
iterations = 2
seed = {seed}
ema_decay = {average}
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
        trainer = build_trainer(
            resolve_recipe(read_recipe(path), registry), device=torch.device("cpu"), folders=Folders(tmp_path, tmp_path)
        )
        (metric,) = trainer.evaluator.metrics
        return metric.protocol

    return stated


def test_a_protocol_says_what_a_value_depends_on(stated):
    found = stated()
    assert found["metric"] == "ganforge/wasserstein@1"
    assert found["params"] == {"order": 2}
    assert found["samples"] == 20
    assert found["data.params"]["noise"] == 0.05
    assert found["generator"] == "ema"
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
    assert list(protocol_differences(stated(), stated(**changes))) == [key]
    assert not protocol_differences(stated(), {**stated(), "seed": 7})


def test_what_changes_only_the_training_data_keeps_nothing_apart_but_where_training_samples_are_measured(stated):
    many, few = "0.05, samples = 500", "0.05, samples = 400"
    assert not protocol_differences(stated(noise=many), stated(noise=few))
    seeing = {"use": "memorisation", "params": "{}"}
    assert list(protocol_differences(stated(noise=many, **seeing), stated(noise=few, **seeing))) == ["data.params"]


def test_names_of_training_only_parameters_are_parameters(registry):
    models = {one.name: one.load_params() for one in registry.components(Kind.DATASET)}
    named = {name: params for name, params in models.items() if params.training_only}
    assert {"moons", "mnist", "image-folder"} <= named.keys()
    for params in named.values():
        assert params.training_only <= params.model_fields.keys()


@pytest.fixture
def of_a_file(registry, tmp_path):
    """The protocol of a recipe in a folder of its own, whose data set is a file with this content."""

    def of_a_file(folder, seed, name="data.npy"):
        here = tmp_path / folder
        here.mkdir()
        np.save(here / name, np.random.default_rng(seed).normal(size=(60, 2)).astype(np.float32))
        text = RECIPE.format(**USUAL).replace('"moons"', '"arrays"').replace("noise = 0.05", f'file = "{name}"')
        (here / "recipe.toml").write_text(text.replace("samples = 20", "samples = 4"))
        blueprint = resolve_recipe(read_recipe(here / "recipe.toml"), registry)
        trainer = build_trainer(blueprint, device=torch.device("cpu"), folders=Folders(here, tmp_path))
        return trainer.evaluator.metrics[0].protocol

    return of_a_file


def test_files_of_data_are_known_by_their_sums_and_not_by_their_paths(of_a_file):
    first = of_a_file("a", 0)
    assert len(first["data.sums"]["file"]) == 64
    assert "file" not in first["data.params"]
    assert not protocol_differences(first, of_a_file("b", 0, "other.npy"))
    assert list(protocol_differences(first, of_a_file("c", 1))) == ["data.sums"]


def test_weights_are_known_by_their_sum_and_not_by_their_path(registry):
    class Seeing:
        protocol: ClassVar = {"features": "inception", "sha256": "ab" * 32}

    found, data = registry.find(Kind.METRIC, "kernel"), registry.find(Kind.DATASET, "moons")
    dataset, model = Part(data, data.load_params()(), "dataset"), found.load_params()
    messages = [
        metric_protocol(Part(found, params, "metric[0]"), Seeing(), dataset, data_hashes={}, samples=20, use_ema=True, seed=0)
        for params in (model(features="inception", weights_path=path) for path in ("here.pth", "there.pth"))
    ]
    assert not protocol_differences(*messages)
    assert messages[0]["params"]["features"] == "inception"


def test_local_files_are_known_by_their_sums_and_installed_plugins_by_revisions(registry):
    class Plain:
        protocol: ClassVar = {}

    def messages(metric, dataset):
        parts = []
        for kind, name, sha256 in ((Kind.METRIC, "wasserstein", metric), (Kind.DATASET, "moons", dataset)):
            found = registry.find(kind, name)
            found = replace(found, plugin=replace(found.plugin, sha256=sha256, version="2" if sha256 else "1"))
            parts.append(Part(found, found.load_params()(), kind.value))
        return metric_protocol(parts[0], Plain(), parts[1], data_hashes={}, samples=20, use_ema=True, seed=0)

    assert protocol_differences(messages("a" * 64, None), messages("b" * 64, None)) == {"code": ("a" * 64, "b" * 64)}
    assert protocol_differences(messages(None, "a" * 64), messages(None, "b" * 64)) == {"data.code": ("a" * 64, "b" * 64)}
    assert not {"code", "data.code"} & messages(None, None).keys()


def test_features_that_are_learnt_are_the_same_for_all_seeds_of_a_recipe_and_other_for_other_data(stated, monkeypatch):
    """Moons of two seeds are other points, so what is learnt from them would differ, and no two seeds could be compared."""
    monkeypatch.setattr(classifier_features, "_LEAST_STEPS", 20)
    learnt = {"use": "kernel", "params": '{ features = "classifier" }'}
    one, other = stated(**learnt, seed=1), stated(**learnt, seed=2)
    assert len(one["metric.sha256"]) == 64
    assert not protocol_differences(one, other)
    assert "metric.sha256" in protocol_differences(one, stated(**learnt, noise=0.2))
