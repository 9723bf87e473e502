"""Metrics that compare generated with real samples as distributions, on raw values or on named features."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict

from torch import Tensor

from ganforge import metrics
from ganforge.builtin.features.feature_extractors import Features, build_features
from ganforge.builtin.metrics.function_metric import (
    FeatureParams,
    Floor,
    FunctionMetric,
    KernelParams,
    Measure,
    MemorisationParams,
    PrecisionRecallParams,
    SlicedWassersteinParams,
    WassersteinParams,
    simulated_floors,
)
from ganforge.plugin import BuildContext, Evaluation, IncompatiblePartsError, Metric, MetricContext, MetricInfo


def build_wasserstein(params: WassersteinParams, context: BuildContext) -> Metric:
    """Exact W₁ or W₂ to held-out real samples."""
    distance = metrics.wasserstein1 if params.order == 1 else metrics.wasserstein2

    def measure(evaluation: Evaluation) -> Mapping[str, float]:
        return {"": distance(evaluation.real.values, evaluation.fake.values)}

    return _wasserstein_metric("exact", params, measure, simulated_floors(context.data.density, measure, pairs=8_000_000)(""))


def build_sliced_wasserstein(params: SlicedWassersteinParams, context: BuildContext) -> Metric:
    """Wasserstein distance of projections onto random lines, the same lines in each evaluation."""

    def measure(evaluation: Evaluation) -> Mapping[str, float]:
        real, fake = evaluation.real.values, evaluation.fake.values
        directions = metrics.random_directions(math.prod(real.shape[1:]), params.projections, evaluation.generator)
        return {"": metrics.sliced_wasserstein(real, fake, directions, params.order)}

    return _wasserstein_metric("sliced", params, measure, simulated_floors(context.data.density, measure)(""))


def build_frechet(params: FeatureParams, context: MetricContext) -> Metric:
    """Fréchet distance of features, treated as Gaussians."""
    features = build_features(params, context)
    measure = _on(features, lambda real, fake: {"": metrics.frechet_distance(real, fake)})
    floor = simulated_floors(context.data.density, measure)("")
    label = f"Fréchet distance of {features.label}; above 0 for a perfect generator too, the more so the fewer the samples"
    protocol = {**features.protocol, "distance": "frechet, float64, covariance with n - 1"}
    return FunctionMetric(measure, {"": MetricInfo(label, "lower", symmetric=True, floor=floor)}, protocol, min_samples=2)


def build_kernel(params: KernelParams, context: MetricContext) -> Metric:
    """Unbiased squared MMD of features with the cubic kernel, of all samples or of random subsets."""
    features = build_features(params, context)

    def measure(evaluation: Evaluation) -> Mapping[str, float]:
        real, fake = features(evaluation.real.values), features(evaluation.fake.values)
        if not params.subsets:
            return {"": metrics.kernel_distance(real, fake)}
        stream, size = evaluation.generator, params.subset_size
        return asdict(metrics.kernel_distance_of_subsets(real, fake, generator=stream, subsets=params.subsets, size=size))

    # random subsets of real and generated samples differ, so exchanging the two changes the value
    info = MetricInfo(f"kernel distance of {features.label}, without bias", "lower", 0.0, symmetric=not params.subsets)
    deviation = MetricInfo("standard deviation of the kernel distance over the subsets", "none")
    return FunctionMetric(
        measure,
        {"mean": info, "deviation": deviation} if params.subsets else {"": info},
        {**features.protocol, "distance": "unbiased MMD² with (x·y/d + 1)³, float64"},
        min_samples=params.subset_size if params.subsets else 2,
        needs_distinct_real=True,
    )


def build_mmd(params: FeatureParams, context: MetricContext) -> Metric:
    """Unbiased squared MMD of features with Gaussian kernels; it may be slightly negative."""
    features = build_features(params, context)
    scales = ", ".join(f"{scale:g}" for scale in metrics.MMD_SCALES)
    label = "squared maximum mean discrepancy under Gaussian kernels, unbiased: 0 for equal distributions"
    return FunctionMetric(
        _on(features, lambda real, fake: {"": metrics.mmd(real, fake)}),
        {"": MetricInfo(label, "lower", 0.0)},
        {**features.protocol, "kernels": f"gaussian, σ = {scales} × median real distance"},
        needs_distinct_real=True,
    )


def build_precision_recall(params: PrecisionRecallParams, context: MetricContext) -> Metric:
    """Precision, recall, density and coverage of features."""
    features, k = build_features(params, context), params.neighbours
    measure = _on(features, lambda real, fake: asdict(metrics.precision_recall(real, fake, k)))
    floors = simulated_floors(context.data.density, measure)
    coverage = "share of real samples with a generated one nearby"
    return FunctionMetric(
        measure,
        {
            "precision": MetricInfo("share of generated samples that lie among real ones", "higher", floor=floors("precision")),
            "recall": MetricInfo("share of real samples that lie among generated ones", "higher", floor=floors("recall")),
            "density": MetricInfo("density of real samples around generated ones; 1 if both are alike", "nearer", 1.0),
            "coverage": MetricInfo(coverage, "higher", floor=lambda count: metrics.expected_coverage(count, count, k)),
        },
        {**features.protocol, "neighbours": str(k)},
        min_samples=k + 1,
        needs_distinct_real=True,
    )


def build_one_nearest_neighbour(params: FeatureParams, context: MetricContext) -> Metric:
    """Leave-one-out accuracy of a 1-NN classifier of real against generated samples."""

    def chance(count: int) -> float:  # of 2n equal samples, n - 1 of the 2n - 1 others are of the sample's own kind
        return (count - 1) / (2 * count - 1)

    features = build_features(params, context)
    label = "share of {} samples whose nearest other sample is of their own kind; 0 for copies of real ones, 1 for separate sets"
    kinds = {"accuracy": "all", "real": "real", "fake": "generated"}
    return FunctionMetric(
        _on(features, lambda real, fake: asdict(metrics.one_nearest_neighbour(real, fake))),
        {key: MetricInfo(label.format(kind), "nearer", floor=chance) for key, kind in kinds.items()},
        features.protocol,
        needs_distinct_real=True,
    )


def build_duplicates(params: FeatureParams, context: MetricContext) -> Metric:
    """The birthday test: near and exact repeats among generated samples."""

    def compare(real: Tensor, fake: Tensor) -> Mapping[str, float]:
        found = metrics.near_duplicates(real, fake)
        return {"near": found.near, "exact": found.exact - found.expected_exact}

    def near(count: int) -> float:  # the nearest thousandth of the pairs is at least one pair
        pairs = math.comb(count, 2)
        return math.ceil(metrics.NEAR * pairs) / pairs

    features = build_features(params, context)
    info = {
        "near": MetricInfo("share of pairs of generated samples as near as the nearest 0.1 % of real pairs", "nearer", floor=near),
        "exact": MetricInfo("pairs of equal generated samples, beyond those of as many real ones", "nearer", 0.0),
    }
    return FunctionMetric(_on(features, compare), info, features.protocol, needs_distinct_real=True)


def build_memorisation(params: MemorisationParams, context: MetricContext) -> Metric:
    """Distances to the training data, of generated compared with held-out samples."""
    features = build_features(params, context)

    def measure(evaluation: Evaluation) -> Mapping[str, float]:
        if evaluation.training is None:
            raise IncompatiblePartsError("metric 'memorisation' needs training samples, but this evaluation has none")
        training = evaluation.training(params.training).values
        return asdict(metrics.memorisation(*map(features, (training, evaluation.real.values, evaluation.fake.values))))

    copying = "test of distances to training data, in standard deviations: below -3 samples are copies"
    close = "share of samples nearer to training data than the nearest 1 % of held-out ones"
    ratio = "median distance to training data, divided by that of held-out samples; 0 for copies"
    info = {
        "copying": MetricInfo(copying, "nearer", 0.0),
        "close": MetricInfo(close, "nearer", floor=metrics.expected_close),
        "ratio": MetricInfo(ratio, "nearer", 1.0),
    }
    return FunctionMetric(measure, info, features.protocol, needs_distinct_real=True, uses_training_data=True)


def _wasserstein_metric(kind: str, params: WassersteinParams, measure: Measure, floor: Floor | None) -> Metric:
    label = f"{kind} Wasserstein distance {'W₁' if params.order == 1 else 'W₂'} to real samples, in the data's units"
    return FunctionMetric(measure, {"": MetricInfo(label, "lower", symmetric=True, floor=floor)})


def _on(features: Features, compare: Callable[[Tensor, Tensor], Mapping[str, float]]) -> Measure:
    """A measure that compares the features of real and generated samples."""
    return lambda evaluation: compare(features(evaluation.real.values), features(evaluation.fake.values))
