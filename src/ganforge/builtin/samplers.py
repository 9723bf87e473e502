"""Samplers of latents, with their params and specs. All randomness comes from the given generator, on its device.

This module imports torch inside functions only: params and specs are read whenever components are listed or recipes are checked.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from ganforge.plugin import Codes, DataSpec, IncompatiblePartsError, Latent, LatentSpec, Params, Sampler, SamplerContext

if TYPE_CHECKING:
    from torch import Generator, Tensor

Bounds = tuple[float, float]
"""Least and greatest value of uniform noise."""
_CODE_BOUNDS: Bounds = (-1.0, 1.0)


class NormalParams(Params):
    """Parameters of the normal sampler."""

    size: int = Field(ge=1)
    """Width of the noise, without labels and codes."""

    def spec(self, _data: DataSpec) -> LatentSpec:
        """Noise alone."""
        return LatentSpec(noise=self.size)


class UniformParams(NormalParams):
    """Parameters of the uniform sampler."""

    low: float = -1.0
    """Least value. The 2014 paper's code draws from [-√3, √3], which has variance 1."""
    high: float = 1.0
    """Greatest value."""

    @model_validator(mode="after")
    def _low_below_high(self) -> Self:
        if self.low >= self.high:
            raise ValueError(f"low ({self.low:g}) must be below high ({self.high:g})")
        return self


class LabelledParams(UniformParams):
    """Parameters of the labelled sampler."""

    distribution: Literal["normal", "uniform"] = "normal"
    """Distribution of the noise."""
    low: float = -1.0
    """Least value of uniform noise; ignored for normal noise. The cGAN paper draws from [0, 1]."""
    high: float = 1.0
    """Greatest value of uniform noise; ignored for normal noise."""
    stratified: bool = False
    """Whether each draw contains every class in its share, to within one sample, in random order; else labels are independent."""

    def spec(self, data: DataSpec) -> LatentSpec:
        """Noise and a label."""
        if data.classes is None:
            problem = "sampler 'labelled' draws labels, but the data set has none"
            raise IncompatiblePartsError(problem, remedy="change sampler.use to 'normal', or dataset.use to labelled data")
        return LatentSpec(noise=self.size, classes=data.classes)


class StructuredParams(NormalParams):
    """Parameters of the structured sampler."""

    categorical: tuple[Annotated[int, Field(ge=2)], ...] = ()
    """Number of values of each categorical code; all values are equally likely."""
    continuous: int = Field(0, ge=0)
    """Number of continuous codes, each uniform in [-1, 1]."""
    distribution: Literal["normal", "uniform"] = "normal"
    """Distribution of the noise: standard normal, or uniform in [-1, 1]."""
    stratified: bool = False
    """Whether each draw contains every value equally often, to within one sample, in random order; else codes are independent."""

    @model_validator(mode="after")
    def _has_a_code(self) -> Self:
        if not self.categorical and not self.continuous:
            raise ValueError("give at least one code, such as categorical = [10]; without codes use the sampler 'normal'")
        return self

    def spec(self, _data: DataSpec) -> LatentSpec:
        """Noise and codes."""
        return LatentSpec(noise=self.size, categorical=self.categorical, continuous=self.continuous)


def build_normal(params: NormalParams, context: SamplerContext) -> Sampler:
    """Factory of ``normal``."""
    return LatentSampler(params.spec(context.data))


def build_uniform(params: UniformParams, context: SamplerContext) -> Sampler:
    """Factory of ``uniform``."""
    return LatentSampler(params.spec(context.data), (params.low, params.high))


def build_labelled(params: LabelledParams, context: SamplerContext) -> Sampler:
    """Factory of ``labelled``."""
    spec, bounds = params.spec(context.data), (params.low, params.high) if params.distribution == "uniform" else None
    return LatentSampler(spec, bounds, context.data.class_shares or (1.0,) * (spec.classes or 0), params.stratified)


def build_structured(params: StructuredParams, context: SamplerContext) -> Sampler:
    """Factory of ``structured``."""
    bounds = _CODE_BOUNDS if params.distribution == "uniform" else None
    return LatentSampler(params.spec(context.data), bounds, stratified=params.stratified)


@dataclass(frozen=True, slots=True)
class LatentSampler:
    """Noise and, independent of it, labels or codes.

    Attributes:
        noise_bounds: least and greatest value of the noise; ``None`` for standard normal noise.
        shares: of each class among the labels, if there are labels.
    """

    spec: LatentSpec
    noise_bounds: Bounds | None = None
    shares: tuple[float, ...] = ()
    stratified: bool = False

    @property
    def noise_moments(self) -> tuple[float, float]:
        """Mean and standard deviation of each dimension of the noise."""
        if self.noise_bounds is None:
            return 0.0, 1.0
        low, high = self.noise_bounds
        return (low + high) / 2, (high - low) / math.sqrt(12)

    def draw(self, count: int, generator: Generator) -> Latent:
        """``count`` latents."""
        noise = _draw_noise(self.noise_bounds, count, self.spec.noise, generator)
        if self.spec.has_codes:
            return Latent(noise, codes=self._draw_codes(count, generator))
        return Latent(noise, labels=self._draw_classes(self.shares, count, generator) if self.shares else None)

    def _draw_codes(self, count: int, generator: Generator) -> Codes:
        """``(count, k)`` int64 and ``(count, c)`` floats."""
        import torch

        columns = [self._draw_classes((1.0,) * values, count, generator) for values in self.spec.categorical]
        categorical = torch.stack(columns, dim=1) if columns else torch.empty(count, 0, dtype=torch.int64, device=generator.device)
        return Codes(categorical, _draw_noise(_CODE_BOUNDS, count, self.spec.continuous, generator))

    def _draw_classes(self, shares: Sequence[float], count: int, generator: Generator) -> Tensor:
        import torch

        if self.stratified:
            return draw_stratified(shares, count, generator)
        return torch.multinomial(torch.tensor(shares).to(generator.device), count, replacement=True, generator=generator)


def draw_stratified(shares: Sequence[float], count: int, generator: Generator) -> Tensor:
    """``(count,)`` int64: classes in random order, the count of each in its share to within one.

    Systematic sampling: one random offset for ``count`` evenly spaced points of the cumulated shares, so that the expected counts
    are exact. It removes the randomness of the counts, and with it a part of every batch's gradient noise.
    """
    import torch

    parts, device = torch.tensor(shares).double(), generator.device
    cumulated = parts.cumsum(0) / parts.sum()
    offset = torch.rand((), generator=generator, device=device, dtype=torch.float64)
    points = (torch.arange(count, device=device, dtype=torch.float64) + offset) / count
    classes = torch.searchsorted(cumulated.to(device), points, right=True).clamp_max(len(parts) - 1)
    return classes[torch.randperm(count, generator=generator, device=device)]


def _draw_noise(bounds: Bounds | None, count: int, width: int, generator: Generator) -> Tensor:
    """``(count, width)``, standard normal or uniform between bounds."""
    import torch

    if bounds is None:
        return torch.randn(count, width, generator=generator, device=generator.device)
    low, high = bounds
    return low + (high - low) * torch.rand(count, width, generator=generator, device=generator.device)
