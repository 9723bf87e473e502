from __future__ import annotations

import base64
import math
import os
import struct
from io import BytesIO

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ganforge.storage import journal_format
from ganforge.storage.journal_format import intact_length, parse_line, read_lines, to_line

PAYLOADS = st.binary(max_size=30).filter(lambda payload: b"\n" not in payload)


@given(st.lists(st.floats()))
def test_floats_are_little_endian_doubles(values):
    text = journal_format.pack_floats(values)

    assert base64.b64decode(text) == struct.pack(f"<{len(values)}d", *values)
    assert list(map(repr, journal_format.unpack_floats(text))) == list(map(repr, values))


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_integers_are_little_endian(values):
    text = journal_format.pack_integers(values)

    assert base64.b64decode(text) == struct.pack(f"<{len(values)}q", *values)
    assert journal_format.unpack_integers(text) == values


def test_numbers_and_tensors_keep_their_order():
    values = [1.0, torch.tensor(2.0), 3, torch.tensor(math.inf, dtype=torch.float16), torch.tensor([5.0])]

    assert journal_format.to_floats(values) == [1.0, 2.0, 3.0, math.inf, 5.0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator")
def test_tensors_of_an_accelerator_are_fetched_together():
    there = [
        torch.tensor(number, dtype=dtype, device="cuda")
        for number in range(3)
        for dtype in (torch.float32, torch.int64, torch.bfloat16)
    ]

    assert journal_format.to_floats([9.0, *there, torch.tensor(4)]) == [9.0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 4]


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

    assert journal_format._transfer(values, [1, 2, 3, 5]) == [9.0, 2**40 + 1, 0.5, 2**40 + 3, 8.0, True, torch.tensor([1.5])]
    assert journal_format._transfer(values, [6])[6] == 1.5


def test_more_than_one_number_is_an_error():
    with pytest.raises(ValueError, match="only one element"):
        journal_format.to_floats([torch.zeros(2)])


def test_a_line_is_checksum_space_payload():
    assert to_line(b"123456789") == b"cbf43926 123456789\n"  # CRC-32's own check value


@given(PAYLOADS, st.data())
def test_no_flipped_bit_passes(payload, data):
    line = bytearray(to_line(payload))
    place = data.draw(st.integers(0, len(line) * 8 - 1))
    line[place // 8] ^= 1 << place % 8

    assert parse_line(bytes(line)) is None
    assert parse_line(to_line(payload)) == payload


@given(st.lists(PAYLOADS), st.binary(max_size=20))
def test_whole_lines_are_found_with_their_ends(payloads, tail):
    content = b"".join(map(to_line, payloads))

    found = list(read_lines(BytesIO(content + tail.replace(b"\n", b"")), 0))

    assert [payload for _, payload in found] == payloads
    assert [end for end, _ in found] == [len(b"".join(map(to_line, payloads[: count + 1]))) for count in range(len(payloads))]


@pytest.mark.parametrize("window", [1, 7, 64, 1 << 16])
def test_the_length_is_found_through_any_window(tmp_path, window):
    whole = to_line(b"a" * 100) * 5
    (tmp_path / "a").write_bytes(whole + b"torn" * 50)
    descriptor = os.open(tmp_path / "a", os.O_RDONLY)

    assert intact_length(descriptor, window=window) == len(whole)
    os.close(descriptor)
