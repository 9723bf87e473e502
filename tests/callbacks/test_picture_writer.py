from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from ganforge.callbacks.picture_writer import pictures
from ganforge.core.events import Evaluated, SamplesDrawn, Stepped
from ganforge.core.records import Codes, Latent, LogitGrid, Samples
from ganforge.core.specs import DataSpec, LatentSpec
from ganforge.figures import mpl_style
from ganforge.figures.plot_data import optimal_discriminator
from ganforge.figures.sample_figures import LineFigure, PlaneFigure, make_sample_figure
from ganforge.storage.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(tmp_path, "moons", "vanilla")


def draw(folder, stream):
    recorded = []
    with pictures(folder, title="Two moons", recorded=lambda *record: recorded.append(record)) as handle:
        for event in stream:
            handle(event)
    return [one for one in recorded if one[0] != "images/real"]


def read(path):
    return np.asarray(Image.open(path).convert("RGB"))


def near(picture, colour, tolerance=24):
    """Pixels of about this colour."""
    red, green, blue = (int(colour[start : start + 2], 16) for start in (1, 3, 5))
    return (np.abs(picture.astype(int) - (red, green, blue)).max(axis=2) <= tolerance).sum()


@pytest.mark.parametrize("kind", ["moons", "bell", "images"])
def test_each_picture_is_a_recorded_file_of_the_same_size(folder, events, kind):
    recorded = draw(folder, events(kind, every=50))

    paths = [folder.pictures / f"samples-{iteration:08}.png" for iteration in (0, 50, 100)]
    assert recorded == [("images/samples", iteration, path) for iteration, path in zip((0, 50, 100), paths, strict=True)]
    shapes = {read(path).shape for path in paths}
    assert len(shapes) == 1
    assert not np.array_equal(read(paths[0]), read(paths[-1]))


def test_real_images_are_drawn_once_in_the_same_form(folder, events):
    recorded = []
    for _ in range(2):  # as in a resumed run
        with pictures(folder, title="Digits", recorded=lambda *record: recorded.append(record)) as handle:
            for event in events("images", every=50):
                handle(event)

    assert [path for key, _, path in recorded if key == "images/real"] == [folder.pictures / "real.png"]
    real, fake = read(folder.pictures / "real.png"), read(folder.pictures / "samples-00000100.png")
    assert abs(real.shape[1] / fake.shape[1] - 1) < 0.3
    assert real.std() > 10


def test_points_are_coloured_by_code_on_grey_real_ones(folder, events):
    paths = [path for _, _, path in draw(folder, events("moons", every=100))]
    picture = read(paths[-1])

    assert near(picture, mpl_style.GROUPS[0]) > 200
    assert near(picture, mpl_style.GROUPS[1]) > 200
    assert near(picture, mpl_style.REAL) > 200
    assert near(picture, mpl_style.GROUPS[2]) < 20
    assert near(picture, mpl_style.HALF, 50) > 300  # D = ½


def test_the_discriminators_output_lies_where_its_points_lie(events):
    started, drawn, *_ = events("moons", every=100)
    figure = PlaneFigure(started, "title")
    (left, right), (bottom, top) = figure._plane.limits
    xs, ys = np.meshgrid(np.linspace(left, (left + right) / 2, 31), np.linspace(bottom, top, 31), indexing="ij")
    points = torch.from_numpy(np.column_stack([xs.ravel(), ys.ravel()]))
    logits = torch.where(points[:, 1] > (bottom + top) / 2, 50.0, -50.0)
    far_away = Samples(torch.full((200, 2), 1e6), latent=drawn.fake.latent)

    picture = figure.draw(replace(drawn, fake=far_away, logit_grid=LogitGrid(points, logits, (31, 31))))

    box = figure._axes.get_window_extent()
    inside = picture[-int(box.y1) + 3 : -int(box.y0) - 3, int(box.x0) + 3 : int(box.x1) - 3]
    height, width = inside.shape[0] // 2, inside.shape[1] // 2
    fake, _, real = mpl_style.FIELD
    assert near(inside[: height - 20, : width - 20], real, 3) > 0.8 * height * width
    assert near(inside[height + 20 :, : width - 20], fake, 3) > 0.8 * height * width
    assert near(inside[:, width + 20 :], "#ffffff", 3) > 1.5 * height * width  # nothing is known there


def test_a_legend_of_more_labels_than_colours_says_how_many_more(events):
    started = next(iter(events("moons", every=100)))
    many = replace(started, data=replace(started.data, classes=17, class_names=()), latent=replace(started.latent, classes=17))

    names = [text.get_text() for text in PlaneFigure(many, "title")._axes.get_legend().get_texts()]

    assert names[:2] == ["real", "class 0"]
    assert names[10:12] == ["class 9", "… 7 more"]


def test_axes_stay_where_they_are_however_far_the_samples_stray(events):
    stream = list(events("moons", every=100))
    figure = PlaneFigure(stream[0], "title")
    stray = Samples(torch.full((200, 2), 50.0), latent=stream[1].fake.latent)

    first = figure.draw(stream[1])
    lost = figure.draw(SamplesDrawn(1, stray, stream[1].logit_grid))
    again = figure.draw(stream[1])

    assert (figure._axes.get_xlim(), figure._axes.get_ylim()) == tuple(map(tuple, figure._plane.limits))
    box = figure._axes.get_window_extent()
    inside = np.s_[-int(box.y1) : -int(box.y0) - 2, int(box.x0) + 2 : int(box.x1)]
    assert near(first[inside], mpl_style.GROUPS[0], 50) > 200
    assert near(lost[inside], mpl_style.GROUPS[0], 50) == 0
    np.testing.assert_array_equal(first, again)


def test_the_first_figure_of_the_paper(events):
    """Both densities, D(x) and D*(x) = p_data / (p_data + p_g), and noise mapped to samples."""
    stream = list(events("bell", every=100))
    figure = LineFigure(stream[0], "Figure 1")
    figure.draw(stream[-2])
    curves = figure._curves

    across, known = figure._points, np.exp(-(figure._points**2) / 2) / np.sqrt(2 * np.pi)
    generated = curves["generated"].get_ydata()
    np.testing.assert_allclose(curves["optimum"].get_ydata(), optimal_discriminator(known, generated))
    middle = np.abs(across) < 1
    np.testing.assert_allclose(curves["optimum"].get_ydata()[middle], 0.5, atol=0.1)
    np.testing.assert_allclose(curves["discriminator"].get_ydata(), 0.5)  # the last field is zero everywhere
    segments = np.array(figure._mapping.get_segments())
    assert segments.shape == (25, 2, 2)
    assert (np.diff(segments[:, 0, 0]) > 0).all()
    assert (np.diff(segments[:, 1, 0]) > 0).all()  # the generator of the fixture is monotone


def test_images_are_native_pixels_enlarged(folder, events):
    path = draw(folder, events("images", every=100))[-1][2]
    picture = read(path)

    assert picture.shape == (71 * 9, 71 * 9, 3)  # 8 × 8 images of 8 pixels and 7 gaps, 9 times as large
    assert (picture[:72, :72] == 128).all()  # value 0 of [-1, 1]
    assert (picture[:72, 72:81] == 255).all()


@pytest.mark.parametrize("kind", ["moons", "bell", "images"])
def test_samples_and_fields_that_are_not_finite_are_drawn_as_far_as_they_go(folder, events, kind):
    stream = [
        SamplesDrawn(event.iteration, Samples(event.fake.values * float("nan"), None, event.fake.latent), None)
        if isinstance(event, SamplesDrawn)
        else event
        for event in events(kind, every=100)
    ]

    assert len(draw(folder, stream)) == 2


def test_wide_points_without_field_or_groups(folder, events):
    started = next(events())
    wide = type(started)(
        0,
        1,
        "cpu",
        DataSpec((5,)),
        LatentSpec(2),
        {},
        "generator",
        None,
        {},
        {},
        Samples(torch.randn(50, 5, generator=torch.Generator().manual_seed(0))),
    )

    assert len(draw(folder, [wide, SamplesDrawn(0, Samples(torch.zeros(10, 5), latent=Latent(torch.zeros(10, 2))), None)])) == 1


def test_a_title_is_no_formula_and_no_control_code(events):
    figure = make_sample_figure(next(events()), "costs $5 and $6\n\x1b[31m")

    assert figure.draw(list(events())[1]).shape[2] == 3


@pytest.mark.parametrize("kind", ["moons", "bell"])
def test_a_long_title_stops_before_the_iteration(events, kind):
    def heading(title):
        stream = list(events(kind))
        picture = make_sample_figure(stream[0], title).draw(stream[1])
        return (picture[20:50] < 200).any(axis=(0, 2))  # columns of the heading that hold ink

    long, none = heading("a title of many words, " * 6), heading("")
    begin = np.flatnonzero(none).min()  # where "iteration 0" begins
    assert long[:begin].any()
    assert not long[begin - 15 : begin].any()
    assert (long[begin:] == none[begin:]).all()


@pytest.mark.parametrize("kind", ["moons", "bell"])
def test_a_failing_discriminator_causes_one_warning_and_is_not_drawn_as_before(folder, events, kind, caplog):
    started, first, *_, last, _ = (event for event in events(kind, every=50) if not isinstance(event, Stepped | Evaluated))
    lost = replace(last, logit_grid=None, grid_error="RuntimeError: no statistics yet")
    draw(folder, [started, first, lost, lost])
    (text,) = caplog.messages
    assert "iteration 100 lacks the discriminator" in text
    assert "no statistics yet; training continues" in text

    figure, blank = make_sample_figure(started, ""), make_sample_figure(started, "")
    figure.draw(first)
    assert np.array_equal(figure.draw(lost), blank.draw(lost))


def test_a_full_disk_causes_one_warning_and_later_pictures_are_tried(folder, events, caplog):
    stream = events(every=25)
    folder.pictures.rmdir()
    folder.pictures.write_text("not a folder")
    recorded = []
    with pictures(folder, title="", recorded=lambda *record: recorded.append(record)) as handle:
        for event in stream:
            if isinstance(event, SamplesDrawn) and event.iteration == 75:
                folder.pictures.unlink()
            handle(event)

    assert len(caplog.messages) == 1
    assert caplog.messages[0].startswith("no pictures from iteration 0 on: cannot write")
    assert [iteration for _, iteration, _ in recorded] == [75, 100]


def test_images_of_one_label_or_code_lie_in_one_row_with_its_name(events):
    shades = torch.tensor([0.9, -0.9]).repeat(35)  # codes 1 and 0 in turn
    latent = Latent(torch.zeros(70, 4), codes=Codes((shades > 0).long()[:, None], torch.zeros(70, 0)))
    samples = Samples(shades[:, None, None, None].expand(70, 1, 8, 8), latent=latent)
    started = replace(next(events("images")), latent=LatentSpec(4, categorical=(2,)))

    drawn = make_sample_figure(started, "").draw(SamplesDrawn(3, samples, None))

    # 35 of each: four rows of ten places for each, of which the last has five
    factor = 640 // 89
    sheet = drawn[:, -89 * factor :]
    assert drawn.shape[1] > 89 * factor
    greys = [[int(sheet[(9 * row + 4) * factor, (9 * column + 4) * factor, 0]) for column in (0, 4, 9)] for row in range(8)]
    assert greys == [[13, 13, 13]] * 3 + [[13, 13, 255]] + [[242, 242, 242]] * 3 + [[242, 242, 255]]
