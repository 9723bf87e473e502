"""Handwritten digits and their relatives: scikit-learn's digits, MNIST, Fashion-MNIST, and stacked MNIST.

The checksums of downloaded files are verified, so that a name means the same data everywhere. MNIST comes in idx files:
two zero bytes, a type (8 for unsigned bytes), the number of dimensions, each size as a big-endian 32-bit number, then the data
(LeCun & Cortes 1998), usually compressed with gzip.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor

from ganforge.builtin.datasets.dataset_specs import (
    DigitsParams,
    MnistParams,
    StackedMnistParams,
    digits_spec,
    fashion_mnist_spec,
    mnist_spec,
    stacked_mnist_spec,
)
from ganforge.builtin.datasets.held_out_split import SplitDataset, split
from ganforge.builtin.datasets.remote_datasets import FASHION_MNIST, MNIST, RemoteDataset, RemoteFile
from ganforge.builtin.datasets.remote_files import DOWNLOAD_AGAIN, find_file, locate, read_gzip
from ganforge.plugin import DataError, Dataset, DatasetContext, DataSpec, Samples

_UNSIGNED_BYTES = 8
_FIRST = 50_000


@dataclass(frozen=True, slots=True)
class StackedDigits:
    """Three digits, drawn independently, as the channels of one image: 1,000 modes (Metz et al. 2017).

    Attributes:
        spec: sizes and facts of the data set.
        samples: number of training images.
        seed: seed of the training images.
        train: the digits in training images.
        test: the digits in held-out images.
    """

    spec: DataSpec
    samples: int
    seed: int
    train: Samples
    test: Samples

    def __repr__(self) -> str:
        return f"StackedDigits({self.samples} training images of {len(self.train)} digits)"

    def training(self) -> Samples:
        """The training images as bytes; the same at each call."""
        return _stacked(self.train, self.samples, Generator().manual_seed(self.seed))

    def held_out(self, count: int, generator: Generator) -> Samples:
        """``count`` fresh images of digits that no training image contains."""
        drawn = _stacked(self.test, count, generator)
        return Samples(self.spec.to_float(drawn.values), drawn.labels)


def build_digits(params: DigitsParams, _context: DatasetContext) -> Dataset:
    """Factory of ``digits``: ``(1, 8, 8)`` images in [-1, 1] with labels (Alpaydin & Kaynak 1998)."""
    from sklearn.datasets import load_digits

    bundle = load_digits()
    images = torch.tensor(bundle.images, dtype=torch.float32).unsqueeze(1) / 8 - 1  # ink 0 … 16 → -1 … 1
    return SplitDataset(digits_spec(params), *split(images, torch.tensor(bundle.target, dtype=torch.int64), params.held_out))


def build_mnist(params: MnistParams, context: DatasetContext) -> Dataset:
    """Factory of ``mnist``."""
    return _build(MNIST, mnist_spec(params), params, context)


def build_fashion_mnist(params: MnistParams, context: DatasetContext) -> Dataset:
    """Factory of ``fashion-mnist``."""
    return _build(FASHION_MNIST, fashion_mnist_spec(params), params, context)


def build_stacked_mnist(params: StackedMnistParams, context: DatasetContext) -> Dataset:
    """Factory of ``stacked-mnist``."""
    return StackedDigits(stacked_mnist_spec(params), params.samples, context.seed, *_read(MNIST, context))


def decode_idx(raw: bytes, path: Path, dimensions: int) -> Tensor:
    """The content of an idx file as a uint8 tensor of the shape in its header.

    Args:
        raw: the whole file, unpacked.
        path: its name, for error messages.
        dimensions: the expected number: 1 for labels, 3 for images.

    Raises:
        DataError: another format or number of dimensions, no data, or fewer or more bytes than the header states.
    """
    magic = bytes((0, 0, _UNSIGNED_BYTES, dimensions))
    begin = len(magic) + 4 * dimensions
    if raw[:4] != magic:
        found = raw[:4].hex(" ") or "nothing"
        raise DataError(
            f"{path}: not an idx file of bytes in {dimensions} dimension{'s' if dimensions > 1 else ''}: "
            f"it starts with {found}, not {magic.hex(' ')}",
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
        raise DataError(
            f"{path}: {kind}: {found_size:,} bytes follow the header, which states {shape} = {stated:,}", remedy=DOWNLOAD_AGAIN
        )
    return torch.from_numpy(np.frombuffer(raw, np.uint8, offset=begin).reshape(sizes).copy())


def pair(images: Tensor, images_file: Path, labels: Tensor, labels_file: Path) -> Samples:
    """Images ``(n, height, width)`` and their labels ``(n,)`` as samples.

    Raises:
        DataError: the numbers of labels and images differ.
    """
    if len(images) != len(labels):
        raise DataError(
            f"{labels_file}: {len(labels):,} labels for the {len(images):,} images of {images_file.name}",
            remedy="get both files again from the same source",
        )
    return Samples(images.unsqueeze(1), labels.long())


def _stacked(digits: Samples, count: int, generator: Generator) -> Samples:
    rows = torch.randint(len(digits), (count, 3), generator=generator)
    hundreds, tens, ones = _labels(digits)[rows].unbind(1)
    return Samples(digits.values[:, 0][rows], 100 * hundreds + 10 * tens + ones)  # (n, 3, 28, 28)


def _build(remote: RemoteDataset, spec: DataSpec, params: MnistParams, context: DatasetContext) -> Dataset:
    train, test = _read(remote, context)
    if params.split == "train":
        return SplitDataset(spec, train, test)
    first, last = train[:_FIRST], train[_FIRST:]
    return SplitDataset(spec, first, last) if params.held_out == "validation" else SplitDataset(spec, first, test, aside=last)


def _read(remote: RemoteDataset, context: DatasetContext) -> tuple[Samples, Samples]:
    """Training and test images as bytes, with their labels."""
    folder = locate(remote, context)
    (layout,) = remote.layouts
    train_images, train_labels, test_images, test_labels = (_content(file, folder, remote) for file in layout)
    return pair(*train_images, *train_labels), pair(*test_images, *test_labels)


def _content(file: RemoteFile, folder: Path, remote: RemoteDataset) -> tuple[Tensor, Path]:
    path = find_file(file, folder)
    if path is None:
        raise DataError(f"{folder / file.name}: the file has just disappeared", remedy="start again")
    raw = read_gzip(path, limit=file.size)
    content = decode_idx(raw, path, 3 if "images" in file.name else 1)
    if not file.matches(raw):
        raise DataError(
            f"{path}: is not the file of {remote.name}: its SHA-256 differs",
            remedy=f"run `ganforge data prepare {remote.name}` to replace it; for your own images use 'arrays' or 'image-folder'",
        )
    return content, path


def _labels(samples: Samples) -> Tensor:
    assert samples.labels is not None  # noqa: S101 - idx data sets are labelled
    return samples.labels
