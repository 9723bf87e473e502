"""Params and specs of the built-in data sets: a recipe's options, and the sizes that follow. Imports no torch or NumPy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from ganforge.plugin import DataSpec, GaussianMixture, Params

DIGIT_COUNTS = (178, 182, 177, 183, 181, 182, 181, 179, 174, 180)
"""Number of images of each digit among scikit-learn's 1,797."""
_DIGIT_NAMES = tuple(map(str, range(10)))
_CLOTHES = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
"""Numbered as in Xiao et al. 2017."""
_CIFAR_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
"""Numbered as in Krizhevsky 2009."""
_MNIST_COUNTS = {
    "train": (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
    "train-50k": (4932, 5678, 4968, 5101, 4859, 4506, 4951, 5175, 4842, 4988),
}
_FASHION_COUNTS = {"train": (6000,) * 10, "train-50k": (4977, 5012, 4992, 4979, 4950, 5004, 5030, 5045, 5032, 4979)}
"""Number of images of each class in a split, as counted."""


def _check_range(bounds: tuple[float, float]) -> tuple[float, float]:
    if not bounds[0] < bounds[1]:
        raise ValueError(f"the least value ({bounds[0]:g}) must be below the greatest ({bounds[1]:g})")
    return bounds


ValueRange = Annotated[tuple[float, float], AfterValidator(_check_range)]
"""Least and greatest value."""


class _SyntheticParams(Params):
    training_only: ClassVar[frozenset[str]] = frozenset({"samples"})


class MoonsParams(_SyntheticParams):
    """Parameters of the two moons."""

    samples: int = Field(10_000, ge=2)
    """Training points, both moons together."""
    noise: float = Field(0.05, ge=0)
    """Standard deviation of the noise around the arcs, whose radius is 1."""


class GaussianParams(_SyntheticParams):
    """Parameters of the one-dimensional Gaussian."""

    mean: float = 0.0
    """Mean."""
    std: float = Field(1.0, gt=0)
    """Standard deviation."""
    samples: int = Field(10_000, ge=1)
    """Training points."""


class RingParams(_SyntheticParams):
    """Parameters of the ring of Gaussians; the defaults are those of PacGAN (Lin et al. 2018)."""

    modes: int = Field(8, ge=2)
    """Gaussians on the circle."""
    radius: float = Field(1.0, gt=0)
    """Radius of the circle."""
    std: float = Field(0.01, gt=0)
    """Standard deviation of each Gaussian along every axis."""
    samples: int = Field(100_000, ge=1)
    """Training points, all modes together."""
    labelled: bool = False
    """Whether each point has its mode's number as label."""


class GridParams(_SyntheticParams):
    """Parameters of the grid of Gaussians; the defaults are those of PacGAN (Lin et al. 2018)."""

    side: int = Field(5, ge=2)
    """Gaussians along each side of the square."""
    spacing: float = Field(2.0, gt=0)
    """Distance between adjacent Gaussians."""
    std: float = Field(0.05, gt=0)
    """Standard deviation of each Gaussian along every axis."""
    samples: int = Field(100_000, ge=1)
    """Training points, all modes together."""
    labelled: bool = False
    """Whether each point has its mode's number as label."""


class SwissRollParams(_SyntheticParams):
    """Parameters of the two-dimensional Swiss roll."""

    samples: int = Field(10_000, ge=1)
    """Training points."""
    noise: float = Field(0.25, ge=0)
    """Standard deviation of the noise before everything is divided by 7.5, as in WGAN-GP's toy experiments."""


class DigitsParams(Params):
    """Parameters of the handwritten digits."""

    held_out: float = Field(0.2, gt=0, lt=1)
    """Share of each class that is held out for evaluation."""


class ImageParams(Params):
    """Parameters that all data sets of images share."""

    value_range: ValueRange = (-1.0, 1.0)
    """Values of black and white: [-1, 1] for a generator that ends in tanh, [0, 1] for one that ends in a sigmoid."""


class MnistParams(ImageParams):
    """Parameters of MNIST and Fashion-MNIST."""

    training_only: ClassVar[frozenset[str]] = frozenset({"split"})

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


class StackedMnistParams(ImageParams):
    """Parameters of Stacked MNIST; the default is that of PacGAN (Lin et al. 2018)."""

    training_only: ClassVar[frozenset[str]] = frozenset({"samples"})

    samples: int = Field(128_000, ge=1)
    """Training images; each takes 2,352 bytes of memory."""


class Cifar10Params(ImageParams):
    """Parameters of CIFAR-10."""


class ImageFolderParams(ImageParams):
    """Parameters of pictures from a folder."""

    training_only: ClassVar[frozenset[str]] = frozenset({"stream", "memory"})

    folder: Path = Field(strict=False)
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

    @field_validator("folder")
    @classmethod
    def _names_a_folder(cls, folder: Path) -> Path:
        if not str(folder).strip() or folder == Path():
            raise ValueError("must be the path of a folder")
        return folder


class ArraysParams(Params):
    """Parameters of data from the user's own files."""

    file: Path = Field(strict=False)
    """A .npy, .npz or .csv file, relative to the recipe's folder. An .npz contains 'values' and optionally 'labels'. One sample is
    a row (d,), an image (height, width) or an image (channels, height, width)."""
    labels_file: Path | None = Field(None, strict=False)
    """A .npy file with one label per sample, for values without labels."""
    label_column: str | int | None = None
    """.csv only: the column of labels, by its name in the header or its number from 0 (-1 is the last)."""
    columns: tuple[str, ...] = ()
    """.csv only: names of the columns to use as values, in this order; by default all but the labels."""
    header: bool | None = None
    """.csv only: whether the first line names the columns. By default it does if none of its cells is a number."""
    delimiter: str = Field(",", min_length=1, max_length=1)
    """.csv only: separator of the cells."""
    value_range: ValueRange | None = None
    """Least and greatest value that the file may contain. Images are rescaled from it to [-1, 1]; points keep their own units.
    Defaults to 0 and 255 for images of bytes (uint8)."""
    held_out: float = Field(0.1, gt=0, lt=1)
    """Share of the samples, of each class if there are classes, that is held out for evaluation."""

    @field_validator("file", "labels_file")
    @classmethod
    def _names_a_file(cls, file: Path | None) -> Path | None:
        if file is not None and not file.name:
            raise ValueError("must be the path of a file")
        return file


def moons_spec(params: MoonsParams) -> DataSpec:
    """Points in the plane, one class per moon."""
    upper = params.samples // 2
    shares = (upper / params.samples, (params.samples - upper) / params.samples)
    return DataSpec((2,), classes=2, class_names=("upper", "lower"), class_shares=shares)


def gaussian_spec(params: GaussianParams) -> DataSpec:
    """Numbers from one Gaussian."""
    return DataSpec((1,), density=GaussianMixture(((params.mean,),), params.std))


def ring_spec(params: RingParams) -> DataSpec:
    """Modes at the angles 2πk/modes, counter-clockwise from (radius, 0)."""
    angles = [2 * math.pi * mode / params.modes for mode in range(params.modes)]
    means = tuple((params.radius * math.cos(angle), params.radius * math.sin(angle)) for angle in angles)
    return _modes_spec(GaussianMixture(means, params.std), labelled=params.labelled)


def grid_spec(params: GridParams) -> DataSpec:
    """Modes on a square grid around the origin, row by row."""
    steps = [(step - (params.side - 1) / 2) * params.spacing for step in range(params.side)]
    return _modes_spec(GaussianMixture(tuple(product(steps, steps)), params.std), labelled=params.labelled)


def swiss_roll_spec(_params: SwissRollParams) -> DataSpec:
    """Points in the plane."""
    return DataSpec((2,))


def digits_spec(params: DigitsParams) -> DataSpec:
    """Small grey images of ten digits."""
    return DataSpec((1, 8, 8), 10, _DIGIT_NAMES, training_shares(DIGIT_COUNTS, params.held_out), value_range=(-1.0, 1.0))


def mnist_spec(params: MnistParams) -> DataSpec:
    """Grey images of ten digits."""
    return DataSpec((1, 28, 28), 10, _DIGIT_NAMES, _shares(_MNIST_COUNTS[params.split]), params.value_range)


def fashion_mnist_spec(params: MnistParams) -> DataSpec:
    """Grey images of ten articles of clothing."""
    return DataSpec((1, 28, 28), 10, _CLOTHES, _shares(_FASHION_COUNTS[params.split]), params.value_range)


def stacked_mnist_spec(params: StackedMnistParams) -> DataSpec:
    """Three digits in red, green and blue; class 100 r + 10 g + b has that number as its name, with three digits."""
    digits = _shares(_MNIST_COUNTS["train"])
    shares = tuple(red * green * blue for red, green, blue in product(digits, repeat=3))
    return DataSpec((3, 28, 28), 1000, tuple(f"{number:03}" for number in range(1000)), shares, params.value_range)


def cifar10_spec(params: Cifar10Params) -> DataSpec:
    """Small photographs, equally many of each class."""
    return DataSpec((3, 32, 32), 10, _CIFAR_CLASSES, value_range=params.value_range)


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


def _modes_spec(density: GaussianMixture, *, labelled: bool) -> DataSpec:
    return DataSpec((2,), classes=len(density.means) if labelled else None, density=density)
