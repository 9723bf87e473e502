"""L checks: losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ganforge.core.records import DiscriminatorOutput, Samples
from ganforge.registry.component import Kind
from ganforge.testing.check_registry import check
from ganforge.testing.check_results import CheckFailed, NotApplicable
from ganforge.testing.component_case import Bench, require, require_finite
from ganforge.testing.loss_harness import TURNS, ask, both_samples, built_loss, opponent, terms_of


@check("L01", Kind.LOSS)
def givesterms_of(bench: Bench) -> None:
    """Terms are finite scalars, and at least one of the two turns has some."""
    given = {turn: terms_of(bench, turn) for turn in TURNS}
    require(any(terms.values for terms in given.values()), "it gives no term for either turn")
    for turn, terms in given.items():
        values: Mapping[str, Any] = terms.values
        for name, value in values.items():
            require(isinstance(value, Tensor) and value.dim() == 0, f"term {turn}/{name} is no scalar tensor")
            require_finite(value, f"term {turn}/{name}")


@check("L02", Kind.LOSS)
def tells_what_terms_mean(bench: Bench) -> None:
    """Readings explain exactly the terms that are given."""
    loss = built_loss(bench)
    given = {f"{turn}/{name}" for turn in TURNS for name in terms_of(bench, turn)}
    told = set(loss.term_info)
    require(given <= told, f"terms without a reading: {', '.join(sorted(given - told))}")
    require(told <= given, f"readings of terms that are never given: {', '.join(sorted(told - given))}")
    silent = [key for key, reading in loss.term_info.items() if not reading.label.strip()]
    require(not silent, f"readings without a label: {', '.join(silent)}")


@check("L03", Kind.LOSS)
def teaches_the_discriminator(bench: Bench) -> None:
    """The discriminator's terms reach its parameters."""
    judge = opponent(bench)
    terms = ask(built_loss(bench), "discriminator", judge, *both_samples(bench))
    if not terms.values:
        raise NotApplicable("it gives no terms for the discriminator's turn")
    require(terms.total.requires_grad, "the terms carry no graph")
    torch.autograd.backward(terms.total)
    reached = [parameter for parameter in judge.parameters() if parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)]
    require(reached, "no parameter of the discriminator gets a gradient")


@check("L04", Kind.LOSS)
def teaches_the_generator(bench: Bench) -> None:
    """The generator's terms reach the generated values."""
    real, fake = both_samples(bench)
    fake = replace(fake, values=fake.values.requires_grad_())
    terms = ask(built_loss(bench), "generator", opponent(bench), real, fake)
    if not terms.values:
        raise NotApplicable("it gives no terms for the generator's turn")
    require(terms.total.requires_grad, "the terms carry no graph")
    gradient: Any = torch.autograd.grad(terms.total, fake.values, allow_unused=True)[0]
    require(gradient is not None and bool(gradient.abs().sum() > 0), "the generated values get no gradient: are they detached?")


@check("L05", Kind.LOSS)
def tells_its_order(bench: Bench) -> None:
    """Without second_order, a discriminator that can be differentiated only once is enough."""
    loss = built_loss(bench)
    if loss.second_order:
        raise NotApplicable("it declares second_order")
    for turn in TURNS:
        real, fake = both_samples(bench)
        fake = replace(fake, values=fake.values.requires_grad_()) if turn == "generator" else fake
        terms = ask(loss, turn, _Once(opponent(bench)), real, fake)
        if not terms.values:
            continue
        try:
            torch.autograd.backward(terms.total)
        except RuntimeError as error:
            raise CheckFailed(f"the {turn}'s terms are differentiated twice, but second_order is False ({error})") from error


@check("L06", Kind.LOSS)
def only_computes(bench: Bench) -> None:
    """It calls no backward, moves no weight, changes no mode and leaves its samples as they were.

    Weights only: the running statistics of a batch normalisation move when the discriminator is asked, whoever asks.
    """
    for turn in TURNS:
        judge = opponent(bench)
        before = {name: weight.detach().clone() for name, weight in judge.named_parameters()}
        real, fake = both_samples(bench)
        values = real.values.clone(), fake.values.clone()
        fake = replace(fake, values=fake.values.requires_grad_()) if turn == "generator" else fake
        ask(built_loss(bench), turn, judge, real, fake)

        graded = [name for name, parameter in judge.named_parameters() if parameter.grad is not None]
        require(not graded, f"after the {turn}'s terms these parameters have gradients: {', '.join(graded)}")
        moved = [name for name, weight in judge.named_parameters() if not torch.equal(weight, before[name])]
        require(not moved, f"after the {turn}'s terms these weights have moved: {', '.join(moved)}")
        require(all(module.training for module in judge.modules()), f"after the {turn}'s terms the discriminator is in eval mode")
        same = torch.equal(real.values, values[0]) and torch.equal(fake.values.detach(), values[1])
        require(same, f"the {turn}'s terms changed the samples in place")


class _Stop(torch.autograd.Function):
    """The identity, differentiable once."""

    @staticmethod
    def forward(_ctx: Any, values: Tensor) -> Tensor:
        return values.clone()

    @staticmethod
    @once_differentiable
    def backward(_ctx: Any, gradient: Tensor) -> Tensor:
        return gradient.clone()


_once: Callable[[Tensor], Tensor] = _Stop.apply


class _Once(nn.Module):
    """A discriminator that can be differentiated only once, by its input as by its weights."""

    def __init__(self, judge: nn.Module) -> None:
        super().__init__()
        self.judge = judge

    def forward(self, samples: Samples) -> DiscriminatorOutput:
        verdict: DiscriminatorOutput = self.judge(replace(samples, values=_once(samples.values)))
        heads = {name: _once(head) for name, head in verdict.heads.items()}
        logits: Tensor = _once(verdict.logits)
        return DiscriminatorOutput(logits, heads, verdict.features)
