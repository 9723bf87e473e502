"""Parameters of the data sets of images. Light: brings in no torch."""

from __future__ import annotations

from typing import Literal

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


class StackedMnistParams(ImageParams):
    """Parameters of Stacked MNIST; the default is that of PacGAN (Lin et al. 2018)."""

    samples: int = Field(128_000, ge=1)
    """Training images; each takes 2,352 bytes of memory."""
