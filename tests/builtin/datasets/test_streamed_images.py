"""Pictures that are decoded while training: the same samples as in memory, and what is said of those that vanish."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from ganforge.plugin import DataError, SampleSource, StreamingDataset
from ganforge.testing import check_component

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


@pytest.fixture
def build(dataset):
    return lambda **params: dataset("image-folder", **{"folder": "pictures", **params})


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
    monkeypatch.setattr("ganforge.builtin.datasets.streamed_images._PART", 9)
    made = build(stream=True, size=4)
    part, everything = made.training(), made.streamed().read(range(len(made.streamed())))
    assert len(part) == 9
    assert part.labels.bincount().tolist() == [3, 3, 3]
    rows = {tuple(row) for row in everything.values.flatten(1).tolist()}
    assert {tuple(row) for row in part.values.flatten(1).tolist()} <= rows


@pytest.mark.parametrize("stream", [True, False])
def test_pictures_of_several_sizes_are_told_from_their_heads(build, pictures, stream):
    with pytest.raises(DataError, match=r"cats/12\.png is 8×8|dogs/1\.jpg is 12×9|is \d+×\d+, and .+ is 8×8 \(\d+ differ"):
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
    ("harm", "told"),
    [
        (lambda file: file.unlink(), r"cats/0\.png cannot be read: No such file or directory"),
        (lambda file: file.write_bytes(file.read_bytes()[:-30]), r"cats/0\.png is damaged: "),
        (lambda file: file.write_bytes(b"text"), r"cats/0\.png is no picture that Pillow knows"),
        (lambda file: Image.new("L", (2, 2)).save(file), r"cats/0\.png is 2×2, smaller than crop = 5"),
    ],
)
def test_a_picture_that_changes_under_way_is_named(build, pictures, harm, told):
    source = build(stream=True, crop=5).streamed()
    row = next(row for row, name in enumerate(source.files) if name.endswith("cats/0.png"))
    harm(pictures / "cats" / "0.png")
    source.read([row - 1 if row else row + 1])
    with pytest.raises(DataError, match=told) as caught:
        source.read([row])
    assert "--resume" in caught.value.remedy


def test_a_picture_of_another_size_under_way_is_named(build, pictures):
    source = replace(build(stream=True, size=4).streamed(), shape=(3, 5, 5))
    with pytest.raises(DataError, match=r"\.png is of another size than it was told to be: 4×4 and 5×5"):
        source.read([0])


def test_odd_files_are_told_or_left_out_by_their_heads(build, pictures, caplog):
    (pictures / "cats" / "note.txt").write_text("no picture")
    with pytest.raises(DataError, match=r"1 file cannot be used:\n  .+note\.txt is no picture that Pillow knows"):
        build(stream=True, size=4)
    made = build(stream=True, size=4, skip_broken=True)
    assert "note.txt" in caplog.text
    assert len(made.train) + len(made.held) == 30


def test_the_kit_passes_on_a_folder_that_is_streamed(components):
    streams = replace(components["dataset", "image-folder"], check_params={"folder": "images", "stream": True})
    assert {one.check for one in check_component(streams) if one.state != "passed"} == {"T03", "T05"}
