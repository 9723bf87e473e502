"""Endless batches of data that lives on the device; their order is a pure function of (seed, epoch)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from ganforge.core.records import Samples
from ganforge.core.specs import DataSpec
from ganforge.train.random_streams import stream


class Order:
    """The endless sequence "epoch 0 shuffled, epoch 1 shuffled, …" of row numbers.

    Args:
        count: rows in an epoch.
        seed: seed of the order.
        device: where row numbers are wanted.
    """

    def __init__(self, count: int, seed: int, device: torch.device | str = "cpu") -> None:
        self._count, self._seed, self._device = count, seed, device
        self._epochs: dict[int, Tensor] = {}

    def rows(self, start: int, wanted: int) -> Tensor:
        """``wanted`` row numbers from the place ``start`` on."""
        epoch, offset = divmod(start, self._count)
        pieces: list[Tensor] = []
        while wanted:
            piece = self._epoch(epoch)[offset : offset + wanted]
            pieces.append(piece)
            wanted -= len(piece)
            epoch, offset = epoch + 1, 0
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)

    def _epoch(self, epoch: int) -> Tensor:
        if epoch not in self._epochs:
            self._epochs = {known: order for known, order in self._epochs.items() if known == epoch - 1}
            order = torch.randperm(self._count, generator=stream(self._seed, "order", epoch))
            self._epochs[epoch] = order.to(self._device)
        return self._epochs[epoch]


def spread_rows(count: int, most: int) -> Tensor:
    """At most ``most`` of ``count`` row numbers, at equal distances."""
    taken = min(count, most)
    return torch.arange(taken) * count // taken


class Batches:
    """Batch t of the endless sequence "epoch 0 shuffled, epoch 1 shuffled, …", cut into equal pieces.

    No sample is left out, a batch may span two epochs, and since t says all, the data cursor of a checkpoint is a number.

    Args:
        samples: ``(N, *shape)`` values, perhaps bytes, and perhaps labels; moved to ``device`` once, as they are.
        data: what the data set says of itself; it tells what bytes stand for.
        size: samples per batch; it may exceed N.
        seed: seed of the order.
        device: where batches are made.
    """

    def __init__(self, samples: Samples, data: DataSpec, *, size: int, seed: int, device: torch.device) -> None:
        self.samples = samples.to(device)
        self.size = size
        self._data = data
        self._order = Order(len(samples), seed, device)

    def __len__(self) -> int:
        """Samples in an epoch."""
        return len(self.samples)

    def __getitem__(self, index: int) -> Samples:
        """The ``index``-th batch: ``(size, *shape)`` floats."""
        rows = self._order.rows(index * self.size, self.size)
        batch = self.samples[rows]
        return replace(batch, values=self._data.unpacked(batch.values))

    def beginning(self, count: int) -> Samples:
        """At most ``count`` training samples, always the same."""
        return self.samples[:count]

    def spread(self, most: int) -> Samples:
        """At most ``most`` training samples, evenly taken from the whole: floats on the CPU, as networks see them."""
        some = self.samples[spread_rows(len(self), most)].to("cpu")
        return replace(some, values=self._data.unpacked(some.values))

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Around training: nothing is to be opened or closed."""
        yield
