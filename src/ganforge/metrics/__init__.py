"""Public metrics: pure functions on tensors, usable without any recipe or run."""

from ganforge.metrics.classes import ClassCoverage, class_coverage, class_coverage_floor, hungarian_accuracy, nearest_labels
from ganforge.metrics.frechet import frechet_distance, frechet_distance_of_moments
from ganforge.metrics.kernel import KernelDistance, kernel_distance, kernel_distance_of_subsets
from ganforge.metrics.modes import ModeCoverage, gaussian_mixture_density, mode_coverage, perfect_high_quality
from ganforge.metrics.neighbours import Neighbours, nearest_neighbours
from ganforge.metrics.parzen import PARZEN_WIDTHS, ParzenLikelihood, log_densities, parzen_log_likelihood
from ganforge.metrics.transport import wasserstein1, wasserstein2

__all__ = [
    "PARZEN_WIDTHS",
    "ClassCoverage",
    "KernelDistance",
    "ModeCoverage",
    "Neighbours",
    "ParzenLikelihood",
    "class_coverage",
    "class_coverage_floor",
    "frechet_distance",
    "frechet_distance_of_moments",
    "gaussian_mixture_density",
    "hungarian_accuracy",
    "kernel_distance",
    "kernel_distance_of_subsets",
    "log_densities",
    "mode_coverage",
    "nearest_labels",
    "nearest_neighbours",
    "parzen_log_likelihood",
    "perfect_high_quality",
    "wasserstein1",
    "wasserstein2",
]
