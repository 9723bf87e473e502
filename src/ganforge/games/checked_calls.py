"""Calls of built parts: what each returns is checked where it enters, and an error names the part's table in the recipe.

The checks cost microseconds and never wait for an accelerator. Each raises a :class:`~ganforge.core.errors.PartError`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ganforge.core.contracts import Discriminator, Encoder, Generator, Loss, Sampler
from ganforge.core.errors import PartError, part_errors
from ganforge.core.records import Codes, DiscriminatorOutput, Latent, LossTerms, Samples, Turn
from ganforge.core.specs import LatentSpec


def draw_latents(sampler: Sampler, count: int, generator: torch.Generator) -> Latent:
    """``count`` latents, with the sizes, labels and codes that the sampler's spec declares, on the generator's device."""
    with part_errors("sampler"):
        latent = sampler.draw(count, generator)
        if fault := latent_fault(latent, sampler.spec, count, generator.device):
            raise PartError("sampler", f"draws {fault}")
    return latent


def generate(generator: Generator, latent: Latent, shape: tuple[int, ...], key: str = "generator") -> Samples:
    """Generated samples: the generator's values ``(n, *shape)`` with the labels and latent they were generated from.

    ``key`` is the network's table in the recipe.
    """
    with part_errors(key):
        values: Any = generator(latent)
        mode = "" if getattr(generator, "training", True) else " in eval mode"
        expected = (len(latent), *shape)
        if not isinstance(values, Tensor) or tuple(values.shape) != expected:
            remedy = f"change {key}.params, or use a generator for samples of shape {shape}"
            fault = f"returns {describe(values)} for {len(latent)} latents{mode}, expected {expected}"
            raise PartError(key, fault, remedy=remedy)
        if values.dtype != torch.float32:
            raise PartError(key, f"returns {values.dtype} values{mode}, expected torch.float32")
        if values.device != latent.noise.device:
            raise PartError(key, f"returns values on {values.device} for latents on {latent.noise.device}")
        if torch.is_grad_enabled() and not values.requires_grad and _learns(generator):
            raise PartError(key, "returns values that are detached from its weights, so no loss can train it")
    return Samples(values, latent.labels, latent)


def discriminate(discriminator: Discriminator, samples: Samples, key: str = "discriminator") -> DiscriminatorOutput:
    """The discriminator's output: logits ``(n,)``, heads and features of n rows."""
    with part_errors(key):
        output: Any = discriminator(samples)
        count = len(samples)
        expected = f"for {count} samples, expected a DiscriminatorOutput with logits ({count},)"
        if not isinstance(output, DiscriminatorOutput):
            raise PartError(key, f"returns {describe(output)} {expected}")
        logits: Any = output.logits
        heads: Any = output.heads
        if not isinstance(logits, Tensor) or tuple(logits.shape) != (count,) or not logits.is_floating_point():
            raise PartError(key, f"returns logits {describe(logits)} {expected}")
        if not isinstance(heads, Mapping):
            raise PartError(key, f"returns {describe(heads)} as heads, expected a mapping from names to tensors")
        others: dict[str, Any] = {f"the head '{name}'": value for name, value in heads.items()}
        if output.features is not None:
            others["features"] = output.features
        for name, value in others.items():
            if not isinstance(value, Tensor) or value.shape[:1] != (count,):
                raise PartError(key, f"returns {name} as {describe(value)} for {count} samples, expected ({count}, …)")
        if samples.values.requires_grad and torch.is_grad_enabled() and not logits.requires_grad:
            raise PartError(key, "returns logits that are detached from its input, so no loss can train the generator")
    return output


def encode(encoder: Encoder, samples: Samples, key: str = "encoder") -> Tensor:
    """The encoder's output, one row per sample."""
    with part_errors(key):
        output: Any = encoder(samples)
        if not isinstance(output, Tensor) or output.shape[:1] != (len(samples),) or not output.is_floating_point():
            raise PartError(key, f"returns {describe(output)} for {len(samples)} samples, expected ({len(samples)}, …)")
    return output


def loss_terms(loss: Loss, key: str, player: str, turn: Turn) -> LossTerms:
    """A loss's terms for one player: scalars by name. ``key`` is its table in the recipe, such as ``loss[0]``."""
    method = getattr(loss, player, None)
    if method is None:
        return LossTerms({})
    with part_errors(key):
        terms: Any = method(turn)
        if not isinstance(terms, LossTerms):
            raise PartError(key, f"returns {describe(terms)}, expected LossTerms")
        values: Mapping[Any, Any] = terms.values
        for name, value in values.items():
            if not isinstance(name, str):
                raise PartError(key, f"returns a {player} term named {name!r}, expected a string")
            if not isinstance(value, Tensor) or value.shape or not value.is_floating_point():
                fault = f"returns the {player} term '{name}' as {describe(value)}, expected a scalar tensor, of shape ()"
                raise PartError(key, fault)
        weights: Mapping[Any, Any] = terms.weights
        for name, weight in weights.items():
            if not isinstance(weight, int | float | Tensor):
                raise PartError(key, f"gives the {player} term '{name}' the weight {weight!r}, expected a number")
    return terms


def _learns(network: Any) -> bool:
    """Whether a network has weights that it learns now."""
    parameters = getattr(network, "parameters", tuple)
    return any(weight.requires_grad for weight in parameters())


def describe(value: object) -> str:
    """The shape of a tensor of 32-bit floats, with the type of another one; else the name of the type."""
    if not isinstance(value, Tensor):
        return f"a {type(value).__name__}"
    return str(tuple(value.shape)) if value.dtype == torch.float32 else f"{tuple(value.shape)} of {value.dtype}"


def latent_fault(latent: Any, spec: LatentSpec, count: int, device: torch.device) -> str | None:
    """What of a latent is not as the spec declares, such as "labels from -1 to 1, expected 0 to 1", or ``None``."""
    if not isinstance(latent, Latent):
        return f"{describe(latent)}, expected a Latent"
    codes: Any = latent.codes
    for name, is_declared, drawn in (("labels", spec.classes is not None, latent.labels), ("codes", spec.has_codes, codes)):
        if is_declared != (drawn is not None):
            return (
                f"no {name}, which the sampler's spec declares"
                if is_declared
                else f"{name}, which the sampler's spec does not declare"
            )
    tensors: dict[str, tuple[Any, ...]] = {"noise": (latent.noise, torch.float32, (count, spec.noise), None)}
    if spec.classes is not None:
        tensors["labels"] = (latent.labels, torch.int64, (count,), spec.classes)
    if spec.has_codes:
        if not isinstance(codes, Codes):
            return f"{describe(codes)} as codes, expected Codes"
        tensors["categorical codes"] = (codes.categorical, torch.int64, (count, len(spec.categorical)), spec.categorical)
        tensors["continuous codes"] = (codes.continuous, torch.float32, (count, spec.continuous), None)
    faults = (_tensor_fault(name, *expected, device=device) for name, expected in tensors.items())
    return next(filter(None, faults), None)


def _tensor_fault(
    name: str,
    value: Any,
    dtype: torch.dtype,
    shape: tuple[int, ...],
    classes: int | tuple[int, ...] | None,
    *,
    device: torch.device,
) -> str | None:
    if not isinstance(value, Tensor) or tuple(value.shape) != shape or value.dtype != dtype:
        return f"{name} as {describe(value)}, expected {shape} of {dtype}"
    if value.device.type != device.type:
        return f"{name} on {value.device}, expected {device}, the device of the random generator"
    if device.type != "cpu" or not value.numel():  # looking at values would wait for the accelerator
        return None
    if classes is None:
        return None if bool(value.isfinite().all()) else f"{name} with values that are not finite"
    below = value.new_tensor(classes)
    if bool(((value < 0) | (value >= below)).any()):
        return f"{name} from {int(value.min())} to {int(value.max())}, expected 0 to {int(below.max()) - 1}"
    return None
