"""Metrics that ask who lies next to whom, in the values themselves or in features of them."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import Tensor

from ganforge.builtin.features.feature_extractors import Features, features
from ganforge.builtin.metrics.metric_params import DuplicatesParams, OneNearestNeighbourParams, PrecisionRecallParams
from ganforge.builtin.metrics.simulated_floors import simulated_floors
from ganforge.metrics import NEAR, expected_coverage, near_duplicates, one_nearest_neighbour, precision_recall
from ganforge.plugin import Evaluation, GaussianMixture, Metric, MetricContext, MetricInfo


class PrecisionRecallMetric:
    """Precision, recall, density and coverage of features.

    Args:
        looks: makes the features.
        neighbours: k.
        density: of the data, where it is known: the floors of precision and recall are then simulated.
    """

    needs_distinct_real = True

    def __init__(self, looks: Features, *, neighbours: int = 5, density: GaussianMixture | None = None) -> None:
        floors = simulated_floors(density, self.measure)
        self.looks, self.neighbours = looks, neighbours
        self.min_samples = neighbours + 1
        self.protocol: Mapping[str, str] = {**looks.protocol, "neighbours": str(neighbours)}
        self.value_info: Mapping[str, MetricInfo] = {
            "precision": MetricInfo("share of generated samples that lie among real ones", "higher", floor=floors("precision")),
            "recall": MetricInfo("share of real samples that lie among generated ones", "higher", floor=floors("recall")),
            "density": MetricInfo("how densely real samples lie around generated ones; 1 where both are alike", "nearer", 1.0),
            "coverage": MetricInfo("share of real samples with a generated one near by", "higher", floor=self._coverage),
        }

    def __repr__(self) -> str:
        return f"PrecisionRecallMetric({dict(self.protocol)})"

    def measure(self, evaluation: Evaluation) -> Mapping[str, float]:
        """The four values."""
        found = precision_recall(*_pair(self.looks, evaluation), self.neighbours)
        return {"precision": found.precision, "recall": found.recall, "density": found.density, "coverage": found.coverage}

    def _coverage(self, count: int) -> float:
        return expected_coverage(count, count, self.neighbours)


class OneNearestNeighbourMetric:
    """Leave-one-out accuracy of a 1-NN classifier of real against generated samples."""

    needs_distinct_real = True

    def __init__(self, looks: Features) -> None:
        self.looks = looks
        self.protocol: Mapping[str, str] = looks.protocol
        told = "share of {} samples whose nearest other one is of their kind; 0 for copies of real ones, 1 for sets apart"
        self.value_info: Mapping[str, MetricInfo] = {
            key: MetricInfo(told.format(kind), "nearer", floor=_chance)
            for key, kind in (("accuracy", "all"), ("real", "real"), ("fake", "generated"))
        }

    def __repr__(self) -> str:
        return f"OneNearestNeighbourMetric({dict(self.protocol)})"

    def measure(self, evaluation: Evaluation) -> Mapping[str, float]:
        """The accuracy of all, and of each kind."""
        found = one_nearest_neighbour(*_pair(self.looks, evaluation))
        return {"accuracy": found.accuracy, "real": found.real, "fake": found.fake}


class DuplicatesMetric:
    """The birthday test: near and exact repeats among generated samples."""

    needs_distinct_real = True

    def __init__(self, looks: Features) -> None:
        self.looks = looks
        self.protocol: Mapping[str, str] = looks.protocol
        self.value_info: Mapping[str, MetricInfo] = {
            "near": MetricInfo(
                "share of pairs of generated samples as near as the nearest 0.1 % of real pairs", "nearer", floor=_near
            ),
            "exact": MetricInfo("pairs of generated samples that are the same, beyond those of as many real ones", "nearer", 0.0),
        }

    def __repr__(self) -> str:
        return f"DuplicatesMetric({dict(self.protocol)})"

    def measure(self, evaluation: Evaluation) -> Mapping[str, float]:
        """The share and the number."""
        found = near_duplicates(*_pair(self.looks, evaluation))
        return {"near": found.near, "exact": found.exact - found.expected_exact}


def _pair(looks: Features, evaluation: Evaluation) -> tuple[Tensor, Tensor]:
    return looks(evaluation.real.values), looks(evaluation.fake.values)


def _chance(count: int) -> float:
    """Of 2n samples that are all alike, n - 1 of the 2n - 1 others are of one's own kind."""
    return (count - 1) / (2 * count - 1)


def _near(count: int) -> float:
    """The share that the nearest thousandth of the pairs is, which is at least one of them."""
    pairs = math.comb(count, 2)
    return math.ceil(NEAR * pairs) / pairs


def build_precision_recall(params: PrecisionRecallParams, context: MetricContext) -> Metric:
    """Factory of ``precision-recall``."""
    return PrecisionRecallMetric(features(params, context), neighbours=params.neighbours, density=context.data.density)


def build_one_nearest_neighbour(params: OneNearestNeighbourParams, context: MetricContext) -> Metric:
    """Factory of ``one-nearest-neighbour``."""
    return OneNearestNeighbourMetric(features(params, context))


def build_duplicates(params: DuplicatesParams, context: MetricContext) -> Metric:
    """Factory of ``duplicates``."""
    return DuplicatesMetric(features(params, context))
