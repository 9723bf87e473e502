"""Data sets of finite size: a part is kept back for evaluation, the same one whatever the run's seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from ganforge.builtin.datasets.split_sizes import held_out_size
from ganforge.plugin import DataSpec, Samples


@dataclass(frozen=True, slots=True)
class Kept:
    """Samples in memory, of which a part is kept back.

    Attributes:
        spec: what the data set says of itself.
        train: the training samples; images may be bytes.
        held: the samples kept back, likewise.
        aside: samples that are in neither, to choose by; ``None`` where there are none.
    """

    spec: DataSpec
    train: Samples
    held: Samples
    aside: Samples | None = None

    def __repr__(self) -> str:
        return f"Kept({len(self.train)} training, {len(self.held)} held out, shape {self.spec.shape}, {self.spec.classes} classes)"

    @property
    def held_out_size(self) -> int:
        """How many held-out samples there are."""
        return len(self.held)

    def training(self) -> Samples:
        """The training samples, in their file's order."""
        return self.train

    def held_out(self, count: int, generator: Generator) -> Samples:
        """``count`` of the samples kept back, in random order; with replacement where there are fewer."""
        chosen = self.held[drawn_rows(len(self.held), count, generator)]
        return Samples(self.spec.to_float(chosen.values), chosen.labels)

    def validation(self, count: int) -> Samples | None:
        """The first ``count`` of the samples set aside, if there are any."""
        if self.aside is None:
            return None
        chosen = self.aside[:count]
        return Samples(self.spec.to_float(chosen.values), chosen.labels)


def drawn_rows(held: int, count: int, generator: Generator) -> Tensor:
    """``count`` of ``held`` row numbers, in random order; with replacement where there are fewer."""
    if count <= held:
        return torch.randperm(held, generator=generator)[:count]
    return torch.randint(held, (count,), generator=generator)


def split(values: Tensor, labels: Tensor | None, share: float) -> tuple[Samples, Samples]:
    """Training samples and those kept back, of ``(n, *shape)`` values, as :func:`held_mask` chooses them."""
    everything, mask = Samples(values, labels), held_mask(len(values), labels, share)
    return everything[~mask], everything[mask]


def held_mask(count: int, labels: Tensor | None, share: float) -> Tensor:
    """Which of ``count`` samples are kept back: of each class the same ``share``.

    The choice depends on the number of samples alone, never on a seed, so that runs of other seeds are measured on the same data.
    """
    order = np.random.default_rng(0).permutation(count)
    kinds = np.zeros(count, dtype=np.int64) if labels is None else labels.numpy()
    counts = np.bincount(kinds)
    held = np.zeros(count, dtype=bool)
    for kind, keep in enumerate(held_out_size(counts.tolist(), share)):
        held[order[kinds[order] == kind][:keep]] = True
    return torch.from_numpy(held)
