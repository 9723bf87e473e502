"""A label is the data's own, number or name, in options, files, pictures and Python; class numbers stay inside."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import ganforge
from ganforge.cli.app import main

RECIPE = """
[train]
iterations = 2
batch_size = 8
[dataset]
{dataset}
[sampler]
use = "labelled"
params = {{ size = 4 }}
[generator]
use = "{network}"
[discriminator]
use = "{network}"
[[loss]]
use = "non-saturating"
[pictures]
final_figures = false
[tracking]
mode = "off"
[health]
enabled = false
"""


@pytest.fixture
def trained(tmp_path, monkeypatch):
    """Trains a conditional GAN on a data set of the test, and gives its generator."""
    monkeypatch.chdir(tmp_path)

    def trained(dataset, network="cgan-mlp"):
        (tmp_path / "own.toml").write_text(RECIPE.format(dataset=dataset, network=network))
        assert main(["run", "own.toml", "--plain"]) == 0
        return ganforge.load("own")

    return trained


def drawn(label):
    """The label column of a CSV and the labels of an NPZ, drawn with ``--label``."""
    assert main(["sample", "own", "-n", "3", "--label", label, "--out", "a.csv"]) == 0
    assert main(["sample", "own", "-n", "3", "--label", label, "--out", "a.npz"]) == 0
    with Path("a.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    with np.load("a.npz") as arrays:
        return {row["label"] for row in rows}, set(arrays["labels"].tolist())


def test_numbers_that_do_not_begin_at_zero(trained, tmp_path, capsys):
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "from1.npz", values=rng.normal(size=(60, 2)), labels=np.arange(60) % 3 + 1)
    generator = trained('use = "arrays"\nparams = { file = "from1.npz" }')

    assert drawn("2") == ({"2"}, {2})
    assert generator.draw(3, label=2).labels.tolist() == [1, 1, 1]
    assert generator.sample(3, label=3)["labels"].tolist() == [3, 3, 3]
    assert main(["export", "own", "--format", "safetensors"]) == 0
    assert "labels: 0 for 1, 1 for 2, 2 for 3" in capsys.readouterr().out
    assert main(["sample", "own", "--label", "0"]) == 2
    assert "there is no label '0'" in (errors := capsys.readouterr().err)
    assert "labels: 1, 2, 3" in errors
    assert main(["interpolate", "own", "--label", "3", "--out", "a.png"]) == 0
    assert main(["traverse", "own", "--label", "4", "--out", "a.png"]) == 2


def test_folders_whose_names_are_numbers(trained, tmp_path):
    for grey in range(12):
        (tmp_path / "greys" / str(grey)).mkdir(parents=True)
        for number in range(3):
            Image.new("L", (8, 8), 20 * grey).save(tmp_path / "greys" / str(grey) / f"{number}.png")
    generator = trained('use = "image-folder"\nparams = { folder = "greys", size = 8, grayscale = true }', "cgan-mlp")

    assert drawn("2") == ({"2"}, {2})
    assert drawn("10") == ({"10"}, {10})
    assert {generator.data.class_names[label] for label in generator.draw(3, label="10").labels.tolist()} == {"10"}


def test_names_and_their_numbers(trained, capsys):
    generator = trained('use = "moons"\nparams = { samples = 100 }\nstandardise = true')

    assert drawn("upper") == drawn("0") == ({"upper"}, {"upper"})
    assert generator.draw(2, label="lower").labels.tolist() == generator.draw(2, label=1).labels.tolist() == [1, 1]
    assert main(["sample", "own", "--label", "2"]) == 2
    assert "labels: upper, lower" in capsys.readouterr().err


@pytest.mark.parametrize("label", [1.5, float("nan"), True, -1, "", "007", [1], "1 "])
def test_what_is_no_label_is_refused(label):
    from ganforge.core.errors import UsageError
    from ganforge.core.specs import DataSpec

    for spec in (DataSpec((2,), classes=3), DataSpec((2,), classes=2, class_names=("7", "x"))):
        with pytest.raises(UsageError, match="there is no label"):
            spec.class_index(label)
