"""What somebody asks a generator for: labels and codes that make no sense are refused with what would."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

import ganforge
from ganforge.core.errors import UsageError


@pytest.mark.parametrize("label", [1.5, math.nan, math.inf, "1", [1, 0], True, 2, -1, np.array([1])])
def test_what_is_no_label_is_refused(bundle, label):
    with pytest.raises(UsageError, match="labels go from 0 to 1"):
        ganforge.load(bundle("cgan_moons")).sample(3, label=label)


@pytest.mark.parametrize("label", [1, 1.0, np.int64(1), torch.tensor(1)])
def test_a_label_is_any_whole_number(bundle, label):
    assert ganforge.load(bundle("cgan_moons")).sample(3, label=label)["labels"].tolist() == [1] * 3


@pytest.mark.parametrize("code", [3, "1", 0.5, {1}])
def test_codes_that_are_no_list_are_refused(bundle, code):
    with pytest.raises(UsageError, match="codes are a list of numbers"):
        ganforge.load(bundle("infogan_moons")).sample(3, code=code)


@pytest.mark.parametrize("value", [math.nan, math.inf, "1", 0.5, 2, [1], True])
def test_what_is_no_value_of_a_categorical_code_is_refused(bundle, value):
    with pytest.raises(UsageError, match=r"code 0 cannot be .*whole number from 0 to 1"):
        ganforge.load(bundle("infogan_moons")).sample(3, code=[value])


@pytest.mark.parametrize("value", [math.nan, -math.inf, "1", [0.5], True])
def test_what_is_no_value_of_a_continuous_code_is_refused(bundle, value):
    with pytest.raises(UsageError, match=r"code 1 cannot be .*training draws it from -1 to 1"):
        ganforge.load(bundle("infogan_moons")).sample(3, code=[None, value])


def test_a_continuous_code_may_go_further_than_training_did(bundle):
    drawn = ganforge.load(bundle("infogan_digits")).sample(2, code=[None, -2])
    assert drawn["codes"][:, 1].tolist() == [-2.0] * 2


def test_codes_are_any_list_of_numbers(bundle):
    generator = ganforge.load(bundle("infogan_moons"))

    for code in ([1, -1], (1.0, -1.0), np.array([1.0, -1.0]), [np.int64(1), torch.tensor(-1.0)]):
        assert generator.sample(2, code=code)["codes"].tolist() == [[1.0, -1.0]] * 2
