"""Metrics of labels and codes: do generated samples have the requested class, do codes stand for classes, are all classes made?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ganforge.builtin.features.classifier_features import Classifier, load_classifier
from ganforge.builtin.metrics.function_metric import (
    ClassModesParams,
    CodeRecoveryParams,
    FunctionMetric,
    InformationParams,
    LabelMatchParams,
    required,
    simulated_floors,
)
from ganforge.metrics import class_coverage, class_coverage_floor, hungarian_accuracy, mutual_information_bound, nearest_labels
from ganforge.plugin import (
    BuildContext,
    Codes,
    DataSpec,
    Evaluation,
    GaussianMixture,
    IncompatiblePartsError,
    LatentSpec,
    Metric,
    MetricContext,
    MetricInfo,
)

_MOST_NATS = math.log(1e12)


@dataclass(frozen=True, slots=True)
class ClassAssigner:
    """Assigns a class to each generated sample: by a classifier of the data, or that of the nearest held-out real sample.

    With the density of data whose labels are its modes, the accuracy of nearest samples is simulated.
    """

    classifier: Classifier | None = None
    density: GaussianMixture | None = None

    @property
    def protocol(self) -> Mapping[str, str]:
        """What values computed with it depend on."""
        return {"by": "nearest"} if self.classifier is None else {"by": "classifier", **self.classifier.protocol}

    def info(self, label: str, *, best: float = 1.0) -> MetricInfo:
        """Meaning of a share of right classes; a perfect generator's samples are right in a share ``best``."""
        if self.classifier is not None:  # a perfect generator's samples are as hard to classify as real ones
            return MetricInfo(f"{label} (by a classifier of the data)", "higher", best * self.classifier.accuracy)
        floor = simulated_floors(self.density if best == 1 else None, ClassAssigner().matching_share)("")
        return MetricInfo(f"{label} (by their nearest real sample)", "higher", best, floor=floor)

    def classes(self, evaluation: Evaluation) -> Tensor:
        """``(n,)`` class of each generated sample."""
        fake, real = evaluation.fake, evaluation.real
        if self.classifier is not None:
            return self.classifier.classes(fake.values)
        labels = required(real.labels, "the real samples have no labels to compare with")
        return nearest_labels(fake.values, real.values, labels)

    def matching_share(self, evaluation: Evaluation) -> Mapping[str, float]:
        """Share of generated samples that have the class of their latent's label."""
        latent = evaluation.fake.latent
        problem = "metric 'label-match' needs the labels that samples were generated from; real samples have none"
        labels = required(None if latent is None else latent.labels, problem)
        return {"": float((self.classes(evaluation) == labels).double().mean())}


def build_label_match(params: LabelMatchParams, context: MetricContext) -> Metric:
    """Share of generated samples that have the requested class."""
    required(context.latent.classes, "metric 'label-match' needs a sampler that draws labels", "change sampler.use to 'labelled'")
    assigner = _assigner("label-match", params, context)
    info = assigner.info("share of samples that have the requested class")
    return FunctionMetric(assigner.matching_share, {"": info}, assigner.protocol)


def build_code_recovery(params: CodeRecoveryParams, context: MetricContext) -> Metric:
    """Share of generated samples whose categorical code stands for their class, under the best matching of codes to classes."""
    assigner = _assigner("code-recovery", params, context)
    _check_column("code-recovery", params.column, context.latent)
    best = _best_matching(context.latent.categorical[params.column], context.data)

    def measure(evaluation: Evaluation) -> Mapping[str, float]:
        codes = _codes("code-recovery", evaluation).categorical[:, params.column]
        return {"": hungarian_accuracy(codes, assigner.classes(evaluation))}

    info = assigner.info("share of samples whose code stands for their class under the best matching", best=best)
    return FunctionMetric(measure, {"": info}, assigner.protocol)


def build_class_modes(params: ClassModesParams, context: MetricContext) -> Metric:
    """Classes that a classifier finds among generated samples: for stacked MNIST its 1,000 modes."""
    classifier, classes = load_classifier(context), context.data.classes or 0
    uniform = (1 / classes,) * classes
    shares = context.data.class_shares or uniform
    target = uniform if params.target == "uniform" else shares

    def measure(evaluation: Evaluation) -> Mapping[str, float]:
        """The two values; NaN if a sample is not finite."""
        found = classifier.classes(evaluation.fake.values)
        if int(found.min()) < 0:
            return {"captured": math.nan, "reverse-kl": math.nan}
        coverage = class_coverage(found, target)
        # it is infinite if a class is found that the data lacks; logs need finite values
        return {"captured": float(coverage.captured), "reverse-kl": min(coverage.reverse_kl, _MOST_NATS)}

    captured = MetricInfo(
        "classes with at least one sample, by a classifier of the data",
        "higher",
        float(classes),
        floor=lambda count: float(class_coverage_floor(shares, target, count).captured),
    )
    reverse_kl = MetricInfo(
        f"KL(generated ‖ {params.target}) of the classes' shares, in nats, by a classifier of the data",
        "lower",
        floor=lambda count: class_coverage_floor(shares, target, count).reverse_kl,
    )
    return FunctionMetric(measure, {"captured": captured, "reverse-kl": reverse_kl}, classifier.protocol)


def build_information(params: InformationParams, context: BuildContext) -> Metric:
    """InfoGAN's bound on the information between categorical codes and samples, by the discriminator's head ``code``."""
    latent = context.latent
    _check_column("information", params.column or 0, latent)
    columns = range(len(latent.categorical)) if params.column is None else (params.column,)

    def measure(evaluation: Evaluation) -> Mapping[str, float]:
        codes, logits = _codes("information", evaluation).categorical, _code_logits(evaluation, latent)
        return {"": sum(mutual_information_bound(logits[column], codes[:, column]) for column in columns)}

    entropy = sum(math.log(latent.categorical[column]) for column in columns)
    label = f"bound on the information of samples about their categorical codes, in nats; H(c) = {entropy:.3f}"
    return FunctionMetric(measure, {"": MetricInfo(label, "higher", entropy)})


def _assigner(metric: str, params: LabelMatchParams, context: MetricContext) -> ClassAssigner:
    required(context.data.classes, f"metric '{metric}' needs labelled data", "drop the metric, or change dataset.use")
    return ClassAssigner(load_classifier(context) if params.by == "classifier" else None, _labelling_density(context.data))


def _best_matching(values: int, data: DataSpec) -> float:
    """Largest possible share of samples whose code stands for their class, for equally likely codes and the data's class shares.

    A value and its class have at most the smaller of their two shares in common. The rest is matched to nothing.
    """
    density = _labelling_density(data)
    shares = density.shares if density else data.class_shares or [1 / data.classes] * data.classes if data.classes else []
    largest = sorted((min(share, 1 / values) for share in shares), reverse=True)[:values]
    best = math.fsum(largest)
    return 1.0 if math.isclose(best, 1.0) else best


def _labelling_density(data: DataSpec) -> GaussianMixture | None:
    """The data's density if its modes are the classes."""
    return data.density if data.density and len(data.density.means) == data.classes else None


def _check_column(metric: str, column: int, latent: LatentSpec) -> None:
    if column >= len(latent.categorical):
        raise IncompatiblePartsError(
            f"metric '{metric}' reads categorical code {column}, but the sampler draws {len(latent.categorical)}",
            remedy="change sampler.use to 'structured' with sampler.params.categorical, or the metric's params.column",
        )


def _codes(metric: str, evaluation: Evaluation) -> Codes:
    latent = evaluation.fake.latent
    problem = f"metric '{metric}' needs the codes that samples were generated from; real samples have none"
    return required(None if latent is None else latent.codes, problem)


def _code_logits(evaluation: Evaluation, latent: LatentSpec) -> tuple[Tensor, ...]:
    """``(n, values)`` logits for each categorical code."""
    critic = required(evaluation.critic, "metric 'information' needs the discriminator, but this evaluation has none")
    problem = "metric 'information' needs a discriminator with a head 'code'"
    head = required(critic(evaluation.fake).heads.get("code"), problem, "change discriminator.use to 'infogan-mlp'")
    values = sum(latent.categorical)
    expected = (len(evaluation.fake), values + latent.continuous)
    if head.shape != expected:
        raise IncompatiblePartsError(
            f"the discriminator's head 'code' has the shape {tuple(head.shape)}, but the codes need {expected}",
            remedy="return the logits of all categorical codes side by side, then the means of the continuous ones",
        )
    return torch.split(head[:, :values], list(latent.categorical), dim=1)
