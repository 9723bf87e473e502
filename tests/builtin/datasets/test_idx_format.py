import gzip
import struct

import pytest
import torch

from ganforge.builtin.datasets.idx_format import decode
from ganforge.builtin.datasets.remote_files import read_gzip
from ganforge.plugin import DataError

IMAGES = struct.pack(">4I", 0x803, 2, 2, 3) + bytes(range(12))
LABELS = struct.pack(">2I", 0x801, 4) + bytes([3, 0, 2, 1])


def read(path, dimensions):
    return decode(read_gzip(path), path, dimensions)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("name", ["images", "images.gz"])
def test_numbers_come_in_their_order_whatever_the_name_says(tmp_path, pack, name):
    path = tmp_path / name
    path.write_bytes(pack(IMAGES))
    found = read(path, 3)
    assert found.dtype == torch.uint8
    assert torch.equal(found, torch.arange(12, dtype=torch.uint8).reshape(2, 2, 3))

    path.write_bytes(pack(LABELS))
    assert read(path, 1).tolist() == [3, 0, 2, 1]


@pytest.mark.parametrize(
    ("raw", "dimensions", "told"),
    [
        (IMAGES, 1, "is no idx file of bytes in 1 dimension: it begins with 00 00 08 03"),
        (LABELS, 3, "is no idx file of bytes in 3 dimensions"),
        (b"", 3, "it begins with nothing"),
        (struct.pack(">2I", 0xD01, 1) + b"\0\0\0\0", 1, "begins with 00 00 0d 01"),
        (IMAGES[:9], 3, "ends within its header, after 9 bytes"),
        (IMAGES[:-1], 3, "is cut short: 11 bytes follow the header, which promises 2×2×3 = 12"),
        (IMAGES + b"\0", 3, "has bytes behind its end: 13 bytes"),
        (struct.pack(">4I", 0x803, 0, 28, 28), 3, "holds nothing: its header says 0×28×28"),
        (struct.pack(">4I", 0x803, *[2**32 - 1] * 3) + b"\0", 3, "is cut short"),
    ],
)
def test_what_is_wrong_is_said_with_the_file(tmp_path, raw, dimensions, told):
    path = tmp_path / "some-file"
    path.write_bytes(raw)
    with pytest.raises(DataError) as caught:
        read(path, dimensions)
    assert str(path) in caught.value.message
    assert told in caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize("damage", [lambda raw: raw[:-9], lambda raw: raw[:14], lambda raw: raw[:20] + b"\xff\xff" + raw[22:]])
def test_damaged_gzip(tmp_path, damage):
    path = tmp_path / "images.gz"
    path.write_bytes(damage(gzip.compress(IMAGES * 50)))
    with pytest.raises(DataError, match=r"images\.gz: damaged gzip"):
        read_gzip(path)


def test_a_file_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_gzip(tmp_path)
