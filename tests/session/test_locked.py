"""``ganforge run --locked``: the same set trains again, another one is refused before anything is created."""

from __future__ import annotations

import json

import pytest

from ganforge.cli.app import main
from ganforge.storage import journal

MINE = """
from ganforge.plugin import hookimpl
from ganforge.testing.stand_ins import build_generator

@hookimpl
def ganforge_register_generators(register):
    register("mine", build_generator, summary="My own.")
"""


@pytest.fixture
def trained(recipe, tmp_path, monkeypatch):
    """The folder of a run with a generator from a local file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_gan.py").write_text(MINE)
    path = recipe("", iterations=2)
    path.write_text(path.read_text().replace('use = "mlp"\nparams = { hidden = [8] }', 'use = "mine"', 1))
    assert main(["run", "small.toml", "--plugin", "my_gan.py"]) == 0
    (folder,) = (tmp_path / "runs" / "small").iterdir()
    return folder


def test_a_run_keeps_its_lock_and_tells_mlflow(trained):
    lock = json.loads((trained / "lock.json").read_text())
    start = next(record for _, record in journal.read(trained / "events.jsonl"))

    (file,) = lock["plugin_files"]
    assert (file["key"], file["file"]) == ("my-gan", str(trained.parents[2] / "my_gan.py"))
    assert f"my_gan.py sha256:{file['sha256'][:12]}" in start["tags"]["ganforge.plugins"]
    assert "ganforge-vanilla 0.1.0" in start["tags"]["ganforge.plugins"]
    assert {"path": "lock.json", "folder": "recipe"} in start["artifacts"]


@pytest.mark.parametrize("named", ["folder", "file"])
def test_the_same_set_trains_again(trained, named, tmp_path):
    lock = trained if named == "folder" else trained / "lock.json"

    arguments = ["run", "small.toml", "--plugin", "my_gan.py", "--locked", str(lock), "--set", "train.seed=1"]
    assert main(arguments) == 0
    assert len(list((tmp_path / "runs" / "small").iterdir())) == 2


@pytest.mark.parametrize("more", [[], ["--seeds", "2"]])
def test_another_set_is_2_and_nothing_is_created(trained, tmp_path, capsys, more):
    (tmp_path / "my_gan.py").write_text(MINE + "# edited\n")
    lock = json.loads((trained / "lock.json").read_text())
    lock["distributions"][-1] |= {"version": "0.0.7", "source": "index"}
    del lock["distributions"][-1]["url"]
    (tmp_path / "old.json").write_text(json.dumps(lock))
    capsys.readouterr()

    arguments = ["run", "small.toml", "--plugin", "my_gan.py", "--locked", "old.json", "--runs-dir", "elsewhere", *more]
    assert main(arguments) == 2

    told = capsys.readouterr().err
    assert "ganforge-vanilla 0.0.7 is locked, 0.1.0 is installed" in told
    assert "my_gan.py is not the file that is locked" in told
    assert "pip install ganforge-vanilla==0.0.7; restore" in told
    assert not (tmp_path / "elsewhere").exists()


def test_another_recipe_is_2(trained, tmp_path, capsys):
    capsys.readouterr()
    arguments = ["run", "small.toml", "--plugin", "my_gan.py", "--locked", str(trained), "--runs-dir", "elsewhere"]

    assert main([*arguments, "--set", 'generator.use="mlp"']) == 2

    assert "generator: locked is local/mine@1, the recipe means ganforge-vanilla/mlp@1" in capsys.readouterr().err
    assert not (tmp_path / "elsewhere").exists()


def test_a_lock_that_is_not_there_is_2(trained, capsys):
    assert main(["run", "small.toml", "--locked", "nowhere.json"]) == 2
    assert "nowhere.json" in capsys.readouterr().err
