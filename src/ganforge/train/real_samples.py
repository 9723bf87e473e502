"""Real samples, checked where they enter: converted where that loses nothing, else refused with what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ganforge.core.contracts import Dataset, SampleSource, StreamingDataset, ValidationSplit
from ganforge.core.errors import DataError, GanforgeError, describe_error, isolated
from ganforge.core.records import Samples
from ganforge.core.specs import DataSpec

_INTEGERS = (torch.int8, torch.int16, torch.int32, torch.int64, torch.uint8)
_ROUNDING = 1e-4
"""By how much of its width values may leave the declared range: computing them in 32 bits rounds."""


def training_samples(dataset: Dataset) -> Samples:
    """All training samples in memory: floats or bytes, and int64 labels. Raises a DataError as :func:`check_samples` does."""
    with _errors_of(dataset, "training()") as what:
        return check_samples(dataset.spec, dataset.training(), what)


def held_out_samples(dataset: Dataset, count: int, generator: torch.Generator) -> Samples:
    """``count`` held-out samples; raises a DataError as :func:`check_samples` does."""
    with _errors_of(dataset, f"held_out({count})") as what:
        return check_samples(dataset.spec, dataset.held_out(count, generator), what, count)


def validation_samples(dataset: ValidationSplit, spec: DataSpec, count: int) -> Samples | None:
    """At most ``count`` samples of the validation split, or ``None``; raises a DataError as :func:`check_samples` does."""
    with _errors_of(dataset, f"validation({count})") as what:
        samples = dataset.validation(count)
        return None if samples is None else check_samples(spec, samples, what)


def sample_source(dataset: StreamingDataset) -> SampleSource:
    """The source of a streamed data set; a DataError unless it has rows and can read them."""
    with _errors_of(dataset, "streamed()") as what:
        source: Any = dataset.streamed()
        if not isinstance(source, SampleSource):
            raise DataError(f"{what} returned a {type(source).__name__}, expected an object with __len__ and read(rows)")
    with _errors_of(source, "__len__()") as what:
        if len(source) < 1:
            raise DataError(f"{what} is {len(source)}: there are no training samples")
    return source


def read_samples(source: SampleSource, spec: DataSpec, rows: list[int]) -> Samples:
    """The samples of a streamed data set at these rows; raises a DataError as :func:`check_samples` does."""
    with _errors_of(source, "read(rows)") as what:
        return check_samples(spec, source.read(rows), what, len(rows))


def check_samples(spec: DataSpec, samples: Any, what: str, count: int | None = None) -> Samples:
    """Samples as the spec says, on the CPU: floats of 32 bits or bytes, and int64 labels; ``what`` names them in errors.

    numpy arrays, other sizes of numbers, and tensors that require gradients are converted.

    Raises:
        DataError: they have another type, shape, number, range or number of classes, or a value that is not finite.
    """
    if not isinstance(samples, Samples):
        raise DataError(f"{what} returned a {type(samples).__name__}, expected Samples")
    values = _tensor(samples.values, f"values of {what}")
    expected = (len(values) if count is None else count, *spec.shape)
    if tuple(values.shape) != expected or not len(values):
        raise DataError(
            f"the values of {what} have shape {tuple(values.shape)}, expected {('n', *spec.shape) if count is None else expected}"
        )
    if values.dtype != torch.uint8:
        values = values.float()
        _check_values(spec, values, what)
    return Samples(values, _labels(spec, samples.labels, len(values), what))


def _tensor(data: Any, what: str) -> Tensor:
    tensor = data
    if isinstance(data, np.ndarray) and data.dtype.kind in "fiub":
        wide = data.dtype.kind == "u" and data.dtype.itemsize > 1  # torch computes with bytes only
        tensor = torch.from_numpy(np.require(data, np.int64 if wide else data.dtype.newbyteorder("="), ["C", "W"]))
    if not isinstance(tensor, Tensor) or tensor.is_complex():
        kind = tensor.dtype if isinstance(tensor, Tensor | np.ndarray) else f"a {type(data).__name__}"
        raise DataError(f"the {what} are {kind}, expected a tensor of numbers")
    return tensor.detach().to("cpu")


def _check_values(spec: DataSpec, values: Tensor, what: str) -> None:
    finite = values.isfinite()
    if not bool(finite.all()):
        rows = (~finite.flatten(1).all(1)).nonzero().flatten()
        others = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
        raise DataError(
            f"row {int(rows[0])}{others} of {what} has a value that is not finite",
            remedy="remove such rows from the data, or replace the values",
        )
    if spec.value_range is not None:
        low, high = spec.value_range
        least, most, slack = float(values.min()), float(values.max()), _ROUNDING * (high - low)
        if least < low - slack or most > high + slack:
            raise DataError(f"the values of {what} go from {least:g} to {most:g}, but the data set declares [{low:g}, {high:g}]")


def _labels(spec: DataSpec, labels: Any, count: int, what: str) -> Tensor | None:
    if labels is None and spec.classes is None:
        return None
    if labels is None or spec.classes is None:
        declared = "no classes" if spec.classes is None else f"{spec.classes} classes"
        raise DataError(f"{what} has {'no labels' if labels is None else 'labels'}, but the data set declares {declared}")
    tensor = _tensor(labels, f"labels of {what}")
    if tensor.dtype not in _INTEGERS or tuple(tensor.shape) != (count,):
        raise DataError(f"the labels of {what} are {tensor.dtype} {tuple(tensor.shape)}, expected integers ({count},)")
    least, most = int(tensor.min()), int(tensor.max())
    if least < 0 or most >= spec.classes:
        raise DataError(
            f"the labels of {what} go from {least} to {most}, but the data set declares classes 0 to {spec.classes - 1}"
        )
    return tensor.long()


@contextmanager
def _errors_of(part: object, method: str) -> Iterator[str]:
    """Yield the name of a data set's method, and raise its own errors as a DataError with that name."""
    name = f"{type(part).__name__}.{method}"
    try:
        with isolated():
            yield name
    except GanforgeError:
        raise
    except Exception as error:  # a plugin's data set may raise anything
        raise DataError(f"{name} fails: {describe_error(error)}", remedy="report it to the authors of the data set") from error
