from __future__ import annotations

import os
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ganforge.storage.checksummed_lines import intact, payload_of, to_line, whole_length

PAYLOADS = st.binary(max_size=30).filter(lambda payload: b"\n" not in payload)


def test_a_line_is_checksum_space_payload():
    assert to_line(b"123456789") == b"cbf43926 123456789\n"  # CRC-32's own check value


@given(PAYLOADS, st.data())
def test_no_flipped_bit_passes(payload, data):
    line = bytearray(to_line(payload))
    place = data.draw(st.integers(0, len(line) * 8 - 1))
    line[place // 8] ^= 1 << place % 8

    assert payload_of(bytes(line)) is None
    assert payload_of(to_line(payload)) == payload


@given(st.lists(PAYLOADS), st.binary(max_size=20))
def test_whole_lines_are_found_with_their_ends(payloads, tail):
    content = b"".join(map(to_line, payloads))

    found = list(intact(BytesIO(content + tail.replace(b"\n", b"")), 0))

    assert [payload for _, payload in found] == payloads
    assert [end for end, _ in found] == [len(b"".join(map(to_line, payloads[: count + 1]))) for count in range(len(payloads))]


@pytest.mark.parametrize("window", [1, 7, 64, 1 << 16])
def test_the_length_is_found_through_any_window(tmp_path, window):
    whole = to_line(b"a" * 100) * 5
    (tmp_path / "a").write_bytes(whole + b"torn" * 50)
    descriptor = os.open(tmp_path / "a", os.O_RDONLY)

    assert whole_length(descriptor, window=window) == len(whole)
    os.close(descriptor)
