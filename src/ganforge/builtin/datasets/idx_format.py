"""The idx format of MNIST and its relatives: bytes in, uint8 tensor out; whatever is wrong is said with the file and what to do.

A file is: two zero bytes, a type (8 for unsigned bytes), the number of dimensions, each size as a big-endian 32-bit number, then
the numbers themselves (LeCun & Cortes 1998). It is often compressed with gzip.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ganforge.builtin.datasets.remote_files import DOWNLOAD_AGAIN
from ganforge.plugin import DataError

_BYTES = 8


def decode(raw: bytes, path: Path, dimensions: int) -> Tensor:
    """The numbers of an idx file, of the shape that its header tells.

    Args:
        raw: the whole file, unpacked.
        path: its name, for what is said of mistakes.
        dimensions: how many are expected: 1 for labels, 3 for images.

    Raises:
        DataError: another format, another number of dimensions, nothing in it, or fewer or more bytes than the header promises.
    """
    wanted = bytes((0, 0, _BYTES, dimensions))
    begin = len(wanted) + 4 * dimensions
    if raw[:4] != wanted:
        found = raw[:4].hex(" ") or "nothing"
        raise DataError(
            f"{path}: is no idx file of bytes in {dimensions} dimension{'s' if dimensions > 1 else ''}: "
            f"it begins with {found}, not {wanted.hex(' ')}",
            remedy="check that images and labels were not exchanged, or get the file again",
        )
    if len(raw) < begin:
        raise DataError(f"{path}: ends within its header, after {len(raw)} bytes", remedy=DOWNLOAD_AGAIN)

    sizes = struct.unpack(f">{dimensions}I", raw[4:begin])
    promised = math.prod(sizes)
    if not promised:
        raise DataError(f"{path}: holds nothing: its header says {'×'.join(map(str, sizes))}", remedy=DOWNLOAD_AGAIN)
    if len(raw) - begin != promised:
        kind = "is cut short" if len(raw) - begin < promised else "has bytes behind its end"
        told = f"{'×'.join(map(str, sizes))} = {promised:,}"
        raise DataError(
            f"{path}: {kind}: {len(raw) - begin:,} bytes follow the header, which promises {told}", remedy=DOWNLOAD_AGAIN
        )
    return torch.from_numpy(np.frombuffer(raw, np.uint8, offset=begin).reshape(sizes).copy())
