"""What a data set returns is converted where that loses nothing, and refused by name where it does not fit its spec."""

import math

import numpy as np
import pytest
import torch

from ganforge.core.errors import DataError
from ganforge.core.records import Samples
from ganforge.core.specs import DataSpec
from ganforge.train.real_samples import (
    check_samples,
    held_out_samples,
    read_samples,
    sample_source,
    training_samples,
    validation_samples,
)

POINTS = DataSpec((2,), classes=3)
IMAGES = DataSpec((1, 2, 2), value_range=(-1.0, 1.0))
VALUES = torch.linspace(-1, 1, 12).reshape(6, 2)
LABELS = torch.tensor([0, 1, 2, 0, 1, 2])


class Data:
    """A data set that returns what it was given, and reads it as a source."""

    def __init__(self, samples, spec=POINTS):
        self.samples, self.spec = samples, spec

    def training(self):
        return self.samples

    def held_out(self, count, generator):
        return self.samples

    def read(self, rows):
        return self.samples


WAYS = {
    "training": training_samples,
    "held out": lambda data: held_out_samples(data, 6, torch.Generator()),
    "read": lambda data: read_samples(data, data.spec, list(range(6))),
}


VALUE_KINDS = {
    "same": VALUES,
    "double": VALUES.double(),
    "with gradients": VALUES.clone().requires_grad_(),
    "numpy": VALUES.numpy(),
    "big-endian": VALUES.numpy().astype(">f8"),
    "reversed": VALUES.numpy()[::-1].copy()[::-1],
}
LABEL_KINDS = {
    "same": LABELS,
    "int32": LABELS.int(),
    "uint8": LABELS.to(torch.uint8),
    "numpy": LABELS.numpy(),
    "int16": LABELS.numpy().astype("int16"),
    "uint32": LABELS.numpy().astype("uint32"),
}


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("values", VALUE_KINDS.values(), ids=VALUE_KINDS)
@pytest.mark.parametrize("labels", LABEL_KINDS.values(), ids=LABEL_KINDS)
def test_other_kinds_of_numbers_are_converted(way, values, labels):
    found = way(Data(Samples(values, labels)))

    assert found.values.dtype == torch.float32
    assert found.labels.dtype == torch.int64
    assert not found.values.requires_grad
    assert torch.equal(found.values, VALUES)
    assert torch.equal(found.labels, LABELS)


def test_half_floats_and_integers_become_floats_and_bytes_stay():
    assert check_samples(DataSpec((2,)), Samples(VALUES.half()), "it").values.dtype == torch.float32
    assert check_samples(DataSpec((2,)), Samples(torch.arange(4).reshape(2, 2)), "it").values.tolist() == [[0, 1], [2, 3]]
    assert check_samples(IMAGES, Samples(torch.zeros(3, 1, 2, 2, dtype=torch.uint8)), "it").values.dtype == torch.uint8


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize(
    ("samples", "messages"),
    [
        (VALUES, "returned a Tensor, expected Samples"),
        (None, "returned a NoneType, expected Samples"),
        (Samples(VALUES.tolist(), LABELS), r"the values of Data\..* are a list, expected a tensor"),
        (Samples(VALUES.numpy().astype(object), LABELS), "values of .* are object, expected a tensor"),
        (Samples(VALUES[:, :1], LABELS), r"have shape \(6, 1\), expected"),
        (Samples(VALUES.flatten(), LABELS), r"have shape \(12,\), expected"),
        (Samples(VALUES, None), "has no labels, but the data set declares 3 classes"),
        (Samples(VALUES, LABELS[:-1]), r"labels of .* are torch.int64 \(5,\), expected integers \(6,\)"),
        (Samples(VALUES, LABELS.float()), "are torch.float32"),
        (Samples(VALUES, LABELS - 1), "go from -1 to 1, but the data set declares classes 0 to 2"),
        (Samples(VALUES, LABELS + 1), "go from 1 to 3, but the data set declares classes 0 to 2"),
    ],
    ids=range(11),
)
def test_what_does_not_fit_the_spec_is_refused_by_name(way, samples, messages):
    with pytest.raises(DataError, match=messages) as caught:
        way(Data(samples))
    assert "Data." in caught.value.message


def test_labels_without_classes_are_refused():
    with pytest.raises(DataError, match="has labels, but the data set declares no classes"):
        training_samples(Data(Samples(VALUES, LABELS), DataSpec((2,))))


def test_another_number_of_samples_is_refused_and_so_is_none():
    with pytest.raises(DataError, match=r"have shape \(6, 2\), expected \(7, 2\)"):
        held_out_samples(Data(Samples(VALUES, LABELS)), 7, torch.Generator())
    with pytest.raises(DataError, match=r"have shape \(0, 2\)"):
        training_samples(Data(Samples(VALUES[:0], LABELS[:0])))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_row_that_is_not_finite_is_named(bad):
    values = VALUES.clone()
    values[4, 1] = values[5, 0] = bad
    with pytest.raises(DataError, match=r"^row 4 and 1 more of Data.training\(\) has a value that is not finite") as caught:
        training_samples(Data(Samples(values, LABELS)))
    assert caught.value.remedy


def test_values_outside_of_the_declared_range_are_refused_but_not_those_that_were_rounded():
    training_samples(Data(Samples(torch.full((3, 1, 2, 2), 1.00001)), IMAGES))
    with pytest.raises(DataError, match=r"go from 0 to 255, but the data set declares \[-1, 1\]"):
        training_samples(Data(Samples(torch.linspace(0, 255, 8).reshape(2, 1, 2, 2)), IMAGES))


def test_an_error_of_the_data_set_is_named(capsys):
    class Failing(Data):
        def training(self):
            print("loading")
            return 1 / 0

    with pytest.raises(DataError, match=r"^Failing.training\(\) fails: ZeroDivisionError"):
        training_samples(Failing(None))
    assert capsys.readouterr().out == ""


def test_numpy_is_not_copied():
    values = np.zeros((6, 2), dtype=np.float32)
    found = training_samples(Data(Samples(values, LABELS)))
    values[0, 0] = 1.0
    assert found.values[0, 0] == 1.0


def test_arrays_that_cannot_be_written_are_converted_too():
    values = VALUES.numpy().copy()
    values.flags.writeable = False
    assert torch.equal(training_samples(Data(Samples(values, LABELS))).values, VALUES)


@pytest.mark.parametrize(
    ("source", "line"),
    [
        (lambda: None, r"streamed\(\) returned a NoneType, expected an object with __len__ and read"),
        (lambda: 1 / 0, r"streamed\(\) fails: ZeroDivisionError"),
        (lambda: Rows(lambda: 0), r"^Rows.__len__\(\) is 0: there are no training samples"),
        (lambda: Rows(lambda: 1 / 0), r"^Rows.__len__\(\) fails: ZeroDivisionError"),
    ],
)
def test_a_source_that_cannot_be_read_is_named(source, line):
    class Streaming(Data):
        def streamed(self):
            return source()

    with pytest.raises(DataError, match=line):
        sample_source(Streaming(None))


class Rows:
    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count()

    def read(self, rows):
        return Samples(VALUES[rows])


@pytest.mark.parametrize(("given", "line"), [((VALUES,), "returned a tuple"), (Samples(VALUES.log(), LABELS), "not finite")])
def test_a_validation_split_is_checked(given, line):
    class Split(Data):
        def validation(self, count):
            return given

    with pytest.raises(DataError, match=line):
        validation_samples(Split(None), POINTS, 2)
