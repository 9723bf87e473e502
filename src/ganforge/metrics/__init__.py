"""Metrics as pure functions on tensors, usable without a recipe or run."""

from ganforge.metrics.class_metrics import class_coverage, class_coverage_floor, hungarian_accuracy, mutual_information_bound
from ganforge.metrics.duplicates import NEAR, expected_close, memorisation, near_duplicates
from ganforge.metrics.feature_distances import (
    MMD_SCALES,
    frechet_distance,
    kernel_distance,
    kernel_distance_of_subsets,
    mmd,
)
from ganforge.metrics.known_density import divergences, gaussian_mixture_density, mode_coverage, perfect_modes, smoothed_grid
from ganforge.metrics.neighbours import (
    Neighbours,
    expected_coverage,
    nearest_labels,
    nearest_neighbours,
    one_nearest_neighbour,
    precision_recall,
)
from ganforge.metrics.parzen import parzen_log_likelihood
from ganforge.metrics.wasserstein import random_directions, sliced_wasserstein, wasserstein1, wasserstein2

__all__ = [
    "MMD_SCALES",
    "NEAR",
    "Neighbours",
    "class_coverage",
    "class_coverage_floor",
    "divergences",
    "expected_close",
    "expected_coverage",
    "frechet_distance",
    "gaussian_mixture_density",
    "hungarian_accuracy",
    "kernel_distance",
    "kernel_distance_of_subsets",
    "memorisation",
    "mmd",
    "mode_coverage",
    "mutual_information_bound",
    "near_duplicates",
    "nearest_labels",
    "nearest_neighbours",
    "one_nearest_neighbour",
    "parzen_log_likelihood",
    "perfect_modes",
    "precision_recall",
    "random_directions",
    "sliced_wasserstein",
    "smoothed_grid",
    "wasserstein1",
    "wasserstein2",
]
