"""Params of the built-in metrics. Imports no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ganforge.plugin import Params

_WIDTHS = tuple(10 ** (step / 9 - 1) for step in range(10))


class WassersteinParams(Params):
    """Parameters of the Wasserstein metric."""

    order: Literal[1, 2] = 2
    """Whether distances or squared distances are averaged: W₁ or W₂."""


class SlicedWassersteinParams(WassersteinParams):
    """Parameters of the sliced Wasserstein distance. Time grows as samples × projections: 10,000 MNIST images take seconds."""

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


class MmdParams(FeatureParams):
    """Parameters of the Gaussian kernel distance. Time grows as samples² × features: a second for 2,000 MNIST images."""


class PrecisionRecallParams(FeatureParams):
    """Parameters of precision, recall, density and coverage. Time grows as samples² × features: a second for 2,000 MNIST images."""

    neighbours: int = Field(5, ge=1)
    """k: a sample's ball reaches to its k-th neighbour; 5 in Naeem et al. 2020, 3 in Kynkäänniemi et al. 2019."""


class OneNearestNeighbourParams(FeatureParams):
    """Parameters of the 1-NN test. Time grows as samples² × features: a second for 2,000 MNIST images."""


class DuplicatesParams(FeatureParams):
    """Parameters of the birthday test. Time grows as samples² × features; a few hundred samples are enough."""


class MemorisationParams(FeatureParams):
    """Parameters of the search for copies. Time grows as samples × training samples: ten seconds for 2,000 MNIST images."""

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
    """Parameters of the bound on the information. It costs one pass of each generated sample through the discriminator."""

    column: int | None = Field(None, ge=0)
    """Which categorical code, counted from 0; by default the sum over all of them."""


class OptimalDiscriminatorParams(Params):
    """Parameters of the gap to the optimal discriminator. It evaluates the discriminator at every cell: half a second for 256²."""

    cells: int = Field(256, ge=16, le=2048)
    """Cells of the grid along each axis. They should be no larger than the modes' standard deviation."""


class ParzenParams(Params):
    """Parameters of the Parzen estimate. The protocol of 2014 has `samples = 10_000`; other numbers give other values.

    On MNIST, real training images as samples give 243; higher values come from blurred samples or samples near the mean, not from
    better ones. It takes ten seconds for 10,000 MNIST images on one CPU thread; time grows as samples² × numbers per sample.
    """

    validation: int = Field(1000, ge=1)
    """Maximum number of samples that choose the width: the first of the validation split, if the data set has one (for MNIST:
    `split = "train-50k"`), else training samples at equal steps."""
    widths: tuple[Annotated[float, Field(ge=1e-50, le=1e50)], ...] = Field(_WIDTHS, min_length=1)
    """Standard deviations of the windows to choose from, in units of [0, 1] for images and in the data's units otherwise; by
    default ten from 0.1 to 1, evenly spaced on a log axis."""
