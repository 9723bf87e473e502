"""Parameters of the data sets of images. Light: brings in no torch."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, ValidationInfo, field_validator

from ganforge.plugin import Params


class ImageParams(Params):
    """What all data sets of images have in common."""

    value_range: tuple[float, float] = (-1.0, 1.0)
    """Values that black and white become: [-1, 1] for a generator that ends in tanh, [0, 1] for one that ends in a sigmoid."""

    @field_validator("value_range")
    @classmethod
    def _low_below_high(cls, bounds: tuple[float, float]) -> tuple[float, float]:
        if not bounds[0] < bounds[1]:
            raise ValueError(f"the least value ({bounds[0]:g}) must be below the greatest ({bounds[1]:g})")
        return bounds


class MnistParams(ImageParams):
    """Parameters of MNIST and Fashion-MNIST."""

    training_only: ClassVar[frozenset[str]] = frozenset({"split"})

    split: Literal["train", "train-50k"] = "train"
    """Training images: all 60,000, or the first 50,000, as in the protocol of 2014, which keeps the others to choose σ by."""
    held_out: Literal["test", "validation"] = "test"
    """What is kept back for evaluation: the 10,000 test images, or the last 10,000 of the training images, for which the split must
    be 'train-50k'."""

    @field_validator("held_out")
    @classmethod
    def _apart_from_training(cls, held_out: str, info: ValidationInfo) -> str:
        if held_out == "validation" and info.data.get("split") == "train":
            raise ValueError("the validation images are among those of split 'train'; use split = \"train-50k\"")
        return held_out


class Cifar10Params(ImageParams):
    """Parameters of CIFAR-10."""


class ImageFolderParams(ImageParams):
    """Parameters of pictures from a folder."""

    training_only: ClassVar[frozenset[str]] = frozenset({"stream", "memory"})

    folder: Path = Field(strict=False)
    """The folder; a relative path is meant from the recipe's folder. Every file below it is read, in the order of their names;
    hidden ones are passed over."""
    size: int | None = Field(None, ge=1, le=4096)
    """Pixels of each side that pictures are resized to; unless given they keep their own size, which must be the same for all."""
    crop: int | None = Field(None, ge=1)
    """Pixels of each side of the centred square that is cut out before resizing. Unless given it is the largest one where there is
    a size, and nothing is cut off where there is none."""
    grayscale: bool = False
    """Whether pictures become grey, one channel instead of three."""
    labels: bool | None = None
    """Whether the sub-folders are classes. Unless given they are where there are two or more. A picture beside
    them is an error then."""
    skip_broken: bool = False
    """Whether files that are no readable picture, animations, those of more than eight bits, what is no file, such as a FIFO, and
    folders that cannot be listed are left out, and named. They are errors unless it is set."""
    held_out: float = Field(0.1, gt=0, lt=1)
    """Share of the pictures, of each class where there are classes, that is kept back for evaluation."""
    stream: Literal["auto"] | bool = "auto"
    """Whether pictures are decoded while training, by processes of their own (`dataset.workers`), instead of all at once into
    memory; the batches are the same. 'auto' does so where they would take more than `memory`."""
    memory: float = Field(2.0, ge=0)
    """GiB that decoded pictures may take in memory before 'auto' streams them."""

    @field_validator("folder")
    @classmethod
    def _names_a_folder(cls, folder: Path) -> Path:
        if not str(folder).strip() or folder == Path():
            raise ValueError("must be the path of a folder")
        return folder


class StackedMnistParams(ImageParams):
    """Parameters of Stacked MNIST; the default is that of PacGAN (Lin et al. 2018)."""

    training_only: ClassVar[frozenset[str]] = frozenset({"samples"})

    samples: int = Field(128_000, ge=1)
    """Training images; each takes 2,352 bytes of memory."""
