"""Figures: everything that is drawn as PNG, GIF or SVG."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]
"""Images as bytes: ``(H, W, 3)`` for one, ``(n, H, W, 3)`` for several."""
