"""Metrics as components: what a run measures of its generator, in the data's own units."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from ganforge.builtin.features_classifier import Reader, classifier
from ganforge.builtin.params import CodeRecoveryParams, WassersteinParams
from ganforge.builtin.params_features import LabelMatchParams
from ganforge.builtin.simulated import simulated_floors
from ganforge.metrics import (
    class_coverage_floor,
    hungarian_accuracy,
    mode_coverage,
    nearest_labels,
    perfect_high_quality,
    wasserstein1,
    wasserstein2,
)
from ganforge.plugin import (
    BuildContext,
    DataSpec,
    Disagreement,
    Evaluation,
    GaussianMixture,
    LatentSpec,
    Measure,
    Metric,
    MetricContext,
    NoParams,
    Samples,
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
        self.measures: Mapping[str, Measure] = {"": Measure(label, "lower", symmetric=True, floor=floor)}

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
        dimensions = len(density.means[0])
        self.measures: Mapping[str, Measure] = {
            "captured": Measure("modes with at least one high-quality sample", "higher", float(len(density.means))),
            "high-quality": Measure(
                "share of samples within 3 standard deviations of a mode", "nearer", perfect_high_quality(dimensions)
            ),
            "reverse-kl": Measure("KL(generated ‖ true) of the modes' shares, in nats", "lower", floor=self._reverse_kl),
        }

    def _reverse_kl(self, count: int) -> float:
        """The exact mean for as many samples as are of high quality on average; without any, as :func:`mode_coverage` has it."""
        good = round(count * perfect_high_quality(len(self.density.means[0])))
        shares = self.density.shares
        return class_coverage_floor(shares, shares, good).reverse_kl if good else -math.log(min(shares))

    def measure(self, evaluation: Evaluation) -> Mapping[str, float]:
        """The three values."""
        centres = torch.tensor(self.density.means, dtype=torch.float64)
        found = mode_coverage(evaluation.fake.values.flatten(1), centres, self.density.std, self.density.shares)
        return {"captured": float(found.captured), "high-quality": found.high_quality, "reverse-kl": found.reverse_kl}


class CodeRecovery:
    """Share of generated samples whose categorical code stands for their class, under the best matching of codes to classes.

    A generated sample's class is that of its nearest held-out real sample.

    Args:
        column: which categorical code.
        density: of the data whose labels are its modes, where it is known, and there are as many values of the code.
    """

    def __init__(self, *, column: int = 0, density: GaussianMixture | None = None) -> None:
        self.column = column
        floor = LabelMatch(density=density).measures[""].floor  # a code that is the class, read by the nearest sample
        self.measures: Mapping[str, Measure] = {
            "": Measure("share of samples whose code stands for their class (best matching)", "higher", 1.0, floor=floor)
        }

    def __repr__(self) -> str:
        return f"CodeRecovery(column={self.column})"

    def measure(self, evaluation: Evaluation) -> Mapping[str, float]:
        """The share."""
        latent = evaluation.fake.latent
        if latent is None or latent.codes is None:
            raise Disagreement("metric 'code-recovery' was given samples that carry no codes")
        return {"": hungarian_accuracy(latent.codes.categorical[:, self.column], _classes_of(evaluation.fake, evaluation.real))}


class LabelMatch:
    """Share of generated samples that are of the class that was asked for.

    Args:
        reader: the classifier that tells their class, or ``None`` for that of their nearest held-out real sample.
        density: of the data whose labels are its modes, where it is known: what their nearest samples tell is then simulated.
    """

    def __init__(self, reader: Reader | None = None, density: GaussianMixture | None = None) -> None:
        self.reader = reader
        self.protocol: Mapping[str, str] = {"by": "nearest"} if reader is None else {"by": "classifier", **reader.protocol}
        told = "share of samples that are of the class asked for"
        if reader is None:
            floor = simulated_floors(density, self.measure)("")
            measure = Measure(f"{told} (by their nearest real sample)", "higher", 1.0, floor=floor)
        else:  # a perfect generator's samples are as hard to read as real ones
            measure = Measure(f"{told} (by a classifier of the data)", "higher", reader.accuracy)
        self.measures: Mapping[str, Measure] = {"": measure}

    def measure(self, evaluation: Evaluation) -> Mapping[str, float]:
        """The share."""
        latent = evaluation.fake.latent
        if latent is None or latent.labels is None:
            raise Disagreement("metric 'label-match' was given samples that carry no labels")
        fake = evaluation.fake
        classes = _classes_of(fake, evaluation.real) if self.reader is None else self.reader.classes(fake.values)
        return {"": float((classes == latent.labels).double().mean())}


def _classes_of(fake: Samples, real: Samples) -> Tensor:
    """``(n,)`` class of each generated sample's nearest real sample."""
    if real.labels is None:
        raise Disagreement("the real samples carry no labels to compare with")
    return nearest_labels(fake.values, real.values, real.labels)


def build_wasserstein(params: WassersteinParams, context: BuildContext) -> Metric:
    """Factory of ``wasserstein``."""
    return WassersteinDistance(order=params.order, density=context.data.density)


def build_modes(_params: NoParams, context: BuildContext) -> Metric:
    """Factory of ``modes``.

    Raises:
        Disagreement: the data's density is not known.
    """
    if context.data.density is None:
        raise Disagreement(
            "metric 'modes' needs data whose modes are known",
            remedy="change metric.use to 'wasserstein', or dataset.use to 'ring', 'grid' or 'gaussian-1d'",
        )
    return Modes(context.data.density)


def build_code_recovery(params: CodeRecoveryParams, context: BuildContext) -> Metric:
    """Factory of ``code-recovery``.

    Raises:
        Disagreement: the data has no labels, or the sampler draws no such categorical code.
    """
    _need_classes("code-recovery", context.data)
    _need_column(params.column, context.latent)
    fits = context.latent.categorical[params.column] == context.data.classes
    return CodeRecovery(column=params.column, density=_labelling_density(context.data) if fits else None)


def build_label_match(params: LabelMatchParams, context: MetricContext) -> Metric:
    """Factory of ``label-match``.

    Raises:
        Disagreement: the data has no labels, or the sampler draws none.
    """
    _need_classes("label-match", context.data)
    if context.latent.classes is None:
        raise Disagreement("metric 'label-match' needs a sampler that draws labels", remedy="change sampler.use to 'labelled'")
    return LabelMatch(classifier(context) if params.by == "classifier" else None, _labelling_density(context.data))


def _labelling_density(data: DataSpec) -> GaussianMixture | None:
    """The data's density, where its modes are the classes."""
    return data.density if data.density and len(data.density.means) == data.classes else None


def _need_classes(metric: str, data: DataSpec) -> None:
    if data.classes is None:
        raise Disagreement(f"metric '{metric}' needs labelled data", remedy="drop the metric, or change dataset.use")


def _need_column(column: int, latent: LatentSpec) -> None:
    if column >= len(latent.categorical):
        raise Disagreement(
            f"metric 'code-recovery' reads categorical code {column}, and the sampler draws {len(latent.categorical)}",
            remedy="change sampler.use to 'structured' with sampler.params.categorical, or the metric's params.column",
        )
