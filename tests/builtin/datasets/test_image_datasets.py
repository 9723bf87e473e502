"""MNIST and its relatives, and their idx files; CIFAR-10 on small files in its true forms."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import struct
import tarfile
from functools import partial

import numpy as np
import pytest
import torch

from ganforge.builtin.datasets.dataset_specs import Cifar10Params
from ganforge.builtin.datasets.image_datasets import build_remote, decode_batch, decode_idx
from ganforge.builtin.datasets.remote_datasets import (
    CIFAR10,
    CIFAR10_BATCHES,
    RemoteDataset,
    RemoteFile,
    read_file,
)
from ganforge.plugin import DataError, DataMissingError, DatasetContext
from ganforge.registry.component import Component, Kind, PluginRef
from ganforge.testing import check_component


@pytest.fixture
def mnist(tmp_path, mnist_files):
    (tmp_path / "mnist").symlink_to(mnist_files)


def test_mnist_is_the_mnist_that_everybody_knows(dataset, mnist):
    made = dataset("mnist")
    train, held = made.training(), made.held_out(10_000, torch.Generator())
    values = made.spec.to_float(train.values) / 2 + 0.5

    assert train.values.dtype == torch.uint8
    assert (len(train), train.labels[:10].tolist()) == (60_000, [5, 0, 4, 1, 9, 2, 1, 3, 1, 4])
    assert values.mean() == pytest.approx(0.1307, abs=5e-5)
    assert values.std() == pytest.approx(0.3081, abs=5e-5)
    assert held.labels.bincount().tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert (held.values.dtype, held.values.min().item(), held.values.max().item()) == (torch.float32, -1, 1)


def test_the_protocol_of_2014_keeps_the_last_10_000_training_images_apart(dataset, mnist):
    everything = dataset("mnist").training()
    made = dataset("mnist", split="train-50k", held_out="validation", value_range=(0.0, 1.0))
    train, held = made.training(), made.held_out(10_000, torch.Generator())

    assert torch.equal(train.values, everything.values[:50_000])
    assert sorted(held.labels.tolist()) == sorted(everything.labels[50_000:].tolist())
    assert held.values.sum() == pytest.approx(everything.values[50_000:].double().sum().item() / 255, rel=1e-5)
    assert made.spec.value_range == (0, 1)


def test_the_last_10_000_training_images_are_set_aside_where_the_test_images_are_held_out(dataset, mnist):
    everything, made = dataset("mnist").training(), dataset("mnist", split="train-50k", value_range=(0.0, 1.0))

    aside = made.validation(1000)

    assert torch.equal((aside.values * 255).round().byte(), everything.values[50_000:51_000])
    assert torch.equal(aside.labels, everything.labels[50_000:51_000])
    assert len(made.validation(20_000)) == 10_000
    assert dataset("mnist").validation(1) is None
    assert dataset("mnist", split="train-50k", held_out="validation").validation(1) is None


def test_validation_images_are_not_trained_on(dataset):
    with pytest.raises(ValueError, match="use split"):
        dataset("mnist", held_out="validation")


def test_fashion_mnist_is_found_where_debian_puts_it(dataset, fashion_files):
    made = dataset("fashion-mnist", split="train-50k")
    train = made.training()
    assert len(train) == 50_000
    assert made.spec.class_names[train.labels[0]] == "ankle boot"
    assert train.labels.bincount().div(50_000).tolist() == pytest.approx(made.spec.class_shares)


def test_stacked_digits_are_real_digits_in_their_order(dataset, mnist):
    made, digits = dataset("stacked-mnist", seed=3, samples=300), dataset("mnist").training()
    train, held = made.training(), made.held_out(5, torch.Generator().manual_seed(1))

    assert train.values.shape == (300, 3, 28, 28)
    label = train.labels[7].item()
    for channel, digit in enumerate((label // 100, label // 10 % 10, label % 10)):
        same = (digits.values[:, 0] == train.values[7, channel]).flatten(1).all(1)
        assert digits.labels[same].tolist() == [digit]
    assert len(set(train.labels.tolist())) > 200
    assert held.values.dtype == torch.float32
    assert torch.equal(train.values, dataset("stacked-mnist", seed=3, samples=300).training().values)
    assert not torch.equal(train.values, dataset("stacked-mnist", seed=4, samples=300).training().values)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist", "stacked-mnist", "cifar10"])
def test_missing_data_is_reported_with_the_places_and_the_command(dataset, tmp_path, name, monkeypatch):
    monkeypatch.setattr("pathlib.Path.is_file", lambda path: False)
    with pytest.raises(DataMissingError) as caught:
        dataset(name)
    assert str(tmp_path) in caught.value.message
    assert "ganforge data prepare" in caught.value.remedy


@pytest.mark.parametrize("name", ["mnist", "stacked-mnist"])
def test_the_kit_skips_what_is_not_here_and_says_why(components, name):
    outcomes = {one.check: one for one in check_component(components["dataset", name])}
    for check in ("T01", "T04", "E01", "P11"):
        assert outcomes[check].state == "skipped"
        assert "is not on this computer" in outcomes[check].message


@pytest.mark.parametrize("name", ["mnist", "stacked-mnist"])
def test_the_kit_passes_where_the_data_is_here(components, name, tmp_path, mnist, monkeypatch):
    monkeypatch.setenv("GANFORGE_DATA", str(tmp_path))
    assert {one.check for one in check_component(components["dataset", name]) if one.state != "passed"} == {"T05", "T06"}


@pytest.fixture
def made_up(tmp_path):
    """Files of the right form and the wrong content."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    for part in ("train", "t10k"):
        (folder / f"{part}-images-idx3-ubyte").write_bytes(struct.pack(">4I", 0x803, 2, 28, 28) + bytes(2 * 784))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(struct.pack(">2I", 0x801, 2) + b"\0\1"))
    return folder


def test_other_content_under_the_same_name_is_refused(dataset, made_up):
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte: is not the file of mnist: its sha256 differs"):
        dataset("mnist")


def test_gzip_is_unpacked_no_further_than_the_file_may_be(dataset, made_up):
    file = made_up / "train-images-idx3-ubyte"
    file.write_bytes(gzip.compress(bytes(16 + 784 * 60_000 + 1), compresslevel=1))
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte: unpacks to more than the 47,040,016 bytes"):
        dataset("mnist")


def test_a_truncated_file_is_reported_as_truncated(dataset, made_up):
    file = made_up / "train-images-idx3-ubyte"
    file.write_bytes(file.read_bytes()[:-5])
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte: is cut short"):
        dataset("mnist")


IMAGES = struct.pack(">4I", 0x803, 2, 2, 3) + bytes(range(12))


LABELS = struct.pack(">2I", 0x801, 4) + bytes([3, 0, 2, 1])


def read(path, dimensions):
    return decode_idx(RemoteFile(path.name, "", 10**6, gzipped=True).read(path), path, dimensions)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("name", ["images", "images.gz"])
def test_numbers_come_in_their_order_whatever_the_name_says(tmp_path, pack, name):
    path = tmp_path / name
    path.write_bytes(pack(IMAGES))
    found = read(path, 3)
    assert found.dtype == torch.uint8
    assert torch.equal(found, torch.arange(12, dtype=torch.uint8).reshape(2, 2, 3))

    path.write_bytes(pack(LABELS))
    assert read(path, 1).tolist() == [3, 0, 2, 1]


@pytest.mark.parametrize(
    ("raw", "dimensions", "messages"),
    [
        (IMAGES, 1, "not an idx file of bytes in 1 dimension: it starts with 00 00 08 03"),
        (LABELS, 3, "not an idx file of bytes in 3 dimensions"),
        (b"", 3, "it starts with nothing"),
        (struct.pack(">2I", 0xD01, 1) + b"\0\0\0\0", 1, "starts with 00 00 0d 01"),
        (IMAGES[:9], 3, "ends within its header, after 9 bytes"),
        (IMAGES[:-1], 3, "is cut short: 11 bytes follow the header, which states 2×2×3 = 12"),
        (IMAGES + b"\0", 3, "has extra bytes at its end: 13 bytes"),
        (struct.pack(">4I", 0x803, 0, 28, 28), 3, "contains no data: its header states 0×28×28"),
        (struct.pack(">4I", 0x803, *[2**32 - 1] * 3) + b"\0", 3, "is cut short"),
    ],
)
def test_what_is_wrong_is_reported_with_the_file(tmp_path, raw, dimensions, messages):
    path = tmp_path / "some-file"
    path.write_bytes(raw)
    with pytest.raises(DataError) as caught:
        read(path, dimensions)
    assert str(path) in caught.value.message
    assert messages in caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize("damage", [lambda raw: raw[:-9], lambda raw: raw[:14], lambda raw: raw[:20] + b"\xff\xff" + raw[22:]])
def test_damaged_gzip(tmp_path, damage):
    path = tmp_path / "images.gz"
    path.write_bytes(damage(gzip.compress(IMAGES * 50)))
    with pytest.raises(DataError, match=r"images\.gz: damaged gzip"):
        RemoteFile(path.name, "", 10**6, gzipped=True).read(path)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_file(tmp_path)


PER_BATCH = 20


class Python2Pickler(pickle._Pickler):
    """Writes texts and bytes as Python 2 did, whose ``str`` were bytes."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_bytes(self, obj):
        self.write(b"T" + struct.pack("<I", len(obj)) + obj)
        self.memoize(obj)

    dispatch[bytes] = save_bytes
    dispatch[str] = lambda self, obj: self.save_bytes(obj.encode())


def pickled(content):
    stream = io.BytesIO()
    Python2Pickler(stream, protocol=2).dump(content)
    return stream.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def batch(number):
    images = np.random.default_rng(number).integers(0, 256, (PER_BATCH, 3072), dtype=np.uint8)
    return images, [(number + place) % 10 for place in range(PER_BATCH)]


def python_form(number):
    images, labels = batch(number)
    return pickled({"batch_label": "training batch", "labels": labels, "data": images, "filenames": ["a.png"] * PER_BATCH})


def binary_form(number):
    images, labels = batch(number)
    return b"".join(bytes([label]) + image.tobytes() for image, label in zip(images, labels, strict=True))


FORMS = {"python": (python_form, ""), "binary": (binary_form, ".bin")}


def form_of(files):
    return tuple(RemoteFile(name, f"sha256:{hashlib.sha256(raw).hexdigest()}", len(raw)) for name, raw in files.items())


def archived(files, folder):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, raw in {"readme.html": b"hello", **files}.items():
            member = tarfile.TarInfo(f"{folder}/{name}")
            member.size = len(raw)
            archive.addfile(member, io.BytesIO(raw))
    return stream.getvalue()


@pytest.fixture(params=["python", "binary"])
def files(request):
    write, ending = FORMS[request.param]
    return {f"{name}{ending}": write(number) for number, name in enumerate(CIFAR10_BATCHES)}


@pytest.fixture(params=["flat", "unpacked", "archive"])
def tiny(request, files, tmp_path):
    """A small CIFAR-10 below ``tmp_path``, and what would be remote of it."""
    folder = tmp_path / "tiny"
    inside = "cifar-10-batches-bin" if "test_batch.bin" in files else "cifar-10-batches-py"
    if request.param == "archive":
        files = {"cifar-10.tar.gz": archived(files, inside)}
    target = folder / inside if request.param == "unpacked" else folder
    target.mkdir(parents=True)
    for name, raw in files.items():
        (target / name).write_bytes(raw)
    return RemoteDataset("tiny", "a tiny one", (form_of(files),), (), "none", subfolders=CIFAR10.subfolders)


def context(tmp_path):
    return DatasetContext(0, tmp_path, tmp_path)


def test_every_form_holds_the_same_images(tiny, tmp_path):
    made = build_remote(tiny, Cifar10Params(), context(tmp_path))
    train, held = made.training(), made.held_out(PER_BATCH, torch.Generator())

    wanted = np.concatenate([batch(number)[0] for number in range(5)])
    assert torch.equal(train.values, torch.from_numpy(wanted).reshape(-1, 3, 32, 32))
    assert train.labels.tolist() == [label for number in range(5) for label in batch(number)[1]]
    assert sorted(held.labels.tolist()) == sorted(batch(5)[1])
    assert (held.values.min().item(), held.values.max().item()) == (-1, 1)


@pytest.mark.parametrize("files", ["python"], indirect=True)
@pytest.mark.parametrize("tiny", ["flat"], indirect=True)
def test_it_keeps_the_contract(components, tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("GANFORGE_DATA", str(tmp_path))
    real = components["dataset", "cifar10"]
    small = Component(
        Kind.DATASET,
        "tiny",
        PluginRef("kit", "kit", "1"),
        partial(build_remote, tiny),
        Cifar10Params,
        "Tiny.",
        spec=real.load_spec(),
    )
    assert {one.check for one in check_component(small) if one.state != "passed"} <= {"T05", "T06"}


@pytest.mark.parametrize("files", ["binary"], indirect=True)
@pytest.mark.parametrize("tiny", ["flat", "archive"], indirect=True)
def test_other_content_is_refused_before_it_is_looked_at(tiny, tmp_path):
    file = tmp_path / "tiny" / tiny.layouts[0][0].name
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(DataError, match=f"{file.name}: is not the file of tiny: its sha256 differs"):
        build_remote(tiny, Cifar10Params(), context(tmp_path))


class Evil:
    def __init__(self, call, *words):
        self.call, self.words = call, words

    def __reduce__(self):
        return self.call, self.words


@pytest.mark.parametrize("call", [os.system, eval, print, np.fromfile])
def test_no_code_of_a_pickle_is_run(call, tmp_path):
    written = tmp_path / "written"
    evil = Evil(call, f"open({str(written)!r}, 'w')" if call is eval else f"touch {written}")
    with pytest.raises(DataError, match=r"refers to .+, which no batch of CIFAR-10 contains"):
        decode_batch(pickle.dumps({b"data": evil}, protocol=2), "batch")
    assert not written.exists()


def test_no_object_from_elsewhere_is_asked_for():
    with pytest.raises(pickle.UnpicklingError):
        decode_batch(b"\x80\x02X\x01\x00\x00\x00aQ.", "batch")
