"""Pictures from a folder, in memory and streamed."""

from __future__ import annotations

import logging
import os
import re
import socket
import struct
import warnings
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL
import pytest
import torch
from PIL import Image

from ganforge.plugin import DataError, SampleSource, StreamingDataset
from ganforge.testing import check_component


@pytest.fixture
def picture(tmp_path):
    """``picture(path, size=(w, h), colour=…)`` writes one below ``pictures``."""

    def picture(path, size=(8, 8), colour="red", mode="RGB", **options):
        file = tmp_path / "pictures" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new(mode, size, colour).save(file, **options)
        return file

    return picture


@pytest.fixture
def build(dataset):
    return lambda **params: dataset("image-folder", **{"folder": "pictures", **params})


def test_pictures_come_as_bytes_in_the_order_of_their_names(build, picture):
    for name, colour in (("b.png", (0, 255, 0)), ("a.jpg", (0, 0, 0)), ("c.bmp", (255, 255, 255)), ("d.gif", (255, 255, 255))):
        picture(name, colour=colour)
    made = build(held_out=0.25)
    both = torch.cat([made.training().values, made.held.values])

    assert made.spec.shape == (3, 8, 8)
    assert made.spec.classes is None
    assert both.dtype == torch.uint8
    assert len(made.training()) == 3
    assert (made.training().values[0] < 3).all()
    assert torch.equal(made.training().values[1, :, 0, 0], torch.tensor([0, 255, 0], dtype=torch.uint8))
    assert made.held_out(9, torch.Generator()).values.dtype == torch.float32


def test_subfolders_are_classes(build, picture):
    for number in range(10):
        picture(f"dogs/far/{number}.png", colour="black")
        picture(f"cats/{number}.png", colour="white")
    for number in range(20):
        picture(f"owls/{number}.png", colour="gray")
    made = build(held_out=0.1)
    train = made.training()

    assert made.spec.class_names == ("cats", "dogs", "owls")
    assert train.labels.bincount().tolist() == [9, 9, 18]
    assert made.spec.class_shares == (0.25, 0.25, 0.5)
    assert {(label, value) for label, value in zip(train.labels.tolist(), train.values[:, 0, 0, 0].tolist(), strict=True)} == {
        (0, 255),
        (1, 0),
        (2, 128),
    }


def test_labels_only_where_they_say_something(build, picture):
    picture("all/1.png")
    picture("all/2.png")
    assert build().spec.classes is None
    with pytest.raises(DataError, match="all pictures are of one class, 'all'"):
        build(labels=True)
    picture("more/3.png")
    assert build().spec.classes == 2
    assert build(labels=False).spec.classes is None


def test_a_picture_without_a_label(build, picture):
    picture("cats/1.png")
    picture("dogs/1.png")
    loose = picture("3.png")
    for labels in (None, True):
        with pytest.raises(DataError) as caught:
            build(labels=labels)
        assert f"{loose} is in no sub-folder, so it has no label (1 of 3 pictures have none)" in caught.value.message
        assert "labels = false" in caught.value.remedy
    assert len(build(labels=False).training()) == 2


def test_the_middle_is_cut_out_and_resized(build, tmp_path):
    pixels = np.zeros((20, 40, 3), np.uint8)
    pixels[:, 10:30] = 100  # the largest centred square
    pixels[5:15, 15:25] = 200  # the centred square of 10 pixels
    (tmp_path / "pictures").mkdir()
    for name in ("1.png", "2.png"):
        Image.fromarray(pixels).save(tmp_path / "pictures" / name)

    largest, inner = build(size=20).training().values[0], build(crop=10).training().values[0]
    assert torch.equal(largest[0].unique(), torch.tensor([100, 200], dtype=torch.uint8))
    assert inner.shape == (3, 10, 10)
    assert (inner == 200).all()
    assert build(crop=10, size=4).spec.shape == (3, 4, 4)
    assert build().spec.shape == (3, 20, 40)


def test_grey(build, picture):
    picture("1.png", colour=(255, 0, 0))
    picture("2.png", colour=(255, 0, 0))
    values = build(grayscale=True, value_range=(0.0, 1.0)).training().values
    assert values.shape == (1, 1, 8, 8)
    assert (values == 76).all()  # 0.299 of red, as ITU-R 601 weighs it


def test_pictures_stand_upright_and_what_is_transparent_is_white(build, picture):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90°
    picture("1.jpg", size=(8, 4), exif=exif)
    picture("2.png", size=(4, 8), mode="RGBA", colour=(0, 0, 0, 0))
    made = build(held_out=0.5)
    assert made.spec.shape == (3, 8, 4)
    assert 255 in (made.training().values.min().item(), made.held.values.min().item())


def test_sizes_that_differ(build, picture):
    first, _, other = picture("1.png"), picture("2.png"), picture("3.png", size=(8, 9))
    with pytest.raises(DataError) as caught:
        build()
    assert f"{other} is 8×9, but {first} is 8×8 (1 differ from the first)" in caught.value.message
    assert "dataset.params.size" in caught.value.remedy
    assert build(size=8).spec.shape == (3, 8, 8)


@pytest.fixture
def odd_files(picture, tmp_path):
    folder = tmp_path / "pictures"
    for number in range(4):
        picture(f"good{number}.png")
    corrupt = picture("corrupt.jpg", size=(64, 64))
    corrupt.write_bytes(corrupt.read_bytes()[:-200])
    (folder / "note.txt").write_text("no picture")
    (folder / "empty.png").write_bytes(b"")
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(folder / "deep.png")
    frames = [Image.new("L", (8, 8), shade) for shade in (0, 255)]
    frames[0].save(folder / "moving.gif", save_all=True, append_images=frames[1:])
    for name in (".hidden", "Thumbs.db"):
        (folder / name).write_text("litter")
    return {
        "corrupt.jpg": "is damaged: ",
        "note.txt": "is not a picture that Pillow can read",
        "empty.png": "is not a picture that Pillow can read",
        "deep.png": "has more than eight bits per channel (Pillow's mode I;16",
        "moving.gif": "is an animation of 2 frames",
    }


def test_every_broken_or_odd_file_is_named(build, odd_files, tmp_path):
    with pytest.raises(DataError) as caught:
        build()
    assert caught.value.message.startswith("5 files cannot be used:")
    for name, reason in odd_files.items():
        assert f"{tmp_path / 'pictures' / name} {reason}" in caught.value.message
    assert "Thumbs" not in caught.value.message
    assert "skip_broken = true" in caught.value.remedy


def test_they_are_left_out_if_asked_and_named_all_the_same(build, odd_files, caplog):
    with caplog.at_level(logging.WARNING):
        made = build(skip_broken=True)
    assert len(made.training()) + len(made.held) == 4
    assert "5 files skipped" in caplog.text
    assert all(name in caplog.text for name in odd_files)


def test_a_picture_smaller_than_the_square(build, picture):
    picture("1.png", size=(20, 20))
    small = picture("2.png", size=(20, 9))
    with pytest.raises(DataError, match=r"2\.png is 20×9, smaller than crop = 10"):
        build(crop=10)
    assert small.exists()


def test_a_picture_too_large_to_be_meant(build, picture, monkeypatch):
    picture("1.png", size=(20, 20))
    picture("2.png", size=(4, 4))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)
    with pytest.raises(DataError, match=r"1\.png is damaged: Image size \(400 pixels\) exceeds limit"):
        build(size=4)


@pytest.mark.parametrize("stream", ["auto", True])
def test_a_large_first_picture_prints_no_warning_of_pillows(build, picture, monkeypatch, stream):
    picture("1.png", size=(20, 20))
    picture("2.png", size=(4, 4))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)
    with warnings.catch_warnings(record=True) as shown, pytest.raises(DataError, match=r"1\.png is damaged"):
        warnings.simplefilter("always")
        build(size=4, stream=stream)
    assert shown == []


def deep_png(channels):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">2I5B", 8, 8, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = zlib.compress(bytes(8 * (1 + 8 * channels * 2)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("name", "raw"),
    [(f"{channels}.png", deep_png(channels)) for channels in (2, 3, 4)] + [("3.ppm", b"P6 8 8 65535\n" + bytes(8 * 8 * 6))],
)
def test_sixteen_bits_are_refused_in_colour_too(build, picture, tmp_path, name, raw, stream):
    picture("a.png")
    picture("b.ppm")
    (tmp_path / "pictures" / name).write_bytes(raw)
    with pytest.raises(DataError, match=rf"1 file cannot be used:\n.+{name} has more than eight bits"):
        build(stream=stream)


@pytest.mark.parametrize("stream", ["auto", True])
def test_what_is_no_regular_file_is_named_and_never_opened(build, picture, tmp_path, monkeypatch, caplog, stream):
    picture("a.png")
    picture("b.png")
    folder = tmp_path / "pictures"
    os.mkfifo(folder / "0.png")
    (folder / "link.png").symlink_to("0.png")
    (folder / "null.png").symlink_to("/dev/null")
    monkeypatch.chdir(folder)  # names of sockets are short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s.png")
    messages = ("0.png is a FIFO", "link.png is a FIFO", "null.png is a device", "s.png is a socket")
    with pytest.raises(DataError, match="4 files cannot be used") as caught:
        build(stream=stream)
    assert all(f"{folder}/{one}, not a file" in caught.value.message for one in messages)
    made = build(stream=stream, skip_broken=True)
    assert len(made.training()) + len(made.held_out(9, torch.Generator())) >= 2
    assert all(one in caplog.text for one in messages)


def test_a_folder_that_cannot_be_listed_is_named(build, picture, tmp_path, monkeypatch, caplog):
    for kind in ("cats", "dogs", "owls"):
        picture(f"{kind}/1.png")
        picture(f"{kind}/2.png")
    listed = os.scandir

    def refusing(place):  # root may list everything
        if Path(place).name == "owls":
            raise PermissionError(13, "Permission denied", place)
        return listed(place)

    monkeypatch.setattr("os.scandir", refusing)
    messages = f"{tmp_path / 'pictures' / 'owls'} cannot be listed: Permission denied"
    with pytest.raises(DataError) as caught:
        build()
    assert messages in caught.value.message
    assert build(skip_broken=True).spec.class_names == ("cats", "dogs")
    assert messages in caplog.text


@pytest.mark.parametrize("files", [[], ["note.txt"], ["one.png"]])
def test_a_folder_without_pictures(build, picture, tmp_path, files):
    (tmp_path / "pictures").mkdir()
    for name in files:
        picture(name) if name.endswith("png") else (tmp_path / "pictures" / name).write_text("")
    with pytest.raises(DataError, match=r"pictures: contains (no pictures|1 picture) \(") as caught:
        build(skip_broken=True)
    assert caught.value.remedy


def test_no_folder(build, tmp_path):
    with pytest.raises(DataError, match="there is no folder") as caught:
        build()
    assert str(tmp_path / "pictures") in caught.value.message


def test_links_are_followed_once(build, picture, tmp_path):
    picture("cats/1.png")
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    Image.new("RGB", (8, 8)).save(elsewhere / "1.png")
    (tmp_path / "pictures" / "dogs").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(tmp_path / "pictures")
    made = build(held_out=0.5)
    assert made.spec.class_names == ("cats", "dogs")
    assert len(made.training()) + len(made.held) == 2


def test_a_link_to_a_class_takes_nothing_from_it(build, picture, tmp_path):
    for number in range(2):
        picture(f"real/{number}.png")
    (tmp_path / "pictures" / "alias").symlink_to("real")
    (tmp_path / "pictures" / "real" / "round").symlink_to("..")
    made = build(held_out=0.5)
    assert made.spec.class_names == ("alias", "real")
    assert len(made.training()) + len(made.held) == 4


SIZES = [(8, 8), (12, 9), (9, 20)]


@pytest.fixture
def pictures(tmp_path):
    """Thirty pictures of noise, of three sizes, in three classes, some of them lying on their side."""
    draw = np.random.default_rng(0)
    for number in range(30):
        folder = tmp_path / "pictures" / ("cats", "dogs", "owls")[number % 3]
        folder.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(draw.integers(0, 256, (*SIZES[number % 3], 3), dtype=np.uint8))
        exif = Image.Exif()
        exif[0x0112] = 6 if number % 2 else 1
        image.save(folder / f"{number}.{('png', 'jpg')[number % 2]}", exif=exif)
    return tmp_path / "pictures"


@pytest.mark.parametrize(
    "params", [{"size": 6}, {"crop": 5, "grayscale": True}, {"size": 4, "crop": 8, "labels": False}, {"size": 4, "held_out": 0.5}]
)
def test_they_are_the_pictures_that_memory_would_hold(build, pictures, params):
    inside, streamed = build(stream=False, **params), build(stream=True, **params)
    source, train = streamed.streamed(), inside.training()

    assert isinstance(streamed, StreamingDataset)
    assert isinstance(source, SampleSource)
    assert not isinstance(inside, StreamingDataset)
    assert streamed.spec == inside.spec
    read, part = source.read(range(len(source))), streamed.training()
    for found in (read, part):
        assert torch.equal(found.values, train.values)
        assert found.labels is train.labels is None or torch.equal(found.labels, train.labels)
    for count in (3, 50):
        one, other = (made.held_out(count, torch.Generator().manual_seed(2)) for made in (inside, streamed))
        assert torch.equal(one.values, other.values)


def test_rows_come_in_the_order_asked_for(build, pictures):
    source = build(stream=True, size=4).streamed()
    some = source.read([5, 0, 5])
    assert torch.equal(some.values, torch.cat([source.read([row]).values for row in (5, 0, 5)]))
    assert torch.equal(some.labels, source.labels[[5, 0, 5]])


@pytest.mark.parametrize(("params", "streams"), [({}, False), ({"memory": 1e-6}, True), ({"memory": 3 * 36 * 30 / 2**30}, False)])
def test_auto_streams_what_is_too_large(build, pictures, params, streams):
    assert isinstance(build(size=6, **params), StreamingDataset) is streams


def test_a_part_stands_for_all_where_memory_is_wanted(build, pictures, monkeypatch):
    monkeypatch.setattr("ganforge.builtin.datasets.image_folder._SUBSET", 9)
    made = build(stream=True, size=4)
    part, everything = made.training(), made.streamed().read(range(len(made.streamed())))
    assert len(part) == 9
    assert part.labels.bincount().tolist() == [3, 3, 3]
    rows = {tuple(row) for row in everything.values.flatten(1).tolist()}
    assert {tuple(row) for row in part.values.flatten(1).tolist()} <= rows


@pytest.mark.parametrize("stream", [True, False])
def test_pictures_of_several_sizes_are_reported_from_their_heads(build, pictures, stream):
    with pytest.raises(DataError, match=r"cats/12\.png is 8×8|dogs/1\.jpg is 12×9|is \d+×\d+, but .+ is 8×8 \(\d+ differ"):
        build(stream=stream)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
@pytest.mark.parametrize("form", ["jpg", "png"])
def test_the_head_tells_the_size_of_a_picture_turned_upright(build, tmp_path, form, orientation):
    (tmp_path / "pictures").mkdir()
    exif = Image.Exif()
    exif[0x0112] = orientation
    for number in range(3):
        Image.new("RGB", (9, 5)).save(tmp_path / "pictures" / f"{number}.{form}", exif=exif)
    made = build(stream=True)
    assert made.spec.shape == build(stream=False).spec.shape == ((3, 5, 9) if orientation < 5 else (3, 9, 5))
    assert made.training().values.shape == (2, *made.spec.shape)


@pytest.mark.parametrize(
    ("harm", "messages"),
    [
        (lambda file: file.unlink(), r"cats/0\.png cannot be read: No such file or directory"),
        (lambda file: file.write_bytes(file.read_bytes()[:-30]), r"cats/0\.png is damaged: "),
        (lambda file: file.write_bytes(b"text"), r"cats/0\.png is not a picture that Pillow can read"),
        (lambda file: Image.new("L", (2, 2)).save(file), r"cats/0\.png is 2×2, smaller than crop = 5"),
    ],
)
def test_a_picture_that_changes_under_way_is_named(build, pictures, harm, messages):
    source = build(stream=True, crop=5).streamed()
    row = next(row for row, name in enumerate(source.files) if name.endswith("cats/0.png"))
    harm(pictures / "cats" / "0.png")
    source.read([row - 1 if row else row + 1])
    with pytest.raises(DataError, match=messages) as caught:
        source.read([row])
    assert "--resume" in caught.value.remedy


def test_a_picture_of_another_size_under_way_is_named(build, pictures):
    source = replace(build(stream=True, size=4).streamed(), shape=(3, 5, 5))
    with pytest.raises(DataError, match=r"\.png has changed its size from 5×5 to 4×4"):
        source.read([0])


def test_odd_files_are_reported_or_left_out_by_their_heads(build, pictures, caplog):
    (pictures / "cats" / "note.txt").write_text("no picture")
    with pytest.raises(DataError, match=r"1 file cannot be used:\n  .+note\.txt is not a picture that Pillow can read"):
        build(stream=True, size=4)
    made = build(stream=True, size=4, skip_broken=True)
    assert "note.txt" in caplog.text
    assert len(made.train) + len(made.held) == 30


def test_the_kit_passes_on_a_folder_that_is_streamed(components):
    streams = replace(components["dataset", "image-folder"], check_params={"folder": "images", "stream": True})
    assert {one.check for one in check_component(streams) if one.state != "passed"} == {"T03", "T05"}


def test_train_and_test_folders_are_not_taken_for_classes(build, picture):
    for part in ("train", "val"):
        for kind in ("cats", "dogs"):
            for number in range(2):
                picture(f"{part}/{kind}/{number}.png")
    with pytest.raises(DataError, match="sub-folders train, val look like parts of a data set") as caught:
        build()
    folder = re.search(r'dataset\.params\.folder = "([^"]*)"', caught.value.remedy)[1]
    assert build(folder=folder).spec.class_names == ("cats", "dogs")
    assert build(labels=True).spec.class_names == ("train", "val")
    assert build(labels=False).spec.classes is None


def test_classes_below_a_single_folder_are_reported(build, picture):
    for kind in ("cats", "dogs"):
        for number in range(2):
            picture(f"archive/{kind}/{number}.png")
    with pytest.raises(DataError, match="all pictures are in sub-folders of 'archive': cats, dogs") as caught:
        build()
    folder = re.search(r'dataset\.params\.folder = "([^"]*)"', caught.value.remedy)[1]
    assert build(folder=folder).spec.class_names == ("cats", "dogs")
    assert build(labels=False).spec.classes is None


def test_sub_folders_that_are_no_classes_are_named(build, picture, tmp_path, caplog):
    caplog.set_level("INFO", "ganforge")
    for number in range(2):
        picture(f"cats/{number}.png")
    assert build().spec.classes is None
    assert "all pictures are in the sub-folder 'cats', so they have no labels" in caplog.text
    for number in range(2):
        picture(f"dogs/{number}.png")
    for name in ("birds", ".hidden", "__MACOSX", "@eaDir"):
        (tmp_path / "pictures" / name).mkdir()
    assert build().spec.class_names == ("cats", "dogs")
    assert "1 sub-folders contain no pictures and are no classes: birds" in caplog.text


def test_litter_of_other_systems_is_skipped(build, picture, tmp_path):
    for number in range(2):
        picture(f"{number}.png")
    folder = tmp_path / "pictures"
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._0.png", "__MACOSX/._0.png", "__MACOSX/0.png", "@eaDir/0.png/SYNO.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"no picture")
    assert len(build().training()) == 1


UNUSABLE = {
    "a.heic": "is HEIC: convert it to JPEG",
    "a.dng": "is raw data of a camera",
    "a.svg": "is a vector drawing",
    "a.zip": "is an archive: unpack it",
    "a.mov": "is a video",
    "labels.csv": "is not a picture that Pillow can read",
}


def test_each_unusable_file_is_named_with_what_to_do(build, picture, tmp_path):
    for number in range(2):
        picture(f"{number}.png")
    for name in UNUSABLE:
        (tmp_path / "pictures" / name).write_bytes(b"no picture")
    with pytest.raises(DataError) as caught:
        build()
    for name, text in UNUSABLE.items():
        assert f"{name} {text}" in str(caught.value)
    assert len(build(skip_broken=True).training()) == 1


def test_several_pictures_in_a_file_and_unusual_colours_are_named(build, picture, tmp_path):
    for number in range(2):
        picture(f"{number}.png")
    views = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    expected = {"lab.tiff": "has the colours of CIELAB", "deep.tiff": "has more than eight bits per channel"}
    for mode, name in (("LAB", "lab.tiff"), ("I;16", "deep.tiff")):
        Image.new(mode, (8, 8)).save(tmp_path / "pictures" / name)
    for name, text in (("a.tiff", "is a file of 2 pages"), ("a.gif", "is an animation of 2"), ("a.webp", "is an animation of 2")):
        views[0].save(tmp_path / "pictures" / name, save_all=True, append_images=views[1:])
        expected[name] = text
    with pytest.raises(DataError) as caught:
        build()
    for name, text in expected.items():
        assert f"{name} {text}" in str(caught.value)


def test_the_first_view_of_a_phones_picture_is_read(build, picture, tmp_path):
    picture("0.png", colour="red")
    views = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    views[0].save(tmp_path / "pictures" / "1.jpg", "MPO", save_all=True, append_images=views[1:])
    made = build()
    for part in (made.training(), made.held):
        assert (part.values[0, :, 4, 4] - torch.tensor([254, 0, 0])).abs().max() <= 2


OLD_PILLOW = pytest.mark.skipif(int(PIL.__version__.split(".")[0]) < 13, reason="Pillow below 13 cannot read this TIFF")


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", pytest.param("YCbCr", marks=OLD_PILLOW)])
def test_white_is_white_in_every_colour_space(mode, build, tmp_path):
    (tmp_path / "pictures").mkdir()
    white = Image.new("RGB", (8, 8), "white")
    for number in range(2):
        ending = "tiff" if mode in ("CMYK", "YCbCr") else "png"
        white.convert(mode).save(tmp_path / "pictures" / f"{number}.{ending}")
    assert (build().training().values >= 254).all()


@pytest.mark.parametrize(
    ("parts", "chosen"),
    [
        (("test_images", "train_images"), "train_images"),
        (("data-test", "data-train"), "data-test"),
        (("testA", "testB", "trainA", "trainB"), "trainA"),
        (("images", "masks"), "images"),
    ],
)
def test_folders_with_the_names_of_parts_are_not_taken_for_classes(parts, chosen, build, picture):
    for part in parts:
        for number in range(2):
            picture(f"{part}/{number}.png")
    with pytest.raises(DataError, match="look like parts of a data set") as caught:
        build()
    assert re.search(r'dataset\.params\.folder = "[^"]*/([^"/]*)"', caught.value.remedy)[1] == chosen
    assert build(labels=True).spec.class_names == parts


def test_classes_with_the_name_of_one_part_remain_classes(build, picture):
    for kind in ("crash_test", "road", "testa"):
        for number in range(2):
            picture(f"{kind}/{number}.png")
    assert build().spec.class_names == ("crash_test", "road", "testa")
