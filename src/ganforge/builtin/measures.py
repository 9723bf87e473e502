"""Metrics as components: what a run measures of its generator, in the data's own units."""

from __future__ import annotations

from collections.abc import Mapping

from ganforge.builtin.params import WassersteinParams
from ganforge.metrics import wasserstein1, wasserstein2
from ganforge.plugin import BuildContext, Evaluation, Measure, Metric


class WassersteinDistance:
    """Exact W₁ or W₂ between generated and held-out real samples."""

    def __init__(self, *, order: int = 2) -> None:
        self.order = order
        label = f"exact Wasserstein distance W{'₁' if order == 1 else '₂'} to real samples, in the data's units"
        self.measures: Mapping[str, Measure] = {"": Measure(label, "lower")}

    def measure(self, evaluation: Evaluation) -> Mapping[str, float]:
        """The distance."""
        distance = wasserstein1 if self.order == 1 else wasserstein2
        return {"": distance(evaluation.real.values, evaluation.fake.values)}


def build_wasserstein(params: WassersteinParams, _context: BuildContext) -> Metric:
    """Factory of ``wasserstein``."""
    return WassersteinDistance(order=params.order)
