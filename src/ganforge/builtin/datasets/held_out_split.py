"""Data sets of finite size: a part is held out for evaluation, the same one for every seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor

from ganforge.builtin.datasets.dataset_specs import held_out_counts
from ganforge.plugin import DataSpec, Samples


@dataclass(frozen=True, slots=True)
class SplitDataset:
    """Samples in memory, some of them held out.

    Attributes:
        spec: sizes and facts of the data set.
        train: the training samples; images may be bytes.
        held: the held-out samples; images may be bytes.
        aside: validation samples, which are in neither; ``None`` if there are none.
    """

    spec: DataSpec
    train: Samples
    held: Samples
    aside: Samples | None = None

    def __repr__(self) -> str:
        sizes = f"{len(self.train)} training, {len(self.held)} held out"
        return f"SplitDataset({sizes}, shape {self.spec.shape}, {self.spec.classes} classes)"

    @property
    def held_out_size(self) -> int:
        """Number of held-out samples."""
        return len(self.held)

    def training(self) -> Samples:
        """The training samples, in the order of their file."""
        return self.train

    def held_out(self, count: int, generator: Generator) -> Samples:
        """``count`` of the held-out samples, in random order; with replacement if there are fewer."""
        return self._floats(self.held[draw_rows(len(self.held), count, generator)])

    def validation(self, count: int) -> Samples | None:
        """The first ``count`` validation samples, if there are any."""
        return None if self.aside is None else self._floats(self.aside[:count])

    def _floats(self, samples: Samples) -> Samples:
        return Samples(self.spec.to_float(samples.values), samples.labels)


def draw_rows(held: int, count: int, generator: Generator) -> Tensor:
    """``count`` of ``held`` row numbers, in random order; with replacement if there are fewer."""
    if count <= held:
        return torch.randperm(held, generator=generator)[:count]
    return torch.randint(held, (count,), generator=generator)


def split(values: Tensor, labels: Tensor | None, share: float) -> tuple[Samples, Samples]:
    """Training and held-out samples of ``(n, *shape)`` values, chosen by :func:`held_out_mask`."""
    everything, mask = Samples(values, labels), held_out_mask(len(values), labels, share)
    return everything[~mask], everything[mask]


def held_out_mask(count: int, labels: Tensor | None, share: float) -> Tensor:
    """Which of ``count`` samples are held out: the same ``share`` of each class.

    The choice depends on the number of samples alone, never on a seed, so that runs of all seeds are evaluated on the same data.
    """
    order = np.random.default_rng(0).permutation(count)
    kinds = np.zeros(count, dtype=np.int64) if labels is None else labels.numpy()
    counts = np.bincount(kinds)
    held = np.zeros(count, dtype=bool)
    for kind, size in enumerate(held_out_counts(counts.tolist(), share)):
        held[order[kinds[order] == kind][:size]] = True
    return torch.from_numpy(held)
