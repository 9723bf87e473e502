"""Metrics on named features, and on the classes that a classifier sees."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ganforge.builtin.features.classifier_features import Reader, classifier
from ganforge.builtin.features.feature_extractors import Features, features
from ganforge.builtin.metrics.feature_params import ClassModesParams, FeatureParams, KernelParams
from ganforge.builtin.metrics.simulated_floors import simulated_floors
from ganforge.metrics import (
    class_coverage,
    class_coverage_floor,
    frechet_distance,
    kernel_distance,
    kernel_distance_of_subsets,
)
from ganforge.plugin import DataSpec, Evaluation, GaussianMixture, IncompatiblePartsError, Metric, MetricContext, MetricInfo

_MOST_NATS = math.log(1e12)


class FrechetDistance:
    """Fréchet distance of generated to held-out real samples, features taken for Gaussians.

    Args:
        seen: what is compared.
        density: of the data, where it is known: the floor is then simulated.
    """

    def __init__(self, seen: Features, density: GaussianMixture | None = None) -> None:
        floor = simulated_floors(density, self.measure)("")
        self.features, self.min_samples = seen, 2
        self.protocol = {**seen.protocol, "distance": "frechet, float64, covariance with n - 1"}
        label = f"Fréchet distance of {seen.told}; above 0 for a perfect generator too, by more the fewer the samples"
        self.value_info: Mapping[str, MetricInfo] = {"": MetricInfo(label, "lower", symmetric=True, floor=floor)}

    def measure(self, evaluation: Evaluation) -> Mapping[str, float]:
        """The distance."""
        _need_two(evaluation, "frechet")
        return {"": frechet_distance(self.features(evaluation.real.values), self.features(evaluation.fake.values))}


class KernelFeatureDistance:
    """Kernel distance (unbiased squared MMD with the cubic kernel) of generated to held-out real samples.

    Args:
        seen: what is compared.
        subsets: random subsets that are averaged over, or 0 for all samples at once.
        size: samples of each kind in a subset.
    """

    needs_distinct_real = True

    def __init__(self, seen: Features, *, subsets: int = 0, size: int = 1000) -> None:
        self.features, self.subsets, self.size = seen, subsets, size
        self.min_samples = size if subsets else 2
        self.protocol = {**seen.protocol, "distance": "unbiased MMD² with (x·y/d + 1)³, float64"}
        # the draws of subsets do not change places with the samples
        measure = MetricInfo(f"kernel distance of {seen.told}, without bias", "lower", 0.0, symmetric=not subsets)
        spread = MetricInfo("standard deviation of the kernel distance over the subsets", "none")
        self.value_info: Mapping[str, MetricInfo] = {"mean": measure, "deviation": spread} if subsets else {"": measure}

    def measure(self, evaluation: Evaluation) -> Mapping[str, float]:
        """The distance; of subsets the mean and the deviation."""
        _need_two(evaluation, "kernel")
        most = min(len(evaluation.real), len(evaluation.fake))
        if self.subsets and most < self.size:
            raise IncompatiblePartsError(
                f"metric 'kernel' draws subsets of {self.size} samples, and {most} are measured",
                remedy=f"set the metric's samples = {self.size} or more, or a smaller params.subset_size, or params.subsets = 0",
            )
        real, fake = self.features(evaluation.real.values), self.features(evaluation.fake.values)
        if not self.subsets:
            return {"": kernel_distance(real, fake)}
        found = kernel_distance_of_subsets(real, fake, generator=evaluation.generator, subsets=self.subsets, size=self.size)
        return {"mean": found.mean, "deviation": found.deviation}


class ClassModes:
    """Classes that a classifier finds among generated samples: for stacked MNIST its 1,000 modes (Metz et al. 2017).

    Args:
        reader: tells the class of a sample.
        data: whose classes these are.
        target: whether the shares of the classes are compared with equal ones or with those of the training data.
    """

    def __init__(self, reader: Reader, data: DataSpec, target: str = "uniform") -> None:
        if data.classes is None:
            raise AssertionError("a reader of classes has read labelled data")
        self.reader = reader
        self.protocol = reader.protocol
        uniform = (1 / data.classes,) * data.classes
        shares = data.class_shares or uniform
        self.target = target_shares = uniform if target == "uniform" else shares
        self.value_info: Mapping[str, MetricInfo] = {
            "captured": MetricInfo(
                "classes with at least one sample, by a classifier of the data",
                "higher",
                float(data.classes),
                floor=lambda count: float(class_coverage_floor(shares, target_shares, count).captured),
            ),
            "reverse-kl": MetricInfo(
                f"KL(generated ‖ {target}) of the classes' shares, in nats, by a classifier of the data",
                "lower",
                floor=lambda count: class_coverage_floor(shares, target_shares, count).reverse_kl,
            ),
        }

    def measure(self, evaluation: Evaluation) -> Mapping[str, float]:
        """The two values; NaN where a sample cannot be read."""
        classes = self.reader.classes(evaluation.fake.values)
        if int(classes.min()) < 0:
            return {"captured": math.nan, "reverse-kl": math.nan}
        found = class_coverage(classes, self.target)
        # where a class is found that the data lack it is infinite, which no log takes
        return {"captured": float(found.captured), "reverse-kl": min(found.reverse_kl, _MOST_NATS)}


def build_frechet(params: FeatureParams, context: MetricContext) -> Metric:
    """Factory of ``frechet``.

    Raises:
        IncompatiblePartsError: the features do not fit the data, or what they need is not installed.
        DataError: their file of weights is missing or another.
    """
    return FrechetDistance(features(params, context), context.data.density)


def build_kernel(params: KernelParams, context: MetricContext) -> Metric:
    """Factory of ``kernel``; errors as of :func:`build_frechet`."""
    return KernelFeatureDistance(features(params, context), subsets=params.subsets, size=params.subset_size)


def build_class_modes(params: ClassModesParams, context: MetricContext) -> Metric:
    """Factory of ``class-modes``.

    Raises:
        IncompatiblePartsError: the data have no labels.
    """
    return ClassModes(classifier(context), context.data, params.target)


def _need_two(evaluation: Evaluation, metric: str) -> None:
    most = min(len(evaluation.real), len(evaluation.fake))
    if most < 2:
        raise IncompatiblePartsError(
            f"metric '{metric}' compares 2 samples or more, and {most} is measured", remedy="set the metric's samples"
        )
