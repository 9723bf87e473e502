"""Random streams: independent seeded generators, and the global random state of torch, numpy and Python."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

Plain = dict[str, Any]


def derive(seed: int, *names: object) -> int:
    """A 63-bit seed for the stream ``names`` of a run; streams of different names are independent of each other."""
    text = "/".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def stream(seed: int, *names: object, device: torch.device | str = "cpu") -> torch.Generator:
    """A new generator for the stream ``names``."""
    return torch.Generator(device).manual_seed(derive(seed, *names))


def seed_globally(seed: int) -> None:
    """Seed the global generators of torch (all devices), numpy and Python."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - third-party components may draw from the global state, so it must be fixed too
    random.seed(seed)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed the global generators within the block, then restore their state, and torch's default type and gradient mode."""
    before, dtype = global_state(), torch.get_default_dtype()
    seed_globally(seed)
    try:
        with torch.set_grad_enabled(torch.is_grad_enabled()):
            yield
    finally:
        restore_global_state(*before)
        torch.set_default_dtype(dtype)


def global_state() -> tuple[dict[str, Tensor], Plain]:
    """The state of the global generators: tensors, and plain data for the rest."""
    name, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)  # noqa: NPY002 - this state must be saved
    version, internal, gauss_next = random.getstate()

    tensors = {"torch": torch.get_rng_state(), "numpy": torch.from_numpy(np.asarray(keys).astype(np.int64))}
    if torch.cuda.is_available():
        tensors |= {f"cuda-{index}": state for index, state in enumerate(torch.cuda.get_rng_state_all())}
    if torch.backends.mps.is_available():
        tensors["mps"] = torch.mps.get_rng_state()

    plain: Plain = {
        "numpy": [str(name), int(position), int(has_gauss), float(gauss)],
        "python": [version, list(internal), gauss_next],
    }
    return tensors, plain


def restore_global_state(tensors: dict[str, Tensor], plain: Plain) -> None:
    """Restore what :func:`global_state` returned; devices that no longer exist are skipped."""
    torch.set_rng_state(tensors["torch"])
    for index in range(torch.cuda.device_count()):
        if f"cuda-{index}" in tensors:
            torch.cuda.set_rng_state(tensors[f"cuda-{index}"], index)
    if "mps" in tensors and torch.backends.mps.is_available():
        torch.mps.set_rng_state(tensors["mps"])

    name, position, has_gauss, gauss = plain["numpy"]
    keys = tensors["numpy"].numpy().astype(np.uint32)
    np.random.set_state((name, keys, position, has_gauss, gauss))  # noqa: NPY002 - the counterpart of get_state above
    version, internal, gauss_next = plain["python"]
    random.setstate((version, tuple(internal), gauss_next))
