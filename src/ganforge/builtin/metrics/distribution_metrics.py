"""Metrics that compare distributions: of generated and real samples, on raw values or features, or with a density.

The density is that of the data, where it is known (modes, optimal discriminator), or an estimate (Parzen).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict

import torch
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
    OptimalDiscriminatorParams,
    ParzenParams,
    PrecisionRecallParams,
    SlicedWassersteinParams,
    WassersteinParams,
    required,
    simulated_floors,
)
from ganforge.plugin import BuildContext, Evaluation, IncompatiblePartsError, Metric, MetricContext, MetricInfo, NoParams, Samples


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
    info = {"": MetricInfo(label, "lower", symmetric=True, floor=floor)}
    # The covariance of fewer samples than features has no full rank.
    return FunctionMetric(measure, info, protocol, min_samples=2, reliable_samples=max(100, features.size + 1))


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
        training = required(evaluation.training, "metric 'memorisation' needs training samples, but this evaluation has none")
        compared = (training(params.training), evaluation.real, evaluation.fake)
        return asdict(metrics.memorisation(*(features(samples.values) for samples in compared)))

    copying = "test of distances to training data, in standard deviations: below -3 samples are copies"
    close = "share of samples nearer to training data than the nearest 1 % of held-out ones"
    ratio = "median distance to training data, divided by that of held-out samples; 0 for copies"
    info = {
        "copying": MetricInfo(copying, "nearer", 0.0),
        "close": MetricInfo(close, "nearer", floor=metrics.expected_close),
        "ratio": MetricInfo(ratio, "nearer", 1.0),
    }
    return FunctionMetric(measure, info, features.protocol, needs_distinct_real=True, uses_training_data=True)


def build_modes(_params: NoParams, context: BuildContext) -> Metric:
    """Captured modes, high-quality share and reverse KL, by the protocol of VEEGAN and PacGAN (2,500 samples there)."""
    remedy = "change metric.use to 'wasserstein', or dataset.use to 'ring', 'grid' or 'gaussian-1d'"
    density = required(context.data.density, "metric 'modes' needs data whose modes are known", remedy)
    perfect, shares = metrics.perfect_modes(density), density.shares

    def measure(evaluation: Evaluation) -> Mapping[str, float]:
        centres = torch.tensor(density.means, dtype=torch.float64)
        found = metrics.mode_coverage(evaluation.fake.values.flatten(1), centres, density.std, shares)
        return {"captured": float(found.captured), "high-quality": found.high_quality, "reverse-kl": found.reverse_kl}

    def reverse_kl(count: int) -> float:
        """The exact mean for the mean number of high-quality samples; if that is 0, the value of :func:`mode_coverage`."""
        good = round(count * perfect.high_quality)
        return metrics.class_coverage_floor(perfect.shares, shares, good).reverse_kl if good else -math.log(min(shares))

    return FunctionMetric(
        measure,
        {
            "captured": MetricInfo("modes with at least one high-quality sample", "higher", float(len(density.means))),
            "high-quality": MetricInfo("share of samples within 3 standard deviations of a mode", "nearer", perfect.high_quality),
            "reverse-kl": MetricInfo("KL(generated ‖ true) of the modes' shares, in nats", "lower", floor=reverse_kl),
        },
    )


def build_optimal_discriminator(params: OptimalDiscriminatorParams, context: BuildContext) -> Metric:
    """Distance of the discriminator from the best one for this generator, and of the generator from the data, on a grid."""
    density = context.data.density
    if density is None or context.data.shape not in ((1,), (2,)):
        raise IncompatiblePartsError(
            "metric 'optimal-discriminator' needs one- or two-dimensional data whose density is known",
            remedy="drop the metric, or change dataset.use to 'gaussian-1d', 'ring' or 'grid'",
        )
    if context.latent.classes is not None:
        raise IncompatiblePartsError(
            "metric 'optimal-discriminator' evaluates the discriminator at points without labels, but here it takes labels",
            remedy="drop the metric, or change sampler.use to one without labels, such as 'normal'",
        )

    labels = {
        "js": "Jensen–Shannon divergence of generated and true density, in nats, at most log 2",
        "kl": "KL(true ‖ generated) in nats: large where something real is missed",
        "reverse-kl": "KL(generated ‖ true) in nats: large where something false is made",
        "total-variation": "total variation of generated and true density, at most 1",
    }

    def measure(evaluation: Evaluation) -> Mapping[str, float]:
        """The gap, unless there is no discriminator, and four divergences."""
        values, critic = evaluation.fake.values, evaluation.critic
        grid = metrics.smoothed_grid(values, density, params.cells)
        gap = {} if critic is None else {"gap": grid.gap(critic(Samples(grid.points.to(values.dtype))).logits)}
        found = asdict(grid.divergences())
        return gap | {key: found[key.replace("-", "_")] for key in labels}

    floors = simulated_floors(density, measure)
    gap_info = MetricInfo("mean |D - D*| in probability, for losses whose D is the sigmoid of its logits", "lower")
    info = {"gap": gap_info} | {key: MetricInfo(label, "lower", floor=floors(key)) for key, label in labels.items()}
    return FunctionMetric(measure, info, {"density": "kernel estimate, Scott's width for one mode, the data smoothed alike"})


def build_parzen(params: ParzenParams, context: BuildContext) -> Metric:
    """Log-likelihood of held-out samples under Gaussian windows on the generated ones; images are scaled to [0, 1].

    The width is chosen on validation samples, or on training samples if the data set has none.
    """
    bounds, widths = context.data.value_range, params.widths

    def scaled(values: Tensor) -> Tensor:
        return values if bounds is None else torch.sub(values, bounds[0]).div_(bounds[1] - bounds[0])

    def measure(evaluation: Evaluation) -> Mapping[str, float]:
        problem = "metric 'parzen' needs validation or training samples that choose its width, got neither"
        aside = required(evaluation.validation or evaluation.training, problem)
        chosen = scaled(aside(params.validation).values)
        found = metrics.parzen_log_likelihood(scaled(evaluation.fake.values), chosen, scaled(evaluation.real.values), widths)
        return {"log-likelihood": found.mean, "standard-error": found.standard_error, "width": found.width}

    likelihood = "Parzen estimate of the mean log-likelihood of held-out samples, in nats (not a measure of quality)"
    info = {
        "log-likelihood": MetricInfo(likelihood, "higher"),
        "standard-error": MetricInfo("standard error of that mean over the held-out samples, in nats", "none"),
        "width": MetricInfo("σ of the windows: the narrower, the closer the data lie to generated samples", "none"),
    }
    protocol = {
        "values": "as they are" if bounds is None else "scaled to [0, 1]",
        "window": f"best of {len(widths)} on {params.validation} samples set aside, or of the training samples where none are",
    }
    return FunctionMetric(measure, info, protocol, uses_training_data=True)


def _wasserstein_metric(kind: str, params: WassersteinParams, measure: Measure, floor: Floor | None) -> Metric:
    label = f"{kind} Wasserstein distance {'W₁' if params.order == 1 else 'W₂'} to real samples, in the data's units"
    return FunctionMetric(measure, {"": MetricInfo(label, "lower", symmetric=True, floor=floor)})


def _on(features: Features, compare: Callable[[Tensor, Tensor], Mapping[str, float]]) -> Measure:
    """A measure that compares the features of real and generated samples."""
    return lambda evaluation: compare(features(evaluation.real.values), features(evaluation.fake.values))
