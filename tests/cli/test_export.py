"""``ganforge export``: what is said of what was written, and what ends it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import ganforge
from ganforge.cli.app import main
from ganforge.cli.generator import Form
from ganforge.registry.selection import command_line_selection
from ganforge.runs.generator_export import FORMATS

SMOKE = Path(__file__).parents[2] / "recipes" / "smoke" / "cgan_moons.toml"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working directory with a run."""
    monkeypatch.chdir(tmp_path)
    assert main(["run", str(SMOKE), "--set", "train.iterations=2", "--set", 'tracking.mode="off"']) == 0
    return tmp_path


def test_it_offers_what_can_be_written():
    assert {form.value for form in Form} == set(FORMATS)


def test_it_says_what_was_written_and_what_goes_in_and_out(here, capsys):
    (run,) = (here / "runs" / "smoke").iterdir()
    capsys.readouterr()

    assert main(["export", "cgan_moons", "--format", "torch-export"]) == 0
    first, second, third = capsys.readouterr().out.splitlines()
    assert first == f"wrote the generator of iteration 2 to {run.relative_to(here)}/generator.pt2"
    assert second.strip() == "noise (n, 3) float32, labels (n,) int64 → values (n, 2) float32 in the data's units"
    assert "batches of 64 and 1: largest difference 0 of the range" in third
    assert (run / "generator.pt2").is_file()

    assert main(["export", run.name[-8:], "--format", "safetensors", "--out", "mine", "-n", "1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["schema"], told["run"], told["format"], told["path"]) == (1, run.name, "safetensors", "mine")
    assert told["checked"] == {"samples": [1, 2], "difference": 0.0, "tolerance": 1e-4}
    assert told["inputs"]["labels"] == {"shape": ["n"], "dtype": "int64"}
    drawn = ganforge.load(run).sample(4, seed=1, label=1)["values"]
    assert (ganforge.load("mine").sample(4, seed=1, label=1)["values"] == drawn).all()


def test_wrong_words_are_2_and_leave_nothing(here, capsys):
    before = sorted(here.rglob("*"))
    for words, told in {
        ("cgan_mons", "--format", "onnx"): "did you mean 'cgan_moons'",
        ("cgan_moons", "--format", "onnx", "--out", "it.pt2"): "name a file that ends in .onnx",
        ("cgan_moons", "--format", "safetensors", "--out", "runs"): "contains other files",
        ("cgan_moons", "--format", "tflite"): "tflite",
        ("cgan_moons",): "--format",
    }.items():
        assert main(["export", *words]) == 2
        assert told in capsys.readouterr().err
    assert sorted(here.rglob("*")) == before


def test_a_generator_of_a_local_file_is_exported_with_its_file(here, mine, capsys):
    (here / "my_gan.py").write_text(mine)
    smoke = SMOKE.with_name("vanilla_moons.toml").read_text()
    (here / "own.toml").write_text(smoke.replace('"mlp"\nparams = { hidden = [16, 16] }', '"mine"', 1))
    words = ["--plugin", "my_gan.py"]
    assert main(["run", "own.toml", "--set", "train.iterations=2", "--set", 'tracking.mode="off"', *words]) == 0

    assert main(["export", "own", "--format", "torch-export", "--out", "own.pt2", *words]) == 0
    assert main(["export", "own", "--format", "safetensors", "--out", "own", *words]) == 0
    capsys.readouterr()
    with command_line_selection(disabled=[], only=None, local=[here / "own" / "plugins" / "my_gan.py"]):
        assert ganforge.load(here / "own").sample(3)["values"].shape == (3, 2)
    assert main(["export", "own", "--format", "torch-export", "--out", "again.pt2"]) == 2
    assert "name the file with --plugin FILE.py" in capsys.readouterr().err


@pytest.mark.slow
def test_a_program_needs_neither_ganforge_nor_its_plugins(here):
    assert main(["export", "cgan_moons", "--format", "torch-export", "--out", "it.pt2"]) == 0
    program = """
import sys, torch
sys.modules["ganforge"] = None
module = torch.export.load("it.pt2").module()
print(tuple(module(noise=torch.randn(7, 3), labels=torch.ones(7, dtype=torch.int64)).shape))
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "(7, 2)\n"


@pytest.mark.slow
def test_nothing_else_pays_for_exporting(here):
    program = "import sys, ganforge; ganforge.load('cgan_moons').sample(2); print([n for n in sys.modules if n in {heavy}])"
    heavy = ("torch._dynamo", "torch.export._trace", "torch.onnx._internal.exporter", "onnx", "onnxscript", "onnxruntime")
    done = subprocess.run(
        [sys.executable, "-c", program.format(heavy=heavy)], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout == "[]\n"
