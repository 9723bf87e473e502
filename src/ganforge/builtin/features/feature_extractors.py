"""What feature-based metrics look at: raw values, or what a network that is known by its SHA-256 makes of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

from ganforge.builtin.metrics.feature_params import FeatureParams
from ganforge.plugin import MetricContext


class Features(Protocol):
    """Turns samples into rows of features.

    Attributes:
        protocol: name of the features, how images are resized, and the SHA-256 of the weights, where there are any; part of every
            value's protocol.
        told: what they are, for a metric's label.
    """

    protocol: Mapping[str, str]
    told: str

    def __call__(self, values: Tensor) -> Tensor:
        """``(n, f)`` floats on the CPU for values ``(n, *shape)`` in the data's own units."""
        ...


class RawFeatures:
    """The values themselves, flattened."""

    protocol: Mapping[str, str] = {"features": "raw"}
    told = "raw values"

    def __call__(self, values: Tensor) -> Tensor:
        """``(n, prod(shape))``."""
        return values.detach().cpu().flatten(1).float()


def features(params: FeatureParams, context: MetricContext) -> Features:
    """The features that the params name.

    Raises:
        IncompatiblePartsError: they do not fit the data, or what they need is not installed.
        DataError: their file of weights is missing or another.
    """
    match params.features:
        case "raw":
            return RawFeatures()
        case "classifier":
            from ganforge.builtin.features.classifier_features import ClassifierFeatures, classifier

            return ClassifierFeatures(classifier(context))
        case "imagenet":
            from ganforge.builtin.features.imagenet_features import imagenet_features

            return imagenet_features(context.data)
        case "inception":
            from ganforge.builtin.features.inception_features import inception_features

            if params.weights_path is None:
                raise AssertionError("the params refuse this")
            return inception_features(context.data, context.recipe_folder / params.weights_path.expanduser())
