"""Public metrics: pure functions on tensors, usable without any recipe or run."""

from ganforge.metrics.classes import hungarian_accuracy, nearest_labels
from ganforge.metrics.modes import ModeCoverage, gaussian_mixture_density, mode_coverage, perfect_high_quality
from ganforge.metrics.neighbours import Neighbours, nearest_neighbours
from ganforge.metrics.transport import wasserstein1, wasserstein2

__all__ = [
    "ModeCoverage",
    "Neighbours",
    "gaussian_mixture_density",
    "hungarian_accuracy",
    "mode_coverage",
    "nearest_labels",
    "nearest_neighbours",
    "perfect_high_quality",
    "wasserstein1",
    "wasserstein2",
]
