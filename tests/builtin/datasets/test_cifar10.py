"""CIFAR-10 on small files in its true forms: protocol-2 pickles as Python 2 wrote them, and binary records."""

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

from ganforge.builtin.datasets.cifar10 import build_remote, decode_batch
from ganforge.builtin.datasets.dataset_specs import Cifar10Params
from ganforge.builtin.datasets.remote_datasets import CIFAR10, CIFAR10_BATCHES, RemoteDataset, RemoteFile
from ganforge.plugin import DataError, DatasetContext
from ganforge.registry.component import Component, Kind, PluginRef
from ganforge.testing import check_component

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
    return tuple(RemoteFile(name, f"sha256:{hashlib.sha256(raw).hexdigest()}") for name, raw in files.items())


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


@pytest.mark.parametrize(
    ("origin", "raw", "told"),
    [
        ("batch.bin", binary_form(0)[:-1], "3072 bytes after the last whole record of 3,073"),
        ("batch.bin", b"", "the file is empty"),
        ("batch.bin", binary_form(0) + bytes([10]) + bytes(3072), r"image 20 \(counted from 0\) is of class 10"),
        ("batch", python_form(0)[:-300], "not a readable batch"),
        ("batch", b"", "not a readable batch: EOFError"),
        ("batch", pickled([1, 2]), "does not contain images"),
        ("batch", pickled({"data": batch(0)[0]}), "does not contain images with a label each"),
        ("batch", pickled({"data": batch(0)[0], "labels": batch(0)[1][1:]}), "does not contain images with a label each"),
        ("batch", pickled({"data": batch(0)[0].astype("int8"), "labels": batch(0)[1]}), "does not contain images"),
        ("batch", pickled({"data": batch(0)[0], "labels": [*batch(0)[1][1:], 11]}), "image 19 .* is of class 11"),
        ("batch", pickled({"data": batch(0)[0], "labels": [*batch(0)[1][1:], True]}), "does not contain images"),
    ],
)
def test_what_is_wrong_is_said_with_the_file(origin, raw, told):
    with pytest.raises(DataError, match=told) as caught:
        decode_batch(raw, origin)
    assert caught.value.message.startswith(origin)
    assert caught.value.remedy


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
    with pytest.raises(DataError, match="refers to persistent object"):
        decode_batch(b"\x80\x02X\x01\x00\x00\x00aQ.", "batch")


def test_a_damaged_archive(tmp_path):
    raw = b"\x1f\x8b no archive"
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "all.tar.gz").write_bytes(raw)
    remote = RemoteDataset("tiny", "", (form_of({"all.tar.gz": raw}),), (), "none")
    with pytest.raises(DataError, match=r"all\.tar\.gz: damaged archive"):
        build_remote(remote, Cifar10Params(), context(tmp_path))


def test_an_archive_that_lacks_a_batch(tmp_path):
    raw = archived({f"{name}.bin": binary_form(0) for name in CIFAR10_BATCHES[:-1]}, "cifar-10-batches-bin")
    (tmp_path / "tiny").mkdir()
    (tmp_path / "tiny" / "all.tar.gz").write_bytes(raw)
    remote = RemoteDataset("tiny", "", (form_of({"all.tar.gz": raw}),), (), "none")
    with pytest.raises(DataError, match="there is no test_batch"):
        build_remote(remote, Cifar10Params(), context(tmp_path))
