"""Walks of small generators, drawn: what lies where on a sheet, and what a frame shows."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from ganforge.builtin.samplers import (
    LabelledParams,
    NormalParams,
    StructuredParams,
    UniformParams,
    build_labelled,
    build_normal,
    build_structured,
    build_uniform,
)
from ganforge.core.contracts import SamplerContext
from ganforge.core.errors import StorageError, UsageError
from ganforge.core.specs import DataSpec
from ganforge.figures import mpl_style
from ganforge.runs.latent_figures import interpolation, traversal, write_figures
from ganforge.runs.latent_grids import slerp
from ganforge.runs.loaded_generator import LoadedGenerator

IMAGES = DataSpec((1, 4, 4), classes=3, class_names=("ant", "bee", "cat"), value_range=(-1.0, 1.0))
POINTS, NUMBERS, WIDE = DataSpec((2,), classes=3), DataSpec((1,)), DataSpec((5,))


class Shade(nn.Module):
    """Images of one grey: the first dimension of the noise; or 0.1 of the label, or half of the last continuous code."""

    def __init__(self, says):
        super().__init__()
        self.says, self.scale = says, nn.Parameter(torch.ones(()))

    def forward(self, latent):
        messages = {
            "noise": lambda: latent.noise[:, 0],
            "label": lambda: latent.labels / 10,
            "code": lambda: latent.codes.continuous[:, -1] / 2,
        }[self.says]()
        return (self.scale * messages)[:, None, None, None].expand(-1, 1, 4, 4)


class Plain(nn.Module):
    """Points: the first dimensions of the noise."""

    def __init__(self, width):
        super().__init__()
        self.width = width

    def forward(self, latent):
        return latent.noise[:, : self.width]


def generator_of(network, data, build, **params):
    kinds = {build_labelled: LabelledParams, build_structured: StructuredParams, build_normal: NormalParams}
    sampler = build(kinds.get(build, UniformParams)(**params), SamplerContext(data))
    return LoadedGenerator(network, sampler, data, sampler.spec, 0, Path(), "generator")


def latents(one, count=16):
    return one.sampler.draw(count, torch.Generator().manual_seed(0))


def opened(content):
    return Image.open(io.BytesIO(content))


def greys(content, rows, columns):
    """The grey of each image of a sheet, right of the captions, as the generator returned it."""
    picture = np.asarray(opened(content).convert("L")).astype(float)
    factor = 1024 // (max(rows, columns) * 5 - 1)
    sheet = picture[:, -((5 * columns - 1) * factor) :]
    assert sheet.shape == ((5 * rows - 1) * factor, (5 * columns - 1) * factor)
    return sheet[2 * factor :: 5 * factor, 2 * factor :: 5 * factor] / 127.5 - 1


def near(picture, colour):
    """Pixels of about this colour."""
    wanted = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
    return int((np.abs(picture - wanted).max(axis=2) <= 24).sum())


def frames(content):
    animation = opened(content)
    for at in range(animation.n_frames):
        animation.seek(at)
        yield np.asarray(animation.convert("RGB"))


def test_rows_of_an_interpolation_go_from_one_latent_to_another():
    one = generator_of(Shade("noise"), IMAGES, build_normal, size=6)
    ends = latents(one, 6)
    ends.noise.mul_(0.2)

    found = greys(interpolation(one, ends, ".png", steps=7), 3, 7)

    expected = slerp(ends.noise[0::2], ends.noise[1::2], torch.linspace(0, 1, 7))[..., 0]
    np.testing.assert_allclose(found, expected, atol=0.006)


def test_an_interpolation_may_be_asked_to_go_straight():
    one = generator_of(Shade("noise"), IMAGES, build_normal, size=6)
    ends = latents(one, 2)
    ends.noise.mul_(0.2)

    found = greys(interpolation(one, ends, ".png", steps=3, method="linear"), 1, 3)

    np.testing.assert_allclose(found[0, 1], (ends.noise[0, 0] + ends.noise[1, 0]) / 2, atol=0.006)


def test_walks_are_in_the_order_of_their_labels():
    one = generator_of(Shade("label"), IMAGES, build_labelled, size=2)
    ends = latents(one)

    found = greys(interpolation(one, ends, ".png"), 8, 10)

    expected = np.sort(ends.labels[::2].numpy()) / 10
    np.testing.assert_allclose(found, np.tile(expected[:, None], 10), atol=0.006)


def test_a_sheet_of_labels_has_their_names_and_ten_columns():
    one = generator_of(Shade("label"), IMAGES, build_labelled, size=2)
    content = traversal(one, latents(one), ".png")

    np.testing.assert_allclose(greys(content, 3, 10), np.tile([[0.0], [0.1], [0.2]], 10), atol=0.006)
    margin = np.asarray(opened(content).convert("L"))[:, :20]
    assert (margin < 200).any()


def test_columns_of_labels_have_the_same_noise():
    one = generator_of(Shade("noise"), IMAGES, build_labelled, size=2)
    drawn = latents(one, 5)
    drawn.noise.mul_(0.2)

    np.testing.assert_allclose(greys(traversal(one, drawn, ".png", steps=5), 3, 5), drawn.noise[:, 0].expand(3, 5), atol=0.006)


def test_a_swept_code():
    one = generator_of(Shade("code"), IMAGES, build_structured, size=2, categorical=(2,), continuous=1)

    found = greys(traversal(one, latents(one), ".png", code=1, steps=5), 2, 5)

    np.testing.assert_allclose(found, np.tile([-0.5, -0.25, 0, 0.25, 0.5], (2, 1)), atol=0.006)


def test_rows_are_counted_where_nothing_else_makes_them():
    one = generator_of(Shade("noise"), IMAGES, build_uniform, size=2)

    found = greys(traversal(one, latents(one), ".png", noise=0, steps=3, rows=4), 4, 3)

    np.testing.assert_allclose(found, np.tile([-1.0, 0, 1], (4, 1)), atol=0.006)
    assert greys(traversal(one, latents(one, 2), ".png", noise=0, steps=3, rows=4), 4, 3).shape == (4, 3)


def test_an_animation_goes_there_and_back_and_a_frame_is_a_step():
    one = generator_of(Shade("noise"), IMAGES, build_uniform, size=1)

    found = list(frames(traversal(one, latents(one), ".gif", noise=0, steps=5, rows=1)))

    shades = [int(frame[0, 0, 0]) for frame in found]
    assert len(found) == 8
    np.testing.assert_allclose(shades, [0, 64, 128, 191, 255, 191, 128, 64], atol=12)  # a palette of 96 colours
    assert opened(interpolation(one, latents(one), ".gif")).n_frames == 46


def test_an_animation_of_labels_walks_smoothly_through_the_noise():
    one = generator_of(Shade("noise"), IMAGES, build_labelled, size=4)
    drawn = latents(one)
    drawn.noise.mul_(0.2)

    found = np.array([frame[5, 5, 0] for frame in frames(traversal(one, drawn, ".gif"))], dtype=float) / 127.5 - 1

    start, end = drawn.noise[:2, 0].tolist()
    assert found[0] == pytest.approx(start, abs=0.05)
    assert np.abs(found - end).min() < 0.05
    assert np.abs(np.diff(found)).max() < abs(end - start) / 4


@pytest.mark.parametrize("data", [POINTS, WIDE, NUMBERS])
@pytest.mark.parametrize("ending", [".png", ".gif"])
def test_points_are_paths_over_a_cloud(data, ending):
    one = generator_of(Plain(data.size), data, build_normal, size=data.size)

    content = interpolation(one, latents(one, 4), ending)
    again = traversal(one, latents(one), ending)

    first = np.asarray(opened(content).convert("RGB")).astype(int)
    assert [near(first, shade) > 20 for shade in mpl_style.GROUPS[:3]] == [True, True, False]
    assert data.size == 1 or near(first, mpl_style.REAL) > 2500
    assert near(np.asarray(opened(again).convert("RGB")).astype(int), mpl_style.GROUPS[0]) > 20
    assert {getattr(opened(one), "n_frames", 1) for one in (content, again)} == {46 if ending == ".gif" else 1}


def test_paths_of_one_label_have_one_colour_and_one_name():
    one = generator_of(Plain(2), POINTS, build_labelled, size=2)
    drawn = latents(one, 8)
    drawn.labels[:] = torch.tensor([1, 0, 1, 1, 0, 0, 0, 0])

    picture = np.asarray(opened(interpolation(one, drawn, ".png"))).astype(int)

    assert [near(picture, shade) > 20 for shade in mpl_style.GROUPS[:3]] == [True, True, False]


@pytest.mark.parametrize("width", [6.4, 4.8])
def test_the_legend_of_paths_fits_and_says_how_many_more_there_are(width):
    key = mpl_style.layout_legend([f"class {label}" for label in range(23)], 0.85 * width)

    assert key.names[-2:] == ("class 19", "… and 3 more")
    _, axes = mpl_style.figure(width, 6)
    axes.figure.subplots_adjust(left=0.12, right=0.97, top=0.6)
    key.draw(axes, [axes.plot([0])[0] for _ in range(20)])
    axes.figure.canvas.draw()
    box = axes.get_legend().get_window_extent()
    assert box.x1 <= axes.figure.bbox.x1
    assert box.height <= 1.1 * key.height * axes.figure.dpi


def test_the_legend_of_tall_paths_is_not_cut_off(monkeypatch):
    class Tall(nn.Module):
        def forward(self, latent):
            return latent.noise[:, :2] * torch.tensor([0.1, 10.0])

    pages = []
    render = mpl_style.render
    monkeypatch.setattr(mpl_style, "render", lambda page: pages.append(page) or render(page))
    one = generator_of(Tall(), DataSpec((2,), classes=17), build_labelled, size=2)
    interpolation(one, latents(one, 68), ".png", steps=3)

    (page,) = pages
    assert page.axes[0].get_legend().get_window_extent().x1 <= page.bbox.x1


def test_what_is_not_finite_is_left_out(recwarn):
    class Broken(nn.Module):
        def forward(self, latent):
            return latent.noise[:, :2] / 0 if latent.noise[0, 0] > -9 else latent.noise

    one = generator_of(Broken(), POINTS, build_normal, size=2)

    assert opened(interpolation(one, latents(one), ".png")).size[0] > 400
    assert [str(warning.message) for warning in recwarn] == []


def test_points_of_three_dimensions_of_which_none_is_finite():
    class Broken(nn.Module):
        def forward(self, latent):
            return latent.noise[:, :3] * torch.nan

    one = generator_of(Broken(), DataSpec((3,)), build_normal, size=3)

    for ending in (".png", ".gif"):
        assert opened(interpolation(one, latents(one, 4), ending, steps=3)).size[0] > 400
        assert opened(traversal(one, latents(one, 4), ending, steps=3)).size[0] > 400


def test_the_generator_is_left_as_it_was():
    network = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(2))

    class Normed(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = network

        def forward(self, latent):
            return self.inner(latent.noise)

    one = generator_of(Normed().train(), POINTS, build_normal, size=2)
    before = {key: value.clone() for key, value in one.network.state_dict().items()}
    interpolation(one, latents(one), ".png")

    assert all(torch.equal(before[key], value) for key, value in one.network.state_dict().items())
    assert one.network.training


def test_files_are_written_by_their_endings(tmp_path):
    asked = []

    def drawn(ending):
        asked.append(ending)
        return ending.encode()

    write_figures([tmp_path / "a" / "walk.PNG", tmp_path / "walk.gif"], drawn)

    assert asked == [".png", ".gif"]
    assert (tmp_path / "a" / "walk.PNG").read_bytes() == b".png"


def test_another_ending_is_refused_before_anything_is_drawn(tmp_path):
    with pytest.raises(UsageError, match=r"walk\.mp4 does not end in") as caught:
        write_figures([tmp_path / "walk.png", tmp_path / "walk.mp4"], lambda _: pytest.fail("drawn"))
    assert ".png or .gif" in caught.value.remedy


def test_a_folder_is_refused_before_anything_is_written(tmp_path):
    (tmp_path / "folder.gif").mkdir()
    with pytest.raises(UsageError, match=r"folder\.gif is a folder"):
        write_figures([tmp_path / "good.png", tmp_path / "folder.gif"], lambda _: pytest.fail("drawn"))


def test_a_disk_that_refuses_is_reported(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match="cannot write"):
        write_figures([tmp_path / "file" / "walk.png"], lambda _: b"")
