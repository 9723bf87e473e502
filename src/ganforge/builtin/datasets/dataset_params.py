"""Parameters of the built-in data sets. Light: brings in no torch."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field, field_validator

from ganforge.plugin import Params


class MoonsParams(Params):
    """Parameters of the two moons."""

    training_only: ClassVar[frozenset[str]] = frozenset({"samples"})

    samples: int = Field(10_000, ge=2)
    """Training points, both moons together."""
    noise: float = Field(0.05, ge=0)
    """Standard deviation of the noise around the arcs, whose radius is 1."""


class GaussianParams(Params):
    """Parameters of the one-dimensional Gaussian."""

    training_only: ClassVar[frozenset[str]] = frozenset({"samples"})

    mean: float = 0.0
    """Mean."""
    std: float = Field(1.0, gt=0)
    """Standard deviation."""
    samples: int = Field(10_000, ge=1)
    """Training points."""


class RingParams(Params):
    """Parameters of the ring of Gaussians; the defaults are those of PacGAN (Lin et al. 2018)."""

    training_only: ClassVar[frozenset[str]] = frozenset({"samples"})

    modes: int = Field(8, ge=2)
    """Gaussians on the circle."""
    radius: float = Field(1.0, gt=0)
    """Radius of the circle."""
    std: float = Field(0.01, gt=0)
    """Standard deviation of each Gaussian along every axis."""
    samples: int = Field(100_000, ge=1)
    """Training points, all modes together."""
    labelled: bool = False
    """Whether each point carries its mode's number as label."""


class GridParams(Params):
    """Parameters of the grid of Gaussians; the defaults are those of PacGAN (Lin et al. 2018)."""

    training_only: ClassVar[frozenset[str]] = frozenset({"samples"})

    side: int = Field(5, ge=2)
    """Gaussians along each side of the square."""
    spacing: float = Field(2.0, gt=0)
    """Distance between neighbours."""
    std: float = Field(0.05, gt=0)
    """Standard deviation of each Gaussian along every axis."""
    samples: int = Field(100_000, ge=1)
    """Training points, all modes together."""
    labelled: bool = False
    """Whether each point carries its mode's number as label."""


class SwissRollParams(Params):
    """Parameters of the two-dimensional Swiss roll."""

    training_only: ClassVar[frozenset[str]] = frozenset({"samples"})

    samples: int = Field(10_000, ge=1)
    """Training points."""
    noise: float = Field(0.25, ge=0)
    """Standard deviation of the noise before everything is divided by 7.5, as in WGAN-GP's toy experiments."""


class DigitsParams(Params):
    """Parameters of the handwritten digits."""

    held_out: float = Field(0.2, gt=0, lt=1)
    """Share of each class that is kept back for evaluation."""


class ArraysParams(Params):
    """Parameters of data from the user's own files."""

    file: Path = Field(strict=False)
    """A .npy, .npz or .csv file; a relative path is meant from the recipe's folder. An .npz holds 'values' and, where there are
    any, 'labels'. One sample is a row (d,), an image (height, width) or an image (channels, height, width)."""
    labels_file: Path | None = Field(None, strict=False)
    """A .npy file with one label per sample, for values that come without."""
    label_column: str | int | None = None
    """.csv only: the column of labels, by its name in the header or its number from 0 (-1 is the last)."""
    columns: tuple[str, ...] = ()
    """.csv only: names of the columns to use as values, in this order; all but the labels unless given."""
    header: bool | None = None
    """.csv only: whether the first line names the columns. Unless given, it does when none of its cells is a number."""
    delimiter: str = Field(",", min_length=1, max_length=1)
    """.csv only: what separates the cells."""
    value_range: tuple[float, float] | None = None
    """Least and greatest value that the file may hold. Images are rescaled from it to [-1, 1]; points stay in their own units.
    Images of bytes (uint8) have 0 and 255 unless given."""
    held_out: float = Field(0.1, gt=0, lt=1)
    """Share of the samples, of each class where there are classes, that is kept back for evaluation."""

    @field_validator("file", "labels_file")
    @classmethod
    def _names_a_file(cls, file: Path | None) -> Path | None:
        if file is not None and not file.name:
            raise ValueError("must be the path of a file")
        return file

    @field_validator("value_range")
    @classmethod
    def _low_below_high(cls, bounds: tuple[float, float] | None) -> tuple[float, float] | None:
        if bounds is not None and not bounds[0] < bounds[1]:
            raise ValueError(f"the least value ({bounds[0]:g}) must be below the greatest ({bounds[1]:g})")
        return bounds
