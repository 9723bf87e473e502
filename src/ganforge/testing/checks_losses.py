"""L checks: losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from ganforge.core.contracts import Loss
from ganforge.core.params import NoParams
from ganforge.core.records import Samples, Terms, Verdict
from ganforge.hooks.component import Kind
from ganforge.testing import stand_ins
from ganforge.testing.checking import check
from ganforge.testing.outcome import CheckFailed, NotApplicable
from ganforge.testing.workbench import Bench, require, require_finite

_MANY = 16
_TURNS = ("discriminator", "generator")


@check("L01", Kind.LOSS)
def gives_terms(bench: Bench) -> None:
    """Terms are finite scalars, and at least one of the two turns has some."""
    given = {turn: _terms(bench, turn) for turn in _TURNS}
    require(any(terms.values for terms in given.values()), "it gives no term for either turn")
    for turn, terms in given.items():
        values: Mapping[str, Any] = terms.values
        for name, value in values.items():
            require(isinstance(value, Tensor) and value.dim() == 0, f"term {turn}/{name} is no scalar tensor")
            require_finite(value, f"term {turn}/{name}")


@check("L02", Kind.LOSS)
def tells_what_terms_mean(bench: Bench) -> None:
    """Readings explain exactly the terms that are given."""
    loss = _loss(bench)
    given = {f"{turn}/{name}" for turn in _TURNS for name in _terms(bench, turn)}
    told = set(loss.readings)
    require(given <= told, f"terms without a reading: {', '.join(sorted(given - told))}")
    require(told <= given, f"readings of terms that are never given: {', '.join(sorted(told - given))}")
    silent = [key for key, reading in loss.readings.items() if not reading.label.strip()]
    require(not silent, f"readings without a label: {', '.join(silent)}")


@check("L03", Kind.LOSS)
def teaches_the_discriminator(bench: Bench) -> None:
    """The discriminator's terms reach its parameters."""
    judge = _discriminator(bench)
    terms = _ask(_loss(bench), "discriminator", judge, *_both(bench))
    if not terms.values:
        raise NotApplicable("it gives no terms for the discriminator's turn")
    require(terms.total.requires_grad, "the terms carry no graph")
    torch.autograd.backward(terms.total)
    reached = [parameter for parameter in judge.parameters() if parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)]
    require(reached, "no parameter of the discriminator gets a gradient")


@check("L04", Kind.LOSS)
def teaches_the_generator(bench: Bench) -> None:
    """The generator's terms reach the generated values."""
    real, fake = _both(bench)
    fake = replace(fake, values=fake.values.requires_grad_())
    terms = _ask(_loss(bench), "generator", _discriminator(bench), real, fake)
    if not terms.values:
        raise NotApplicable("it gives no terms for the generator's turn")
    require(terms.total.requires_grad, "the terms carry no graph")
    gradient: Any = torch.autograd.grad(terms.total, fake.values, allow_unused=True)[0]
    require(gradient is not None and bool(gradient.abs().sum() > 0), "the generated values get no gradient: are they detached?")


@check("L05", Kind.LOSS)
def tells_its_order(bench: Bench) -> None:
    """Without second_order, a discriminator that can be differentiated only once is enough."""
    loss = _loss(bench)
    if loss.second_order:
        raise NotApplicable("it declares second_order")
    for turn in _TURNS:
        real, fake = _both(bench)
        fake = replace(fake, values=fake.values.requires_grad_()) if turn == "generator" else fake
        terms = _ask(loss, turn, _Once(_discriminator(bench)), real, fake)
        if not terms.values:
            continue
        try:
            torch.autograd.backward(terms.total)
        except RuntimeError as error:
            raise CheckFailed(f"the {turn}'s terms are differentiated twice, but second_order is False ({error})") from error


@check("L06", Kind.LOSS)
def only_computes(bench: Bench) -> None:
    """It calls no backward, moves no weight, changes no mode and leaves its samples as they were."""
    for turn in _TURNS:
        judge = _discriminator(bench)
        before = {name: tensor.clone() for name, tensor in judge.state_dict().items()}
        real, fake = _both(bench)
        values = real.values.clone(), fake.values.clone()
        fake = replace(fake, values=fake.values.requires_grad_()) if turn == "generator" else fake
        _ask(_loss(bench), turn, judge, real, fake)

        graded = [name for name, parameter in judge.named_parameters() if parameter.grad is not None]
        require(not graded, f"after the {turn}'s terms these parameters have gradients: {', '.join(graded)}")
        moved = [name for name, tensor in judge.state_dict().items() if not torch.equal(tensor, before[name])]
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

    def forward(self, samples: Samples) -> Verdict:
        verdict: Verdict = self.judge(replace(samples, values=_once(samples.values)))
        heads = {name: _once(head) for name, head in verdict.heads.items()}
        logits: Tensor = _once(verdict.logits)
        return Verdict(logits, heads, verdict.features)


def _loss(bench: Bench) -> Loss:
    loss = bench.build()
    if not isinstance(loss, Loss):
        lacking = [name for name in ("readings", "second_order", "discriminator", "generator") if not hasattr(loss, name)]
        raise CheckFailed(f"the factory gives a {type(loss).__name__} without {', '.join(lacking)}")
    return loss


def _terms(bench: Bench, turn: str) -> Terms:
    real, fake = _both(bench)
    fake = replace(fake, values=fake.values.requires_grad_()) if turn == "generator" else fake
    return _ask(_loss(bench), turn, _discriminator(bench), real, fake)


def _ask(loss: Loss, turn: str, judge: nn.Module, real: Samples, fake: Samples) -> Terms:
    terms = (loss.discriminator if turn == "discriminator" else loss.generator)(judge, real, fake)
    if not isinstance(terms, Terms):
        raise CheckFailed(f"the {turn}'s turn gives a {type(terms).__name__}, not Terms")
    return terms


def _both(bench: Bench) -> tuple[Samples, Samples]:
    return bench.samples(_MANY, seed=11), bench.samples(_MANY, seed=12, latent=bench.latents(_MANY))


def _discriminator(bench: Bench) -> nn.Module:
    """One with the heads that the loss reads: an installed one, its own distribution's first, else the stand-in."""
    heads = {word for word in bench.component.requires if word.startswith("head:")}
    mine = bench.component.plugin.distribution
    providers = [
        one for one in bench.registry.components(Kind.DISCRIMINATOR) if heads and heads <= set(one.provides) and not one.missing
    ]
    for provider in sorted(providers, key=lambda one: one.plugin.distribution != mine):
        params = Bench(provider, bench.registry).params()
        torch.manual_seed(0)
        network = provider.load_factory()(params, bench.context)
        if isinstance(network, nn.Module):
            return network.train()

    torch.manual_seed(0)
    stand_in = stand_ins.build_discriminator(NoParams(), bench.context)
    lacking = heads - {f"head:{name}" for name in stand_in.heads}
    if lacking:
        raise NotApplicable(f"no installed discriminator provides {', '.join(sorted(lacking))}")
    return stand_in.train()
