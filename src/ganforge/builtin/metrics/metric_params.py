"""Parameters of the built-in metrics. Light: brings in no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ganforge.builtin.metrics.feature_params import FeatureParams
from ganforge.plugin import Params

_WIDTHS = tuple(10 ** (step / 9 - 1) for step in range(10))


class PrecisionRecallParams(FeatureParams):
    """Parameters of precision, recall, density and coverage. Time grows as samples² × features: a second for 2,000 MNIST images."""

    neighbours: int = Field(5, ge=1)
    """k: a sample's ball reaches to its k-th neighbour; 5 in Naeem et al. 2020, 3 in Kynkäänniemi et al. 2019."""


class OneNearestNeighbourParams(FeatureParams):
    """Parameters of the 1-NN test. Time grows as samples² × features: a second for 2,000 MNIST images."""


class DuplicatesParams(FeatureParams):
    """Parameters of the birthday test. Time grows as samples² × features; some hundred samples are enough."""


class ParzenParams(Params):
    """Parameters of the Parzen estimate. The protocol of 2014 has `samples = 10_000`: fewer or more give other numbers.

    On MNIST, real training images as samples give 243; what is above that is blurred or near the centre, not better.
    It takes ten seconds for 10,000 MNIST images on one CPU thread; time grows as samples² × numbers per sample.
    """

    validation: int = Field(1000, ge=1)
    """Samples to choose the width by, at most: the first of those that the data set sets aside (for MNIST:
    `split = "train-50k"`), else training samples evenly taken from the whole."""
    widths: tuple[Annotated[float, Field(ge=1e-50, le=1e50)], ...] = Field(_WIDTHS, min_length=1)
    """Standard deviations of the windows to choose from, in units of [0, 1] for images and of the data for others; unless given,
    ten from 0.1 to 1, evenly spaced on a log axis."""


class InformationParams(Params):
    """Parameters of the bound on the information. It costs one look of the discriminator at each generated sample."""

    column: int | None = Field(None, ge=0)
    """Which categorical code, counted from 0; unless given, the sum over all of them."""


class OptimalDiscriminatorParams(Params):
    """Parameters of the gap to the optimal discriminator.

    The discriminator looks at every cell once: half a second for 256² of them.
    """

    cells: int = Field(256, ge=16, le=2048)
    """Cells of the grid along each axis. They should be no larger than the modes' standard deviation."""


class SlicedWassersteinParams(Params):
    """Parameters of the sliced Wasserstein distance. Time grows as samples × projections: 10,000 MNIST images take seconds."""

    order: Literal[1, 2] = 2
    """Whether distances or squared distances are averaged: W₁ or W₂."""
    projections: int = Field(200, ge=1, le=10_000)
    """Random lines that samples are projected onto; they take as many numbers as there are in each sample, 8 bytes each."""


class MmdParams(FeatureParams):
    """Parameters of the kernel distance. Time grows as samples² × features: a second for 2,000 MNIST images."""


class MemorisationParams(FeatureParams):
    """Parameters of the search for copies. Time grows as samples × training samples: ten seconds for 2,000 MNIST images."""

    training: int = Field(10_000, ge=2)
    """Training samples to look among, at most, evenly taken from the whole: a share of the copies is enough to be seen."""
