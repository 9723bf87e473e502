"""From the published files to a trained run, by the commands that a user types; tests/conftest.py says where they lie."""

import json

import pytest
import torch

from ganforge.build.blueprint import resolve_recipe
from ganforge.build.builder import Folders, build_dataset
from ganforge.cli.app import main
from ganforge.recipe.reader import read_recipe
from ganforge.registry.plugin_loader import load_plugins
from ganforge.storage.run_folder import data_folders

pytestmark = pytest.mark.slow

RECIPE = """
[train]
iterations = 3
batch_size = 32
[dataset]
use = "{data}"
[sampler]
use = "normal"
params = {{ size = 8 }}
[generator]
use = "dcgan"
params = {{ width = 4 }}
[discriminator]
use = "dcgan"
params = {{ width = 4 }}
[[loss]]
use = "non-saturating"
[pictures]
samples = 4
[tracking]
mode = "off"
"""
SMALL = [
    'generator.use="mlp"',
    "generator.params={hidden=[16],output='sigmoid'}",
    'discriminator.use="mlp"',
    "discriminator.params={hidden=[16]}",
]


@pytest.fixture
def recipe(tmp_path, monkeypatch, request):
    monkeypatch.setenv("GANFORGE_DATA", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)

    def recipe(data):
        (tmp_path / "recipe.toml").write_text(RECIPE.format(data=data))
        if data != "fashion-mnist":
            assert main(["data", "prepare", data, "--from", str(request.getfixturevalue("mnist_files"))]) == 0
        else:
            request.getfixturevalue("fashion_files")
        return tmp_path / "recipe.toml"

    return recipe


@pytest.fixture
def dataset(recipe, tmp_path):
    def dataset(data, **params):
        file = recipe(data)
        texts = [f"dataset.params.{key}={json.dumps(value)}" for key, value in params.items()]
        folder, *others = data_folders()
        part = resolve_recipe(read_recipe(file, texts), load_plugins()).dataset
        return build_dataset(part, seed=0, folders=Folders(tmp_path, folder, tuple(others)))

    return dataset


@pytest.mark.parametrize(
    ("data", "sums", "counts"),
    [
        ("mnist", (1567298545, 264923200), [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]),
        ("fashion-mnist", (3431114169, 573469082), [6000] * 10),
    ],
)
def test_all_pixels_and_labels_are_there(dataset, data, sums, counts):
    made = dataset(data)
    train, held = made.training(), made.held_out(10_000, torch.Generator())

    assert (tuple(train.values.shape), made.spec.shape) == ((60_000, 1, 28, 28), (1, 28, 28))
    assert train.values.sum(dtype=torch.int64).item() == sums[0]
    assert ((held.values + 1) * 127.5).round().sum(dtype=torch.float64).item() == sums[1]
    assert train.labels.bincount().tolist() == counts
    assert made.spec.class_shares == pytest.approx([count / 60_000 for count in counts])


@pytest.mark.parametrize(("data", "sums"), [("mnist", (1309089051, 258209494)), ("fashion-mnist", (2853847097, 577267072))])
def test_the_protocol_of_2014_splits_the_training_images(dataset, data, sums):
    made = dataset(data, split="train-50k", held_out="validation", value_range=[0, 1])
    train, held = made.training(), made.held_out(10_000, torch.Generator())

    assert train.values.sum(dtype=torch.int64).item() == sums[0]
    assert (held.values * 255).round().sum(dtype=torch.float64).item() == sums[1]
    assert len(held) == 10_000
    assert train.labels.bincount().div(50_000).tolist() == pytest.approx(made.spec.class_shares)


@pytest.mark.parametrize(("value_range", "black", "white"), [([-1, 1], -1, 1), ([0, 1], 0, 1)])
def test_black_and_white_become_the_ends_of_the_range(dataset, value_range, black, white):
    made = dataset("mnist", value_range=value_range)
    first = made.spec.to_float(made.training().values[:100])
    held = made.held_out(100, torch.Generator())

    for values in (first, held.values):
        assert (values.dtype, values.min().item(), values.max().item()) == (torch.float32, black, white)


@pytest.mark.parametrize(
    ("data", "overrides"),
    [
        ("mnist", []),
        ("mnist", [*SMALL, 'dataset.params={split="train-50k",held_out="validation",value_range=[0,1]}']),
        ("fashion-mnist", []),
        ("stacked-mnist", ["dataset.params.samples=200"]),
    ],
)
def test_networks_train_on_it(recipe, capsys, data, overrides):
    file = recipe(data)
    capsys.readouterr()
    words = [word for override in overrides for word in ("--set", override)]

    assert main(["run", str(file), "--json", "--device", "cpu", *words]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["status"], shown["iterations"]) == ("finished", 3)
