"""Parameters of the built-in metrics. Light: brings in no torch."""

from __future__ import annotations

from pydantic import Field

from ganforge.plugin import Params


class FeatureParams(Params):
    """What metrics of features have in common."""

    features: str = Field("raw", min_length=1)
    """What distances are taken of: 'raw' for the values themselves, or the name of features that a network makes of them."""


class PrecisionRecallParams(FeatureParams):
    """Parameters of precision, recall, density and coverage. Time grows as samples² × features: a second for 2,000 MNIST images."""

    neighbours: int = Field(5, ge=1)
    """k: a sample's ball reaches to its k-th neighbour; 5 in Naeem et al. 2020, 3 in Kynkäänniemi et al. 2019."""


class OneNearestNeighbourParams(FeatureParams):
    """Parameters of the 1-NN test. Time grows as samples² × features: a second for 2,000 MNIST images."""


class DuplicatesParams(FeatureParams):
    """Parameters of the birthday test. Time grows as samples² × features; some hundred samples are enough."""
