"""Pictures from the user's own folder, as classes where they lie in sub-folders."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ganforge.builtin.kept import Kept, split
from ganforge.builtin.params_images import ImageFolderParams
from ganforge.builtin.pictures import Unfit, read_picture
from ganforge.builtin.shares import training_shares
from ganforge.plugin import DataError, Dataset, DatasetContext, DataSpec

_LITTER = frozenset({"thumbs.db", "desktop.ini"})
"""What file managers leave; like hidden files it is passed over in silence."""
_SHOWN = 10
_AT_ONCE = 1000
"""Pictures that wait to be decoded: enough to keep every core busy, few enough to forget."""

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
    values, files = _read(folder, list(_files(folder)), params)
    kinds = _kinds(folder, files, labels=params.labels)
    if kinds is None:
        spec = DataSpec(tuple(values.shape[1:]), value_range=params.value_range)
        return Kept(spec, *split(values, None, params.held_out))

    names = tuple(sorted(set(kinds)))
    labels = torch.tensor([names.index(kind) for kind in kinds])
    counts = labels.bincount().tolist()
    shares = training_shares(counts, params.held_out)
    spec = DataSpec(tuple(values.shape[1:]), len(names), names, shares, params.value_range)
    return Kept(spec, *split(values, labels, params.held_out))


def _files(folder: Path) -> Iterator[Path]:
    """Every file in the folder and those below it, in the order of their names."""
    seen: set[Path] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = Path(place).resolve()
        if real in seen:  # a link back to where it came from
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(place, name) for name in sorted(files) if not name.startswith(".") and name.lower() not in _LITTER)


def _read(folder: Path, files: Sequence[Path], params: ImageFolderParams) -> tuple[Tensor, list[Path]]:
    """All pictures ``(n, channels, height, width)`` as bytes, and their files."""
    values: NDArray[np.uint8] | None = None
    good: list[Path] = []
    bad: list[str] = []
    other: list[tuple[Path, tuple[int, ...]]] = []
    for path, found in _decoded(files, params):
        if isinstance(found, str):
            bad.append(f"{path} {found}")
            continue
        if values is None:
            values = np.empty((len(files), *found.shape), dtype=np.uint8)
        if found.shape != values.shape[1:]:
            other.append((path, found.shape))
            continue
        values[len(good)] = found
        good.append(path)

    _tell_bad(bad, skip=params.skip_broken)
    if values is None or len(good) + len(other) < 2:
        raise DataError(
            f"{folder}: holds {len(good) or 'no'} picture{'s' * (len(good) != 1)}", remedy="name a folder with pictures"
        )
    if other:
        path, shape = other[0]
        raise DataError(
            f"{path} is {_size(shape)}, and {good[0]} is {_size(values.shape[1:])} ({len(other):,} differ from the first)",
            remedy="give one size to all with dataset.params.size, or crop",
        )
    return torch.from_numpy(values[: len(good)]), good


def _decoded(files: Sequence[Path], params: ImageFolderParams) -> Iterator[tuple[Path, NDArray[np.uint8] | str]]:
    """Each file with its picture, or with why it is none; several at once, in their order."""
    from PIL import Image

    def read(path: Path) -> NDArray[np.uint8] | str:
        try:
            return read_picture(path, params)
        except Unfit as reason:
            return str(reason)

    with warnings.catch_warnings(), ThreadPoolExecutor() as workers:
        warnings.simplefilter("error", Image.DecompressionBombWarning)  # too large to be meant: told like a damaged one
        for start in range(0, len(files), _AT_ONCE):
            some = files[start : start + _AT_ONCE]
            yield from zip(some, workers.map(read, some), strict=True)


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
