"""Metrics that use a density: of the data, where it is known (modes, optimal discriminator), or an estimate of it (Parzen)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict

import torch
from torch import Tensor

from ganforge.builtin.metrics.function_metric import FunctionMetric, OptimalDiscriminatorParams, ParzenParams, simulated_floors
from ganforge.metrics import class_coverage_floor, mode_coverage, parzen_log_likelihood, perfect_modes, smoothed_grid
from ganforge.plugin import BuildContext, Evaluation, IncompatiblePartsError, Metric, MetricInfo, NoParams, Samples


def build_modes(_params: NoParams, context: BuildContext) -> Metric:
    """Captured modes, high-quality share and reverse KL, by the protocol of VEEGAN and PacGAN (2,500 samples there)."""
    density = context.data.density
    if density is None:
        raise IncompatiblePartsError(
            "metric 'modes' needs data whose modes are known",
            remedy="change metric.use to 'wasserstein', or dataset.use to 'ring', 'grid' or 'gaussian-1d'",
        )
    perfect, shares = perfect_modes(density), density.shares

    def measure(evaluation: Evaluation) -> Mapping[str, float]:
        centres = torch.tensor(density.means, dtype=torch.float64)
        found = mode_coverage(evaluation.fake.values.flatten(1), centres, density.std, shares)
        return {"captured": float(found.captured), "high-quality": found.high_quality, "reverse-kl": found.reverse_kl}

    def reverse_kl(count: int) -> float:
        """The exact mean for the mean number of high-quality samples; if that is 0, the value of :func:`mode_coverage`."""
        good = round(count * perfect.high_quality)
        return class_coverage_floor(perfect.shares, shares, good).reverse_kl if good else -math.log(min(shares))

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
        grid = smoothed_grid(values, density, params.cells)
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
        aside = evaluation.validation or evaluation.training
        if aside is None:
            raise IncompatiblePartsError("metric 'parzen' needs validation or training samples that choose its width, got neither")
        chosen = scaled(aside(params.validation).values)
        found = parzen_log_likelihood(scaled(evaluation.fake.values), chosen, scaled(evaluation.real.values), widths)
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
