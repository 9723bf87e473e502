from __future__ import annotations

import base64
import math
import struct

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ganforge.storage import array_encoding


@given(st.lists(st.floats()))
def test_floats_are_little_endian_doubles(values):
    text = array_encoding.pack_floats(values)

    assert base64.b64decode(text) == struct.pack(f"<{len(values)}d", *values)
    assert list(map(repr, array_encoding.unpack_floats(text))) == list(map(repr, values))


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_integers_are_little_endian(values):
    text = array_encoding.pack_integers(values)

    assert base64.b64decode(text) == struct.pack(f"<{len(values)}q", *values)
    assert array_encoding.unpack_integers(text) == values


def test_numbers_and_tensors_keep_their_order():
    values = [1.0, torch.tensor(2.0), 3, torch.tensor(math.inf, dtype=torch.float16), torch.tensor([5.0])]

    assert array_encoding.to_floats(values) == [1.0, 2.0, 3.0, math.inf, 5.0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator")
def test_tensors_of_an_accelerator_are_fetched_together():
    there = [
        torch.tensor(number, dtype=dtype, device="cuda")
        for number in range(3)
        for dtype in (torch.float32, torch.int64, torch.bfloat16)
    ]

    assert array_encoding.to_floats([9.0, *there, torch.tensor(4)]) == [9.0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 4]


def test_what_is_fetched_together_keeps_its_order_and_precision():
    """The way of an accelerator's tensors, taken by the CPU's."""
    values = [
        9.0,
        torch.tensor(2**40 + 1),
        torch.tensor(0.5),
        torch.tensor(2**40 + 3),
        8.0,
        torch.tensor(True),
        torch.tensor([1.5]),
    ]

    assert array_encoding._fetched(values, [1, 2, 3, 5]) == [9.0, 2**40 + 1, 0.5, 2**40 + 3, 8.0, True, torch.tensor([1.5])]
    assert array_encoding._fetched(values, [6])[6] == 1.5


def test_more_than_one_number_is_an_error():
    with pytest.raises(ValueError, match="only one element"):
        array_encoding.to_floats([torch.zeros(2)])
