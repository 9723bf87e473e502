"""MNIST, Fashion-MNIST, and digits stacked as colours. What is read has the known sums, so the names mean the same everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Generator, Tensor

from ganforge.builtin.datasets.held_out_split import Kept
from ganforge.builtin.datasets.idx_format import decode
from ganforge.builtin.datasets.image_params import MnistParams, StackedMnistParams
from ganforge.builtin.datasets.image_specs import fashion_mnist_spec, mnist_spec, stacked_mnist_spec
from ganforge.builtin.datasets.remote_datasets import FASHION_MNIST, MNIST, RemoteDataset, RemoteFile
from ganforge.builtin.datasets.remote_files import find_file, locate, read_gzip
from ganforge.plugin import DataError, Dataset, DatasetContext, DataSpec, Samples

_FIRST = 50_000


def build_mnist(params: MnistParams, context: DatasetContext) -> Dataset:
    """Factory of ``mnist``."""
    return _build(MNIST, mnist_spec(params), params, context)


def build_fashion_mnist(params: MnistParams, context: DatasetContext) -> Dataset:
    """Factory of ``fashion-mnist``."""
    return _build(FASHION_MNIST, fashion_mnist_spec(params), params, context)


def build_stacked_mnist(params: StackedMnistParams, context: DatasetContext) -> Dataset:
    """Factory of ``stacked-mnist``."""
    train, test = _read(MNIST, context)
    return Stacked(stacked_mnist_spec(params), params.samples, context.seed, train, test)


@dataclass(frozen=True, slots=True)
class Stacked:
    """Three digits, drawn independently, as the channels of one image: 1,000 modes (Metz et al. 2017).

    Attributes:
        spec: what the data set says of itself.
        samples: number of training images.
        seed: what they follow from.
        train: the digits that training images are made of.
        test: the digits that held-out images are made of.
    """

    spec: DataSpec
    samples: int
    seed: int
    train: Samples
    test: Samples

    def __repr__(self) -> str:
        return f"Stacked({self.samples} training images of {len(self.train)} digits)"

    def training(self) -> Samples:
        """The training images as bytes; the same at each call."""
        return _stacked(self.train, self.samples, Generator().manual_seed(self.seed))

    def held_out(self, count: int, generator: Generator) -> Samples:
        """``count`` fresh images, made of digits that no training image holds."""
        drawn = _stacked(self.test, count, generator)
        return Samples(self.spec.to_float(drawn.values), drawn.labels)


def _stacked(digits: Samples, count: int, generator: Generator) -> Samples:
    rows = torch.randint(len(digits), (count, 3), generator=generator)
    hundreds, tens, ones = _labels(digits)[rows].unbind(1)
    return Samples(digits.values[:, 0][rows], 100 * hundreds + 10 * tens + ones)  # (n, 3, 28, 28)


def _build(known: RemoteDataset, spec: DataSpec, params: MnistParams, context: DatasetContext) -> Dataset:
    train, test = _read(known, context)
    if params.split == "train":
        return Kept(spec, train, test)
    first = Samples(train.values[:_FIRST], _labels(train)[:_FIRST])
    last = Samples(train.values[_FIRST:], _labels(train)[_FIRST:])
    return Kept(spec, first, last) if params.held_out == "validation" else Kept(spec, first, test, aside=last)


def _read(known: RemoteDataset, context: DatasetContext) -> tuple[Samples, Samples]:
    """Training and test images as bytes, with their labels."""
    folder = locate(known, context)
    (form,) = known.layouts
    train_images, train_labels, test_images, test_labels = (_content(file, folder, known) for file in form)
    return pair(*train_images, *train_labels), pair(*test_images, *test_labels)


def _content(file: RemoteFile, folder: Path, known: RemoteDataset) -> tuple[Tensor, Path]:
    path = find_file(file, folder)
    if path is None:
        raise DataError(f"{folder / file.name}: vanished a moment ago", remedy="start again")
    raw = read_gzip(path, limit=file.size)
    numbers = decode(raw, path, 3 if "images" in file.name else 1)
    if not file.matches(raw):
        raise DataError(
            f"{path}: is not the file of {known.name}: its SHA-256 is another",
            remedy=f"run `ganforge data prepare {known.name}`, which mends it; for your own images use 'arrays' or 'image-folder'",
        )
    return numbers, path


def pair(images: Tensor, images_file: Path, labels: Tensor, labels_file: Path) -> Samples:
    """Images ``(n, height, width)`` and their labels ``(n,)`` as samples.

    Raises:
        DataError: there are not as many labels as images.
    """
    if len(images) != len(labels):
        raise DataError(
            f"{labels_file}: {len(labels):,} labels for the {len(images):,} images of {images_file.name}",
            remedy="get both files again, from one place",
        )
    return Samples(images.unsqueeze(1), labels.long())


def _labels(samples: Samples) -> Tensor:
    if samples.labels is None:
        raise AssertionError("idx data sets are labelled")
    return samples.labels
