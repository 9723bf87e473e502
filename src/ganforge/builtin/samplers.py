"""Samplers of latents. Everything is drawn from the given generator, on its device."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from ganforge.builtin.component_params import LabelledParams, NormalParams, StructuredParams, UniformParams
from ganforge.builtin.component_specs import labelled_spec, noise_spec, structured_spec
from ganforge.plugin import Codes, Latent, LatentSpec, Sampler, SamplerContext

Noise = Callable[[int, int, Generator], Tensor]
"""``(count, width, generator) -> (count, width)``."""
Classes = Callable[[int, Generator], Tensor]
"""``(count, generator) -> (count,)`` int64 class indices."""
Moments = tuple[float, float]
"""Mean and standard deviation of each dimension of the noise."""
Bounds = tuple[float, float]
"""Least and greatest value of the noise."""

_STANDARD: Moments = (0.0, 1.0)


def normal(count: int, width: int, generator: Generator) -> Tensor:
    """``(count, width)`` from a standard normal."""
    return torch.randn(count, width, generator=generator, device=generator.device)


def uniform(low: float, high: float) -> Noise:
    """``(count, width)`` from [low, high)."""

    def draw(count: int, width: int, generator: Generator) -> Tensor:
        return low + (high - low) * torch.rand(count, width, generator=generator, device=generator.device)

    return draw


def spread(low: float, high: float) -> Moments:
    """The moments of uniform noise from [low, high)."""
    return (low + high) / 2, (high - low) / math.sqrt(12)


def independent(shares: Sequence[float]) -> Classes:
    """Each class by itself, with probabilities proportional to ``shares``."""
    chances = torch.tensor(shares)  # (k,)

    def draw(count: int, generator: Generator) -> Tensor:
        return torch.multinomial(chances.to(generator.device), count, replacement=True, generator=generator)

    return draw


def stratified(shares: Sequence[float]) -> Classes:
    """Classes in random order, each as often as its share says, to within one.

    Systematic sampling: one random offset for ``count`` evenly spaced points of the cumulated shares, so that the expected counts
    are exact. It takes the chance out of how often a class comes, and with it a part of every batch's gradient noise.
    """
    parts = torch.tensor(shares).double()  # (k,)
    cumulated = parts.cumsum(0) / parts.sum()

    def draw(count: int, generator: Generator) -> Tensor:
        device = generator.device
        offset = torch.rand((), generator=generator, device=device, dtype=torch.float64)
        points = (torch.arange(count, device=device, dtype=torch.float64) + offset) / count
        classes = torch.searchsorted(cumulated.to(device), points, right=True).clamp_max(len(parts) - 1)
        return classes[torch.randperm(count, generator=generator, device=device)]

    return draw


@dataclass(frozen=True, slots=True)
class NoiseSampler:
    """Noise alone."""

    spec: LatentSpec
    noise: Noise
    noise_moments: Moments
    noise_bounds: Bounds | None = None

    def draw(self, count: int, generator: Generator) -> Latent:
        """``count`` noise vectors."""
        return Latent(self.noise(count, self.spec.noise, generator))


@dataclass(frozen=True, slots=True)
class LabelledSampler:
    """Noise and, independent of it, a label drawn from the data's class shares.

    Attributes:
        labels: draws the labels.
    """

    spec: LatentSpec
    noise: Noise
    noise_moments: Moments
    labels: Classes
    noise_bounds: Bounds | None = None

    def draw(self, count: int, generator: Generator) -> Latent:
        """``count`` noise vectors with labels."""
        return Latent(self.noise(count, self.spec.noise, generator), labels=self.labels(count, generator))


@dataclass(frozen=True, slots=True)
class StructuredSampler:
    """Noise, categorical codes with equally likely values, and continuous codes uniform in [-1, 1] (InfoGAN, Chen et al. 2016).

    Attributes:
        codes: draws each of the categorical codes.
    """

    spec: LatentSpec
    noise: Noise
    noise_moments: Moments
    codes: tuple[Classes, ...]
    noise_bounds: Bounds | None = None

    def draw(self, count: int, generator: Generator) -> Latent:
        """``count`` noise vectors with codes: ``(count, k)`` int64 and ``(count, c)`` floats."""
        noise = self.noise(count, self.spec.noise, generator)
        columns = [code(count, generator) for code in self.codes]
        categorical = torch.stack(columns, dim=1) if columns else torch.empty(count, 0, dtype=torch.int64, device=generator.device)
        continuous = uniform(-1.0, 1.0)(count, self.spec.continuous, generator)
        return Latent(noise, codes=Codes(categorical, continuous))


def build_normal(params: NormalParams, context: SamplerContext) -> Sampler:
    """Factory of ``normal``."""
    return NoiseSampler(noise_spec(params, context.data), normal, _STANDARD)


def build_uniform(params: UniformParams, context: SamplerContext) -> Sampler:
    """Factory of ``uniform``."""
    bounds = (params.low, params.high)
    return NoiseSampler(noise_spec(params, context.data), uniform(*bounds), spread(*bounds), bounds)


def build_labelled(params: LabelledParams, context: SamplerContext) -> Sampler:
    """Factory of ``labelled``.

    Raises:
        IncompatiblePartsError: the data has no labels.
    """
    spec = labelled_spec(params, context.data)
    shares = context.data.class_shares or (1.0,) * (spec.classes or 0)
    is_normal = params.distribution == "normal"
    noise = normal if is_normal else uniform(params.low, params.high)
    moments = _STANDARD if is_normal else spread(params.low, params.high)
    bounds = None if is_normal else (params.low, params.high)
    return LabelledSampler(spec, noise, moments, _classes(shares, stratify=params.stratified), bounds)


def build_structured(params: StructuredParams, context: SamplerContext) -> Sampler:
    """Factory of ``structured``."""
    is_normal = params.distribution == "normal"
    noise, moments = (normal, _STANDARD) if is_normal else (uniform(-1.0, 1.0), spread(-1.0, 1.0))
    spec = structured_spec(params, context.data)
    codes = tuple(_classes((1.0,) * values, stratify=params.stratified) for values in spec.categorical)
    return StructuredSampler(spec, noise, moments, codes, None if is_normal else (-1.0, 1.0))


def _classes(shares: Sequence[float], *, stratify: bool) -> Classes:
    return stratified(shares) if stratify else independent(shares)
