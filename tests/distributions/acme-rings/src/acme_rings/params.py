"""What a recipe may set. Unknown keys and wrong types are refused; the text below a field is its description."""

from __future__ import annotations

from typing import Literal

from ganforge.plugin import Params
from pydantic import Field

Divergence = Literal["kl", "reverse-kl", "pearson", "jensen-shannon"]


class ConcentricParams(Params):
    """Parameters of the circles."""

    circles: int = Field(3, ge=1)
    """Circles; their radii are evenly spaced up to 1."""
    noise: float = Field(0.01, ge=0)
    """Standard deviation of the noise across a circle."""
    samples: int = Field(20_000, ge=1)
    """Training points, all circles together."""
    labelled: bool = False
    """Whether each point carries its circle's number as label, the innermost being 0."""


class FourierParams(Params):
    """Parameters of the Fourier-feature generator."""

    frequencies: int = Field(64, ge=1)
    """Random frequencies; each gives a sine and a cosine."""
    bandwidth: float = Field(0.5, gt=0)
    """Standard deviation of the frequencies, in cycles per unit of the latent: higher makes thinner shapes possible."""
    width: int = Field(128, ge=1)
    """Units of each residual layer."""
    layers: int = Field(2, ge=1)
    """Residual layers."""


class FGanParams(Params):
    """Parameters of the f-GAN loss."""

    divergence: Divergence = "jensen-shannon"
    """The divergence of the real from the generated distribution that is minimised."""
