"""Pictures that are decoded when a batch needs them, for folders that do not fit into memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from ganforge.builtin.datasets.held_out_split import drawn_rows
from ganforge.builtin.datasets.image_files import Unfit, read_picture
from ganforge.builtin.datasets.image_params import ImageFolderParams
from ganforge.plugin import DataError, DataSpec, Samples

_PART = 10_000
_PART_BYTES = 2**28
"""At most so much do those see who want the training samples in memory."""
_REMEDY = (
    "restore it, and go on with `ganforge run --resume`, and --unlocked where it was not sound when the run began; "
    "or take it out of the folder and start a new run"
)


@dataclass(frozen=True, slots=True)
class PictureFiles:
    """Pictures as files.

    Attributes:
        files: their names, as text, which takes a fifth of a ``Path``'s memory.
        labels: ``(n,)`` their classes, or ``None``.
        shape: of each of them, decoded.
        params: how they are decoded.
    """

    files: Sequence[str]
    labels: Tensor | None
    shape: tuple[int, ...]
    params: ImageFolderParams

    def __len__(self) -> int:
        return len(self.files)

    def read(self, rows: Sequence[int]) -> Samples:
        """The pictures of these rows, as bytes.

        Raises:
            DataError: one that can no longer be read, or not as it was; it is named.
        """
        values = np.empty((len(rows), *self.shape), dtype=np.uint8)
        for place, row in enumerate(rows):
            values[place] = self._decoded(self.files[row])
        return self._labelled(values, rows)

    def read_parallel(self, rows: Sequence[int]) -> Samples:
        """The same samples, decoded on all cores."""
        values = np.empty((len(rows), *self.shape), dtype=np.uint8)
        with ThreadPoolExecutor() as threads:
            for place, picture in enumerate(threads.map(self._decoded, (self.files[row] for row in rows))):
                values[place] = picture
        return self._labelled(values, rows)

    def _labelled(self, values: NDArray[np.uint8], rows: Sequence[int]) -> Samples:
        labels = None if self.labels is None else self.labels[torch.as_tensor(rows, dtype=torch.int64)]
        return Samples(torch.from_numpy(values), labels)

    def _decoded(self, file: str) -> NDArray[np.uint8]:
        try:
            picture = read_picture(Path(file), self.params)
        except Unfit as reason:
            raise DataError(f"{file} {reason}", remedy=_REMEDY) from reason
        if picture.shape != self.shape:
            told = " and ".join(f"{width}×{height}" for _, height, width in (picture.shape, self.shape))
            raise DataError(f"{file} is of another size than it was told to be: {told}", remedy=_REMEDY)
        return picture


@dataclass(frozen=True, slots=True)
class Streamed:
    """A folder of pictures, decoded while training.

    Attributes:
        spec: what the data set says of itself.
        train: the training pictures.
        held: the pictures kept back.
    """

    spec: DataSpec
    train: PictureFiles
    held: PictureFiles

    def __repr__(self) -> str:
        return (
            f"Streamed({len(self.train)} training, {len(self.held)} held out, shape {self.spec.shape}, {self.spec.classes} classes)"
        )

    @property
    def held_out_size(self) -> int:
        """How many held-out pictures there are."""
        return len(self.held)

    def streamed(self) -> PictureFiles:
        """All training pictures."""
        return self.train

    def training(self) -> Samples:
        """Training pictures taken at equal distances, at most 10,000 and 256 MiB; every one where they are no more."""
        count = len(self.train)
        part = max(1, min(count, _PART, _PART_BYTES // math.prod(self.spec.shape)))
        return self.train.read_parallel([place * count // part for place in range(part)])

    def held_out(self, count: int, generator: Generator) -> Samples:
        """``count`` of the pictures kept back, in random order; with replacement where there are fewer."""
        drawn = self.held.read_parallel(drawn_rows(len(self.held), count, generator).tolist())
        return Samples(self.spec.to_float(drawn.values), drawn.labels)
