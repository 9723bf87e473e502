"""Metrics as pure functions on tensors, usable without a recipe or run."""

from ganforge.metrics.class_metrics import class_coverage, class_coverage_floor, hungarian_accuracy, mutual_information_bound
from ganforge.metrics.duplicates import NEAR, expected_close, memorisation, near_duplicates
from ganforge.metrics.feature_distances import (
    MMD_SCALES,
    frechet_distance,
    frechet_distance_of_moments,
    kernel_distance,
    kernel_distance_of_subsets,
    median_distance,
    mmd,
)
from ganforge.metrics.known_density import LEAST_MASS, cell_masses, divergences, smoothed_grid
from ganforge.metrics.modes import gaussian_mixture_density, mode_coverage, perfect_high_quality, perfect_modes
from ganforge.metrics.neighbours import (
    Neighbours,
    expected_coverage,
    nearest_labels,
    nearest_neighbours,
    one_nearest_neighbour,
    precision_recall,
)
from ganforge.metrics.parzen import PARZEN_WIDTHS, log_densities, parzen_log_likelihood
from ganforge.metrics.wasserstein import random_directions, sliced_wasserstein, wasserstein1, wasserstein2

__all__ = [
    "LEAST_MASS",
    "MMD_SCALES",
    "NEAR",
    "PARZEN_WIDTHS",
    "Neighbours",
    "cell_masses",
    "class_coverage",
    "class_coverage_floor",
    "divergences",
    "expected_close",
    "expected_coverage",
    "frechet_distance",
    "frechet_distance_of_moments",
    "gaussian_mixture_density",
    "hungarian_accuracy",
    "kernel_distance",
    "kernel_distance_of_subsets",
    "log_densities",
    "median_distance",
    "memorisation",
    "mmd",
    "mode_coverage",
    "mutual_information_bound",
    "near_duplicates",
    "nearest_labels",
    "nearest_neighbours",
    "one_nearest_neighbour",
    "parzen_log_likelihood",
    "perfect_high_quality",
    "perfect_modes",
    "precision_recall",
    "random_directions",
    "sliced_wasserstein",
    "smoothed_grid",
    "wasserstein1",
    "wasserstein2",
]
