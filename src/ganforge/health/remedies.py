"""Remedies: what usually helps against each problem, and the recipe key to change."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from ganforge.core.findings import NON_FINITE, NON_FINITE_REMEDY


class Remedy(NamedTuple):
    """What usually helps.

    Attributes:
        text: in words.
        key: the recipe key to change, or ``None``.
    """

    text: str
    key: str | None = None


def remedy_for(problem: str, losses: Collection[str] = ()) -> Remedy:
    """The remedy for a problem; it never recommends losses that the recipe already uses, given by their names."""
    usual = REMEDIES[problem]
    used, other = _IF_USED.get(problem, (frozenset(), usual))
    return other if used <= set(losses) else usual


_BOTH_RATES = "lower the learning rates generator.optimizer.lr and discriminator.optimizer.lr"
_STRONGER_R1 = "raise the weight of r1"
_MODE_COVERING = frozenset({"relativistic", "r1", "r2"})

REMEDIES: dict[str, Remedy] = {
    NON_FINITE: Remedy(*NON_FINITE_REMEDY),
    # Either network's steps may cause it, so there is no single key.
    "exploding gradients": Remedy(f"{_BOTH_RATES}; add a gradient penalty such as r1"),
    "divergence": Remedy("lower the generator's learning rate", "generator.optimizer.lr"),
    "discriminator dominance": Remedy(
        "lower the discriminator's learning rate, or add a gradient penalty such as r1", "discriminator.optimizer.lr"
    ),
    "vanishing gradient": Remedy("use the non-saturating loss; weaken the discriminator", "loss"),
    "discriminator over-fitting": Remedy(
        "use more training samples, a smaller discriminator, or a gradient penalty such as r1", "dataset.params"
    ),
    "uneven discriminator": Remedy("penalise its gradient at real samples and at fakes: losses r1 and r2", "loss"),
    "mode collapse": Remedy(
        "use losses relativistic with r1 and r2, which reward covering all modes; or lower both learning rates", "loss"
    ),
    "duplicates": Remedy("use losses relativistic with r1 and r2; widen the latent", "loss"),
    "samples unlike the data": Remedy("train longer; use networks that can fit the data better", "train.iterations"),
    "memorisation": Remedy("use more training samples, or a smaller generator and discriminator", "dataset.params"),
    "oscillation": Remedy("lower both learning rates towards the end, or raise the EMA decay", "train.ema_decay"),
    "labels ignored": Remedy(
        "let the discriminator see the labels, or give the loss auxiliary-classifier a weight", "discriminator.use"
    ),
    "codes ignored": Remedy("raise the weight of the loss mutual-information", "loss"),
}

_IF_USED: dict[str, tuple[frozenset[str], Remedy]] = {
    "exploding gradients": (frozenset({"r1"}), Remedy(f"{_BOTH_RATES}; {_STRONGER_R1}")),
    "discriminator dominance": (
        frozenset({"r1"}),
        Remedy(f"lower the discriminator's learning rate, or {_STRONGER_R1}", "discriminator.optimizer.lr"),
    ),
    "vanishing gradient": (
        frozenset({"non-saturating"}),
        Remedy("weaken the discriminator: lower its learning rate", "discriminator.optimizer.lr"),
    ),
    "discriminator over-fitting": (
        frozenset({"r1"}),
        Remedy(f"use more training samples, a smaller discriminator, or {_STRONGER_R1}", "dataset.params"),
    ),
    "uneven discriminator": (frozenset({"r1", "r2"}), Remedy("raise the weights of r1 and r2 alike", "loss")),
    "mode collapse": (
        _MODE_COVERING,
        Remedy(f"{_BOTH_RATES}; raise the weights of r1 and r2; train longer", "generator.optimizer.lr"),
    ),
    "duplicates": (_MODE_COVERING, Remedy("widen the latent; raise the weights of r1 and r2", "sampler.params")),
}
"""The remedy if the recipe uses all of these losses already."""
