"""``ganforge sample`` on runs of images: what is asked for is drawn, and laid out by label or code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganforge.cli.app import main
from ganforge.runs.nearest_images import FRAME

SMOKE = Path(__file__).parents[2] / "recipes" / "smoke"


def drawn(folder, tmp_path, *options):
    assert main(["sample", str(folder), *options, "--out", str(tmp_path / "out.npz")]) == 0
    with np.load(tmp_path / "out.npz") as found:
        return dict(found)


def size(path):
    with Image.open(path) as picture:
        return picture.size


@pytest.mark.parametrize("count", ["1", "7", "64"])
def test_a_label_is_asked_for(trained, tmp_path, count):
    found = drawn(trained("cgan_digits"), tmp_path, "-n", count, "--label", "3")

    assert found["values"].shape == (int(count), 1, 8, 8)
    assert found["labels"].tolist() == [3] * int(count)


def test_codes_are_asked_for_and_a_dash_leaves_one_to_be_drawn(trained, tmp_path):
    folder = trained("infogan_digits")

    both = drawn(folder, tmp_path, "-n", "5", "--code", "4,0.5")["codes"]
    assert both.tolist() == [[4.0, 0.5]] * 5
    second = drawn(folder, tmp_path, "-n", "40", "--code", "-,-1")["codes"]
    assert (second[:, 1] == -1).all()
    assert len(set(second[:, 0])) > 3


def test_npz_keeps_the_order_in_which_samples_were_drawn(trained, tmp_path):
    labels = drawn(trained("cgan_digits"), tmp_path, "-n", "40")["labels"].tolist()

    assert labels != sorted(labels)


@pytest.mark.parametrize(
    ("name", "options", "rows", "columns"),
    [
        ("cgan_digits", ["-n", "1"], 1, 1),
        ("cgan_digits", ["-n", "7", "--label", "3"], 3, 3),
        ("infogan_digits", ["-n", "5", "--code", "2"], 2, 3),
        ("dcgan_digits", ["-n", "3"], 2, 2),
    ],
)
def test_sheets_of_one_kind_are_about_square_and_have_no_names(trained, tmp_path, name, options, rows, columns):
    assert main(["sample", str(trained(name)), *options, "--out", str(tmp_path / "out.png")]) == 0

    factor = 1024 // (9 * max(rows, columns) - 1)
    assert size(tmp_path / "out.png") == ((9 * columns - 1) * factor, (9 * rows - 1) * factor)


@pytest.mark.parametrize("name", ["cgan_digits", "infogan_digits"])
def test_each_label_or_code_has_a_row_and_a_name(trained, tmp_path, name):
    assert main(["sample", str(trained(name)), "--out", str(tmp_path / "out.png")]) == 0

    found = drawn(trained(name), tmp_path)
    kinds = found["labels"] if name == "cgan_digits" else found["codes"][:, 0]
    most = np.bincount(kinds.astype(int)).max()
    rows = len(set(kinds.tolist()))
    factor = 1024 // (9 * max(rows, most) - 1)
    width, height = size(tmp_path / "out.png")
    assert height == (9 * rows - 1) * factor
    assert width > (9 * most - 1) * factor


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("cgan_digits", ["--label", "10"], "labels go from 0 to 9"),
        ("dcgan_digits", ["--label", "1"], "this generator takes no label"),
        ("dcgan_digits", ["--code", "1"], "this generator takes no code"),
        ("infogan_digits", ["--code", "10"], "code 0 cannot be 10"),
        ("infogan_digits", ["--code", "nan"], "code 0 cannot be nan"),
        ("infogan_digits", ["--code", "1,inf"], "training draws it from -1 to 1"),
        ("infogan_digits", ["--code", "1,2,3"], "the generator has 2"),
        ("infogan_digits", ["--code", "x"], "cannot read the codes 'x'"),
        ("infogan_moons", ["--neighbours"], "this run's data are points"),
        ("dcgan_digits", ["--neighbours", "--out", "x.npz"], "--neighbours writes a PNG, not x.npz"),
    ],
)
def test_what_a_generator_lacks_is_told(trained, name, options, said, capsys):
    assert main(["sample", str(trained(name)), *options]) == 2
    assert said in capsys.readouterr().err


def test_the_nearest_training_images_stand_in_yellow(trained, tmp_path, capsys):
    target = tmp_path / "near.png"
    assert main(["sample", str(trained("dcgan_digits")), "-n", "4", "--neighbours", "--out", str(target), "--json"]) == 0

    assert json.loads(capsys.readouterr().out)["file"] == str(target)
    with Image.open(target) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    assert tuple(pixels[0, -1]) == FRAME
    assert (pixels == FRAME).all(axis=2).mean() > 0.02


def arrays_run(tmp_path, monkeypatch):
    """A run of a file of images, and the file."""
    monkeypatch.chdir(tmp_path)
    np.save("images.npy", np.random.default_rng(0).random((40, 1, 8, 8), dtype=np.float32))
    shutil.copytree(SMOKE, tmp_path, dirs_exist_ok=True)
    (tmp_path / "mine.toml").write_text("""
        extends = "dcgan_digits.toml"
        [dataset]
        use = "arrays"
        params = { file = "images.npy" }
    """)
    lean = ["tracking.mode='off'", "pictures.gif=false", "pictures.final_figures=false", "train.iterations=2", "metric=[]"]
    assert main(["run", "mine.toml", *(word for one in lean for word in ("--set", one))]) == 0
    return tmp_path / "images.npy"


def test_data_that_changed_since_the_run_are_told(tmp_path, monkeypatch, capsys):
    images = arrays_run(tmp_path, monkeypatch)
    capsys.readouterr()
    command = ["sample", "mine", "-n", "4", "--neighbours", "--json"]

    assert main(command) == 0
    before = capsys.readouterr()
    assert json.loads(before.out)["data_changes"] == []
    assert "are not what" not in before.err

    np.save(images, np.load(images)[::-1] * 0.5)
    assert main(command) == 0
    after = capsys.readouterr()
    assert "images.npy is not the data that is locked" in json.loads(after.out)["data_changes"][0]
    assert "the data set has changed since training" in after.err.replace("\n", " ")

    np.save(images, np.zeros((40, 3, 8, 8), np.float32))
    assert main(command) == 2
    assert "'arrays' no longer have the samples' shape" in capsys.readouterr().err.replace("\n", " ")


@pytest.mark.parametrize("command", ["sample", "interpolate", "traverse", "export"])
def test_an_exported_folder_is_taken_and_stays_as_it_is(trained, tmp_path, command, capsys):
    folder = tmp_path / "mine"
    form = ["--format", "safetensors"]
    assert main(["export", str(trained("cgan_digits")), *form, "--out", str(folder)]) == 0
    files = sorted(folder.iterdir())
    capsys.readouterr()

    assert main([command, str(folder), "--json", *(["--format", "torch-export"] if command == "export" else [])]) == 0

    told = json.loads(capsys.readouterr().out)
    written = told.get("files") or [told.get("file") or told["path"]]
    assert sorted(str(path) for path in tmp_path.glob("mine-*")) == sorted(written)
    assert told["schema"] == 1
    assert sorted(folder.iterdir()) == files
    assert main(["export", str(trained("cgan_digits")), *form, "--out", str(folder)]) == 0


@pytest.mark.parametrize("command", ["sample", "interpolate", "traverse"])
def test_a_place_that_cannot_be_written_sends_to_out(trained, tmp_path, command, capsys):
    (tmp_path / "file").write_text("")
    assert main([command, str(trained("cgan_digits")), "--out", str(tmp_path / "file" / "out.png")]) == 5
    told = capsys.readouterr().err
    assert "--out" in told


@pytest.mark.parametrize("command", ["sample", "interpolate", "traverse"])
def test_a_folder_is_no_target(trained, tmp_path, command, capsys):
    (tmp_path / "folder.png").mkdir()
    assert main([command, str(trained("cgan_digits")), "--out", str(tmp_path / "folder.png")]) == 2
    assert "is a folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("command", "asked"),
    [
        (
            ["sample", "-n", "3", "--label", "2", "--seed", "4"],
            {"count": 3, "label": 2, "seed": 4, "neighbours": False},
        ),
        (["interpolate", "--steps", "3", "--rows", "2"], {"steps": 3, "rows": 2, "how": "spherical", "label": None, "seed": 0}),
        (["traverse", "--noise", "1", "--steps", "3"], {"noise": 1, "steps": 3, "rows": 8, "code": None, "label": None, "seed": 0}),
    ],
)
def test_json_names_all_that_was_asked_for(trained, tmp_path, command, asked, capsys):
    name, *options = command
    assert main([name, str(trained("cgan_digits")), *options, "--out", str(tmp_path / "out.png"), "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert {key: told[key] for key in asked} == asked
    assert (told["schema"], told["iteration"], told["device"]) == (1, 2, "cpu")


def test_a_run_that_diverged_before_its_first_checkpoint_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    wild = ["tracking.mode='off'", "pictures.gif=false", "generator.optimizer.lr=1e30", "train.iterations=20", "metric=[]"]
    assert main(["run", str(SMOKE / "dcgan_digits.toml"), *(word for one in wild for word in ("--set", one))]) == 1
    told = capsys.readouterr().err
    assert "there is no checkpoint" in told
    assert "is kept in" not in told

    assert main(["sample", "dcgan_digits"]) == 4
    told = capsys.readouterr().err.replace("\n", " ")
    assert "has not reached its first one" in told
    assert "lower learning rates if it diverged" in told


def test_a_data_set_that_is_missing_is_told(trained, tmp_path, capsys):
    folder = tmp_path / "elsewhere-12345678"
    shutil.copytree(trained("dcgan_digits"), folder)
    recipe = (folder / "resolved.toml").read_text()
    table = recipe[recipe.index("[dataset]") :].partition("\n[sampler]")[0]
    (folder / "resolved.toml").write_text(recipe.replace(table, '[dataset]\nuse = "mnist"\n'))

    assert main(["sample", str(folder), "--neighbours"]) == 2
    assert "ganforge data prepare mnist" in capsys.readouterr().err
    assert not (folder / "neighbours.png").exists()
