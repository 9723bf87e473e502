"""A small classifier of the data: trained once on the data's labels and cached. Metrics use its features and its classes.

The same samples give the same weights on one machine. It is trained when a metric is built and takes no part in the game.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.nn import functional

from ganforge.builtin.datasets.dataset_specs import labels_of
from ganforge.plugin import Dataset, DataSpec, IncompatiblePartsError, MetricContext, Samples

_log = logging.getLogger(__name__)
_REVISION = 1
"""Increase it when the same samples give other weights."""
_MOST, _MOST_LARGE = 60_000, 20_000
"""Training samples, and those of large images."""
_LONG = 5_000
"""Number of samples from which training takes long enough to announce it."""
_HELD_VALUES = 200_000_000
"""Limit of values in the held-out samples that measure its accuracy."""
_SIDE = 32
"""Larger images are averaged down to this many pixels a side: enough to recognise classes, and cheap for images of any size."""
_BATCH = 100
_LEAST_STEPS, _MOST_STEPS, _EPOCHS = 600, 2_400, 4
_CHUNK = 1_000

Network = TypeVar("Network", bound=nn.Module)


class SmallNetwork(nn.Module):
    """Two convolutions for images, two hidden layers for points; 128 features before the classes.

    Values in the data's own units become ``(values - offset) / scale``, which are broadcast to a sample.
    """

    offset: Tensor
    scale: Tensor
    accuracy: Tensor

    def __init__(self, data: DataSpec, offset: Tensor, scale: Tensor) -> None:
        super().__init__()
        shape, classes = ((1, *data.shape[1:]), 10) if stacked_channels(data) else (data.shape, data.classes or 1)
        self.register_buffer("offset", offset)
        self.register_buffer("scale", scale)
        self.register_buffer("accuracy", torch.tensor(math.nan, dtype=torch.float64))  # on held-out real samples
        self.body = _image_body(*shape) if len(shape) == 3 else _point_body(shape)
        self.head = nn.Linear(128, classes)

    def features(self, values: Tensor) -> Tensor:
        """``(n, 128)`` for values ``(n, *shape)`` in the data's own units."""
        found: Tensor = self.body((values - self.offset) / self.scale)
        return found

    def forward(self, values: Tensor) -> Tensor:
        """Logits ``(n, classes)``."""
        logits: Tensor = self.head(self.features(values))
        return logits


@dataclass(frozen=True, slots=True)
class Classifier:
    """A trained classifier of the data, identified by the SHA-256 of its file.

    It classifies whole samples, or the ``channels`` of stacked digits one by one, each a digit of the class's number.
    """

    network: SmallNetwork
    channels: int
    sha256: str

    @property
    def accuracy(self) -> float:
        """Share of right answers on held-out real samples."""
        return float(self.network.accuracy)

    @property
    def protocol(self) -> Mapping[str, str]:
        """What values computed with it depend on."""
        return {"classifier": f"small@{_REVISION}", "sha256": self.sha256, "accuracy": f"{self.accuracy:.2%}"}

    @property
    def size(self) -> int:
        """Number of its features."""
        return 128 * self.channels

    def features(self, values: Tensor) -> Tensor:
        """``(n, 128)``, or 128 for each channel, for values ``(n, *shape)`` in the data's own units."""
        parts = _split_channels(values.detach().cpu().float(), self.channels)
        return torch.cat([in_chunks(self.network.features, part, _CHUNK) for part in parts], dim=1)

    def classes(self, values: Tensor) -> Tensor:
        """``(n,)`` int64 class of each sample; -1 for samples that are not finite."""
        return classify(self.network, values.detach().cpu().float(), self.channels)


def classify(network: nn.Module, values: Tensor, channels: int = 0) -> Tensor:
    """``(n,)`` predicted classes, -1 for NaN logits; for several channels the number whose digits are predicted for each."""

    def classes(part: Tensor) -> Tensor:
        logits: Tensor = network(part)
        return torch.where(logits.isfinite().all(1), logits.argmax(1), -1)

    digits = torch.stack([in_chunks(classes, part, _CHUNK) for part in _split_channels(values, channels)])  # (channels, n)
    weights = 10 ** torch.arange(len(digits)).flip(0)
    return torch.where(digits.amin(0) < 0, -1, (weights[:, None] * digits).sum(0))


@torch.no_grad()
def in_chunks(function: Callable[[Tensor], Tensor], values: Tensor, size: int) -> Tensor:
    """The function of ``(n, *shape)`` values, ``size`` at a time."""
    return torch.cat([function(part) for part in torch.split(values, size)])


def _split_channels(values: Tensor, channels: int) -> Sequence[Tensor]:
    return torch.split(values, 1, dim=1) if channels else [values]


def stacked_channels(data: DataSpec) -> int:
    """Number of channels that each contain one digit of the class's number, as in stacked MNIST; 0 for all other data."""
    channels = data.shape[0] if data.is_image else 0
    names = tuple(f"{number:0{channels}}" for number in range(data.classes or 0))
    return channels if channels > 1 and data.classes == 10**channels and data.class_names == names else 0


def load_classifier(context: MetricContext) -> Classifier:
    """The classifier of the recipe's data, from the cache or newly trained, which takes a minute for 60,000 images.

    The cache key is the SHA-256 of the training samples. If the cache is not writable, the classifier is trained each time.
    """
    data = context.data
    if data.classes is None:
        problem = "a classifier needs labelled data, but this data set has no labels"
        raise IncompatiblePartsError(problem, remedy="use features = 'raw' or 'imagenet', or data with labels")
    dataset = context.dataset()
    samples = _training_samples(dataset)
    path = context.cache_folder / "classifiers" / f"{_key(dataset.spec, samples)}.safetensors"
    cached = _read(path, dataset.spec)
    if cached is not None:
        return cached

    level = logging.WARNING if len(samples) >= _LONG else logging.INFO
    _log.log(level, "training a small classifier on %s samples, once; it is cached in %s", f"{len(samples):,}", path.parent)
    network = fit(dataset.spec, samples)
    network.accuracy.fill_(_accuracy(network, dataset))
    content = bytes(save(network.state_dict()))
    with suppress(OSError):
        _write(path, content)
    return _from_bytes(content, dataset.spec)


def fit(data: DataSpec, samples: Samples) -> SmallNetwork:
    """A network trained on these samples, bytes or in the data's own units; on single digits if they are stacked."""
    labels, values, channels = labels_of(samples), samples.values, stacked_channels(data)
    if channels:
        labels = torch.stack([labels // 10 ** (channels - 1 - at) % 10 for at in range(channels)], dim=1).flatten()
        values = values.flatten(0, 1).unsqueeze(1)
    if data.is_image and max(data.shape[1:]) > _SIDE:
        values = torch.cat([shrink(data.to_float(part)) for part in torch.split(values, 500)])

    offset, scale = _scaling(data, values)
    steps = max(_LEAST_STEPS, min(_MOST_STEPS, _EPOCHS * len(values) // _BATCH))
    with torch.random.fork_rng(devices=[]), _one_thread(), torch.enable_grad():  # no global random stream changes
        torch.default_generator.manual_seed(0)  # torch.manual_seed would also change the streams of other devices
        network = SmallNetwork(data, offset, scale).train()
        optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for rows in islice(_batches(len(values)), steps):
            optimizer.zero_grad()
            functional.cross_entropy(network(data.to_float(values[rows])), labels[rows]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return freeze(network)


def freeze(network: Network) -> Network:
    """The same network in eval mode and without gradients."""
    return network.eval().requires_grad_(requires_grad=False)


def shrink(values: Tensor) -> Tensor:
    """Images ``(n, channels, height, width)`` as floats, averaged down to at most 32 pixels a side."""
    height, width = values.shape[2:]
    if max(height, width) <= _SIDE:
        return values
    return functional.adaptive_avg_pool2d(values.float(), _shrunk_size(height, width))


def _batches(count: int) -> Iterator[Tensor]:
    """Row numbers of batches, epoch after epoch, without end."""
    while True:
        yield from torch.split(torch.randperm(count), _BATCH)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Another number of CPU threads rounds sums differently and gives other weights."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _scaling(data: DataSpec, values: Tensor) -> tuple[Tensor, Tensor]:
    """Values of a known range are scaled to [0, 1]; others are standardised, images over all pixels, points by feature."""
    if data.value_range is not None:
        low, high = data.value_range
        return torch.tensor(low), torch.tensor(high - low)
    found = values.double()
    offset, scale = (found.mean(), found.std()) if data.is_image else (found.mean(0), found.std(0))
    return offset.float(), torch.where(scale > 0, scale, 1.0).float()


def _training_samples(dataset: Dataset) -> Samples:
    """Training samples, at equal steps if there are more than it needs."""
    training = dataset.training()
    most = _MOST_LARGE if dataset.spec.is_image and max(dataset.spec.shape[1:]) > _SIDE else _MOST
    rows = torch.linspace(0, len(training) - 1, min(most, len(training))).round().long()
    return training[rows]


def _accuracy(network: SmallNetwork, dataset: Dataset) -> float:
    count = max(100, min(10_000, _HELD_VALUES // dataset.spec.size))
    held = dataset.held_out(count, torch.Generator().manual_seed(0))
    return float((classify(network, held.values.float(), stacked_channels(dataset.spec)) == labels_of(held)).double().mean())


def _key(data: DataSpec, samples: Samples) -> str:
    """Digest of everything that determines the weights."""
    facts = [_REVISION, data.shape, data.classes, data.value_range, stacked_channels(data), str(samples.values.dtype)]
    digest = hashlib.sha256(json.dumps(facts).encode())
    for part in (samples.values, labels_of(samples)):
        digest.update(part.numpy().tobytes())
    return digest.hexdigest()[:32]


def _from_bytes(content: bytes, data: DataSpec) -> Classifier:
    weights = load(content)
    with torch.random.fork_rng(devices=[]):
        network = SmallNetwork(data, weights["offset"], weights["scale"])
    network.load_state_dict(weights)
    return Classifier(freeze(network), stacked_channels(data), hashlib.sha256(content).hexdigest())


def _read(path: Path, data: DataSpec) -> Classifier | None:
    """The classifier in a file; ``None`` if there is no file or it is damaged."""
    if not path.is_file():
        return None
    try:
        return _from_bytes(path.read_bytes(), data)
    except Exception as error:  # noqa: BLE001 - a new file replaces one with any defect
        _log.warning("%s is damaged (%s) and is created again", path, error)
        return None


def _write(path: Path, content: bytes) -> None:
    """Write the whole file or nothing; if two runs write it at once, the later file stays."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp-{os.getpid()}")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _shrunk_size(height: int, width: int) -> tuple[int, int]:
    share = _SIDE / max(height, width, _SIDE)
    return max(1, round(height * share)), max(1, round(width * share))


def _image_body(channels: int, height: int, width: int) -> nn.Sequential:
    size = _shrunk_size(height, width)
    height, width = (-(-side // 4) for side in size)  # two strides of 2, rounded up
    return nn.Sequential(
        nn.AdaptiveAvgPool2d(size),
        nn.Conv2d(channels, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.25),
        nn.Linear(64 * height * width, 128),
        nn.ReLU(),
    )


def _point_body(shape: tuple[int, ...]) -> nn.Sequential:
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU())
