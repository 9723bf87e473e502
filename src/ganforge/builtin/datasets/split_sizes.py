"""How many samples of each class are kept back. Light: brings in no torch."""

from __future__ import annotations

from collections.abc import Sequence


def held_out_size(counts: Sequence[int], share: float) -> list[int]:
    """How many of each class to keep back: ``share`` of it, rounded, but one sample at least on either side of the whole split."""
    held = [round(share * count) for count in counts]
    largest = max(range(len(counts)), key=lambda kind: counts[kind])
    if not sum(held):
        held[largest] = 1
    if sum(held) == sum(counts):
        held[largest] -= 1
    return held


def training_shares(counts: Sequence[int], share: float) -> tuple[float, ...]:
    """Share of each class among the samples that are not kept back."""
    left = [count - held for count, held in zip(counts, held_out_size(counts, share), strict=True)]
    return tuple(count / sum(left) for count in left)
