"""How a metric is measured: what two values must have in common before they may be compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ganforge.assembly.blueprint import Blueprint, Part

if TYPE_CHECKING:
    from ganforge.core.contracts import Metric

UNCOMPARED = frozenset({"seed"})
"""What a protocol records and two seeds of one recipe differ in."""


def protocol(blueprint: Blueprint, part: Part, metric: Metric, samples: int) -> dict[str, object]:
    """The protocol of one metric of a recipe as plain data: stored with every value.

    Args:
        blueprint: the recipe's parts.
        part: the metric among them.
        metric: what was built of it.
        samples: generated samples, and as many real ones.
    """
    own = getattr(metric, "protocol", {})
    stated = {f"metric.{key}": value for key, value in own.items()} if isinstance(own, Mapping) else {}
    return {
        "metric": _identity(part),
        "params": part.filled,
        "samples": samples,
        "real": "held out",
        "data": _identity(blueprint.dataset),
        "data.params": blueprint.dataset.filled,
        "generator": "raw" if blueprint.recipe.train.average == 0 else "average",
        "mode": "eval",
        "seed": blueprint.recipe.train.seed,
        **stated,
    }


def differences(one: Mapping[str, object], other: Mapping[str, object]) -> dict[str, tuple[object, object]]:
    """What keeps two values from being compared: by key, what each protocol says, ``None`` where it says nothing."""
    keys = dict.fromkeys([*one, *other])
    return {key: (one.get(key), other.get(key)) for key in keys if key not in UNCOMPARED and one.get(key) != other.get(key)}


def _identity(part: Part) -> str:
    return f"{part.component.id}@{part.component.revision}"
