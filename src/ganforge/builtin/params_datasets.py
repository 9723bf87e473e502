"""Parameters of the built-in data sets. Light: brings in no torch."""

from __future__ import annotations

from pydantic import Field

from ganforge.plugin import Params


class MoonsParams(Params):
    """Parameters of the two moons."""

    samples: int = Field(10_000, ge=2)
    """Training points, both moons together."""
    noise: float = Field(0.05, ge=0)
    """Standard deviation of the noise around the arcs, whose radius is 1."""


class GaussianParams(Params):
    """Parameters of the one-dimensional Gaussian."""

    mean: float = 0.0
    """Mean."""
    std: float = Field(1.0, gt=0)
    """Standard deviation."""
    samples: int = Field(10_000, ge=1)
    """Training points."""


class RingParams(Params):
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
    """Whether each point carries its mode's number as label."""


class GridParams(Params):
    """Parameters of the grid of Gaussians; the defaults are those of PacGAN (Lin et al. 2018)."""

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

    samples: int = Field(10_000, ge=1)
    """Training points."""
    noise: float = Field(0.25, ge=0)
    """Standard deviation of the noise before everything is divided by 7.5, as in WGAN-GP's toy experiments."""
