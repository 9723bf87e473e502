"""A turn of each player that counts for nothing: with numbers where they are few, else on the meta device, with shapes only.

What the parts declare was compared before they were built (:mod:`ganforge.build.compatibility`). Here they are tried on
each other with the recipe's real sizes, before anything is created or trained, in milliseconds however large they are. A mistake is
told with the recipe's key, and only if it also shows on the real device: the meta device cannot do all that others can.

Shapes: n samples of a batch.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ganforge.build.blueprint import Blueprint
from ganforge.build.parts import Part
from ganforge.core.contracts import Loss
from ganforge.core.errors import GanforgeError, IncompatiblePartsError
from ganforge.core.isolation import describe_error, isolated
from ganforge.core.records import Codes, DiscriminatorOutput, Latent, Samples, Terms
from ganforge.core.specs import DataSpec, LatentSpec
from ganforge.games.two_player import with_input_grad
from ganforge.train.objective import cached
from ganforge.train.random_streams import seeded
from ganforge.train.trainer import Trainer

_FEW = 4
"""Samples that confirm on the real device what failed without numbers."""
_LIGHT = 10**8
"""Weights times samples up to which numbers are tried at once, in milliseconds; the meta device imports torch's compiler first."""


class _Missed(Exception):  # noqa: N818 - ends a rehearsal; nobody else sees it
    """A part failed on stage."""

    def __init__(self, part: Part, error: Exception) -> None:
        super().__init__(str(error))
        self.part, self.error = part, error


def dry_run(blueprint: Blueprint, trainer: Trainer) -> str | None:
    """Try the parts on each other without changing any of them.

    Returns:
        ``None``, or in one line why a part could not be tried on shapes alone, although it works with numbers.

    Raises:
        IncompatiblePartsError: a part cannot work with what another one gives; it names the key to change.
    """
    size = trainer.batches.size
    if _is_light(trainer):
        missed = _rehearsed(blueprint, trainer, trainer.device, size)
        if missed is None:
            return None
        raise _told(missed) from missed.error

    missed = _rehearsed(blueprint, trainer, torch.device("meta"), size)
    if missed is None:
        return None
    confirmed = _rehearsed(blueprint, trainer, trainer.device, min(_FEW, size))
    if confirmed is None:
        return f"{missed.part.key}: {missed.part.component.id} could not be tried on shapes alone: {describe_error(missed.error)}"
    raise _told(confirmed) from confirmed.error


def _is_light(trainer: Trainer) -> bool:
    weights = sum(weight.numel() for network in trainer.networks.values() for weight in network.parameters())
    return not trainer.evaluator.data.is_image and weights * trainer.batches.size <= _LIGHT


def _rehearsed(blueprint: Blueprint, trainer: Trainer, device: torch.device, count: int) -> _Missed | None:
    """What went wrong on a device, or ``None``."""
    try:
        with seeded(0):
            _Stage.of(blueprint, trainer, device).play(count)
    except _Missed as missed:
        return missed
    return None


@dataclass(frozen=True, slots=True)
class _Stage:
    """The parts, with copies of the networks' weights on a device."""

    blueprint: Blueprint
    generator: _Double
    discriminator: _Double
    losses: tuple[Loss, ...]
    second_order: bool
    data: DataSpec
    latent: LatentSpec
    device: torch.device

    @classmethod
    def of(cls, blueprint: Blueprint, trainer: Trainer, device: torch.device) -> _Stage:
        return cls(
            blueprint,
            _Double.of(trainer.networks["generator"], device),
            _Double.of(trainer.networks["discriminator"], device),
            tuple(_copied(weighted.loss) for weighted in trainer.objective.losses),
            trainer.objective.second_order,
            trainer.evaluator.data,
            trainer.sampler.spec,
            device,
        )

    def play(self, count: int) -> None:
        """The generator's turn, then the discriminator's, as the trainer takes them.

        Raises:
            _Missed: a part failed.
        """
        latent = _latent(self.latent, count, self.device)
        real, fake = _real(self.data, count, self.device), Samples(self._imagined(latent), latent.labels, latent)

        critic = cached(self._judged)
        total = self._turn("generator", lambda loss: loss.generator(critic, real, fake))
        self._learn(self.blueprint.generator, self.generator, total)

        if self.second_order:
            real, fake = with_input_grad(real), with_input_grad(fake)
        critic = cached(self._judged)
        total = self._turn("discriminator", lambda loss: loss.discriminator(critic, real, fake))
        self._learn(self.blueprint.discriminator, self.discriminator, total)

    def _imagined(self, latent: Latent) -> Tensor:
        part = self.blueprint.generator
        with _blaming(part):
            values = self.generator(latent)
            wanted = (len(latent), *self.data.shape)
            if not isinstance(values, Tensor) or tuple(values.shape) != wanted:
                raise IncompatiblePartsError(
                    f"gives {_form(values)} for {len(latent)} latents, and the data ask for {wanted}",
                    remedy=f"change {part.key}.params, or take a generator for samples of the shape {self.data.shape}",
                )
            return values

    def _judged(self, samples: Samples) -> DiscriminatorOutput:
        part = self.blueprint.discriminator
        with _blaming(part):
            verdict = self.discriminator(samples)
            if not isinstance(verdict, DiscriminatorOutput) or tuple(verdict.logits.shape) != (len(samples),):
                given = f"logits {_form(verdict.logits)}" if isinstance(verdict, DiscriminatorOutput) else _form(verdict)
                raise IncompatiblePartsError(
                    f"gives {given} for {len(samples)} samples, where a Verdict with logits ({len(samples)},) is asked for",
                    remedy=f"change {part.key}.params, or report it to the authors of {part.component.plugin.distribution}",
                )
            return verdict

    def _turn(self, side: str, ask: Callable[[Loss], Terms]) -> Tensor:
        """The sum of all losses' terms for one player."""
        total = torch.zeros((), device=self.device)
        for part, loss in zip(self.blueprint.losses, self.losses, strict=True):
            with _blaming(part):
                for name, value in ask(loss).values.items():
                    if value.shape != ():
                        raise IncompatiblePartsError(
                            f"gives the {side} a term '{name}' of the shape {_form(value)}, not one number",
                            remedy=f"report it to the authors of {part.component.plugin.distribution}",
                        )
                    total = total + value
        return total

    def _learn(self, part: Part, player: _Double, total: Tensor) -> None:
        """One backward pass, the second one where a penalty took the first."""
        with _blaming(part):
            slopes = torch.autograd.grad(total, player.learning, allow_unused=True)
            if all(slope is None for slope in slopes):
                raise IncompatiblePartsError(
                    "learns nothing: no loss depends on its weights", remedy=f"change the [[loss]] tables or {part.key}.use"
                )


@dataclass(frozen=True, slots=True)
class _Double:
    """Stands in for a network, with copies of its weights and buffers on a device; the network itself stays as it is."""

    network: nn.Module
    weights: dict[str, Tensor]
    buffers: dict[str, Tensor]

    @classmethod
    def of(cls, network: nn.Module, device: torch.device) -> _Double:
        weights = {
            name: weight.detach().to(device, copy=True).requires_grad_(weight.requires_grad)
            for name, weight in network.named_parameters()
        }
        return cls(network, weights, {name: buffer.detach().to(device, copy=True) for name, buffer in network.named_buffers()})

    @property
    def learning(self) -> list[Tensor]:
        """The weights that the player moves."""
        return [weight for weight in self.weights.values() if weight.requires_grad]

    def __call__(self, *arguments: object) -> object:
        return torch.func.functional_call(self.network, {**self.weights, **self.buffers}, arguments)


@contextmanager
def _blaming(part: Part) -> Iterator[None]:
    """Whose fault it is; of parts that call each other, the innermost one's."""
    try:
        with isolated():
            yield
    except _Missed:
        raise
    except Exception as error:  # the boundary: a stranger's part may raise anything
        raise _Missed(part, error) from error


def _copied(loss: Loss) -> Loss:
    """A loss may remember what it saw; one that cannot be copied, such as one with an open file, is tried itself."""
    try:
        with isolated():
            return copy.deepcopy(loss)
    except Exception:  # noqa: BLE001 - the boundary: a stranger's loss may refuse in any way
        return loss


def _latent(spec: LatentSpec, count: int, device: torch.device) -> Latent:
    """Zeros, as labels and codes too: they are valid classes."""
    labels = torch.zeros(count, dtype=torch.int64, device=device) if spec.classes else None
    codes = None
    if spec.has_codes:
        categorical = torch.zeros(count, len(spec.categorical), dtype=torch.int64, device=device)
        codes = Codes(categorical, torch.zeros(count, spec.continuous, device=device))
    return Latent(torch.randn(count, spec.noise, device=device), labels, codes)


def _real(data: DataSpec, count: int, device: torch.device) -> Samples:
    labels = torch.zeros(count, dtype=torch.int64, device=device) if data.classes else None
    return Samples(torch.rand(count, *data.shape, device=device), labels)


def _told(missed: _Missed) -> IncompatiblePartsError:
    part, error = missed.part, missed.error
    component = part.component
    source = component.source()
    shown = f"{part.key}: {component.kind} '{component.id}'"
    if isinstance(error, GanforgeError):
        return IncompatiblePartsError(f"{shown} {error.message}", remedy=error.remedy)
    return IncompatiblePartsError(
        f"{shown} cannot work with what it is given: {describe_error(error, source and source.parent)}",
        remedy=f"change {part.key}.params; if they are right, report it to the authors of {component.plugin.distribution}",
    )


def _form(value: object) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else f"a {type(value).__name__}"
