"""Samplers of latents, with their params and specs. All randomness comes from the given generator, on its device.

This module imports torch inside functions only: params and specs are read whenever components are listed or recipes are checked.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from ganforge.plugin import Codes, DataSpec, IncompatiblePartsError, Latent, LatentSpec, Params, Sampler, SamplerContext

if TYPE_CHECKING:
    from torch import Generator, Tensor

Noise = Callable[[int, int, "Generator"], "Tensor"]
"""``(count, width, generator) -> (count, width)``."""
Classes = Callable[[int, "Generator"], "Tensor"]
"""``(count, generator) -> (count,)`` int64 class indices."""
Moments = tuple[float, float]
"""Mean and standard deviation of each dimension of the noise."""
Bounds = tuple[float, float]
"""Least and greatest value of the noise."""

_STANDARD: Moments = (0.0, 1.0)


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


class StructuredParams(Params):
    """Parameters of the structured sampler."""

    size: int = Field(ge=1)
    """Width of the noise, without the codes."""
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


@dataclass(frozen=True, slots=True)
class LatentSampler:
    """Noise and, independent of it, labels or codes.

    Attributes:
        spec: sizes of the latents.
        noise: draws the noise.
        noise_moments: mean and standard deviation of each dimension of the noise.
        noise_bounds: least and greatest value of the noise; ``None`` if unbounded.
        labels: draws labels, if the spec has classes.
        codes: draw the categorical codes of the spec, one each. Continuous codes are uniform in [-1, 1].
    """

    spec: LatentSpec
    noise: Noise
    noise_moments: Moments
    noise_bounds: Bounds | None
    labels: Classes | None = None
    codes: tuple[Classes, ...] = ()

    def draw(self, count: int, generator: Generator) -> Latent:
        """``count`` latents."""
        noise = self.noise(count, self.spec.noise, generator)
        if self.spec.has_codes:
            return Latent(noise, codes=self._draw_codes(count, generator))
        return Latent(noise, labels=None if self.labels is None else self.labels(count, generator))

    def _draw_codes(self, count: int, generator: Generator) -> Codes:
        """``(count, k)`` int64 and ``(count, c)`` floats."""
        import torch

        columns = [code(count, generator) for code in self.codes]
        categorical = torch.stack(columns, dim=1) if columns else torch.empty(count, 0, dtype=torch.int64, device=generator.device)
        return Codes(categorical, uniform(-1.0, 1.0)(count, self.spec.continuous, generator))


def normal(count: int, width: int, generator: Generator) -> Tensor:
    """``(count, width)`` from a standard normal."""
    import torch

    return torch.randn(count, width, generator=generator, device=generator.device)


def uniform(low: float, high: float) -> Noise:
    """``(count, width)`` from [low, high)."""
    import torch

    def draw(count: int, width: int, generator: Generator) -> Tensor:
        return low + (high - low) * torch.rand(count, width, generator=generator, device=generator.device)

    return draw


def independent(shares: Sequence[float]) -> Classes:
    """Independent classes with probabilities proportional to ``shares``."""
    import torch

    chances = torch.tensor(shares)  # (k,)

    def draw(count: int, generator: Generator) -> Tensor:
        return torch.multinomial(chances.to(generator.device), count, replacement=True, generator=generator)

    return draw


def stratified(shares: Sequence[float]) -> Classes:
    """Classes in random order, the count of each in its share to within one.

    Systematic sampling: one random offset for ``count`` evenly spaced points of the cumulated shares, so that the expected counts
    are exact. It removes the randomness of the counts, and with it a part of every batch's gradient noise.
    """
    import torch

    parts = torch.tensor(shares).double()  # (k,)
    cumulated = parts.cumsum(0) / parts.sum()

    def draw(count: int, generator: Generator) -> Tensor:
        device = generator.device
        offset = torch.rand((), generator=generator, device=device, dtype=torch.float64)
        points = (torch.arange(count, device=device, dtype=torch.float64) + offset) / count
        classes = torch.searchsorted(cumulated.to(device), points, right=True).clamp_max(len(parts) - 1)
        return classes[torch.randperm(count, generator=generator, device=device)]

    return draw


def noise_spec(params: NormalParams | UniformParams, _data: DataSpec) -> LatentSpec:
    """Spec of ``normal`` and ``uniform``."""
    return LatentSpec(noise=params.size)


def labelled_spec(params: LabelledParams, data: DataSpec) -> LatentSpec:
    """Spec of ``labelled``.

    Raises:
        IncompatiblePartsError: the data has no labels.
    """
    if data.classes is None:
        raise IncompatiblePartsError(
            "sampler 'labelled' draws labels, but the data set has none",
            remedy="change sampler.use to 'normal', or dataset.use to labelled data",
        )
    return LatentSpec(noise=params.size, classes=data.classes)


def structured_spec(params: StructuredParams, _data: DataSpec) -> LatentSpec:
    """Spec of ``structured``."""
    return LatentSpec(noise=params.size, categorical=params.categorical, continuous=params.continuous)


def build_normal(params: NormalParams, context: SamplerContext) -> Sampler:
    """Factory of ``normal``."""
    return LatentSampler(noise_spec(params, context.data), *_noise("normal"))


def build_uniform(params: UniformParams, context: SamplerContext) -> Sampler:
    """Factory of ``uniform``."""
    return LatentSampler(noise_spec(params, context.data), *_noise("uniform", params.low, params.high))


def build_labelled(params: LabelledParams, context: SamplerContext) -> Sampler:
    """Factory of ``labelled``.

    Raises:
        IncompatiblePartsError: the data has no labels.
    """
    spec = labelled_spec(params, context.data)
    shares = context.data.class_shares or (1.0,) * (spec.classes or 0)
    noise = _noise(params.distribution, params.low, params.high)
    return LatentSampler(spec, *noise, labels=_classes(shares, stratify=params.stratified))


def build_structured(params: StructuredParams, context: SamplerContext) -> Sampler:
    """Factory of ``structured`` (InfoGAN, Chen et al. 2016)."""
    spec = structured_spec(params, context.data)
    codes = tuple(_classes((1.0,) * values, stratify=params.stratified) for values in spec.categorical)
    return LatentSampler(spec, *_noise(params.distribution), codes=codes)


def _noise(distribution: str, low: float = -1.0, high: float = 1.0) -> tuple[Noise, Moments, Bounds | None]:
    if distribution == "normal":
        return normal, _STANDARD, None
    return uniform(low, high), ((low + high) / 2, (high - low) / math.sqrt(12)), (low, high)


def _classes(shares: Sequence[float], *, stratify: bool) -> Classes:
    return stratified(shares) if stratify else independent(shares)
