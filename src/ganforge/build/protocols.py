"""How a metric is measured: what two values must have in common before they may be compared."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import get_args

from ganforge.build.lock import hash_data
from ganforge.build.parts import Part
from ganforge.core.contracts import EvaluationProtocol, Metric, TrainingDataMetric
from ganforge.storage import strict_json

UNCOMPARED = frozenset({"seed"})
"""What a protocol records and two seeds of one recipe differ in."""


def data_hashes(dataset: Part, folder: Path) -> dict[str, str]:
    """SHA-256 of the files and folders that a data set is read from, as ``lock.json`` has them, by the parameter that names each.

    Args:
        dataset: the data set as the recipe asks for it.
        folder: the recipe's folder.

    Raises:
        DataError: a file cannot be read.
    """
    return {one.key.rpartition(".")[2]: one.sha256 for one in hash_data(dataset, folder)}


def protocol(
    part: Part, metric: Metric, dataset: Part, *, sums: Mapping[str, str], samples: int, average: bool, seed: int
) -> dict[str, object]:
    """How one metric is measured, as plain data: stored with every value.

    Args:
        part: the metric as the recipe or command asks for it.
        metric: what was built of it.
        dataset: where the real samples come from.
        sums: of its files, as :func:`data_hashes` finds them; they stand in the place of paths.
        samples: generated samples, and as many real ones.
        average: whether the moving average of the generator is measured, or its raw weights.
        seed: seed of the draws.
    """
    own = metric.protocol if isinstance(metric, EvaluationProtocol) else {}
    sees_training = isinstance(metric, TrainingDataMetric) and metric.uses_training_data
    training_only = frozenset() if sees_training else dataset.params.training_only
    return {
        "metric": _identity(part),
        **_code("code", part),
        "params": _without(part.filled, _paths(part) if "sha256" in own else ()),
        "samples": samples,
        "real": "held out",
        "data": _identity(dataset),
        **_code("data.code", dataset),
        "data.params": _without(dataset.filled, training_only | sums.keys()),
        **({"data.sums": dict(sums)} if sums else {}),
        "generator": "average" if average else "raw",
        "mode": "eval",
        "seed": seed,
        **{f"metric.{key}": _plain(value) for key, value in own.items()},
    }


def protocol_differences(one: Mapping[str, object], other: Mapping[str, object]) -> dict[str, tuple[object, object]]:
    """What keeps two values from being compared: by key, what each protocol says, ``None`` where it says nothing."""
    keys = dict.fromkeys([*one, *other])
    return {key: (one.get(key), other.get(key)) for key in keys if key not in UNCOMPARED and one.get(key) != other.get(key)}


def _paths(part: Part) -> list[str]:
    """Parameters that name files."""
    fields = type(part.params).model_fields.items()
    return [name for name, field in fields if Path in (field.annotation, *get_args(field.annotation))]


def _without(params: Mapping[str, object], names: Collection[str]) -> dict[str, object]:
    return {name: value for name, value in params.items() if name not in names}


def _identity(part: Part) -> str:
    return f"{part.component.id}@{part.component.revision}"


def _code(key: str, part: Part) -> dict[str, object]:
    """SHA-256 of a local file: nobody gives it a new revision when it is changed."""
    plugin = part.component.plugin
    return {key: plugin.sha256} if plugin.sha256 else {}


def _plain(value: object) -> object:
    """What a stranger states, in a form that can be stored."""
    try:
        strict_json.dumps(value)
    except (TypeError, ValueError):
        return repr(value)
    return value
