"""Pictures from the user's own folder, as classes where they lie in sub-folders."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganforge.builtin.datasets.file_listing import files_below
from ganforge.builtin.datasets.held_out_split import Kept, held_mask, split
from ganforge.builtin.datasets.image_files import Unfit, picture_shape, read_picture
from ganforge.builtin.datasets.image_params import ImageFolderParams
from ganforge.builtin.datasets.split_sizes import training_shares
from ganforge.builtin.datasets.streamed_images import PictureFiles, Streamed
from ganforge.plugin import DataError, Dataset, DatasetContext, DataSpec

_SHOWN = 10
_AT_ONCE = 1000
"""Pictures that wait to be decoded: enough to keep every core busy, few enough to forget."""

Shape = tuple[int, ...]
_Found = TypeVar("_Found", Shape, NDArray[np.uint8])

_log = logging.getLogger(__name__)


def build_image_folder(params: ImageFolderParams, context: DatasetContext) -> Dataset:
    """Factory of ``image-folder``.

    Raises:
        DataError: no folder, no pictures, files that are none, labels for some pictures only, or sizes that differ.
    """
    folder = context.recipe_folder / params.folder.expanduser()  # an absolute path replaces the folder
    if not folder.is_dir():
        raise DataError(
            f"there is no folder {folder}", remedy="mend dataset.params.folder; a relative path is meant from the recipe's folder"
        )
    unlisted: list[OSError] = []
    files = list(files_below(folder, unlisted.append))
    sorting = _Sorting([f"{error.filename} cannot be listed: {error.strerror or error}" for error in unlisted])
    if _is_streamed(files, params):
        shape, good = _inspected(folder, files, params, sorting)
        spec, labels = _spec(folder, good, shape, params)
        return _streamed(spec, good, labels, params)
    values, good = _read(folder, files, params, sorting)
    spec, labels = _spec(folder, good, tuple(values.shape[1:]), params)
    return Kept(spec, *split(values, labels, params.held_out))


def _spec(folder: Path, files: Sequence[Path], shape: Shape, params: ImageFolderParams) -> tuple[DataSpec, Tensor | None]:
    """What the data set says of itself, and the pictures' classes."""
    kinds = _kinds(folder, files, labels=params.labels)
    if kinds is None:
        return DataSpec(shape, value_range=params.value_range), None
    names = tuple(sorted(set(kinds)))
    number = {name: place for place, name in enumerate(names)}
    labels = torch.tensor([number[kind] for kind in kinds])
    shares = training_shares(labels.bincount().tolist(), params.held_out)
    return DataSpec(shape, len(names), names, shares, params.value_range), labels


def _is_streamed(files: Sequence[Path], params: ImageFolderParams) -> bool:
    """As the params say, or by the size of all pictures if they are as large as the first."""
    if params.stream != "auto":
        return params.stream
    for path in files:
        with suppress(Unfit), _too_large_is_damage():
            return len(files) * math.prod(picture_shape(path, params)) > params.memory * 2**30
    return False


def _streamed(spec: DataSpec, files: Sequence[Path], labels: Tensor | None, params: ImageFolderParams) -> Streamed:
    """The same pictures kept back as in memory."""
    held = held_mask(len(files), labels, params.held_out)

    def part(mask: Tensor) -> PictureFiles:
        chosen = [str(files[row]) for row in mask.nonzero().flatten().tolist()]
        return PictureFiles(chosen, None if labels is None else labels[mask], spec.shape, params)

    return Streamed(spec, part(~held), part(held))


class _Sorting:
    """Pictures that are like the first one, pictures of other sizes, and files that cannot be used.

    Attributes:
        good: the files of those like the first one.
        shape: of these.
    """

    def __init__(self, bad: Iterable[str]) -> None:
        self.good: list[Path] = []
        self.shape: Shape = ()
        self._other: list[tuple[Path, Shape]] = []
        self._bad = list(bad)

    def takes(self, path: Path, found: Shape | str) -> bool:
        """Whether it is a good one, by its shape or by why it has none."""
        if isinstance(found, str):
            self._bad.append(f"{path} {found}")
            return False
        self.shape = self.shape or found
        if found != self.shape:
            self._other.append((path, found))
            return False
        self.good.append(path)
        return True

    def insist(self, folder: Path, *, skip: bool) -> None:
        """Refuse a folder with files that cannot be used, without pictures, or with several sizes.

        Raises:
            DataError: for each of these.
        """
        _tell_bad(self._bad, skip=skip)
        count = len(self.good)
        if count + len(self._other) < 2:
            raise DataError(f"{folder}: holds {count or 'no'} picture{'s' * (count != 1)}", remedy="name a folder with pictures")
        if self._other:
            path, shape = self._other[0]
            differ = f"{len(self._other):,} differ from the first"
            raise DataError(
                f"{path} is {_size(shape)}, and {self.good[0]} is {_size(self.shape)} ({differ})",
                remedy="give one size to all with dataset.params.size, or crop",
            )


def _read(folder: Path, files: Sequence[Path], params: ImageFolderParams, sorting: _Sorting) -> tuple[Tensor, list[Path]]:
    """All pictures ``(n, channels, height, width)`` as bytes, and their files."""
    values = np.empty(0, dtype=np.uint8)
    for path, found in _each(files, lambda path: read_picture(path, params)):
        if sorting.takes(path, found if isinstance(found, str) else found.shape):
            if not values.size:
                values = np.empty((len(files), *sorting.shape), dtype=np.uint8)
            values[len(sorting.good) - 1] = found
    sorting.insist(folder, skip=params.skip_broken)
    return torch.from_numpy(values[: len(sorting.good)]), sorting.good


def _inspected(folder: Path, files: Sequence[Path], params: ImageFolderParams, sorting: _Sorting) -> tuple[Shape, list[Path]]:
    """The shape of all pictures, by the head of each file, and the files."""
    for path, found in _each(files, lambda path: picture_shape(path, params)):
        sorting.takes(path, found)
    sorting.insist(folder, skip=params.skip_broken)
    return sorting.shape, sorting.good


def _each(files: Sequence[Path], read: Callable[[Path], _Found]) -> Iterator[tuple[Path, _Found | str]]:
    """Each file with what is read of it, or with why it cannot be; several at once, in their order."""

    def tried(path: Path) -> _Found | str:
        try:
            return read(path)
        except Unfit as reason:
            return str(reason)

    with _too_large_is_damage(), ThreadPoolExecutor() as workers:
        for start in range(0, len(files), _AT_ONCE):
            some = files[start : start + _AT_ONCE]
            yield from zip(some, workers.map(tried, some), strict=True)


@contextmanager
def _too_large_is_damage() -> Iterator[None]:
    """A picture too large to be meant is told like a damaged one. Not for threads: what is done with warnings is everybody's."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _tell_bad(bad: Sequence[str], *, skip: bool) -> None:
    """Name the files that are left out, or refuse them.

    Raises:
        DataError: there are some, and they are not to be skipped.
    """
    if not bad:
        return
    more = f"\n  and {len(bad) - _SHOWN:,} more" if len(bad) > _SHOWN else ""
    told = "\n  ".join(bad[:_SHOWN]) + more
    if not skip:
        raise DataError(
            f"{len(bad):,} file{'s' * (len(bad) != 1)} cannot be used:\n  {told}",
            remedy="mend or remove them, or leave them out with dataset.params.skip_broken = true",
        )
    _log.warning("%s file%s left out:\n  %s", f"{len(bad):,}", "s" * (len(bad) != 1), told)


def _kinds(folder: Path, files: Sequence[Path], *, labels: bool | None) -> list[str] | None:
    """For each picture the sub-folder that it lies in, or ``None`` for data without classes.

    Raises:
        DataError: pictures lie beside sub-folders of pictures, or labels are wanted and there are none.
    """
    if labels is False:
        return None
    inside = [path.relative_to(folder).parts for path in files]
    loose = [path for path, parts in zip(files, inside, strict=True) if len(parts) == 1]
    kinds = [parts[0] for parts in inside if len(parts) > 1]
    if loose and (kinds or labels):
        raise DataError(
            f"{loose[0]} lies in no sub-folder and so has no label ({len(loose):,} of {len(files):,} pictures have none)",
            remedy="put each picture into the sub-folder of its class, or set dataset.params.labels = false",
        )
    if len(set(kinds)) > 1:
        return kinds
    if labels:
        raise DataError(f"{folder}: all pictures are of one class, '{kinds[0]}'", remedy="set dataset.params.labels = false")
    return None


def _size(shape: Sequence[int]) -> str:
    return f"{shape[2]}×{shape[1]}"
