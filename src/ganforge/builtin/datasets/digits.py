"""Scikit-learn's handwritten digits: small, real images that are always at hand."""

from __future__ import annotations

import torch

from ganforge.builtin.component_specs import digits_spec
from ganforge.builtin.datasets.dataset_params import DigitsParams
from ganforge.builtin.datasets.held_out_split import Kept, split
from ganforge.plugin import Dataset, DatasetContext


def build_digits(params: DigitsParams, _context: DatasetContext) -> Dataset:
    """Factory of ``digits``: ``(1, 8, 8)`` images in [-1, 1] with labels (Alpaydin & Kaynak 1998)."""
    from sklearn.datasets import load_digits

    bundle = load_digits()
    images = torch.tensor(bundle.images, dtype=torch.float32).unsqueeze(1) / 8 - 1  # ink 0 … 16 → -1 … 1
    train, held = split(images, torch.tensor(bundle.target, dtype=torch.int64), params.held_out)
    return Kept(digits_spec(params), train, held)
