"""Public metrics: pure functions on tensors, usable without any recipe or run."""

from ganforge.metrics.classes import hungarian_accuracy, nearest_labels
from ganforge.metrics.modes import ModeCoverage, gaussian_mixture_density, mode_coverage, perfect_high_quality
from ganforge.metrics.parzen import PARZEN_WIDTHS, ParzenLikelihood, log_densities, parzen_log_likelihood
from ganforge.metrics.transport import wasserstein1, wasserstein2

__all__ = [
    "PARZEN_WIDTHS",
    "ModeCoverage",
    "ParzenLikelihood",
    "gaussian_mixture_density",
    "hungarian_accuracy",
    "log_densities",
    "mode_coverage",
    "nearest_labels",
    "parzen_log_likelihood",
    "perfect_high_quality",
    "wasserstein1",
    "wasserstein2",
]
