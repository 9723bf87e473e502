"""Published images: scikit-learn's digits, MNIST, Fashion-MNIST, stacked MNIST, and CIFAR-10.

The checksums of downloaded files are verified, so that a name means the same data everywhere. MNIST comes in idx files:
two zero bytes, a type (8 for unsigned bytes), the number of dimensions, each size as a big-endian 32-bit number, then the data
(LeCun & Cortes 1998), usually compressed with gzip. CIFAR-10 (Krizhevsky 2009) comes in batches of ``(n, 3072)`` bytes, pickled or
as binary records: for each image 1,024 of red, then green, then blue, row by row. Unpickling runs no foreign code.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
import tarfile
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from ganforge.builtin.datasets.dataset_specs import (
    Cifar10Params,
    DigitsParams,
    DrawnDataset,
    MnistParams,
    SplitDataset,
    StackedMnistParams,
    labels_of,
    split,
)
from ganforge.builtin.datasets.remote_datasets import (
    CIFAR10,
    CIFAR10_BATCHES,
    DOWNLOAD_AGAIN,
    FASHION_MNIST,
    MNIST,
    RemoteDataset,
    locate,
)
from ganforge.plugin import DataError, Dataset, DatasetContext, Samples

_FIRST = 50_000
_RECONSTRUCT = np.empty(0).__reduce__()[0]
_ADMITTED: Mapping[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}
"""All names that a pickled NumPy array refers to."""


def build_digits(params: DigitsParams, _context: DatasetContext) -> Dataset:
    """Factory of ``digits``: ``(1, 8, 8)`` images in [-1, 1] with labels (Alpaydin & Kaynak 1998)."""
    from sklearn.datasets import load_digits

    bundle = load_digits()
    images = torch.tensor(bundle.images, dtype=torch.float32).unsqueeze(1) / 8 - 1  # ink 0 … 16 → -1 … 1
    return SplitDataset(params.spec(), *split(images, torch.tensor(bundle.target, dtype=torch.int64), params.held_out))


def _build(remote: RemoteDataset, params: MnistParams, context: DatasetContext) -> Dataset:
    spec, (train, test) = params.spec(), _read(remote, context)
    if params.split == "train":
        return SplitDataset(spec, train, test)
    first, last = train[:_FIRST], train[_FIRST:]
    return SplitDataset(spec, first, last) if params.held_out == "validation" else SplitDataset(spec, first, test, aside=last)


build_mnist = partial(_build, MNIST)
build_fashion_mnist = partial(_build, FASHION_MNIST)


def build_stacked_mnist(params: StackedMnistParams, context: DatasetContext) -> Dataset:
    """Factory of ``stacked-mnist``: held-out images consist of digits that no training image contains (Metz et al. 2017)."""
    train, test = (partial(_stacked, digits) for digits in _read(MNIST, context))
    return DrawnDataset(params.spec(), params.samples, context.seed, train, test)


def decode_idx(raw: bytes, path: Path, dimensions: int) -> Tensor:
    """The content of an unpacked idx file as a uint8 tensor of the shape in its header: 1 dimension for labels, 3 for images."""
    magic = bytes((0, 0, 8, dimensions))
    begin = len(magic) + 4 * dimensions
    if raw[:4] != magic:
        found = f"it starts with {raw[:4].hex(' ') or 'nothing'}, not {magic.hex(' ')}"
        raise DataError(
            f"{path}: not an idx file of bytes in {dimensions} dimension{'s' if dimensions > 1 else ''}: {found}",
            remedy="check that images and labels are not swapped, or get the file again",
        )
    if len(raw) < begin:
        raise DataError(f"{path}: ends within its header, after {len(raw)} bytes", remedy=DOWNLOAD_AGAIN)

    sizes = struct.unpack(f">{dimensions}I", raw[4:begin])
    shape, stated, found_size = "×".join(map(str, sizes)), math.prod(sizes), len(raw) - begin
    if not stated:
        raise DataError(f"{path}: contains no data: its header states {shape}", remedy=DOWNLOAD_AGAIN)
    if found_size != stated:
        kind = "is cut short" if found_size < stated else "has extra bytes at its end"
        problem = f"{found_size:,} bytes follow the header, which states {shape} = {stated:,}"
        raise DataError(f"{path}: {kind}: {problem}", remedy=DOWNLOAD_AGAIN)
    return torch.from_numpy(np.frombuffer(raw, np.uint8, offset=begin).reshape(sizes).copy())


def _read(remote: RemoteDataset, context: DatasetContext) -> tuple[Samples, Samples]:
    """Training and test images as bytes, with their labels."""
    contents = []
    for file, path in locate(remote, context):
        raw = file.read(path)
        contents.append(decode_idx(raw, path, 3 if "images" in file.name else 1))  # first, since its errors say more
        remote.check(file, raw, path)
    train_images, train_labels, test_images, test_labels = contents
    return Samples(train_images.unsqueeze(1), train_labels.long()), Samples(test_images.unsqueeze(1), test_labels.long())


def _stacked(digits: Samples, count: int, generator: Generator) -> Samples:
    """Images of three independent digits, one in each channel."""
    rows = torch.randint(len(digits), (count, 3), generator=generator)
    hundreds, tens, ones = labels_of(digits)[rows].unbind(1)
    return Samples(digits.values[:, 0][rows], 100 * hundreds + 10 * tens + ones)  # (n, 3, 28, 28)


def build_remote(remote: RemoteDataset, params: Cifar10Params, context: DatasetContext) -> Dataset:
    """The data set from files in the form of CIFAR-10 with the checksums of ``remote``."""
    batches = {name: decode_batch(raw, origin) for name, raw, origin in _batches(remote, context)}
    *train, test = (batches[name] for name in CIFAR10_BATCHES)
    return SplitDataset(params.spec(), Samples.concatenate(train), test)


build_cifar10 = partial(build_remote, CIFAR10)


def decode_batch(raw: bytes, origin: str) -> Samples:
    """Images ``(n, 3, 32, 32)`` as bytes, with labels, of a batch in either form; the name of the binary one ends in ``.bin``."""
    if origin.endswith(".bin"):
        records = np.frombuffer(raw, np.uint8).reshape(-1, 3073)  # a label, and 3,072 bytes of the image
        images, labels = records[:, 1:], records[:, 0]
    else:
        batch = _Unpickler(raw, origin).load()
        images, labels = batch[b"data"], np.array(batch[b"labels"])
    return Samples(torch.from_numpy(images.reshape(-1, 3, 32, 32).copy()), torch.from_numpy(labels.astype(np.int64)))


def _batches(remote: RemoteDataset, context: DatasetContext) -> Iterator[tuple[str, bytes, str]]:
    """Name, content and origin of each batch."""
    for file, path in locate(remote, context):
        raw = file.read(path)
        remote.check(file, raw, path)
        if not file.name.endswith(".tar.gz"):
            yield file.name.removesuffix(".bin"), raw, str(path)
            continue
        with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                content = archive.extractfile(member)
                if content and name.removesuffix(".bin") in CIFAR10_BATCHES:
                    yield name.removesuffix(".bin"), content.read(), f"{path}: {name}"


class _Unpickler(pickle.Unpickler):
    """Reads dictionaries, lists, numbers, strings and NumPy arrays; resolves no other names in a pickle."""

    def __init__(self, raw: bytes, origin: str) -> None:
        super().__init__(io.BytesIO(raw), encoding="bytes")
        self.origin = origin

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            raise DataError(
                f"{self.origin}: refers to {module}.{name}, which no batch of CIFAR-10 contains",
                remedy="do not trust this file; get another copy",
            )
        return _ADMITTED[module, name]
