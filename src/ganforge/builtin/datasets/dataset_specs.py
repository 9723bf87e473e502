"""Params and specs of the built-in data sets, and the split into training and held-out samples.

A spec holds the sizes that follow from the params. This module imports torch and NumPy inside functions only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from ganforge.plugin import DataSpec, GaussianMixture, Params, Samples

if TYPE_CHECKING:
    from torch import Generator, Tensor

DIGIT_COUNTS = (178, 182, 177, 183, 181, 182, 181, 179, 174, 180)
"""Number of images of each digit among scikit-learn's 1,797."""
_DIGIT_NAMES = tuple(map(str, range(10)))
_CLOTHES = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
_CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def _check_range(bounds: tuple[float, float]) -> tuple[float, float]:
    if not bounds[0] < bounds[1]:
        raise ValueError(f"the least value ({bounds[0]:g}) must be below the greatest ({bounds[1]:g})")
    return bounds


def _check_path(path: Path) -> Path:
    if not path.name.strip():
        raise ValueError("must be the path of a file or folder")
    return path


Draw = Callable[[int, "Generator"], Samples]
"""``(count, generator) -> count samples``."""
UserPath = Annotated[Path, Field(strict=False), AfterValidator(_check_path)]
"""A path, relative to the recipe's folder."""
ValueRange = Annotated[tuple[float, float], AfterValidator(_check_range)]
"""Least and greatest value."""


class _SyntheticParams(Params):
    training_only: ClassVar[frozenset[str]] = frozenset({"samples"})

    samples: int = Field(10_000, ge=1)
    """Training points."""


class MoonsParams(_SyntheticParams):
    """Parameters of the two moons."""

    samples: int = Field(10_000, ge=2)
    """Training points, both moons together."""
    noise: float = Field(0.05, ge=0)
    """Standard deviation of the noise around the arcs, whose radius is 1."""

    def spec(self) -> DataSpec:
        """Points in the plane, one class per moon."""
        upper = self.samples // 2
        shares = (upper / self.samples, (self.samples - upper) / self.samples)
        return DataSpec((2,), classes=2, class_names=("upper", "lower"), class_shares=shares)


class GaussianParams(_SyntheticParams):
    """Parameters of the one-dimensional Gaussian."""

    mean: float = 0.0
    """Mean."""
    std: float = Field(1.0, gt=0)
    """Standard deviation."""

    def density(self) -> GaussianMixture:
        """The one Gaussian."""
        return GaussianMixture(((self.mean,),), self.std)

    def spec(self) -> DataSpec:
        """Numbers of a known density."""
        return DataSpec((1,), density=self.density())


class _ModesParams(_SyntheticParams):
    samples: int = Field(100_000, ge=1)
    """Training points, all modes together."""
    labelled: bool = False
    """Whether each point has its mode's number as label."""

    def density(self) -> GaussianMixture:
        """The modes."""
        raise NotImplementedError

    def spec(self) -> DataSpec:
        """Points in the plane of a known density."""
        density = self.density()
        return DataSpec((2,), classes=len(density.means) if self.labelled else None, density=density)


class RingParams(_ModesParams):
    """Parameters of the ring of Gaussians; the defaults are those of PacGAN (Lin et al. 2018)."""

    modes: int = Field(8, ge=2)
    """Gaussians on the circle."""
    radius: float = Field(1.0, gt=0)
    """Radius of the circle."""
    std: float = Field(0.01, gt=0)
    """Standard deviation of each Gaussian along every axis."""

    def density(self) -> GaussianMixture:
        """Modes at the angles 2πk/modes, counter-clockwise from (radius, 0)."""
        angles = [2 * math.pi * mode / self.modes for mode in range(self.modes)]
        return GaussianMixture(tuple((self.radius * math.cos(angle), self.radius * math.sin(angle)) for angle in angles), self.std)


class GridParams(_ModesParams):
    """Parameters of the grid of Gaussians; the defaults are those of PacGAN (Lin et al. 2018)."""

    side: int = Field(5, ge=2)
    """Gaussians along each side of the square."""
    spacing: float = Field(2.0, gt=0)
    """Distance between adjacent Gaussians."""
    std: float = Field(0.05, gt=0)
    """Standard deviation of each Gaussian along every axis."""

    def density(self) -> GaussianMixture:
        """Modes on a square grid around the origin, row by row."""
        steps = [(step - (self.side - 1) / 2) * self.spacing for step in range(self.side)]
        return GaussianMixture(tuple(product(steps, steps)), self.std)


class SwissRollParams(_SyntheticParams):
    """Parameters of the two-dimensional Swiss roll."""

    noise: float = Field(0.25, ge=0)
    """Standard deviation of the noise before everything is divided by 7.5, as in WGAN-GP's toy experiments."""

    def spec(self) -> DataSpec:
        """Points in the plane."""
        return DataSpec((2,))


class DigitsParams(Params):
    """Parameters of the handwritten digits."""

    held_out: float = Field(0.2, gt=0, lt=1)
    """Share of each class that is held out for evaluation."""

    def spec(self) -> DataSpec:
        """Grey images of ten digits."""
        return DataSpec(
            (1, 8, 8), 10, _DIGIT_NAMES, training_shares(DIGIT_COUNTS, self.held_out), (-1.0, 1.0), own_range=(0.0, 16.0)
        )


class ImageParams(Params):
    """Parameters that all data sets of images share."""

    value_range: ValueRange = (-1.0, 1.0)
    """Values of black and white for the networks: [-1, 1] for a generator that ends in tanh, [0, 1] for one that ends in a sigmoid.
    Samples are written as the pictures are stored: bytes from 0 to 255."""

    def image_spec(self, shape: tuple[int, ...], names: tuple[str, ...] = (), shares: tuple[float, ...] = ()) -> DataSpec:
        """The spec of images of bytes in this range."""
        return DataSpec(shape, len(names) or None, names, shares, self.value_range, own_range=(0.0, 255.0), own_type="uint8")


class MnistParams(ImageParams):
    """Parameters of MNIST."""

    training_only: ClassVar[frozenset[str]] = frozenset({"split"})
    class_names: ClassVar[tuple[str, ...]] = _DIGIT_NAMES
    class_counts: ClassVar[Mapping[str, tuple[int, ...]]] = {
        "train": (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
        "train-50k": (4932, 5678, 4968, 5101, 4859, 4506, 4951, 5175, 4842, 4988),
    }

    split: Literal["train", "train-50k"] = "train"
    """Training images: all 60,000, or the first 50,000, as in the protocol of 2014, which uses the others to choose σ."""
    held_out: Literal["test", "validation"] = "test"
    """Images held out for evaluation: the 10,000 test images, or the last 10,000 of the training images (needs split
    'train-50k')."""

    @field_validator("held_out")
    @classmethod
    def _apart_from_training(cls, held_out: str, info: ValidationInfo) -> str:
        if held_out == "validation" and info.data.get("split") == "train":
            raise ValueError("the validation images are among those of split 'train'; use split = \"train-50k\"")
        return held_out

    def spec(self) -> DataSpec:
        """Grey images of ten classes."""
        return self.image_spec((1, 28, 28), self.class_names, _shares(self.class_counts[self.split]))


class FashionMnistParams(MnistParams):
    """Parameters of Fashion-MNIST."""

    class_names: ClassVar[tuple[str, ...]] = _CLOTHES
    class_counts: ClassVar[Mapping[str, tuple[int, ...]]] = {
        "train": (6000,) * 10,
        "train-50k": (4977, 5012, 4992, 4979, 4950, 5004, 5030, 5045, 5032, 4979),
    }


class StackedMnistParams(ImageParams):
    """Parameters of Stacked MNIST; the default is that of PacGAN (Lin et al. 2018)."""

    training_only: ClassVar[frozenset[str]] = frozenset({"samples"})

    samples: int = Field(128_000, ge=1)
    """Training images; each takes 2,352 bytes of memory."""

    def spec(self) -> DataSpec:
        """Three digits in red, green and blue; class 100 r + 10 g + b has that number as its name, with three digits."""
        digits = _shares(MnistParams.class_counts["train"])
        shares = tuple(red * green * blue for red, green, blue in product(digits, repeat=3))
        return self.image_spec((3, 28, 28), tuple(f"{number:03}" for number in range(1000)), shares)


class Cifar10Params(ImageParams):
    """Parameters of CIFAR-10."""

    def spec(self) -> DataSpec:
        """Small photographs, equally many of each class."""
        return self.image_spec((3, 32, 32), _CIFAR_CLASSES)


class ImageFolderParams(ImageParams):
    """Parameters of pictures from a folder."""

    training_only: ClassVar[frozenset[str]] = frozenset({"stream", "memory"})

    folder: UserPath
    """The folder, relative to the recipe's folder. Every file in it and its sub-folders is read, in the order of their names,
    except hidden files."""
    size: int | None = Field(None, ge=1, le=4096)
    """Pixels of each side after resizing. Without it pictures keep their size, which must be the same for all."""
    crop: int | None = Field(None, ge=1)
    """Pixels of each side of the centred square that is cropped before resizing. Defaults to the largest square if `size` is given,
    else to no cropping."""
    grayscale: bool = False
    """Whether pictures are converted to grey: one channel instead of three."""
    labels: bool | None = None
    """Whether sub-folders are classes. By default they are if there are two or more; a picture outside of them is then an error."""
    skip_broken: bool = False
    """Whether to skip, with a warning, files that are not readable pictures, animations, pictures of more than eight bits, special
    files such as FIFOs, and folders that cannot be listed. By default they are errors."""
    held_out: float = Field(0.1, gt=0, lt=1)
    """Share of the pictures, of each class if there are classes, that is held out for evaluation."""
    stream: Literal["auto"] | bool = "auto"
    """Whether to decode pictures during training, in separate processes (`dataset.workers`), instead of all at once into memory;
    the batches are the same. 'auto' streams if the pictures would take more than `memory`."""
    memory: float = Field(2.0, ge=0)
    """GiB of memory for decoded pictures above which 'auto' streams them."""


class ArraysParams(Params):
    """Parameters of data from the user's own files."""

    file: UserPath
    """A .npy, .npz or text file (.csv, .tsv, .txt), relative to the recipe's folder. One sample is a row (d,), an image (height,
    width) or an image (channels, height, width)."""
    values_array: str | None = None
    """.npz only: name of the array of values. Defaults to 'values', or to the only array, or the one of two that is not labels."""
    labels_array: str | None = None
    """.npz only: name of the array of labels. Defaults to 'labels', if there is such an array."""
    labels_file: UserPath | None = None
    """A .npy file with one label per sample, for values without labels."""
    label_column: str | int | None = None
    """Text only: the column of labels, by its name in the header or its number from 0 (-1 is the last)."""
    columns: tuple[str, ...] = ()
    """Text only: names of the columns to use as values, in this order; by default all but the labels and unnamed row numbers."""
    header: bool | None = None
    """Text only: whether the first line names the columns. By default it does if none of its cells is a number."""
    delimiter: str | None = Field(None, min_length=1, max_length=1)
    """Text only: separator of the cells. By default the first of ; tab | , and spaces that gives all lines equally many cells."""
    decimal: Literal[".", ","] | None = None
    """Text only: decimal mark; the other one may separate thousands. By default the one that makes all cells numbers."""
    value_range: ValueRange | None = None
    """Least and greatest value that the file may contain. Images are rescaled from it to [-1, 1] for the networks, and samples back
    to it; points keep their own units. Defaults to 0 and 255 for images of bytes (uint8)."""
    held_out: float = Field(0.1, gt=0, lt=1)
    """Share of the samples, of each class if there are classes, that is held out for evaluation."""


@dataclass(frozen=True, slots=True)
class DrawnDataset:
    """``samples`` training samples drawn from ``seed``, and held-out ones that are drawn afresh, with CPU generators."""

    spec: DataSpec
    samples: int
    seed: int
    draw: Draw
    draw_held_out: Draw | None = None

    def training(self) -> Samples:
        """The training samples; the same at each call."""
        from torch import Generator

        return self.draw(self.samples, Generator().manual_seed(self.seed))

    def held_out(self, count: int, generator: Generator) -> Samples:
        """``count`` fresh samples."""
        return as_floats(self.spec, (self.draw_held_out or self.draw)(count, generator))


@dataclass(frozen=True, slots=True)
class SplitDataset:
    """A data set in memory, some of whose samples are held out: the same ones for every seed. Images may be bytes.

    Validation samples, which are in neither part, are ``aside``.
    """

    spec: DataSpec
    train: Samples
    held: Samples
    aside: Samples | None = None

    @property
    def held_out_size(self) -> int:
        """Number of held-out samples."""
        return len(self.held)

    def training(self) -> Samples:
        """The training samples, in the order of their file."""
        return self.train

    def held_out(self, count: int, generator: Generator) -> Samples:
        """``count`` of the held-out samples, in random order; with replacement if there are fewer."""
        return as_floats(self.spec, self.held[draw_rows(len(self.held), count, generator)])

    def validation(self, count: int) -> Samples | None:
        """The first ``count`` validation samples, if there are any."""
        return None if self.aside is None else as_floats(self.spec, self.aside[:count])


def as_floats(spec: DataSpec, samples: Samples) -> Samples:
    """Samples whose images are floats instead of bytes."""
    return Samples(spec.to_float(samples.values), samples.labels)


def labels_of(samples: Samples) -> Tensor:
    """``(n,)`` labels of samples of labelled data."""
    assert samples.labels is not None  # noqa: S101
    return samples.labels


def draw_rows(held: int, count: int, generator: Generator) -> Tensor:
    """``count`` of ``held`` row numbers, in random order; with replacement if there are fewer."""
    import torch

    if count <= held:
        return torch.randperm(held, generator=generator)[:count]
    return torch.randint(held, (count,), generator=generator)


def split(values: Tensor, labels: Tensor | None, share: float) -> tuple[Samples, Samples]:
    """Training and held-out samples of ``(n, *shape)`` values, chosen by :func:`held_out_mask`."""
    everything, mask = Samples(values, labels), held_out_mask(len(values), labels, share)
    return everything[~mask], everything[mask]


def held_out_mask(count: int, labels: Tensor | None, share: float) -> Tensor:
    """``(count,)``: which samples are held out, the same ``share`` of each class.

    The choice depends on the number of samples alone, never on a seed, so that runs of all seeds are evaluated on the same data.
    """
    import numpy as np
    import torch

    order = np.random.default_rng(0).permutation(count)
    kinds = np.zeros(count, dtype=np.int64) if labels is None else labels.numpy()
    held = np.zeros(count, dtype=bool)
    for kind, size in enumerate(held_out_counts(np.bincount(kinds).tolist(), share)):
        held[order[kinds[order] == kind][:size]] = True
    return torch.from_numpy(held)


def held_out_counts(counts: Sequence[int], share: float) -> list[int]:
    """Samples of each class to hold out: ``share`` of it, rounded, but at least one sample on either side of the split."""
    held = [round(share * count) for count in counts]
    largest = max(range(len(counts)), key=lambda kind: counts[kind])
    if not sum(held):
        held[largest] = 1
    if sum(held) == sum(counts):
        held[largest] -= 1
    return held


def training_shares(counts: Sequence[int], share: float) -> tuple[float, ...]:
    """Share of each class among the samples that are not held out."""
    return _shares([count - held for count, held in zip(counts, held_out_counts(counts, share), strict=True)])


def _shares(counts: Sequence[int]) -> tuple[float, ...]:
    return tuple(count / sum(counts) for count in counts)
