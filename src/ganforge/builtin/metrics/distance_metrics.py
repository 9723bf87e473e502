"""Distances between what is generated and what is real, as metrics: along lines, by kernels, and to the training data."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ganforge.builtin.features.feature_extractors import Features, features
from ganforge.builtin.metrics.metric_params import MemorisationParams, MmdParams, SlicedWassersteinParams
from ganforge.builtin.metrics.simulated_floors import simulated_floors
from ganforge.metrics import MMD_SCALES, expected_close, memorisation, mmd, random_directions, sliced_wasserstein
from ganforge.plugin import BuildContext, Evaluation, GaussianMixture, IncompatiblePartsError, Metric, MetricContext, MetricInfo


class SlicedWasserstein:
    """Wasserstein distance of projections onto random lines, which are the same at each evaluation.

    Args:
        order: 1 or 2.
        projections: lines.
        density: of the data, where it is known: the floor is then simulated.
    """

    def __init__(self, *, order: int, projections: int, density: GaussianMixture | None = None) -> None:
        floor = simulated_floors(density, self.measure)("")
        self.order, self.projections = order, projections
        label = f"sliced Wasserstein distance W{'₁' if order == 1 else '₂'} to real samples, in the data's units"
        self.value_info: Mapping[str, MetricInfo] = {"": MetricInfo(label, "lower", symmetric=True, floor=floor)}

    def __repr__(self) -> str:
        return f"SlicedWasserstein(order={self.order}, projections={self.projections})"

    def measure(self, evaluation: Evaluation) -> Mapping[str, float]:
        """The distance."""
        real, fake = evaluation.real.values, evaluation.fake.values
        directions = random_directions(math.prod(real.shape[1:]), self.projections, evaluation.generator)
        return {"": sliced_wasserstein(real, fake, directions, self.order)}


class KernelMmd:
    """Squared maximum mean discrepancy of features under Gaussian kernels."""

    needs_distinct_real = True

    def __init__(self, looks: Features) -> None:
        self.looks = looks
        kernels = ", ".join(f"{scale:g}" for scale in MMD_SCALES)
        self.protocol: Mapping[str, str] = {**looks.protocol, "kernels": f"gaussian, σ = {kernels} × median real distance"}
        self.value_info: Mapping[str, MetricInfo] = {
            "": MetricInfo(
                "squared maximum mean discrepancy under Gaussian kernels, unbiased: 0 for equal distributions", "lower", 0.0
            )
        }

    def __repr__(self) -> str:
        return f"KernelMmd({dict(self.looks.protocol)})"

    def measure(self, evaluation: Evaluation) -> Mapping[str, float]:
        """The estimate, which may fall a little below 0."""
        return {"": mmd(self.looks(evaluation.real.values), self.looks(evaluation.fake.values))}


class MemorisationMetric:
    """Are generated samples nearer to the training data than held-out ones are?"""

    uses_training_data = True
    needs_distinct_real = True

    def __init__(self, looks: Features, *, training: int) -> None:
        self.looks, self.training = looks, training
        self.protocol: Mapping[str, str] = looks.protocol
        self.value_info: Mapping[str, MetricInfo] = {
            "copying": MetricInfo(
                "test of distances to training data, in standard deviations: below -3 they are copied", "nearer", 0.0
            ),
            "close": MetricInfo(
                "share of samples nearer to training data than the nearest 1 % of held-out ones", "nearer", floor=expected_close
            ),
            "ratio": MetricInfo("median distance to training data, by that of held-out samples; 0 for copies", "nearer", 1.0),
        }

    def __repr__(self) -> str:
        return f"MemorisationMetric({dict(self.protocol)}, training={self.training})"

    def measure(self, evaluation: Evaluation) -> Mapping[str, float]:
        """The test, the share and the ratio."""
        if evaluation.training is None:
            raise IncompatiblePartsError("metric 'memorisation' needs training samples, which this evaluation has not")
        known = evaluation.training(self.training).values
        found = memorisation(*map(self.looks, (known, evaluation.real.values, evaluation.fake.values)))
        return {"copying": found.copying, "close": found.close, "ratio": found.ratio}


def build_sliced_wasserstein(params: SlicedWassersteinParams, context: BuildContext) -> Metric:
    """Factory of ``sliced-wasserstein``."""
    return SlicedWasserstein(order=params.order, projections=params.projections, density=context.data.density)


def build_mmd(params: MmdParams, context: MetricContext) -> Metric:
    """Factory of ``mmd``."""
    return KernelMmd(features(params, context))


def build_memorisation(params: MemorisationParams, context: MetricContext) -> Metric:
    """Factory of ``memorisation``."""
    return MemorisationMetric(features(params, context), training=params.training)
