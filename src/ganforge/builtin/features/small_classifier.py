"""A small classifier of a data set: its network, and how it learns. The same samples give the same weights on one machine.

No other module of the built-in components trains a network. This one is trained where a metric is built, and never plays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

_SIDE = 32
"""Larger images are averaged down to this many pixels a side: enough to tell classes by, and cheap for images of any size."""
_BATCH = 100
_LEAST_STEPS, _MOST_STEPS, _EPOCHS = 600, 2_400, 4
_CHUNK = 1_000
THREADS = 1
"""Threads of the CPU that it learns on: sums of another number of threads round otherwise, and so do weights."""

Network = TypeVar("Network", bound=nn.Module)


class Classifier(nn.Module):
    """Two convolutions for images, two hidden layers for points; 128 features before the classes.

    Args:
        shape: of one sample, ``(channels, height, width)`` or any other.
        classes: number of classes.
        offset: what is taken off values in the data's own units, broadcast to a sample.
        scale: what they are divided by then.
    """

    offset: Tensor
    scale: Tensor

    def __init__(self, shape: tuple[int, ...], classes: int, offset: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.register_buffer("offset", offset)
        self.register_buffer("scale", scale)
        self.body = _on_images(shape) if len(shape) == 3 else _on_points(shape)
        self.head = nn.Linear(128, classes)

    def features(self, values: Tensor) -> Tensor:
        """``(n, 128)`` for values ``(n, *shape)`` in the data's own units."""
        found: Tensor = self.body((values - self.offset) / self.scale)
        return found

    def forward(self, values: Tensor) -> Tensor:
        """Logits ``(n, classes)``."""
        logits: Tensor = self.head(self.features(values))
        return logits


def fitted(network: Callable[[], Classifier], values: Tensor, labels: Tensor, to_float: Callable[[Tensor], Tensor]) -> Classifier:
    """A network that has learnt, in eval mode and without gradients; no global random stream moves.

    Args:
        network: makes it, with weights drawn at random.
        values: ``(n, *shape)``, bytes or floats.
        labels: ``(n,)``.
        to_float: converts values to floats in the data's own units.
    """
    steps = max(_LEAST_STEPS, min(_MOST_STEPS, _EPOCHS * len(values) // _BATCH))
    with torch.random.fork_rng(devices=[]), _few_threads(), torch.enable_grad():
        torch.default_generator.manual_seed(0)  # torch.manual_seed would also move the streams of other devices
        made = network().train()
        optimizer = torch.optim.Adam(made.parameters(), lr=2e-3)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _, rows in zip(range(steps), _batches(len(values)), strict=False):
            optimizer.zero_grad()
            functional.cross_entropy(made(to_float(values[rows])), labels[rows]).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    return at_rest(made)


def at_rest(network: Network) -> Network:
    """The same network in eval mode and without gradients, to be looked through and never trained (again)."""
    return network.eval().requires_grad_(requires_grad=False)


@torch.no_grad()
def in_parts(function: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
    """What the function gives for ``(n, *shape)`` values, a thousand at a time."""
    return torch.cat([function(part) for part in torch.split(values, _CHUNK)])


def shrunk(values: Tensor) -> Tensor:
    """Images ``(n, channels, height, width)`` as floats, those of more than 32 pixels a side averaged down to that."""
    height, width = values.shape[2:]
    if max(height, width) <= _SIDE:
        return values
    return functional.adaptive_avg_pool2d(values.float(), _shrunk_size(height, width))


def is_large(shape: tuple[int, ...]) -> bool:
    """Whether samples of that shape are images that :func:`shrunk` makes smaller."""
    return len(shape) == 3 and max(shape[1:]) > _SIDE


def _shrunk_size(height: int, width: int) -> tuple[int, int]:
    share = _SIDE / max(height, width, _SIDE)
    return max(1, round(height * share)), max(1, round(width * share))


class _Shrink(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return shrunk(values)


def _on_images(shape: tuple[int, ...]) -> nn.Sequential:
    channels, height, width = shape
    height, width = (-(-side // 4) for side in _shrunk_size(height, width))  # two strides of 2, rounded up
    return nn.Sequential(
        _Shrink(),
        nn.Conv2d(channels, 32, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(32, 64, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.25),
        nn.Linear(64 * height * width, 128),
        nn.ReLU(),
    )


def _on_points(shape: tuple[int, ...]) -> nn.Sequential:
    size = int(torch.tensor(shape).prod())
    return nn.Sequential(nn.Flatten(), nn.Linear(size, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU())


def _batches(count: int) -> Iterator[Tensor]:
    """Row numbers of batches, epoch after epoch, without end."""
    while True:
        yield from torch.split(torch.randperm(count), _BATCH)


@contextmanager
def _few_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    try:
        yield
    finally:
        torch.set_num_threads(before)
