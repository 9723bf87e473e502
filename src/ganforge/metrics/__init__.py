"""Public metrics: pure functions on tensors, usable without any recipe or run."""

from ganforge.metrics.transport import wasserstein1, wasserstein2

__all__ = ["wasserstein1", "wasserstein2"]
