"""Samples come in the units and the type of the data that went in, on every way out."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import ganforge
from ganforge.cli.app import main
from ganforge.runs.generator_export import TensorGenerator, export, named_tensors

RECIPE = """
[train]
iterations = 2
batch_size = 8
[dataset]
{dataset}
[sampler]
use = "normal"
params = {{ size = 4 }}
[generator]
use = "mlp"
params = {{ hidden = [8], output = "{output}" }}
[discriminator]
use = "mlp"
params = {{ hidden = [8] }}
[[loss]]
use = "non-saturating"
[pictures]
final_figures = false
[tracking]
mode = "off"
[health]
enabled = false
"""
ARRAYS = 'use = "arrays"\nparams = {{ file = "{}.npz"{} }}'
RNG = np.random.default_rng(0)
DATA = {
    "unit": (ARRAYS.format("unit", ", value_range = [0, 1]"), (0, 1), np.float32),
    "bytes": (ARRAYS.format("bytes", ""), (0, 255), np.uint8),
    "deep": (ARRAYS.format("deep", ", value_range = [0, 65535]"), (0, 65535), np.uint16),
    "masks": (ARRAYS.format("masks", ""), (0, 1), np.bool_),
    "far": (ARRAYS.format("far", "") + "\nstandardise = true", (9_800, 10_200), np.float32),
    "folder": ('use = "image-folder"\nparams = { folder = "folder" }', (0, 255), np.uint8),
    "digits": ('use = "digits"', (0, 16), np.float32),
}


def write_data(folder: Path) -> None:
    np.savez(folder / "unit.npz", values=RNG.random((20, 1, 6, 6)))
    np.savez(folder / "bytes.npz", values=RNG.integers(0, 256, (20, 6, 6), dtype=np.uint8))
    np.savez(folder / "deep.npz", values=RNG.integers(0, 65536, (20, 6, 6), dtype=np.uint16))
    np.savez(folder / "masks.npz", values=RNG.random((20, 6, 6)) > 0.5)
    np.savez(folder / "far.npz", values=RNG.normal(10_000, 20, (50, 2)))
    (folder / "folder").mkdir()
    for name in range(12):
        Image.fromarray(RNG.integers(0, 256, (6, 6, 3), dtype=np.uint8)).save(folder / "folder" / f"{name}.png")


@pytest.mark.parametrize("name", DATA)
def test_samples_have_the_units_and_the_type_of_the_data(name, tmp_path, monkeypatch):
    dataset, (low, high), dtype = DATA[name]
    write_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    output = "linear" if name == "far" else "tanh"
    (tmp_path / "own.toml").write_text(RECIPE.format(dataset=dataset, output=output))
    assert main(["run", "own.toml", "--plain"]) == 0
    generator = ganforge.load("own")

    values = generator.sample(50, seed=3)["values"]
    assert values.dtype == dtype
    assert low <= values.min() <= values.max() <= high
    assert (high - low) / 4 < values.mean() - low < (high - low) * 3 / 4  # an untrained generator is about in the middle
    drawn = generator.draw(50, seed=3)
    for samples in (drawn, generator(drawn.latent)):
        np.testing.assert_array_equal(samples.values.numpy(), values)

    for ending in ("npz", "csv", "png"):
        assert main(["sample", "own", "-n", "50", "--seed", "3", "--out", f"out.{ending}"]) == 0
    np.testing.assert_array_equal(np.load("out.npz")["values"], values)
    assert np.load("out.npz")["values"].dtype == dtype
    with Path("out.csv").open(newline="") as file:
        cells = [[json.loads(cell.lower()) for cell in row] for row in list(csv.reader(file))[1:]]
    np.testing.assert_allclose(np.array(cells), values.reshape(50, -1).astype(np.float64), rtol=1e-7)
    if name != "far":  # the sheet is as dark and as bright as the values
        shown = np.asarray(Image.open("out.png").convert("RGB"))
        assert shown.min() >= 255 * (float(values.min()) - low) // (high - low) - 1

    exported = export(generator, "safetensors", tmp_path / "exported")
    again = ganforge.load(exported.path)
    np.testing.assert_array_equal(again.sample(50, seed=3)["values"], values)
    program = TensorGenerator(again)(**named_tensors(drawn.latent, generator.latent)).detach()
    assert program.dtype == torch.float32
    np.testing.assert_allclose(program.numpy(), values.astype(np.float64), atol=0.51 if dtype != np.float32 else 1e-5 * high)
    about = json.loads((exported.path / "ganforge.json").read_text())["output"]
    if name != "far":
        assert (about["range"], about["rounds_to"]) == ([low, high], np.dtype(dtype).name)
