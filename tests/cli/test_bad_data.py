"""Data that is not as it should be, by ``ganforge run``: one error that names the file, exit code 2, and nothing is left."""

import gzip
import io
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ganforge.cli.app import main

RECIPE = """
[train]
iterations = 2
[dataset]
{dataset}
[sampler]
use = "normal"
params = {{ size = 4 }}
[generator]
use = "mlp"
params = {{ hidden = [4], output = "tanh" }}
[discriminator]
use = "mlp"
params = {{ hidden = [4] }}
[[loss]]
use = "non-saturating"
[tracking]
mode = "off"
"""
MNIST = 'use = "mnist"'
FOLDER = 'use = "image-folder"\nparams = { folder = "pictures" }'
IMAGES = "data/mnist/train-images-idx3-ubyte"


def idx(magic, *sizes, content=None):
    count = int(np.prod(sizes))
    return struct.pack(f">{1 + len(sizes)}I", magic, *sizes) + (bytes(count) if content is None else content)


def mnist(**files):
    """Small files of MNIST's form, some of which are replaced."""
    sound = {}
    for part in ("train", "t10k"):
        sound[f"data/mnist/{part}-images-idx3-ubyte"] = idx(0x803, 3, 28, 28)
        sound[f"data/mnist/{part}-labels-idx1-ubyte"] = idx(0x801, 3)
    return {**sound, **files}


def picture(width=8, height=8, form="png", cut=0):
    raw = io.BytesIO()
    pixels = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(raw, form)
    return raw.getvalue()[: len(raw.getvalue()) - cut]


def pictures(**files):
    return {"pictures/1.png": picture(), "pictures/2.png": picture(), **{f"pictures/{name}": raw for name, raw in files.items()}}


CASES = {
    "idx truncated": (MNIST, mnist(**{IMAGES: idx(0x803, 3, 28, 28)[:-9]}), IMAGES, "is cut short"),
    "idx ends in its header": (MNIST, mnist(**{IMAGES: idx(0x803, 3, 28, 28)[:9]}), IMAGES, "ends within its header"),
    "idx empty": (MNIST, mnist(**{IMAGES: b""}), IMAGES, "it starts with nothing"),
    "idx too long": (MNIST, mnist(**{IMAGES: idx(0x803, 3, 28, 28) + b"1"}), IMAGES, "has extra bytes at its end"),
    "idx of another magic": (MNIST, mnist(**{IMAGES: idx(0x1234, 3, 28, 28)}), IMAGES, "not an idx file of bytes in 3 dimensions"),
    "idx exchanged": (MNIST, mnist(**{IMAGES: idx(0x801, 3)}), IMAGES, "not an idx file of bytes in 3 dimensions"),
    "another sha256": (MNIST, mnist(), IMAGES, "its sha256 differs"),
    "gzip cut short": (MNIST, mnist(**{IMAGES: gzip.compress(idx(0x803, 3, 28, 28))[:-6]}), IMAGES, "damaged gzip"),
    "gzip with another sum": (MNIST, mnist(**{IMAGES: gzip.compress(b"x")[:-8] + bytes(8)}), IMAGES, "damaged gzip"),
    "gzip of nothing known": (MNIST, mnist(**{IMAGES: b"\x1f\x8b" + b"noise" * 9}), IMAGES, "damaged gzip"),
    "a folder in a file's place": (MNIST, mnist(**{IMAGES: None}), "data/mnist", "is not on this computer"),
    "no pictures": (FOLDER, {"pictures/note.txt": b"text"}, "pictures/note.txt", "is not a picture that Pillow can read"),
    "an empty folder": (FOLDER, {"pictures": None}, "pictures", "contains no pictures"),
    "no folder": (FOLDER, {}, "pictures", "there is no folder"),
    "a file in a folder's place": (FOLDER, {"pictures": b"text"}, "pictures", "is a file"),
    "an archive": (FOLDER.replace("pictures", "all.zip"), {"all.zip": b"PK"}, "all.zip", "is an archive: unpack it"),
    "a folder named as a picture": (FOLDER, {"pictures/1.png": None}, "pictures", "contains no pictures"),
    "a JPEG cut short": (FOLDER, pictures(**{"3.jpg": picture(form="jpeg", cut=99)}), "pictures/3.jpg", "is damaged"),
    "a JPEG of noise": (FOLDER, pictures(**{"3.jpg": b"\xff\xd8\xff\xe0" + bytes(99)}), "pictures/3.jpg", "is not a picture"),
    "an empty picture": (FOLDER, pictures(**{"3.png": b""}), "pictures/3.png", "is not a picture"),
    "sizes that differ": (FOLDER, pictures(**{"3.png": picture(9, 7)}), "pictures/3.png", "is 9×7, but "),
    "labels missing": (
        FOLDER.replace(" }", ", labels = true }"),
        pictures(),
        "pictures/1.png",
        "is in no sub-folder, so it has no label",
    ),
    "some labels missing": (
        FOLDER,
        pictures(**{"cats/1.png": picture(), "dogs/1.png": picture()}),
        "pictures/1.png",
        "is in no sub-folder, so it has no label",
    ),
    "arrays without labels for all": (
        'use = "arrays"\nparams = { file = "values.npy", labels_file = "labels.npy" }',
        {"values.npy": np.zeros((4, 2)), "labels.npy": np.zeros(3, int)},
        "labels.npy",
        "labels have shape (3,) for 4 samples",
    ),
    "a folder for an array": (
        'use = "arrays"\nparams = { file = "values.npy" }',
        {"values.npy": None},
        "values.npy",
        "is a folder",
    ),
    "images of bytes as floats": (
        'use = "arrays"\nparams = { file = "values.npy" }',
        {"values.npy": np.linspace(0, 255, 256).reshape(4, 8, 8)},
        "values.npy",
        "set dataset.params.value_range = [0, 255]",
    ),
    "no values": (
        'use = "arrays"\nparams = { file = "values.csv" }',
        {"values.csv": b"x,y\n1,2\n,4\n"},
        "values.csv",
        "line 3, column 'x'",
    ),
    "an array cut short": (
        'use = "arrays"\nparams = { file = "values.npy" }',
        {"values.npy": b"\x93NUMPY\x01"},
        "values.npy",
        "cannot be read",
    ),
}
HEADS = ("no pictures", "an empty picture", "a JPEG of noise", "sizes that differ", "labels missing", "an empty folder")


@pytest.fixture
def ends(tmp_path, monkeypatch, capsys):
    """Writes files, runs the recipe, and insists on one error without a traceback, and on nothing else left in the folder."""

    def ends(dataset, files, harm=lambda: None):
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("GANFORGE_DATA", str(tmp_path / "data"))
        (tmp_path / "recipe.toml").write_text(RECIPE.format(dataset=dataset))
        for name, content in files.items():
            place = tmp_path / name
            place.parent.mkdir(parents=True, exist_ok=True)
            if content is None:
                place.mkdir()
            elif isinstance(content, bytes):
                place.write_bytes(content)
            else:
                np.save(place, content)
        harm()
        before = sorted(tmp_path.rglob("*"))

        code = main(["run", "recipe.toml", "--device", "cpu", "--json"])
        shown = capsys.readouterr()
        assert code == 2, shown.err
        assert shown.out == ""
        assert shown.err.count("error: ") == 1
        assert "Traceback" not in shown.err
        assert main(["check", "recipe.toml"]) == 2
        assert capsys.readouterr().err == shown.err[shown.err.index("error: ") :], "check says what run says"
        assert sorted(tmp_path.rglob("*")) == before
        return shown.err

    return ends


@pytest.mark.parametrize("case", CASES)
def test_bad_data_is_one_error_that_names_the_file(ends, tmp_path, case):
    dataset, files, named, messages = CASES[case]
    errors = ends(dataset, files)
    assert str(tmp_path / named) in errors or f"/{named}" in errors, errors
    assert messages in errors


@pytest.mark.parametrize("case", HEADS)
def test_it_is_the_same_where_pictures_are_streamed(ends, tmp_path, case):
    dataset, files, named, messages = CASES[case]
    errors = ends(dataset.replace(" }", ", stream = true }"), files)
    assert str(tmp_path / named) in errors
    assert messages in errors


@pytest.mark.parametrize(
    ("dataset", "files", "named"),
    [
        (MNIST, mnist(), IMAGES),
        (FOLDER, pictures(), "pictures/2.png"),
        (FOLDER.replace(" }", ", stream = true }"), pictures(), "pictures/2.png"),
        ('use = "arrays"\nparams = { file = "values.npy" }', {"values.npy": np.zeros((4, 2))}, "values.npy"),
    ],
)
def test_a_file_without_rights_is_named(ends, tmp_path, monkeypatch, dataset, files, named):
    def harm():
        if os.geteuid():
            (tmp_path / named).chmod(0)
            return
        whole = io.open  # root may read everything, so here the system's answer is put in its place

        def refusing(file, *rest, **options):
            if isinstance(file, str | Path) and Path(file) == tmp_path / named:
                raise PermissionError(13, "Permission denied", str(file))
            return whole(file, *rest, **options)

        monkeypatch.setattr("io.open", refusing)
        monkeypatch.setattr("builtins.open", refusing)

    errors = ends(dataset, files, harm)
    assert str(tmp_path / named) in errors
    assert "Permission denied" in errors


@pytest.mark.parametrize("stream", ["", ", stream = true"])
def test_a_fifo_among_pictures_is_named_and_not_waited_for(ends, tmp_path, stream):
    dataset = FOLDER.replace(" }", f"{stream} }}")
    errors = ends(dataset, pictures(), lambda: os.mkfifo(tmp_path / "pictures" / "0.png"))
    assert f"{tmp_path / 'pictures' / '0.png'} is a FIFO, not a file" in errors
