"""What a small classifier sees that has learnt the data's classes once and is kept: features, and the classes of samples."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ganforge.builtin.features.small_classifier import THREADS, Classifier, at_rest, fitted, in_parts, is_large, shrunk
from ganforge.plugin import Dataset, DataSpec, IncompatiblePartsError, MetricContext, Samples

_log = logging.getLogger(__name__)
_REVISION = 1
"""Grows when the same samples give other weights."""
_MOST, _MOST_LARGE = 60_000, 20_000
_LONG = 5_000
"""Samples from which on learning takes so long that it is announced."""
_MOST_NUMBERS = 200_000_000
"""Of the held-out samples that it is tried on, which are floats."""


@dataclass(frozen=True, slots=True)
class Reader:
    """A classifier of the data, known by its SHA-256.

    Attributes:
        network: what has learnt, on single channels where classes are digits of several.
        channels: channels that are read one by one, each a digit of the class's number; 0 where a sample is read as a whole.
        accuracy: its share of right answers on held-out real samples.
        sha256: of its file.
    """

    network: Classifier
    channels: int
    accuracy: float
    sha256: str

    @property
    def protocol(self) -> Mapping[str, str]:
        """What a value depends on that is read by it."""
        return {"classifier": f"small@{_REVISION}", "sha256": self.sha256, "accuracy": f"{self.accuracy:.2%}"}

    def features(self, values: Tensor) -> Tensor:
        """``(n, 128)``, or that many for each channel, for values ``(n, *shape)`` in the data's own units."""
        values = values.detach().cpu().float()
        if not self.channels:
            return in_parts(self.network.features, values)
        parts = [in_parts(self.network.features, values[:, at : at + 1]) for at in range(self.channels)]
        return torch.cat(parts, dim=1)

    def classes(self, values: Tensor) -> Tensor:
        """``(n,)`` int64: what it takes the samples for; -1 for those that it cannot read, since they are not finite."""
        return read_classes(self.network, values.detach().cpu().float(), self.channels)


class ClassifierFeatures:
    """What the classifier makes of samples before it names a class."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.protocol: Mapping[str, str] = {"features": "classifier", **reader.protocol}
        self.told = "features of a classifier of the data"

    def __call__(self, values: Tensor) -> Tensor:
        """``(n, 128)``, or that many for each channel of stacked digits."""
        return self.reader.features(values)


def read_classes(network: nn.Module, values: Tensor, channels: int = 0) -> Tensor:
    """``(n,)`` classes that the network sees, -1 where it sees NaN; of several channels the number whose digits it sees in each."""

    def classes(part: Tensor) -> Tensor:
        logits: Tensor = network(part)
        return torch.where(logits.isfinite().all(1), logits.argmax(1), -1)

    if not channels:
        return in_parts(classes, values)
    digits = [in_parts(classes, values[:, at : at + 1]) for at in range(channels)]
    number = sum((digit * 10 ** (channels - 1 - at) for at, digit in enumerate(digits)), torch.zeros_like(digits[0]))
    return torch.where(torch.stack(digits).amin(0) < 0, -1, number)


def stacked_channels(data: DataSpec) -> int:
    """How many channels hold a digit of the class's number each, as those of stacked MNIST; 0 for all other data."""
    channels = data.shape[0] if data.is_image else 0
    names = tuple(f"{number:0{channels}}" for number in range(data.classes or 0))
    return channels if channels > 1 and data.classes == 10**channels and data.class_names == names else 0


def classifier(context: MetricContext) -> Reader:
    """The classifier of the recipe's data: the one that is kept, or a new one, which takes a minute for 60,000 images.

    It is kept by the SHA-256 of what it learns from, so that other data, and other params of the data, have one of their own. A
    cache that cannot be written to only costs that time again.

    Raises:
        IncompatiblePartsError: the data have no labels.
    """
    data = context.data
    if data.classes is None:
        raise IncompatiblePartsError(
            "a classifier learns from labelled data, and these have no labels",
            remedy="use features = 'raw' or 'imagenet', or data with labels",
        )
    dataset = context.dataset()
    channels = stacked_channels(dataset.spec)
    learnt = _learnt_from(dataset)
    path = context.cache_folder / "classifiers" / f"{_key(dataset.spec, learnt)}.safetensors"
    kept = _kept(path, dataset.spec, channels)
    if kept is not None:
        return kept

    level = logging.WARNING if len(learnt) >= _LONG else logging.INFO
    _log.log(level, "a small classifier learns from %s samples, once; it is kept in %s", f"{len(learnt):,}", path.parent)
    network = fit(dataset.spec, learnt)
    content = _packed(network, _accuracy(network, dataset, channels))
    with suppress(OSError):
        _write(path, content)
    return _unpacked(content, dataset.spec, channels)


def fit(data: DataSpec, learnt: Samples) -> Classifier:
    """A classifier of these samples, bytes or in the data's own units; of single digits where they are stacked."""
    assert learnt.labels is not None  # noqa: S101 - labelled data
    channels = stacked_channels(data)
    values, labels = learnt.values, learnt.labels
    if channels:
        labels = torch.stack([labels // 10 ** (channels - 1 - at) % 10 for at in range(channels)], dim=1).flatten()
        values = values.flatten(0, 1).unsqueeze(1)
    if is_large(data.shape):
        values = torch.cat([shrunk(data.to_float(part)) for part in torch.split(values, 500)])
    offset, scale = _scaling(data, values)
    return fitted(lambda: _network(data, offset, scale), values, labels, data.to_float)


def _network(data: DataSpec, offset: Tensor, scale: Tensor) -> Classifier:
    channels = stacked_channels(data)
    shape, classes = ((1, *data.shape[1:]), 10) if channels else (data.shape, data.classes or 1)
    return Classifier(shape, classes, offset, scale)


def _scaling(data: DataSpec, values: Tensor) -> tuple[Tensor, Tensor]:
    """Values of a known range become those from 0 to 1; others are standardised, images all pixels alike, points each feature."""
    if data.value_range is not None:
        low, high = data.value_range
        return torch.tensor(low), torch.tensor(high - low)
    found = values.double()
    offset, scale = (found.mean(), found.std()) if data.is_image else (found.mean(0), found.std(0))
    return offset.float(), torch.where(scale > 0, scale, 1.0).float()


def _learnt_from(dataset: Dataset) -> Samples:
    """Training samples, evenly taken from all of them where they are more than it needs."""
    training = dataset.training()
    assert training.labels is not None  # noqa: S101 - labelled data
    most = _MOST_LARGE if is_large(dataset.spec.shape) else _MOST
    rows = torch.linspace(0, len(training) - 1, min(most, len(training))).round().long()
    return Samples(training.values[rows], training.labels[rows])


def _accuracy(network: Classifier, dataset: Dataset, channels: int) -> float:
    count = max(100, min(10_000, _MOST_NUMBERS // dataset.spec.size))
    held = dataset.held_out(count, torch.Generator().manual_seed(0))
    assert held.labels is not None  # noqa: S101 - labelled data
    return float((read_classes(network, held.values.float(), channels) == held.labels).double().mean())


def _key(data: DataSpec, learnt: Samples) -> str:
    """What the weights follow from."""
    assert learnt.labels is not None  # noqa: S101 - labelled data
    facts = [_REVISION, THREADS, data.shape, data.classes, data.value_range, stacked_channels(data), str(learnt.values.dtype)]
    digest = hashlib.sha256(json.dumps(facts).encode())
    for part in (learnt.values, learnt.labels):
        digest.update(part.numpy().tobytes())
    return digest.hexdigest()[:32]


def _packed(network: Classifier, accuracy: float) -> bytes:
    from safetensors.torch import save

    # one key of metadata: several would be written in random order, and each file would have a SHA-256 of its own
    return bytes(save(network.state_dict(), {"ganforge": json.dumps({"accuracy": accuracy})}))


def _unpacked(content: bytes, data: DataSpec, channels: int) -> Reader:
    from safetensors.torch import load

    length = int.from_bytes(content[:8], "little")
    accuracy = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["ganforge"])["accuracy"]
    weights = load(content)
    with torch.random.fork_rng(devices=[]):
        network = _network(data, torch.zeros_like(weights["offset"]), torch.ones_like(weights["scale"]))
    network.load_state_dict(weights)
    return Reader(at_rest(network), channels, float(accuracy), hashlib.sha256(content).hexdigest())


def _kept(path: Path, data: DataSpec, channels: int) -> Reader | None:
    """The classifier in a file; none where there is none, or the file is damaged."""
    try:
        return _unpacked(path.read_bytes(), data, channels)
    except FileNotFoundError:
        return None
    except Exception as error:  # noqa: BLE001 - whatever is wrong with a file of the cache, a new one mends it
        if path.exists():
            _log.warning("%s is damaged (%s), and made anew", path, error)
        return None


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all; of two runs that begin together, the later one's file stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
