"""``ganforge sample``, ``interpolate``, ``traverse`` and ``export`` on runs of two iterations."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from PIL import Image

import ganforge
from ganforge.cli.app import main
from ganforge.cli.generator import Format
from ganforge.registry.selection import command_line_selection
from ganforge.runs.generator_export import FORMATS
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


@pytest.mark.parametrize(("run", "options"), [("cgan_digits", ()), ("infogan_digits", ("--code", "4"))])
def test_fewer_samples_of_a_seed_begin_more(trained, tmp_path, run, options):
    few, many = (drawn(trained(run), tmp_path, "-n", count, "--seed", "1", *options) for count in ("5", "10"))

    for name, values in few.items():
        np.testing.assert_array_equal(values, many[name][:5], err_msg=name)


def test_a_sheet_names_the_real_images_to_compare_with(trained, tmp_path, capsys):
    for recipe, ending, expected in (("dcgan_digits", "png", True), ("dcgan_digits", "npz", False), ("cgan_moons", "png", False)):
        assert main(["sample", str(trained(recipe)), "-n", "4", "--out", str(tmp_path / f"a.{ending}")]) == 0
        shown = capsys.readouterr().err
        assert ("real images to compare with: " in shown) == expected
        if expected:
            with Image.open(shown.partition("compare with: ")[2].strip()) as picture:
                assert picture.size[0] > 60


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
    ("name", "options", "output"),
    [
        ("cgan_digits", ["--label", "10"], "labels: 0, 1, 2, 3"),
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
def test_what_a_generator_lacks_is_reported(trained, name, options, output, capsys):
    assert main(["sample", str(trained(name)), *options]) == 2
    assert output in capsys.readouterr().err


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


def test_data_that_changed_since_the_run_are_reported(tmp_path, monkeypatch, capsys):
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

    np.save(images, np.random.default_rng(0).uniform(-1, 1, (40, 3, 8, 8)).astype(np.float32))
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

    messages = json.loads(capsys.readouterr().out)
    written = messages.get("files") or [messages.get("file") or messages["path"]]
    assert sorted(str(path) for path in tmp_path.glob("mine-*")) == sorted(written)
    assert messages["schema"] == 1
    assert sorted(folder.iterdir()) == files
    assert main(["export", str(trained("cgan_digits")), *form, "--out", str(folder)]) == 0


@pytest.mark.parametrize("command", ["sample", "interpolate", "traverse"])
def test_a_place_that_cannot_be_written_sends_to_out(trained, tmp_path, command, capsys):
    (tmp_path / "file").write_text("")
    assert main([command, str(trained("cgan_digits")), "--out", str(tmp_path / "file" / "out.png")]) == 5
    messages = capsys.readouterr().err
    assert "--out" in messages


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
            {"count": 3, "label": "2", "seed": 4, "neighbours": False},
        ),
        (["interpolate", "--steps", "3", "--rows", "2"], {"steps": 3, "rows": 2, "how": "spherical", "label": None, "seed": 0}),
        (["traverse", "--noise", "1", "--steps", "3"], {"noise": 1, "steps": 3, "rows": 8, "code": None, "label": None, "seed": 0}),
    ],
)
def test_json_names_all_that_was_asked_for(trained, tmp_path, command, asked, capsys):
    name, *options = command
    assert main([name, str(trained("cgan_digits")), *options, "--out", str(tmp_path / "out.png"), "--json"]) == 0

    messages = json.loads(capsys.readouterr().out)
    assert {key: messages[key] for key in asked} == asked
    assert (messages["schema"], messages["iteration"], messages["device"]) == (1, 2, "cpu")


def test_a_run_that_diverged_before_its_first_checkpoint_says_so(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    wild = ["tracking.mode='off'", "pictures.gif=false", "generator.optimizer.lr=1e30", "train.iterations=20", "metric=[]"]
    assert main(["run", str(SMOKE / "dcgan_digits.toml"), *(word for one in wild for word in ("--set", one))]) == 1
    messages = capsys.readouterr().err
    assert "there is no checkpoint" in messages
    assert "is kept in" not in messages

    assert main(["sample", "dcgan_digits"]) == 4
    messages = capsys.readouterr().err.replace("\n", " ")
    assert "has not reached its first one" in messages
    assert "lower learning rates if it diverged" in messages


def test_a_data_set_that_is_missing_is_reported(trained, tmp_path, capsys):
    folder = tmp_path / "elsewhere-12345678"
    shutil.copytree(trained("dcgan_digits"), folder)
    recipe = (folder / "resolved.toml").read_text()
    table = recipe[recipe.index("[dataset]") :].partition("\n[sampler]")[0]
    (folder / "resolved.toml").write_text(recipe.replace(table, '[dataset]\nuse = "mnist"\n'))

    assert main(["sample", str(folder), "--neighbours"]) == 2
    assert "ganforge data prepare mnist" in capsys.readouterr().err
    assert not (folder / "neighbours.png").exists()


def size_and_frames(path):
    with Image.open(path) as picture:
        return picture.size, getattr(picture, "n_frames", 1)


@pytest.mark.parametrize("name", ["dcgan_digits", "cgan_digits", "infogan_digits", "cgan_moons", "gaussian_1d"])
def test_sheet_and_animation_of_an_interpolation_lie_in_the_run_folder(trained, tmp_path, name, capsys):
    folder = tmp_path / f"{name}-12345678"
    shutil.copytree(trained(name), folder)

    assert main(["interpolate", str(folder), "--rows", "3", "--json"]) == 0

    messages = json.loads(capsys.readouterr().out)
    assert messages["files"] == [str(folder / "interpolation.png"), str(folder / "interpolation.gif")]
    assert (messages["run"], messages["iteration"], messages["seed"]) == (folder.name, 2, 0)
    assert size_and_frames(folder / "interpolation.gif")[1] > 8


def test_rows_steps_and_seed_are_the_users(trained, tmp_path):
    pictures = []
    for seed in ("1", "1", "2"):
        target = tmp_path / "walk.png"
        options = ["--rows", "2", "--steps", "5", "--seed", seed, "--out", str(target)]
        assert main(["interpolate", str(trained("dcgan_digits")), *options]) == 0
        pictures.append(target.read_bytes())

    factor = 1024 // 44
    assert size_and_frames(target)[0] == (44 * factor, 17 * factor)
    assert pictures[0] == pictures[1] != pictures[2]


@pytest.mark.parametrize("command", [["interpolate"], ["traverse", "--noise", "0"], ["traverse"]])
def test_fewer_rows_of_a_seed_begin_more(trained, tmp_path, command):
    few, many = tmp_path / "few.png", tmp_path / "many.png"
    for rows, target in (("4", few), ("8", many)):
        assert main([*command, str(trained("dcgan_digits")), "--rows", rows, "--steps", "8", "--out", str(target)]) == 0

    first, all_rows = (np.asarray(Image.open(target)) for target in (few, many))
    np.testing.assert_array_equal(first, all_rows[: len(first)])


def test_the_way_can_be_chosen_and_normal_noise_goes_on_an_arc(trained, tmp_path):
    pictures = {}
    for how in (None, "linear", "spherical"):
        target = tmp_path / "walk.png"
        chosen = ["--how", how] if how else []
        assert main(["interpolate", str(trained("dcgan_digits")), *chosen, "--out", str(target)]) == 0
        pictures[how] = target.read_bytes()

    assert pictures[None] == pictures["spherical"] != pictures["linear"]


def test_a_label_holds_for_all_rows(trained, tmp_path, capsys):
    target = tmp_path / "walk.png"
    assert (
        main(["interpolate", str(trained("cgan_digits")), "--label", "4", "--rows", "2", "--steps", "3", "--out", str(target)]) == 0
    )

    assert size_and_frames(target)[0] == (26 * (1024 // 26), 17 * (1024 // 26))  # no names: the rows do not differ in label
    assert main(["interpolate", str(trained("cgan_digits")), "--label", "11"]) == 2
    assert "labels: 0, 1, 2, 3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "output"),
    [
        (["--out", "walk.mp4"], ".png or .gif"),
        (["--label", "1"], "takes no label"),
        (["--how", "curved"], "'curved' is not one of"),
    ],
)
def test_mistakes_in_interpolate_are_reported(trained, options, output, capsys):
    assert main(["interpolate", str(trained("dcgan_digits")), *options]) == 2
    assert output in capsys.readouterr().err


@pytest.mark.parametrize("name", ["cgan_digits", "infogan_moons", "dcgan_digits"])
def test_sheet_and_animation_of_a_traversal_lie_in_the_run_folder(trained, tmp_path, name, capsys):
    folder = tmp_path / f"{name}-12345678"
    shutil.copytree(trained(name), folder)

    assert main(["traverse", str(folder), "--json"]) == 0

    assert json.loads(capsys.readouterr().out)["files"] == [str(folder / "traversal.png"), str(folder / "traversal.gif")]
    with Image.open(folder / "traversal.gif") as animation:
        assert animation.n_frames > 8


@pytest.mark.parametrize(
    ("name", "options", "rows"),
    [
        ("cgan_digits", [], 10),
        ("cgan_digits", ["--noise", "0"], 10),
        ("cgan_digits", ["--noise", "0", "--label", "3", "--rows", "2"], 2),
        ("infogan_digits", [], 11),  # ten values of the first code, and the continuous one
        ("infogan_digits", ["--code", "0"], 10),
        ("infogan_digits", ["--code", "1"], 10),
        ("dcgan_digits", ["--noise", "1", "--rows", "4"], 4),
        ("dcgan_digits", ["--rows", "3"], 3),
    ],
)
def test_rows_are_what_is_varied(trained, tmp_path, name, options, rows):
    target = tmp_path / "sheet.png"
    assert main(["traverse", str(trained(name)), *options, "--steps", "5", "--out", str(target)]) == 0

    assert size(target)[1] == (9 * rows - 1) * (1024 // (9 * max(rows, 5) - 1))


@pytest.mark.parametrize(
    ("name", "options", "output"),
    [
        ("infogan_digits", ["--code", "2"], "its codes: code 0: 0 to 9, code 1: -1 to 1"),
        ("cgan_digits", ["--code", "0"], "takes no code"),
        ("dcgan_digits", ["--noise", "99"], "its dimensions go from 0 to"),
        ("infogan_digits", ["--code", "0", "--noise", "0"], "vary one at a time"),
        ("dcgan_digits", ["--out", "sheet.jpg"], ".png or .gif"),
    ],
)
def test_mistakes_in_traverse_are_reported(trained, name, options, output, capsys):
    assert main(["traverse", str(trained(name)), *options]) == 2
    assert output in capsys.readouterr().err


@pytest.fixture
def here(trained, tmp_path, monkeypatch):
    """A working directory with a run."""
    monkeypatch.chdir(tmp_path)
    run = trained("cgan_moons")
    shutil.copytree(run, tmp_path / "runs" / "smoke" / run.name)
    return tmp_path


def test_it_offers_what_can_be_written():
    assert set(get_args(Format)) == set(FORMATS)


def test_it_says_what_was_written_and_what_goes_in_and_out(here, capsys):
    (run,) = (here / "runs" / "smoke").iterdir()
    capsys.readouterr()

    assert main(["export", "cgan_moons", "--format", "torch-export"]) == 0
    first, second, labels, third = capsys.readouterr().out.splitlines()
    assert first == f"wrote the generator of iteration 2 to {run.relative_to(here)}/generator.pt2"
    assert second.strip() == "noise (n, 3) float32, labels (n,) int64 → values (n, 2) float32 in the data's units"
    assert labels.strip() == "labels: 0 for upper, 1 for lower"
    assert "batches of 64 and 1: largest difference 0 of the range" in third
    assert (run / "generator.pt2").is_file()

    assert main(["export", run.name[-8:], "--format", "safetensors", "--out", "mine", "-n", "1", "--json"]) == 0
    messages = json.loads(capsys.readouterr().out)
    assert (messages["schema"], messages["run"], messages["format"], messages["path"]) == (1, run.name, "safetensors", "mine")
    assert messages["checked"] == {"samples": [1, 2], "difference": 0.0, "tolerance": 1e-4}
    assert messages["inputs"]["labels"] == {"shape": ["n"], "dtype": "int64", "classes": ["upper", "lower"]}
    drawn = ganforge.load(run).sample(4, seed=1, label=1)["values"]
    assert (ganforge.load("mine").sample(4, seed=1, label=1)["values"] == drawn).all()


def test_wrong_words_are_2_and_leave_nothing(here, capsys):
    before = sorted(here.rglob("*"))
    for words, messages in {
        ("cgan_mons", "--format", "onnx"): "did you mean 'cgan_moons'",
        ("cgan_moons", "--format", "onnx", "--out", "it.pt2"): "name a file that ends in .onnx",
        ("cgan_moons", "--format", "safetensors", "--out", "runs"): "contains other files",
        ("cgan_moons", "--format", "tflite"): "tflite",
        ("cgan_moons",): "--format",
    }.items():
        assert main(["export", *words]) == 2
        assert messages in capsys.readouterr().err
    assert sorted(here.rglob("*")) == before


def test_a_generator_of_a_local_file_is_exported_with_its_file(here, mine, capsys):
    (here / "my_gan.py").write_text(mine)
    smoke = (SMOKE / "vanilla_moons.toml").read_text()
    (here / "own.toml").write_text(smoke.replace('"mlp"\nparams = { hidden = [16, 16] }', '"mine"', 1))
    words = ["--plugin", "my_gan.py"]
    lean = ("train.iterations=2", 'tracking.mode="off"', "pictures.gif=false", "pictures.final_figures=false", "metric=[]")
    assert main(["run", "own.toml", *(word for one in lean for word in ("--set", one)), *words]) == 0

    assert main(["export", "own", "--format", "torch-export", "--out", "own.pt2", *words]) == 0
    assert main(["export", "own", "--format", "safetensors", "--out", "own", *words]) == 0
    capsys.readouterr()
    with command_line_selection(disabled=[], only=None, local=[here / "own" / "plugins" / "my_gan.py"]):
        assert ganforge.load(here / "own").sample(3)["values"].shape == (3, 2)
    assert main(["export", "own", "--format", "torch-export", "--out", "again.pt2"]) == 2
    assert "--plugin own/plugins/my_gan.py" in capsys.readouterr().err


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
