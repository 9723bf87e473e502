"""CIFAR-10 (Krizhevsky 2009) from its Python or binary files, in a folder or an archive. Unpickling runs no foreign code.

Either form has batches of ``(n, 3072)`` bytes: for each image 1,024 of red, then green, then blue, row by row.
"""

from __future__ import annotations

import io
import pickle
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor

from ganforge.builtin.datasets.dataset_specs import Cifar10Params, cifar10_spec
from ganforge.builtin.datasets.held_out_split import SplitDataset
from ganforge.builtin.datasets.remote_datasets import CIFAR10, CIFAR10_BATCHES, RemoteDataset
from ganforge.builtin.datasets.remote_files import DOWNLOAD_AGAIN, find_layout, locate, read_file
from ganforge.plugin import DataError, Dataset, DatasetContext, Samples

_PIXELS = 3 * 32 * 32
_CLASSES = 10
_RECONSTRUCT = np.empty(0).__reduce__()[0]
_ADMITTED: Mapping[tuple[str, str], Any] = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}
"""All names that a pickled NumPy array refers to."""


def build_cifar10(params: Cifar10Params, context: DatasetContext) -> Dataset:
    """Factory of ``cifar10``."""
    return build_remote(CIFAR10, params, context)


def build_remote(remote: RemoteDataset, params: Cifar10Params, context: DatasetContext) -> Dataset:
    """The data set from files in the form of CIFAR-10 with the checksums of ``remote``.

    Raises:
        DataMissingError: the data set is not on this computer.
        DataError: files of other content or another form.
    """
    folder = locate(remote, context)
    batches = {name: decode_batch(raw, origin) for name, raw, origin in _batches(remote, folder)}
    missing = [name for name in CIFAR10_BATCHES if name not in batches]
    if missing:
        raise DataError(f"{folder}: there is no {missing[0]}", remedy=DOWNLOAD_AGAIN)
    *train, test = (batches[name] for name in CIFAR10_BATCHES)
    images, labels = (torch.cat(parts) for parts in zip(*train, strict=True))
    return SplitDataset(cifar10_spec(params), Samples(images, labels), Samples(*test))


def decode_batch(raw: bytes, origin: str) -> tuple[Tensor, Tensor]:
    """Images ``(n, 3, 32, 32)`` as bytes and labels ``(n,)`` of a batch in either form.

    Args:
        raw: the whole file.
        origin: its name, for error messages; that of the binary form ends in ``.bin``.

    Raises:
        DataError: not a batch of CIFAR-10.
    """
    images, labels = _decode_binary(raw, origin) if origin.endswith(".bin") else _decode_pickle(raw, origin)
    odd = np.flatnonzero(labels >= _CLASSES)
    if len(odd):
        raise DataError(
            f"{origin}: image {odd[0]} (counted from 0) is of class {labels[odd[0]]}, not 0 to 9", remedy=DOWNLOAD_AGAIN
        )
    return torch.from_numpy(images.reshape(-1, 3, 32, 32).copy()), torch.from_numpy(labels.astype(np.int64))


def _batches(remote: RemoteDataset, folder: Path) -> Iterator[tuple[str, bytes, str]]:
    """Name, content and origin of each batch; the checksum of each file is verified before its content is read."""
    for file in find_layout(remote, folder) or ():
        path = folder / file.name
        raw = read_file(path)
        if not file.matches(raw):
            raise DataError(
                f"{path}: is not the file of {remote.name}: its {file.algorithm} differs",
                remedy=f"run `ganforge data prepare {remote.name}` to replace it",
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


def _decode_binary(raw: bytes, origin: str) -> tuple[Any, Any]:
    """Records of one byte for the label and 3,072 for the image."""
    rest = len(raw) % (1 + _PIXELS)
    if rest or not raw:
        problem = f"{rest} bytes after the last whole record of {1 + _PIXELS:,}" if raw else "the file is empty"
        raise DataError(f"{origin}: {problem}", remedy=DOWNLOAD_AGAIN)
    records = np.frombuffer(raw, np.uint8).reshape(-1, 1 + _PIXELS)
    return records[:, 1:], records[:, 0]


def _decode_pickle(raw: bytes, origin: str) -> tuple[Any, Any]:
    try:
        batch = _Unpickler(io.BytesIO(raw), encoding="bytes").load()
    except DataError as error:
        raise DataError(f"{origin}: {error.message}", remedy=error.remedy) from error
    except Exception as error:  # pickle raises errors of many kinds on damaged bytes
        raise DataError(f"{origin}: not a readable batch: {type(error).__name__}: {error}", remedy=DOWNLOAD_AGAIN) from error

    images, labels = (batch.get(b"data"), batch.get(b"labels")) if isinstance(batch, dict) else (None, None)
    if not _is_batch(images, labels):
        raise DataError(f"{origin}: does not contain images with a label each, as a batch of CIFAR-10 does", remedy=DOWNLOAD_AGAIN)
    return images, np.array(labels, dtype=np.int64)


def _is_batch(images: object, labels: object) -> bool:
    """Whether these are rows of bytes, and as many class numbers."""
    if not isinstance(labels, list) or not all(type(label) is int and label >= 0 for label in labels):
        return False
    return isinstance(images, np.ndarray) and images.dtype == np.uint8 and images.shape == (len(labels), _PIXELS) and bool(labels)


class _Unpickler(pickle.Unpickler):
    """Reads dictionaries, lists, numbers, strings and NumPy arrays; resolves no other names in a pickle."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ADMITTED:
            _refuse(module, name)
        return _ADMITTED[module, name]

    def persistent_load(self, pid: object) -> NoReturn:
        _refuse("persistent object", str(pid))


def _refuse(module: str, name: str) -> NoReturn:
    raise DataError(
        f"refers to {module}.{name}, which no batch of CIFAR-10 contains", remedy="do not trust this file; get another copy"
    )
