from __future__ import annotations

import json
import shutil

import pytest
from PIL import Image

from ganforge.cli.app import main


def opened(path):
    with Image.open(path) as picture:
        return picture.size, getattr(picture, "n_frames", 1)


@pytest.mark.parametrize("name", ["dcgan_digits", "cgan_digits", "infogan_digits", "cgan_moons", "gaussian_1d"])
def test_sheet_and_animation_lie_in_the_run_folder(trained, tmp_path, name, capsys):
    folder = tmp_path / f"{name}-12345678"
    shutil.copytree(trained(name), folder)

    assert main(["interpolate", str(folder), "--rows", "3", "--json"]) == 0

    told = json.loads(capsys.readouterr().out)
    assert told["files"] == [str(folder / "interpolation.png"), str(folder / "interpolation.gif")]
    assert (told["run"], told["iteration"], told["seed"]) == (folder.name, 2, 0)
    assert opened(folder / "interpolation.gif")[1] > 8


def test_rows_steps_and_seed_are_the_users(trained, tmp_path):
    pictures = []
    for seed in ("1", "1", "2"):
        target = tmp_path / "walk.png"
        options = ["--rows", "2", "--steps", "5", "--seed", seed, "--out", str(target)]
        assert main(["interpolate", str(trained("dcgan_digits")), *options]) == 0
        pictures.append(target.read_bytes())

    factor = 1024 // 44
    assert opened(target)[0] == (44 * factor, 17 * factor)
    assert pictures[0] == pictures[1] != pictures[2]


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

    assert opened(target)[0] == (26 * (1024 // 26), 17 * (1024 // 26))  # no names: the rows do not differ in label
    assert main(["interpolate", str(trained("cgan_digits")), "--label", "11"]) == 2
    assert "labels go from 0 to 9" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--out", "walk.mp4"], ".png or .gif"),
        (["--label", "1"], "takes no label"),
        (["--how", "curved"], "'curved' is not one of"),
    ],
)
def test_mistakes_are_told(trained, options, said, capsys):
    assert main(["interpolate", str(trained("dcgan_digits")), *options]) == 2
    assert said in capsys.readouterr().err
