"""Endless batches of data that lives on the device; their order is a pure function of (seed, epoch)."""

from __future__ import annotations

import torch
from torch import Tensor

from ganforge.core.records import Samples
from ganforge.core.specs import DataSpec
from ganforge.engine.seeding import stream


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
        self.samples = Samples(samples.values.to(device), None if samples.labels is None else samples.labels.to(device))
        self.size = size
        self._data = data
        self._seed = seed
        self._device = device
        self._orders: dict[int, Tensor] = {}

    def __getitem__(self, index: int) -> Samples:
        """The ``index``-th batch: ``(size, *shape)`` floats."""
        rows = self._rows(index * self.size)
        labels = self.samples.labels
        values = self._data.unpacked(self.samples.values.index_select(0, rows))
        return Samples(values, None if labels is None else labels.index_select(0, rows))

    def _rows(self, start: int) -> Tensor:
        count = len(self.samples)
        epoch, offset = divmod(start, count)
        pieces: list[Tensor] = []
        wanted = self.size
        while wanted:
            piece = self._order(epoch)[offset : offset + wanted]
            pieces.append(piece)
            wanted -= len(piece)
            epoch, offset = epoch + 1, 0
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)

    def _order(self, epoch: int) -> Tensor:
        if epoch not in self._orders:
            self._orders = {known: order for known, order in self._orders.items() if known == epoch - 1}
            order = torch.randperm(len(self.samples), generator=stream(self._seed, "order", epoch))
            self._orders[epoch] = order.to(self._device)
        return self._orders[epoch]
