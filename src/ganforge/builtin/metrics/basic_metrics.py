"""Metrics as components: what a run measures of its generator, in the data's own units."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ganforge.builtin.component_params import WassersteinParams
from ganforge.builtin.features.classifier_features import Reader, classifier
from ganforge.builtin.metrics.feature_params import CodeRecoveryParams, LabelMatchParams
from ganforge.builtin.metrics.simulated_floors import simulated_floors
from ganforge.metrics import (
    class_coverage_floor,
    hungarian_accuracy,
    mode_coverage,
    nearest_labels,
    perfect_modes,
    wasserstein1,
    wasserstein2,
)
from ganforge.plugin import (
    BuildContext,
    DataSpec,
    Evaluation,
    GaussianMixture,
    IncompatiblePartsError,
    LatentSpec,
    Metric,
    MetricContext,
    MetricInfo,
    NoParams,
)


class WassersteinDistance:
    """Exact W₁ or W₂ between generated and held-out real samples.

    Args:
        order: 1 or 2.
        density: of the data, where it is known: the floor is then simulated.
    """

    def __init__(self, *, order: int = 2, density: GaussianMixture | None = None) -> None:
        self.order = order
        floor = simulated_floors(density, self.measure, pairs=8_000_000)("")
        label = f"exact Wasserstein distance W{'₁' if order == 1 else '₂'} to real samples, in the data's units"
        self.value_info: Mapping[str, MetricInfo] = {"": MetricInfo(label, "lower", symmetric=True, floor=floor)}

    def __repr__(self) -> str:
        return f"WassersteinDistance(order={self.order})"

    def measure(self, evaluation: Evaluation) -> Mapping[str, float]:
        """The distance."""
        distance = wasserstein1 if self.order == 1 else wasserstein2
        return {"": distance(evaluation.real.values, evaluation.fake.values)}


class Modes:
    """Captured modes, high-quality share and reverse KL, by the protocol of VEEGAN and PacGAN (2,500 samples there)."""

    def __init__(self, density: GaussianMixture) -> None:
        self.density = density
        self._perfect = perfect_modes(density)
        self.value_info: Mapping[str, MetricInfo] = {
            "captured": MetricInfo("modes with at least one high-quality sample", "higher", float(len(density.means))),
            "high-quality": MetricInfo(
                "share of samples within 3 standard deviations of a mode", "nearer", self._perfect.high_quality
            ),
            "reverse-kl": MetricInfo("KL(generated ‖ true) of the modes' shares, in nats", "lower", floor=self._reverse_kl),
        }

    def _reverse_kl(self, count: int) -> float:
        """The exact mean for as many samples as are of high quality on average; without any, as :func:`mode_coverage` has it."""
        good = round(count * self._perfect.high_quality)
        shares = self.density.shares
        return class_coverage_floor(self._perfect.shares, shares, good).reverse_kl if good else -math.log(min(shares))

    def measure(self, evaluation: Evaluation) -> Mapping[str, float]:
        """The three values."""
        centres = torch.tensor(self.density.means, dtype=torch.float64)
        found = mode_coverage(evaluation.fake.values.flatten(1), centres, self.density.std, self.density.shares)
        return {"captured": float(found.captured), "high-quality": found.high_quality, "reverse-kl": found.reverse_kl}


class CodeRecovery:
    """Share of generated samples whose categorical code stands for their class, under the best matching of codes to classes.

    Args:
        column: which categorical code.
        told: tells the class of a sample.
        best: what the share is at most for a generator that makes every class in its share.
    """

    def __init__(self, column: int, told: Telling, *, best: float) -> None:
        self.column, self.told = column, told
        self.protocol = told.protocol
        self.value_info: Mapping[str, MetricInfo] = {
            "": told.measure("share of samples whose code stands for their class under the best matching", best=best)
        }

    def __repr__(self) -> str:
        return f"CodeRecovery(column={self.column})"

    def measure(self, evaluation: Evaluation) -> Mapping[str, float]:
        """The share."""
        latent = evaluation.fake.latent
        if latent is None or latent.codes is None:
            raise IncompatiblePartsError("metric 'code-recovery' was given samples that carry no codes")
        return {"": hungarian_accuracy(latent.codes.categorical[:, self.column], self.told.classes(evaluation))}


class LabelMatch:
    """Share of generated samples that are of the class that was asked for.

    Args:
        told: tells the class of a sample.
    """

    def __init__(self, told: Telling) -> None:
        self.told = told
        self.protocol = told.protocol
        self.value_info: Mapping[str, MetricInfo] = {"": told.measure("share of samples that are of the class asked for")}

    def measure(self, evaluation: Evaluation) -> Mapping[str, float]:
        """The share."""
        latent = evaluation.fake.latent
        if latent is None or latent.labels is None:
            raise IncompatiblePartsError("metric 'label-match' was given samples that carry no labels")
        return {"": float((self.told.classes(evaluation) == latent.labels).double().mean())}


class Telling:
    """What tells the class of a generated sample.

    Args:
        reader: a classifier, or ``None`` for the class of the nearest held-out real sample.
        density: of the data whose labels are its modes, where it is known: what the nearest samples tell is then simulated.
    """

    def __init__(self, reader: Reader | None = None, density: GaussianMixture | None = None) -> None:
        self.reader, self._density = reader, density
        self.protocol: Mapping[str, str] = {"by": "nearest"} if reader is None else {"by": "classifier", **reader.protocol}

    def measure(self, label: str, *, best: float = 1.0) -> MetricInfo:
        """A share of right classes, with what a perfect generator gets of it, whose samples are right in a share ``best``."""
        if self.reader is not None:  # a perfect generator's samples are as hard to read as real ones
            return MetricInfo(f"{label} (by a classifier of the data)", "higher", best * self.reader.accuracy)
        floor = simulated_floors(self._density if best == 1 else None, _share_told)("")
        return MetricInfo(f"{label} (by their nearest real sample)", "higher", best, floor=floor)

    def classes(self, evaluation: Evaluation) -> Tensor:
        """``(n,)`` class of each generated sample.

        Raises:
            IncompatiblePartsError: the nearest real samples are asked, and they carry no labels.
        """
        fake, real = evaluation.fake, evaluation.real
        if self.reader is not None:
            return self.reader.classes(fake.values)
        if real.labels is None:
            raise IncompatiblePartsError("the real samples carry no labels to compare with")
        return nearest_labels(fake.values, real.values, real.labels)


def _share_told(evaluation: Evaluation) -> Mapping[str, float]:
    return LabelMatch(Telling()).measure(evaluation)


def build_wasserstein(params: WassersteinParams, context: BuildContext) -> Metric:
    """Factory of ``wasserstein``."""
    return WassersteinDistance(order=params.order, density=context.data.density)


def build_modes(_params: NoParams, context: BuildContext) -> Metric:
    """Factory of ``modes``.

    Raises:
        IncompatiblePartsError: the data's density is not known.
    """
    if context.data.density is None:
        raise IncompatiblePartsError(
            "metric 'modes' needs data whose modes are known",
            remedy="change metric.use to 'wasserstein', or dataset.use to 'ring', 'grid' or 'gaussian-1d'",
        )
    return Modes(context.data.density)


def build_code_recovery(params: CodeRecoveryParams, context: MetricContext) -> Metric:
    """Factory of ``code-recovery``.

    Raises:
        IncompatiblePartsError: the data has no labels, or the sampler draws no such categorical code.
    """
    _need_classes("code-recovery", context.data)
    _need_column(params.column, context.latent)
    best = _best_matching(context.latent.categorical[params.column], context.data)
    return CodeRecovery(params.column, _telling(params.by, context), best=best)


def build_label_match(params: LabelMatchParams, context: MetricContext) -> Metric:
    """Factory of ``label-match``.

    Raises:
        IncompatiblePartsError: the data has no labels, or the sampler draws none.
    """
    _need_classes("label-match", context.data)
    if context.latent.classes is None:
        raise IncompatiblePartsError(
            "metric 'label-match' needs a sampler that draws labels", remedy="change sampler.use to 'labelled'"
        )
    return LabelMatch(_telling(params.by, context))


def _telling(by: str, context: MetricContext) -> Telling:
    return Telling(classifier(context) if by == "classifier" else None, _labelling_density(context.data))


def _best_matching(values: int, data: DataSpec) -> float:
    """Share of samples whose code can stand for their class where codes are equally likely and classes have the data's shares.

    A value and its class have at most the smaller of their two shares in common. What is left over is matched to nothing.
    """
    density = _labelling_density(data)
    shares = density.shares if density else data.class_shares or [1 / data.classes] * data.classes if data.classes else []
    largest = sorted((min(share, 1 / values) for share in shares), reverse=True)[:values]
    best = math.fsum(largest)
    return 1.0 if math.isclose(best, 1.0) else best


def _labelling_density(data: DataSpec) -> GaussianMixture | None:
    """The data's density, where its modes are the classes."""
    return data.density if data.density and len(data.density.means) == data.classes else None


def _need_classes(metric: str, data: DataSpec) -> None:
    if data.classes is None:
        raise IncompatiblePartsError(f"metric '{metric}' needs labelled data", remedy="drop the metric, or change dataset.use")


def _need_column(column: int, latent: LatentSpec) -> None:
    if column >= len(latent.categorical):
        raise IncompatiblePartsError(
            f"metric 'code-recovery' reads categorical code {column}, and the sampler draws {len(latent.categorical)}",
            remedy="change sampler.use to 'structured' with sampler.params.categorical, or the metric's params.column",
        )
