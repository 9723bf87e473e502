"""CIFAR-10 in both of its forms, as folder or archive. Its Python batches are pickles, of which no code is run.

Krizhevsky 2009 describes them: a batch holds ``(n, 3072)`` bytes, for each image 1,024 of red, then green, then blue, row by row.
"""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn, TypeGuard

import numpy as np
import torch
from torch import Tensor

from ganforge.builtin.datasets.held_out_split import Kept
from ganforge.builtin.datasets.image_params import Cifar10Params
from ganforge.builtin.datasets.image_specs import cifar10_spec
from ganforge.builtin.datasets.remote_datasets import CIFAR10, CIFAR10_BATCHES, RemoteDataset
from ganforge.builtin.datasets.remote_files import DOWNLOAD_AGAIN, find_layout, locate, read_file
from ganforge.plugin import DataError, Dataset, DatasetContext, Samples

_PIXELS = 3 * 32 * 32
_CLASSES = 10


def build_cifar10(params: Cifar10Params, context: DatasetContext) -> Dataset:
    """Factory of ``cifar10``."""
    return build(CIFAR10, params, context)


def build(known: RemoteDataset, params: Cifar10Params, context: DatasetContext) -> Dataset:
    """The data set from files of CIFAR-10's form whose sums are those of ``known``.

    Raises:
        DataMissingError: it is not here.
        DataError: files of another content or form.
    """
    folder = locate(known, context)
    batches = {name: decode(raw, origin) for name, raw, origin in _batches(known, folder)}
    missing = [name for name in CIFAR10_BATCHES if name not in batches]
    if missing:
        raise DataError(f"{folder}: there is no {missing[0]}", remedy=DOWNLOAD_AGAIN)
    *train, test = (batches[name] for name in CIFAR10_BATCHES)
    images, labels = (torch.cat(parts) for parts in zip(*train, strict=True))
    return Kept(cifar10_spec(params), Samples(images, labels), Samples(*test))


def _batches(known: RemoteDataset, folder: Path) -> Iterator[tuple[str, bytes, str]]:
    """Name, content and origin of each batch; what is not as known is refused before it is looked at."""
    for file in find_layout(known, folder) or ():
        path = folder / file.name
        raw = read_file(path)
        if not file.matches(raw):
            raise DataError(
                f"{path}: is not the file of {known.name}: its {file.algorithm} is another",
                remedy=f"run `ganforge data prepare {known.name}`, which mends it",
            )
        if file.name.endswith(".tar.gz"):
            yield from _members(raw, path)
        else:
            yield file.name.removesuffix(".bin"), raw, str(path)


def _members(raw: bytes, path: Path) -> Iterator[tuple[str, bytes, str]]:
    try:
        with tarfile.open(fileobj=io.BytesIO(raw)) as archive:
            for member in archive:
                name = PurePosixPath(member.name).name
                content = archive.extractfile(member) if member.isfile() else None
                if content and name.removesuffix(".bin") in CIFAR10_BATCHES:
                    yield name.removesuffix(".bin"), content.read(), f"{path}: {name}"
    except (tarfile.TarError, EOFError, OSError) as error:
        raise DataError(f"{path}: damaged archive: {error}", remedy=DOWNLOAD_AGAIN) from error


def decode(raw: bytes, origin: str) -> tuple[Tensor, Tensor]:
    """Images ``(n, 3, 32, 32)`` as bytes and labels ``(n,)`` of a batch in either form.

    Args:
        raw: the whole file.
        origin: its name, for what is said of mistakes; the binary form's ends in ``.bin``.

    Raises:
        DataError: it is no batch of CIFAR-10.
    """
    images, labels = _decode_binary(raw, origin) if origin.endswith(".bin") else _decode_pickle(raw, origin)
    odd = np.flatnonzero(labels >= _CLASSES)
    if len(odd):
        raise DataError(
            f"{origin}: image {odd[0]} (counted from 0) is of class {labels[odd[0]]}, not 0 to 9", remedy=DOWNLOAD_AGAIN
        )
    return torch.from_numpy(images.reshape(-1, 3, 32, 32).copy()), torch.from_numpy(labels.astype(np.int64))


def _decode_binary(raw: bytes, origin: str) -> tuple[Any, Any]:
    """Records of one byte for the label and 3,072 for the image."""
    rest = len(raw) % (1 + _PIXELS)
    if rest or not raw:
        told = f"{rest} bytes behind the last whole record of {1 + _PIXELS:,}" if raw else "the file is empty"
        raise DataError(f"{origin}: {told}", remedy=DOWNLOAD_AGAIN)
    records = np.frombuffer(raw, np.uint8).reshape(-1, 1 + _PIXELS)
    return records[:, 1:], records[:, 0]


def _decode_pickle(raw: bytes, origin: str) -> tuple[Any, Any]:
    try:
        batch = _Unpickler(io.BytesIO(raw), encoding="bytes").load()
    except DataError as error:
        raise DataError(f"{origin}: {error.message}", remedy=error.remedy) from error
    except Exception as error:  # what pickle raises on damaged bytes is not limited
        raise DataError(f"{origin}: is no readable batch: {type(error).__name__}: {error}", remedy=DOWNLOAD_AGAIN) from error

    images, labels = (batch.get(b"data"), batch.get(b"labels")) if isinstance(batch, dict) else (None, None)
    if not (isinstance(images, _Array) and _are_numbers(labels) and images.is_bytes(len(labels), _PIXELS)):
        raise DataError(f"{origin}: holds no images with a label for each, as a batch of CIFAR-10 does", remedy=DOWNLOAD_AGAIN)
    return np.frombuffer(images.raw, np.uint8), np.array(labels, dtype=np.int64)


def _are_numbers(labels: object) -> TypeGuard[list[int]]:
    return isinstance(labels, list) and all(type(label) is int and label >= 0 for label in labels)


class _Kind:
    """Stands for ``numpy.dtype``, and remembers which one."""

    def __init__(self, name: object = None, *_: object) -> None:
        self.name = name

    def __setstate__(self, state: object) -> None:
        pass  # byte order and such: bytes have none


class _Array:
    """Stands for ``numpy.ndarray``, and remembers what it was made of."""

    shape: object = None
    kind: object = None
    fortran: object = None
    raw: Any = b""

    def __setstate__(self, state: Any) -> None:
        _, self.shape, self.kind, self.fortran, self.raw = state

    def is_bytes(self, rows: int, columns: int) -> bool:
        """Whether it is a table of so many unsigned bytes, row by row."""
        kind = self.kind.name if isinstance(self.kind, _Kind) else None
        return (
            rows > 0
            and self.shape == (rows, columns)
            and kind in (b"u1", "u1")
            and not self.fortran
            and isinstance(self.raw, bytes)
            and len(self.raw) == rows * columns
        )


def _blank(*_: object) -> _Array:
    """Stands for the function that numpy's pickles make arrays with."""
    return _Array()


_ADMITTED: Mapping[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _blank,
    ("numpy._core.multiarray", "_reconstruct"): _blank,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Kind,
}


class _Unpickler(pickle.Unpickler):
    """Reads dictionaries, lists, numbers, texts, and arrays as their parts; nothing else that a pickle names is looked up."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            _refuse(module, name)
        return _ADMITTED[module, name]

    def persistent_load(self, pid: object) -> NoReturn:
        _refuse("persistent object", str(pid))


def _refuse(module: str, name: str) -> NoReturn:
    raise DataError(f"asks for {module}.{name}, which no batch of CIFAR-10 holds", remedy="do not trust this file; get another")
