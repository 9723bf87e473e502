"""What the built-in metrics share: their params, a metric made of a function, and simulated values of a perfect generator.

Imports torch inside functions only: params are read whenever components are listed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Self, TypeVar

from pydantic import Field, model_validator

from ganforge.plugin import Evaluation, GaussianMixture, IncompatiblePartsError, Latent, MetricInfo, Params, Samples

if TYPE_CHECKING:
    from torch import Generator

_PAIRS = 32_000_000
"""Pairs of samples that a simulation compares: a second or two, except that large counts take two measurements in any case."""
_LEAST, _MOST = 2, 16

Found = TypeVar("Found")
Measure = Callable[[Evaluation], Mapping[str, float]]
Floor = Callable[[int], float]
"""Number of samples → mean value of a perfect generator."""


@dataclass(slots=True, eq=False)
class FunctionMetric:
    """A metric that is a function: evaluation → values, keyed as in ``value_info``.

    Attributes:
        protocol: what the values depend on besides params and the number of samples.
        needs_distinct_real: whether real samples must be distinct, because repeats would be their own neighbours.
        uses_training_data: whether it reads training or validation samples.
    """

    function: Measure
    value_info: Mapping[str, MetricInfo]
    protocol: Mapping[str, str] = field(default_factory=dict)
    min_samples: int = 1
    reliable_samples: int = 100
    needs_distinct_real: bool = False
    uses_training_data: bool = False

    def measure(self, evaluation: Evaluation) -> Mapping[str, float]:
        """The values of the function."""
        count = min(len(evaluation.real), len(evaluation.fake))
        if count < self.min_samples:
            raise IncompatiblePartsError(
                f"the metric needs at least {self.min_samples:,} real and generated samples, got {count:,}",
                remedy=f"set `samples = {self.min_samples}` or more in its [[metric]] table",
            )
        return self.function(evaluation)


def required(value: Found | None, problem: str, remedy: str = "") -> Found:
    """The value; an error if the data, the parts or the evaluation lack it."""
    if value is None:
        raise IncompatiblePartsError(problem, remedy=remedy)
    return value


def simulated_floors(density: GaussianMixture | None, measure: Measure, *, pairs: int = _PAIRS) -> Callable[[str], Floor | None]:
    """For each key of a metric its floor: the mean value of draws from the density compared with other draws, the same every time.

    Without a known density there are none. About ``pairs`` pairs of samples are compared.
    """
    if density is None:
        return lambda _key: None

    @cache
    def simulate(count: int) -> Mapping[str, float]:
        import torch

        stream = torch.Generator().manual_seed(0)
        runs = [measure(_perfect(density, count, stream)) for _ in range(max(_LEAST, min(_MOST, pairs // count**2)))]
        return {key: sum(run[key] for run in runs) / len(runs) for key in runs[0]}

    return lambda key: lambda count: simulate(count)[key]


def _perfect(density: GaussianMixture, count: int, stream: Generator) -> Evaluation:
    """Real samples, and generated ones that lie on the modes that their latents ask for."""
    import torch

    from ganforge.builtin.datasets.points import draw_mixture

    real, made = (draw_mixture(density, True, count, stream) for _ in range(2))  # noqa: FBT003
    fake = Samples(made.values, made.labels, Latent(torch.zeros(count, 1), made.labels))
    return Evaluation(real, fake, stream)


class WassersteinParams(Params):
    """Parameters of the Wasserstein metric."""

    order: Literal[1, 2] = 2
    """Whether distances or squared distances are averaged: W₁ or W₂."""


class SlicedWassersteinParams(WassersteinParams):
    """Parameters of the sliced Wasserstein distance."""

    projections: int = Field(200, ge=1, le=10_000)
    """Number of random lines to project samples onto; each takes 8 bytes for every number of a sample."""


class FeatureParams(Params):
    """Which features a metric compares."""

    features: Literal["raw", "classifier", "imagenet", "inception"] = "raw"
    """What is compared: 'raw' values; features of a small 'classifier', trained once on the data's labels and cached; of an
    'imagenet' network (EfficientNet-Lite0, extra `backbone`); or of the 'inception' network of published FIDs (extra `fid`, and
    a file of weights)."""
    weights_path: Path | None = Field(None, strict=False)
    """File of weights for 'inception' (and no other), relative to the recipe's folder."""

    @model_validator(mode="after")
    def _weights_for_inception(self) -> Self:
        if self.features == "inception" and self.weights_path is None:
            raise ValueError(
                "features 'inception' need a file of weights: give weights_path, the path of "
                "weights-inception-2015-12-05-6726825d.pth from https://github.com/toshas/torch-fidelity/releases/tag/v0.2.0"
            )
        if self.features != "inception" and self.weights_path is not None:
            raise ValueError(f"features '{self.features}' use no file of weights: drop weights_path, or use 'inception'")
        return self


class KernelParams(FeatureParams):
    """Parameters of the kernel distance."""

    subsets: int = Field(0, ge=0)
    """Number of random subsets to average over, with their standard deviation, as KID is published with 100; 0 uses all samples at
    once, which is more exact."""
    subset_size: int = Field(1000, ge=2)
    """Samples of each kind in a subset; `samples` must be at least as many."""


class PrecisionRecallParams(FeatureParams):
    """Parameters of precision, recall, density and coverage."""

    neighbours: int = Field(5, ge=1)
    """k: a sample's ball reaches to its k-th neighbour; 5 in Naeem et al. 2020, 3 in Kynkäänniemi et al. 2019."""


class MemorisationParams(FeatureParams):
    """Parameters of the search for copies."""

    training: int = Field(10_000, ge=2)
    """Maximum number of training samples to compare with, at equal steps over all: a share of the copies is enough to detect
    them."""


class LabelMatchParams(Params):
    """Parameters of the label match."""

    by: Literal["nearest", "classifier"] = "nearest"
    """What determines the class of a generated sample: its nearest held-out real sample, or a small classifier, trained once on the
    data's training samples and cached."""


class CodeRecoveryParams(LabelMatchParams):
    """Parameters of the code recovery."""

    column: int = Field(0, ge=0)
    """Which categorical code is matched to the classes, counted from 0."""


class ClassModesParams(Params):
    """Parameters of the class modes."""

    target: Literal["uniform", "data"] = "uniform"
    """What the class shares are compared with: equal shares, as in papers on stacked MNIST, or those of the data."""


class InformationParams(Params):
    """Parameters of the bound on the information."""

    column: int | None = Field(None, ge=0)
    """Which categorical code, counted from 0; by default the sum over all of them."""


class OptimalDiscriminatorParams(Params):
    """Parameters of the gap to the optimal discriminator."""

    cells: int = Field(256, ge=16, le=2048)
    """Cells of the grid along each axis. They should be no larger than the modes' standard deviation."""


class ParzenParams(Params):
    """Parameters of the Parzen estimate. The protocol of 2014 has `samples = 10_000`; other numbers give other values.

    On MNIST, real training images as samples give 243; higher values come from blurred samples or samples near the mean, not from
    better ones.
    """

    validation: int = Field(1000, ge=1)
    """Maximum number of samples that choose the width: the first of the validation split, if the data set has one (for MNIST:
    `split = "train-50k"`), else training samples at equal steps."""
    widths: tuple[Annotated[float, Field(ge=1e-50, le=1e50)], ...] = Field(
        tuple(10 ** (step / 9 - 1) for step in range(10)), min_length=1
    )
    """Standard deviations of the windows to choose from, in units of [0, 1] for images and in the data's units otherwise; by
    default ten from 0.1 to 1, evenly spaced on a log axis."""
