"""How a metric is measured: what two values must have in common to be comparable."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import get_args

from ganforge.build.lock import hash_data
from ganforge.build.parts import Part
from ganforge.core.contracts import EvaluationProtocol, Metric, TrainingDataMetric
from ganforge.storage import strict_json

UNCOMPARED = frozenset({"seed"})
"""Keys of a protocol in which comparable values may differ."""


def data_hashes(dataset: Part, folder: Path) -> dict[str, str]:
    """SHA-256 of a data set's files and folders, as in ``lock.json``, by the parameter that names each.

    Args:
        dataset: the data set.
        folder: the recipe's folder.

    Raises:
        DataError: a file cannot be read.
    """
    return {one.key.rpartition(".")[2]: one.sha256 for one in hash_data(dataset, folder)}


def metric_protocol(
    part: Part,
    metric: Metric,
    dataset: Part,
    *,
    data_hashes: Mapping[str, str],
    samples: int,
    use_ema: bool,
    seed: int,
) -> dict[str, object]:
    """How a metric is measured, as plain data; it is stored with every value.

    Args:
        part: the metric in the recipe or command.
        metric: the built metric.
        dataset: the data set of the real samples.
        data_hashes: of its files, from :func:`data_hashes`; they replace paths.
        samples: number of generated, and of real, samples.
        use_ema: whether the generator's moving average is measured, or its raw weights.
        seed: seed of the draws.
    """
    own = metric.protocol if isinstance(metric, EvaluationProtocol) else {}
    uses_training_data = isinstance(metric, TrainingDataMetric) and metric.uses_training_data
    training_only = frozenset() if uses_training_data else dataset.params.training_only
    return {
        "metric": part.identity,
        **_code_hash("code", part),
        "params": _without(part.filled, _path_fields(part) if "sha256" in own else ()),
        "samples": samples,
        "real": "held out",
        "data": dataset.identity,
        **_code_hash("data.code", dataset),
        "data.params": _without(dataset.filled, training_only | data_hashes.keys()),
        **({"data.sums": dict(data_hashes)} if data_hashes else {}),
        "generator": "ema" if use_ema else "raw",
        "mode": "eval",
        "seed": seed,
        **{f"metric.{key}": _storable(value) for key, value in own.items()},
    }


def protocol_differences(one: Mapping[str, object], other: Mapping[str, object]) -> dict[str, tuple[object, object]]:
    """The keys in which two protocols differ, so that their values are not comparable, with both entries; ``None`` if missing."""
    keys = dict.fromkeys([*one, *other])
    return {key: (one.get(key), other.get(key)) for key in keys if key not in UNCOMPARED and one.get(key) != other.get(key)}


def _path_fields(part: Part) -> list[str]:
    fields = type(part.params).model_fields.items()
    return [name for name, field in fields if Path in (field.annotation, *get_args(field.annotation))]


def _without(params: Mapping[str, object], names: Collection[str]) -> dict[str, object]:
    return {name: value for name, value in params.items() if name not in names}


def _code_hash(key: str, part: Part) -> dict[str, object]:
    """SHA-256 of a local plugin file, which may change without a new revision."""
    plugin = part.component.plugin
    return {key: plugin.sha256} if plugin.sha256 else {}


def _storable(value: object) -> object:
    """A plugin's value, or its ``repr`` if JSON cannot represent it."""
    try:
        strict_json.dumps(value)
    except (TypeError, ValueError):
        return repr(value)
    return value
