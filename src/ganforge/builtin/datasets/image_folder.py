"""The data set ``image-folder``: the user's own pictures, in memory or streamed from disk; sub-folders are classes."""

from __future__ import annotations

import logging
import math
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from ganforge.builtin.datasets.dataset_specs import (
    ImageFolderParams,
    SplitDataset,
    as_floats,
    draw_rows,
    held_out_mask,
    split,
    training_shares,
)
from ganforge.builtin.datasets.image_files import UnusablePictureError, files_below, is_litter, picture_shape, read_picture
from ganforge.plugin import DataError, Dataset, DatasetContext, DataSpec, Samples

_SHOWN = 10
_ARCHIVES = frozenset({".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".7z", ".rar"})
_SPLITS = frozenset({"train", "training", "trn", "val", "valid", "validation", "dev", "test", "testing", "eval", "holdout"})
"""Names of sub-folders that are parts of a data set rather than classes."""
_PAIRED = frozenset({"images", "imgs", "pictures", "photos", "masks", "labels", "annotations", "segmentations", "edges", "depth"})
"""Names of sub-folders with several pictures of the same things, if all have such a name."""
_AT_ONCE = 1000
"""Pictures queued for decoding: enough to keep every core busy, few enough for memory."""
_SUBSET = 10_000
_SUBSET_BYTES = 2**28
"""Limits of the training pictures that a streamed data set decodes into memory."""
_REMEDY = (
    "restore it and continue with `ganforge run --resume` (add --unlocked if it was damaged when the run was created), "
    "or remove it from the folder and start a new run"
)

Shape = tuple[int, ...]
Picture = NDArray[np.uint8]
Found = Picture | Shape | UnusablePictureError

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PictureFiles:
    """Pictures that are decoded when they are read; paths as text take a fifth of the memory of ``Path``."""

    files: Sequence[str]
    labels: Tensor | None
    shape: Shape
    params: ImageFolderParams

    def __len__(self) -> int:
        return len(self.files)

    def read(self, rows: Sequence[int]) -> Samples:
        """The pictures of these rows, as bytes."""
        return self._samples(rows, map(self._decoded, (self.files[row] for row in rows)))

    def read_parallel(self, rows: Sequence[int]) -> Samples:
        """The same samples, decoded on all cores."""
        with ThreadPoolExecutor() as threads:
            return self._samples(rows, threads.map(self._decoded, (self.files[row] for row in rows)))

    def _samples(self, rows: Sequence[int], pictures: Iterable[Picture]) -> Samples:
        values = np.empty((len(rows), *self.shape), dtype=np.uint8)
        for place, picture in enumerate(pictures):
            values[place] = picture
        labels = None if self.labels is None else self.labels[torch.as_tensor(rows, dtype=torch.int64)]
        return Samples(torch.from_numpy(values), labels)

    def _decoded(self, file: str) -> Picture:
        try:
            picture = read_picture(Path(file), self.params)
        except UnusablePictureError as reason:
            raise DataError(f"{file} {reason}", remedy=_REMEDY) from reason
        if picture.shape != self.shape:
            raise DataError(f"{file} has changed its size from {_size(self.shape)} to {_size(picture.shape)}", remedy=_REMEDY)
        return picture


@dataclass(frozen=True, slots=True)
class StreamedPictures:
    """A folder of pictures, decoded during training."""

    spec: DataSpec
    train: PictureFiles
    held: PictureFiles

    @property
    def held_out_size(self) -> int:
        """Number of held-out pictures."""
        return len(self.held)

    def streamed(self) -> PictureFiles:
        """All training pictures."""
        return self.train

    def training(self) -> Samples:
        """Training pictures at equal steps, at most 10,000 and 256 MiB; all if there are no more."""
        count = len(self.train)
        part = max(1, min(count, _SUBSET, _SUBSET_BYTES // math.prod(self.spec.shape)))
        return self.train.read_parallel([place * count // part for place in range(part)])

    def held_out(self, count: int, generator: Generator) -> Samples:
        """``count`` of the held-out pictures, in random order; with replacement if there are fewer."""
        return as_floats(self.spec, self.held.read_parallel(draw_rows(len(self.held), count, generator).tolist()))


def build_image_folder(params: ImageFolderParams, context: DatasetContext) -> Dataset:
    """Factory of ``image-folder``."""
    folder = context.recipe_folder / params.folder.expanduser()  # an absolute path replaces the folder
    if folder.is_file():
        kind = "an archive: unpack it" if folder.suffix.lower() in _ARCHIVES else "a file"
        remedy = 'name a folder of pictures in dataset.params.folder; for .npz and .csv files set dataset.use = "arrays"'
        raise DataError(f"{folder} is {kind}", remedy=remedy)
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}", remedy="fix dataset.params.folder; it is relative to the recipe's folder")
    problems: list[str] = []
    files = list(
        files_below(folder, lambda error: problems.append(f"{error.filename} cannot be listed: {error.strerror or error}"))
    )
    streamed = _is_streamed(files, params)
    scan = _scan(files, params, problems, decode=not streamed)
    if problems:
        _report(problems, skip=params.skip_broken)
    _check(folder, scan)

    spec, labels = _spec(folder, scan, params)
    if not streamed:
        return SplitDataset(spec, *split(torch.from_numpy(scan.values[: len(scan.good)]), labels, params.held_out))
    held = held_out_mask(len(scan.good), labels, params.held_out)  # the same pictures as in memory

    def part(mask: Tensor) -> PictureFiles:
        chosen = [str(scan.good[row]) for row in mask.nonzero().flatten().tolist()]
        return PictureFiles(chosen, None if labels is None else labels[mask], spec.shape, params)

    return StreamedPictures(spec, part(~held), part(held))


@dataclass(slots=True)
class _Scan:
    """The pictures that have the size of the first one, their bytes if they were decoded, and pictures of other sizes."""

    good: list[Path] = field(default_factory=list)
    shape: Shape = ()
    values: Picture = field(default_factory=lambda: np.empty(0, dtype=np.uint8))
    other: list[tuple[Path, Shape]] = field(default_factory=list)


def _scan(files: Sequence[Path], params: ImageFolderParams, problems: list[str], *, decode: bool) -> _Scan:
    """Read each file, or only its header without ``decode``; problems with unusable files are appended to ``problems``."""
    scan = _Scan()
    for path, found in _each(files, lambda path: read_picture(path, params) if decode else picture_shape(path, params)):
        if isinstance(found, UnusablePictureError):
            problems.append(f"{path} {found}")
            continue
        shape = found if isinstance(found, tuple) else found.shape
        scan.shape = scan.shape or shape
        if shape != scan.shape:
            scan.other.append((path, shape))
            continue
        if decode and not scan.good:
            scan.values = np.empty((len(files), *shape), dtype=np.uint8)
        if decode:
            scan.values[len(scan.good)] = found
        scan.good.append(path)
    return scan


def _report(problems: Sequence[str], *, skip: bool) -> None:
    """Reject unusable files, or warn about them, with ``skip``."""
    count = len(problems)
    more = [f"and {count - _SHOWN:,} more"] if count > _SHOWN else []
    listed = "\n  ".join([*problems[:_SHOWN], *more])
    files = f"{count:,} file{'s' * (count != 1)}"
    if not skip:
        remedy = "fix or remove them, or skip them with dataset.params.skip_broken = true"
        raise DataError(f"{files} cannot be used:\n  {listed}", remedy=remedy)
    _log.warning("%s skipped:\n  %s", files, listed)


def _check(folder: Path, scan: _Scan) -> None:
    """Reject a folder without pictures, and several sizes."""
    count = len(scan.good)
    if count + len(scan.other) < 2:
        problem = f"{folder}: contains {count or 'no'} picture{'s' * (count != 1)}"
        raise DataError(problem, remedy="name a folder with at least 2 pictures")
    if scan.other:
        path, shape = scan.other[0]
        differ = f"{len(scan.other):,} differ from the first"
        raise DataError(
            f"{path} is {_size(shape)}, but {scan.good[0]} is {_size(scan.shape)} ({differ})",
            remedy="give all one size with dataset.params.size, or crop",
        )


def _is_streamed(files: Sequence[Path], params: ImageFolderParams) -> bool:
    """As the params say, or by the size of all pictures if they are as large as the first."""
    if params.stream != "auto":
        return params.stream
    for path in files:
        with suppress(UnusablePictureError), _too_large_is_damage():
            return len(files) * math.prod(picture_shape(path, params)) > params.memory * 2**30
    return False


def _each(files: Sequence[Path], read: Callable[[Path], Picture | Shape]) -> Iterator[tuple[Path, Found]]:
    """Each file with the result of ``read``, or the reason why it failed; several at once, in their order."""

    def tried(path: Path) -> Found:
        try:
            return read(path)
        except UnusablePictureError as reason:
            return reason

    with _too_large_is_damage(), ThreadPoolExecutor() as workers:
        for start in range(0, len(files), _AT_ONCE):
            some = files[start : start + _AT_ONCE]
            yield from zip(some, workers.map(tried, some), strict=True)


@contextmanager
def _too_large_is_damage() -> Iterator[None]:
    """Treat a suspiciously large picture as a damaged one. Not for use in threads: warning filters are global."""
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def _spec(folder: Path, scan: _Scan, params: ImageFolderParams) -> tuple[DataSpec, Tensor | None]:
    """The spec, and the classes of the pictures, which are their sub-folders."""
    inside = [path.relative_to(folder).parts for path in scan.good] if params.labels is not False else []
    loose = [path for path, parts in zip(scan.good, inside, strict=False) if len(parts) == 1]
    kinds = [parts[0] for parts in inside if len(parts) > 1]
    if loose and (kinds or params.labels):
        raise DataError(
            f"{loose[0]} is in no sub-folder, so it has no label ({len(loose):,} of {len(inside):,} pictures have none)",
            remedy="move each picture into the sub-folder of its class, or set dataset.params.labels = false",
        )
    names, labels, counts = np.unique(kinds, return_inverse=True, return_counts=True)
    _check_classes(folder, names.tolist(), inside, params)
    if len(names) > 1:
        shares = training_shares(counts.tolist(), params.held_out)
        return params.image_spec(scan.shape, tuple(names.tolist()), shares), torch.from_numpy(labels)
    if params.labels:
        raise DataError(f"{folder}: all pictures are of one class, '{kinds[0]}'", remedy="set dataset.params.labels = false")
    return params.image_spec(scan.shape), None


def _check_classes(folder: Path, names: Sequence[str], inside: Sequence[tuple[str, ...]], params: ImageFolderParams) -> None:
    """Refuse sub-folders that may be no classes, unless the params say what they are; a note on those without pictures."""
    if not names or params.labels is not None:
        return
    place, deeper = params.folder / names[0], sorted({parts[1] for parts in inside if len(parts) > 2})
    if splits := _parts(names):
        chosen = next((name for name in splits if name.lower().startswith(("tr", "im", "ph", "pi"))), splits[0])
        raise DataError(
            f"{folder}: the sub-folders {', '.join(splits)} look like parts of a data set, not like classes",
            remedy=f'choose one with dataset.params.folder = "{(params.folder / chosen).as_posix()}", or set '
            "dataset.params.labels = true if they are classes, false to use all pictures without labels",
        )
    if len(names) == 1 and len(deeper) > 1:
        raise DataError(
            f"{folder}: all pictures are in sub-folders of '{names[0]}': {', '.join(deeper[:5])}{', …' * (len(deeper) > 5)}",
            remedy=f'for these as classes set dataset.params.folder = "{place.as_posix()}"; else set dataset.params.labels = false',
        )
    if len(names) == 1:
        _log.info("%s: all pictures are in the sub-folder '%s', so they have no labels", folder.name, names[0])
        return
    folders = (entry.name for entry in folder.iterdir() if entry.is_dir() and not is_litter(entry.name))
    if empty := sorted(set(folders) - set(names)):
        _log.warning(
            "%s: %d sub-folders contain no pictures and are no classes: %s", folder.name, len(empty), ", ".join(empty[:10])
        )


def _parts(names: Sequence[str]) -> list[str]:
    """The sub-folders that are parts of a data set by their names, such as train, or train_images and test_images."""
    if exact := [name for name in names if name.lower() in _SPLITS]:
        return exact

    def is_part(name: str) -> bool:
        first, *others = re.split(r"[-_. ]+", name.lower())
        ends = {first, *others[-1:]} if others else {re.sub(r"(?<=n|t|l)[ab]$", "", first)}  # trainA and trainB of unpaired images
        return bool(ends & _SPLITS)

    is_paired = all(name.lower() in _PAIRED for name in names)
    return list(names) if len(names) > 1 and (is_paired or all(map(is_part, names))) else []


def _size(shape: Sequence[int]) -> str:
    return f"{shape[2]}×{shape[1]}"
