"""Public metrics: pure functions on tensors, usable without any recipe or run."""

from ganforge.metrics.classes import hungarian_accuracy, nearest_labels
from ganforge.metrics.coverage import PrecisionRecall, expected_coverage, precision_recall
from ganforge.metrics.duplicates import NearDuplicates, near_duplicates
from ganforge.metrics.modes import ModeCoverage, gaussian_mixture_density, mode_coverage, perfect_high_quality
from ganforge.metrics.neighbours import Neighbours, nearest_neighbours
from ganforge.metrics.parzen import PARZEN_WIDTHS, ParzenLikelihood, log_densities, parzen_log_likelihood
from ganforge.metrics.transport import wasserstein1, wasserstein2
from ganforge.metrics.two_sample import OneNearestNeighbour, one_nearest_neighbour

__all__ = [
    "PARZEN_WIDTHS",
    "ModeCoverage",
    "NearDuplicates",
    "Neighbours",
    "OneNearestNeighbour",
    "ParzenLikelihood",
    "PrecisionRecall",
    "expected_coverage",
    "gaussian_mixture_density",
    "hungarian_accuracy",
    "log_densities",
    "mode_coverage",
    "near_duplicates",
    "nearest_labels",
    "nearest_neighbours",
    "one_nearest_neighbour",
    "parzen_log_likelihood",
    "perfect_high_quality",
    "precision_recall",
    "wasserstein1",
    "wasserstein2",
]
