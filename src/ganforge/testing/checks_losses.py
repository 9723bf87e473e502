"""L checks: losses, run against a discriminator with the heads that they read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ganforge.core.contracts import Critic, Loss
from ganforge.core.params import NoParams
from ganforge.core.records import DiscriminatorOutput, Samples, Terms
from ganforge.registry.component import Component, Kind
from ganforge.testing import stub_components
from ganforge.testing.component_case import ComponentCase, require, require_finite
from ganforge.testing.conformance_checks import CheckFailedError, NotApplicableError, check

Turn = Literal["discriminator", "generator"]
TURNS: tuple[Turn, ...] = ("discriminator", "generator")
_MANY = 16


def build_loss_component(subject: ComponentCase) -> Loss:
    """Build the loss."""
    loss: Loss = subject.build()
    return loss


def loss_terms(loss: Loss, turn: Turn, critic: Critic, real: Samples, fake: Samples) -> Terms:
    """The terms of one turn.

    Raises:
        CheckFailedError: they are not Terms.
    """
    terms = (loss.discriminator if turn == "discriminator" else loss.generator)(critic, real, fake)
    if not isinstance(terms, Terms):
        raise CheckFailedError(f"the {turn}'s turn returns a {type(terms).__name__}, not Terms")
    return terms


def real_and_fake(subject: ComponentCase) -> tuple[Samples, Samples]:
    """Random real and generated samples."""
    return subject.samples(_MANY, seed=11), subject.samples(_MANY, seed=12, latent=subject.latents(_MANY))


def random_terms(subject: ComponentCase, turn: Turn) -> Terms:
    """The terms of one turn, on random samples."""
    real, fake = real_and_fake(subject)
    fake = replace(fake, values=fake.values.requires_grad_()) if turn == "generator" else fake
    return loss_terms(build_loss_component(subject), turn, make_discriminator(subject), real, fake)


def find_discriminator(subject: ComponentCase) -> Component | None:
    """An installed discriminator with the heads that a loss reads; ``None`` if the stub has them.

    Raises:
        NotApplicableError: neither an installed discriminator nor the stub has them.
    """
    if partner := subject.partner:
        return partner
    heads = {word for word in subject.component.requires if word.startswith("head:")}
    lacking = heads - {f"head:{name}" for name in stub_components.build_discriminator(NoParams(), subject.context).heads}
    if lacking:
        raise NotApplicableError(f"no installed discriminator provides {', '.join(sorted(lacking))}")
    return None


def make_discriminator(subject: ComponentCase) -> nn.Module:
    """A discriminator with the heads that the loss reads, in training mode."""
    found = find_discriminator(subject)
    network: nn.Module | None = ComponentCase(found, subject.registry).build_for(subject.context) if found else None
    if network is None:
        torch.manual_seed(0)
        network = stub_components.build_discriminator(NoParams(), subject.context)
    return network.train()


@check("L01", Kind.LOSS)
def terms_are_finite_scalars(subject: ComponentCase) -> None:
    """Terms are finite scalars, and at least one of the two turns has terms."""
    given = {turn: random_terms(subject, turn) for turn in TURNS}
    require(any(terms.values for terms in given.values()), "it returns no terms for either turn")
    for turn, terms in given.items():
        values: Mapping[str, Any] = terms.values
        for name, value in values.items():
            require(isinstance(value, Tensor) and value.dim() == 0, f"term {turn}/{name} is not a scalar tensor")
            require_finite(value, f"term {turn}/{name}")


@check("L02", Kind.LOSS)
def term_info_matches_terms(subject: ComponentCase) -> None:
    """term_info describes exactly the terms that the loss returns."""
    loss = build_loss_component(subject)
    given = {f"{turn}/{name}" for turn in TURNS for name in random_terms(subject, turn)}
    declared = set(loss.term_info)
    require(given <= declared, f"terms missing from term_info: {', '.join(sorted(given - declared))}")
    require(declared <= given, f"term_info entries without a term: {', '.join(sorted(declared - given))}")
    silent = [key for key, reading in loss.term_info.items() if not reading.label.strip()]
    require(not silent, f"term_info entries without a label: {', '.join(silent)}")


@check("L03", Kind.LOSS)
def discriminator_gets_gradient(subject: ComponentCase) -> None:
    """The discriminator's terms reach its parameters."""
    discriminator = make_discriminator(subject)
    terms = loss_terms(build_loss_component(subject), "discriminator", discriminator, *real_and_fake(subject))
    if not terms.values:
        raise NotApplicableError("it returns no terms for the discriminator's turn")
    require(terms.total.requires_grad, "the terms have no graph")
    torch.autograd.backward(terms.total)
    reached = [
        parameter for parameter in discriminator.parameters() if parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)
    ]
    require(reached, "no parameter of the discriminator receives a gradient")


@check("L04", Kind.LOSS)
def generator_gets_gradient(subject: ComponentCase) -> None:
    """The generator's terms reach the generated values."""
    real, fake = real_and_fake(subject)
    fake = replace(fake, values=fake.values.requires_grad_())
    terms = loss_terms(build_loss_component(subject), "generator", make_discriminator(subject), real, fake)
    if not terms.values:
        raise NotApplicableError("it returns no terms for the generator's turn")
    require(terms.total.requires_grad, "the terms have no graph")
    gradient: Any = torch.autograd.grad(terms.total, fake.values, allow_unused=True)[0]
    require(gradient is not None and bool(gradient.abs().sum() > 0), "the generated values receive no gradient; are they detached?")


@check("L05", Kind.LOSS)
def single_backward_is_enough(subject: ComponentCase) -> None:
    """Without second_order, the loss does not differentiate twice."""
    loss = build_loss_component(subject)
    if loss.second_order:
        raise NotApplicableError("it declares second_order")
    for turn in TURNS:
        real, fake = real_and_fake(subject)
        fake = replace(fake, values=fake.values.requires_grad_()) if turn == "generator" else fake
        terms = loss_terms(loss, turn, _Once(make_discriminator(subject)), real, fake)
        if not terms.values:
            continue
        try:
            torch.autograd.backward(terms.total)
        except RuntimeError as error:
            raise CheckFailedError(f"the {turn}'s terms are differentiated twice, but second_order is False ({error})") from error


@check("L06", Kind.LOSS)
def has_no_side_effects(subject: ComponentCase) -> None:
    """It does not call backward, change weights or modes, or modify its samples.

    Running statistics of batch normalisation may change, since every forward pass changes them.
    """
    for turn in TURNS:
        discriminator = make_discriminator(subject)
        before = {name: weight.detach().clone() for name, weight in discriminator.named_parameters()}
        real, fake = real_and_fake(subject)
        values = real.values.clone(), fake.values.clone()
        fake = replace(fake, values=fake.values.requires_grad_()) if turn == "generator" else fake
        loss_terms(build_loss_component(subject), turn, discriminator, real, fake)

        graded = [name for name, parameter in discriminator.named_parameters() if parameter.grad is not None]
        require(not graded, f"after the {turn}'s terms these parameters have gradients: {', '.join(graded)}")
        moved = [name for name, weight in discriminator.named_parameters() if not torch.equal(weight, before[name])]
        require(not moved, f"after the {turn}'s terms these weights have changed: {', '.join(moved)}")
        require(
            all(module.training for module in discriminator.modules()),
            f"after the {turn}'s terms the discriminator is in eval mode",
        )
        same = torch.equal(real.values, values[0]) and torch.equal(fake.values.detach(), values[1])
        require(same, f"the {turn}'s terms changed the samples in place")


class _Stop(torch.autograd.Function):
    """Identity that can be differentiated once."""

    @staticmethod
    def forward(_ctx: Any, values: Tensor) -> Tensor:
        return values.clone()

    @staticmethod
    @once_differentiable
    def backward(_ctx: Any, gradient: Tensor) -> Tensor:
        return gradient.clone()


_once: Callable[[Tensor], Tensor] = _Stop.apply


class _Once(nn.Module):
    """A discriminator that can be differentiated only once, with respect to inputs and weights."""

    def __init__(self, discriminator: nn.Module) -> None:
        super().__init__()
        self.discriminator = discriminator

    def forward(self, samples: Samples) -> DiscriminatorOutput:
        output: DiscriminatorOutput = self.discriminator(replace(samples, values=_once(samples.values)))
        heads = {name: _once(head) for name, head in output.heads.items()}
        logits: Tensor = _once(output.logits)
        return DiscriminatorOutput(logits, heads, output.features)
