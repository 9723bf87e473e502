from __future__ import annotations

import json
import shutil

import pytest
from PIL import Image

from ganforge.cli.app import main


def size(path):
    with Image.open(path) as picture:
        return picture.size


@pytest.mark.parametrize("name", ["cgan_digits", "infogan_moons", "dcgan_digits"])
def test_sheet_and_animation_lie_in_the_run_folder(trained, tmp_path, name, capsys):
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
    ("name", "options", "said"),
    [
        ("infogan_digits", ["--code", "2"], "codes are 0 with 10 values, 1 from -1 to 1"),
        ("cgan_digits", ["--code", "0"], "takes no code"),
        ("dcgan_digits", ["--noise", "99"], "its dimensions go from 0 to"),
        ("infogan_digits", ["--code", "0", "--noise", "0"], "vary one at a time"),
        ("dcgan_digits", ["--out", "sheet.jpg"], ".png or .gif"),
    ],
)
def test_mistakes_are_told(trained, name, options, said, capsys):
    assert main(["traverse", str(trained(name)), *options]) == 2
    assert said in capsys.readouterr().err
