"""How a metric is measured: what two values must have in common before they may be compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from ganforge.assembly.parts import Part
from ganforge.storage import plain

if TYPE_CHECKING:
    from ganforge.core.contracts import Metric

UNCOMPARED = frozenset({"seed"})
"""What a protocol records and two seeds of one recipe differ in."""


def protocol(part: Part, metric: Metric, dataset: Part, *, samples: int, average: bool, seed: int) -> dict[str, object]:
    """How one metric is measured, as plain data: stored with every value.

    Args:
        part: the metric as the recipe or command asks for it.
        metric: what was built of it.
        dataset: where the real samples come from.
        samples: generated samples, and as many real ones.
        average: whether the moving average of the generator is measured, or its raw weights.
        seed: seed of the draws.
    """
    own = getattr(metric, "protocol", {})
    stated = {f"metric.{key}": _plain(value) for key, value in own.items()} if isinstance(own, Mapping) else {}
    return {
        "metric": _identity(part),
        "params": part.filled,
        "samples": samples,
        "real": "held out",
        "data": _identity(dataset),
        "data.params": dataset.filled,
        "generator": "average" if average else "raw",
        "mode": "eval",
        "seed": seed,
        **stated,
    }


def differences(one: Mapping[str, object], other: Mapping[str, object]) -> dict[str, tuple[object, object]]:
    """What keeps two values from being compared: by key, what each protocol says, ``None`` where it says nothing."""
    keys = dict.fromkeys([*one, *other])
    return {key: (one.get(key), other.get(key)) for key in keys if key not in UNCOMPARED and one.get(key) != other.get(key)}


def _identity(part: Part) -> str:
    return f"{part.component.id}@{part.component.revision}"


def _plain(value: object) -> object:
    """What a stranger states, in a form that can be stored."""
    try:
        plain.dumps(value)
    except (TypeError, ValueError):
        return repr(value)
    return value
