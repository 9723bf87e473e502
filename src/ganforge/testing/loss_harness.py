"""Losses at play: each turn asked of a loss, against a discriminator with the heads that it reads."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from torch import nn

from ganforge.core.contracts import Critic, Loss
from ganforge.core.params import NoParams
from ganforge.core.records import Samples, Terms
from ganforge.registry.component import Component
from ganforge.testing import stub_components
from ganforge.testing.check_results import CheckFailed, NotApplicable
from ganforge.testing.component_case import Bench

Turn = Literal["discriminator", "generator"]
TURNS: tuple[Turn, ...] = ("discriminator", "generator")
_MANY = 16


def built_loss(bench: Bench) -> Loss:
    """The loss, built anew."""
    loss: Loss = bench.build()
    return loss


def ask(loss: Loss, turn: Turn, critic: Critic, real: Samples, fake: Samples) -> Terms:
    """The terms of one turn.

    Raises:
        CheckFailed: they are no Terms.
    """
    terms = (loss.discriminator if turn == "discriminator" else loss.generator)(critic, real, fake)
    if not isinstance(terms, Terms):
        raise CheckFailed(f"the {turn}'s turn gives a {type(terms).__name__}, not Terms")
    return terms


def both_samples(bench: Bench) -> tuple[Samples, Samples]:
    """Random real and generated samples."""
    return bench.samples(_MANY, seed=11), bench.samples(_MANY, seed=12, latent=bench.latents(_MANY))


def terms_of(bench: Bench, turn: Turn) -> Terms:
    """The terms of one turn, on random samples."""
    real, fake = both_samples(bench)
    fake = replace(fake, values=fake.values.requires_grad_()) if turn == "generator" else fake
    return ask(built_loss(bench), turn, opponent(bench), real, fake)


def provider(bench: Bench) -> Component | None:
    """An installed discriminator with the heads that a loss reads; none for the stand-in.

    Raises:
        NotApplicable: neither an installed discriminator nor the stand-in has them.
    """
    if partner := bench.partner:
        return partner
    heads = {word for word in bench.component.requires if word.startswith("head:")}
    lacking = heads - {f"head:{name}" for name in stub_components.build_discriminator(NoParams(), bench.context).heads}
    if lacking:
        raise NotApplicable(f"no installed discriminator provides {', '.join(sorted(lacking))}")
    return None


def opponent(bench: Bench) -> nn.Module:
    """A discriminator with the heads that the loss reads, in training mode."""
    found = provider(bench)
    network: nn.Module | None = Bench(found, bench.registry).build_for(bench.context) if found else None
    if network is None:
        torch.manual_seed(0)
        network = stub_components.build_discriminator(NoParams(), bench.context)
    return network.train()
