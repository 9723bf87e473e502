"""Parameters of the built-in losses, samplers and metrics. Light: brings in no torch."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ganforge.plugin import Params


class LeastSquaresParams(Params):
    """Targets of the least-squares loss, in the letters of Mao et al. 2017."""

    a: float = 0.0
    """What the discriminator should say of generated samples."""
    b: float = 1.0
    """What the discriminator should say of real samples."""
    c: float = 1.0
    """What the generator wants the discriminator to say of generated samples."""


class GradientPenaltyParams(Params):
    """Parameters of the WGAN-GP penalty."""

    target: float = Field(1.0, ge=0)
    """Gradient norm that is not punished; 1 in the paper."""
    two_sided: bool = True
    """Whether norms below the target are punished too, as in the paper."""


class NormalParams(Params):
    """Parameters of the normal sampler."""

    size: int = Field(ge=1)
    """Width of the noise."""


class UniformParams(Params):
    """Parameters of the uniform sampler."""

    size: int = Field(ge=1)
    """Width of the noise."""
    low: float = -1.0
    """Least value. The 2014 paper's code draws from [-√3, √3], which has variance 1."""
    high: float = 1.0
    """Greatest value."""

    @model_validator(mode="after")
    def _low_below_high(self) -> Self:
        _check_order(self.low, self.high)
        return self


class LabelledParams(Params):
    """Parameters of the labelled sampler."""

    size: int = Field(ge=1)
    """Width of the noise."""
    distribution: Literal["normal", "uniform"] = "normal"
    """What the noise is drawn from."""
    low: float = -1.0
    """Least value of uniform noise; normal noise ignores it. The cGAN paper draws from [0, 1]."""
    high: float = 1.0
    """Greatest value of uniform noise; normal noise ignores it."""
    stratified: bool = False
    """Whether each draw holds every class in its share, to within one sample, in random order; else labels are independent."""

    @model_validator(mode="after")
    def _low_below_high(self) -> Self:
        _check_order(self.low, self.high)
        return self


class StructuredParams(Params):
    """Parameters of the structured sampler."""

    size: int = Field(ge=1)
    """Width of the noise, codes not counted."""
    categorical: tuple[Annotated[int, Field(ge=2)], ...] = ()
    """Number of values of each categorical code; each value is equally likely."""
    continuous: int = Field(0, ge=0)
    """Number of continuous codes, each uniform in [-1, 1]."""
    distribution: Literal["normal", "uniform"] = "normal"
    """What the noise is drawn from: a standard normal, or uniform in [-1, 1]."""
    stratified: bool = False
    """Whether each draw holds every value equally often, to within one sample, in random order; else codes are independent."""

    @model_validator(mode="after")
    def _has_a_code(self) -> Self:
        if not self.categorical and not self.continuous:
            raise ValueError("give at least one code, such as categorical = [10]; without codes use the sampler 'normal'")
        return self


class WassersteinParams(Params):
    """Parameters of the Wasserstein metric."""

    order: Literal[1, 2] = 2
    """Whether distances or squared distances are averaged: W₁ or W₂."""


def _check_order(low: float, high: float) -> None:
    if low >= high:
        raise ValueError(f"low ({low:g}) must be below high ({high:g})")
