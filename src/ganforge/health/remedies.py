"""What usually helps, trouble by trouble, with the recipe key to change."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from ganforge.core.findings import NON_FINITE, NON_FINITE_REMEDY


class Remedy(NamedTuple):
    """What usually helps.

    Attributes:
        remedy: in words.
        key: the recipe key to change, or ``None``.
    """

    remedy: str
    key: str | None = None


def remedy_for(trouble: str, losses: Collection[str] = ()) -> Remedy:
    """What usually helps against a trouble where the recipe uses these losses already, by their names."""
    plain = REMEDIES[trouble]
    used, other = _OTHERWISE.get(trouble, (frozenset(), plain))
    return other if used <= set(losses) else plain


_BOTH_RATES = "lower the learning rates generator.optimizer.lr and discriminator.optimizer.lr"
_STRONGER_R1 = "raise the weight of r1"
_COVERING = frozenset({"relativistic", "r1", "r2"})

REMEDIES: dict[str, Remedy] = {
    NON_FINITE: Remedy(*NON_FINITE_REMEDY),
    # The one network's gradient may explode for the other's steps: no single key.
    "exploding gradients": Remedy(f"{_BOTH_RATES}; add a gradient penalty such as r1"),
    "divergence": Remedy("lower the generator's learning rate", "generator.optimizer.lr"),
    "discriminator dominance": Remedy(
        "lower the discriminator's learning rate, or add a gradient penalty such as r1", "discriminator.optimizer.lr"
    ),
    "vanishing gradient": Remedy("use the non-saturating loss; weaken the discriminator", "loss"),
    "discriminator over-fitting": Remedy(
        "use more training samples, a smaller discriminator, or a gradient penalty such as r1", "dataset.params"
    ),
    "uneven discriminator": Remedy("penalise its slope on real samples and fakes alike: losses r1 and r2", "loss"),
    "mode collapse": Remedy(
        "use losses relativistic with r1 and r2, which reward covering all modes; or lower both learning rates", "loss"
    ),
    "duplicates": Remedy("use losses relativistic with r1 and r2; widen the latent", "loss"),
    "samples unlike the data": Remedy("train longer; let the networks fit the data better", "train.iterations"),
    "memorisation": Remedy("use more training samples, or a smaller generator and discriminator", "dataset.params"),
    "oscillation": Remedy("lower both learning rates towards the end, or lengthen the average", "train.average"),
    "labels without meaning": Remedy(
        "let the discriminator see the labels, or give the loss auxiliary-classifier a weight", "discriminator.use"
    ),
    "codes without meaning": Remedy("raise the weight of the loss mutual-information", "loss"),
}

_OTHERWISE: dict[str, tuple[frozenset[str], Remedy]] = {
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
        _COVERING,
        Remedy(f"{_BOTH_RATES}; raise the weights of r1 and r2; train longer", "generator.optimizer.lr"),
    ),
    "duplicates": (_COVERING, Remedy("widen the latent; raise the weights of r1 and r2", "sampler.params")),
}
"""What helps instead where all of these losses are used: nobody is told to use what he uses."""
