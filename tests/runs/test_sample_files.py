from __future__ import annotations

import csv

import numpy as np
import pytest
import torch
from PIL import Image

from ganforge.core.errors import StorageError, UsageError
from ganforge.core.records import Codes, Latent, Samples
from ganforge.core.specs import DataSpec
from ganforge.figures import mpl_style
from ganforge.runs.sample_files import write_samples

POINTS = DataSpec((2,), classes=2)


@pytest.fixture
def samples():
    draw = torch.Generator().manual_seed(0)
    codes = Codes(torch.tensor([[0], [1], [1]]), torch.tensor([[0.25], [-1.0], [0.5]]))
    latent = Latent(torch.randn(3, 4, generator=draw), codes=codes)
    return Samples(torch.tensor([[0.5, -1.0], [1 / 3, 1e-9], [2.0, 3.0]]), torch.tensor([1, 0, 1]), latent)


def test_npz_holds_values_labels_noise_and_codes(tmp_path, samples):
    write_samples(tmp_path / "out.npz", samples, POINTS)

    with np.load(tmp_path / "out.npz", allow_pickle=False) as found:
        assert set(found) == {"values", "labels", "noise", "codes"}
        np.testing.assert_array_equal(found["values"], samples.values)
        assert found["labels"].tolist() == [1, 0, 1]
        np.testing.assert_array_equal(found["noise"], samples.latent.noise)
        assert found["codes"].tolist() == [[0.0, 0.25], [1.0, -1.0], [1.0, 0.5]]


def test_npz_holds_only_what_there_is(tmp_path):
    write_samples(tmp_path / "out.npz", Samples(torch.zeros(2, 1, 4, 4)), DataSpec((1, 4, 4)))

    with np.load(tmp_path / "out.npz") as found:
        assert {name: array.shape for name, array in found.items()} == {"values": (2, 1, 4, 4)}


def test_csv_has_a_header_and_exact_floats(tmp_path, samples):
    write_samples(tmp_path / "deep" / "out.CSV", samples, POINTS)

    rows = list(csv.DictReader((tmp_path / "deep" / "out.CSV").read_text().splitlines()))
    assert list(rows[0]) == ["x0", "x1", "label", "code0", "code1"]
    assert rows[0] == {"x0": "0.5", "x1": "-1", "label": "1", "code0": "0", "code1": "0.25"}
    read = np.array([[float(row["x0"]), float(row["x1"])] for row in rows], dtype=np.float32)
    np.testing.assert_array_equal(read, samples.values)


def test_a_csv_has_each_row_once_in_order(tmp_path):
    values = torch.tensor([float("nan"), torch.inf, 1 / 3, 4.0, 5.0, 6.0, 7.0])[:, None]
    write_samples(tmp_path / "out.csv", Samples(values, torch.arange(7)), DataSpec((1,), classes=7))

    rows = ["nan,0", "inf,1", "0.333333343,2", "4,3", "5,4", "6,5", "7,6"]
    assert (tmp_path / "out.csv").read_text() == "\n".join(["x0,label", *rows, ""])


def test_images_become_a_sheet_with_their_range_as_black_and_white(tmp_path):
    values = torch.stack([torch.full((1, 2, 2), value) for value in (-1.0, 1.0, 0.0, 5.0)])
    write_samples(tmp_path / "out.png", Samples(values), DataSpec((1, 2, 2), value_range=(-1.0, 1.0)))

    sheet = np.asarray(Image.open(tmp_path / "out.png"))
    factor = 1024 // 5
    assert sheet.shape == (5 * factor, 5 * factor, 3)
    assert [int(sheet[y * factor, x * factor, 0]) for y, x in ((0, 0), (0, 3), (3, 0), (3, 3), (2, 2))] == [0, 255, 128, 255, 255]


def colours(path):
    with Image.open(path) as picture:
        return {colour for _, colour in picture.convert("RGB").getcolors(maxcolors=1 << 24)}


def rgb(colour):
    return tuple(int(colour[start : start + 2], 16) for start in (1, 3, 5))


def named(monkeypatch):
    """The names in each legend that is drawn, and whether it lies beside the title and within the page."""
    found = []
    draw = mpl_style.LegendLayout.draw

    def watched(self, axes, handles):
        draw(self, axes, handles)
        legend, page = axes.get_legend(), axes.figure
        page.canvas.draw()
        box, title = legend.get_window_extent(), page.texts[-1].get_window_extent()
        assert box.y1 <= title.y0 + 1
        assert box.x1 <= page.bbox.x1
        found.append([text.get_text() for text in legend.get_texts()])

    monkeypatch.setattr(mpl_style.LegendLayout, "draw", watched)
    return found


def test_a_legend_names_what_is_there_and_says_how_many_more(tmp_path, monkeypatch):
    found = named(monkeypatch)
    for classes, labels in ((17, torch.arange(60) % 17), (17, torch.full((60,), 16)), (30, torch.arange(60) % 30)):
        write_samples(tmp_path / "out.png", Samples(torch.randn(60, 2), labels), DataSpec((2,), classes=classes))
    wide = DataSpec((2,), classes=3, class_names=("W" * 30, "b", "c"))
    write_samples(tmp_path / "out.png", Samples(torch.randn(60, 2), torch.arange(60) % 3), wide)

    assert found == [
        [f"class {label}" for label in range(17)],
        ["class 16"],
        [*(f"class {label}" for label in range(20)), "… and 10 more"],
        ["W" * 14, "b", "c"],
    ]


def test_points_are_coloured_by_label(tmp_path, samples):
    write_samples(tmp_path / "out.png", samples, POINTS)

    assert {rgb(mpl_style.GROUPS[0]), rgb(mpl_style.GROUPS[1])} <= colours(tmp_path / "out.png")
    assert rgb(mpl_style.GROUPS[2]) not in colours(tmp_path / "out.png")


@pytest.mark.parametrize("width", [1, 2, 5])
def test_points_of_any_width_even_when_some_are_not_finite(tmp_path, width):
    values = torch.randn(40, width, generator=torch.Generator().manual_seed(0))
    values[3, 0] = float("nan")
    write_samples(tmp_path / "out.png", Samples(values), DataSpec((width,)))

    assert rgb(mpl_style.GENERATED) in colours(tmp_path / "out.png")


def test_nothing_finite_is_an_empty_picture(tmp_path):
    for width in (1, 2):
        write_samples(tmp_path / "out.png", Samples(torch.full((4, width), float("nan"))), DataSpec((width,)))
        assert rgb(mpl_style.GENERATED) not in colours(tmp_path / "out.png")


@pytest.mark.parametrize("name", ["out.jpg", "out", "out.npy"])
def test_another_ending_is_the_users_to_mend(tmp_path, samples, name):
    with pytest.raises(UsageError, match=r"name a file that ends in \.png or \.npz or \.csv"):
        write_samples(tmp_path / name, samples, POINTS)
    assert not list(tmp_path.iterdir())


def test_a_file_is_replaced_as_a_whole(tmp_path, samples):
    path = tmp_path / "out.csv"
    path.write_text("x" * 10_000)
    write_samples(path, samples, POINTS)

    assert path.read_text().startswith("x0,x1,label")
    assert [found.name for found in tmp_path.iterdir()] == ["out.csv"]


def test_a_folder_that_refuses_is_named(tmp_path, samples):
    (tmp_path / "file").write_text("")

    with pytest.raises(StorageError, match="file"):
        write_samples(tmp_path / "file" / "out.csv", samples, POINTS)
