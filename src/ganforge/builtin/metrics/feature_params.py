"""Parameters of the metrics that look at features, or at what a classifier sees. Light: brings in no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from ganforge.plugin import Params


class FeatureParams(Params):
    """What a metric looks at."""

    features: Literal["raw", "classifier", "imagenet", "inception"] = "raw"
    """What is compared: 'raw' values; what a small 'classifier' sees that is trained once on the data's labelled samples and kept;
    what an 'imagenet' network sees (EfficientNet-Lite0, extra `backbone`); or the 'inception' network of published FIDs (extra
    `fid`, and a file of weights)."""
    weights_path: Path | None = Field(None, strict=False)
    """File of weights for 'inception', and for no other; a relative path is meant from the recipe's folder."""

    @model_validator(mode="after")
    def _weights_where_they_are_read(self) -> Self:
        if self.features == "inception" and self.weights_path is None:
            raise ValueError(
                "features 'inception' read a file of weights: give weights_path, the place of "
                "weights-inception-2015-12-05-6726825d.pth from https://github.com/toshas/torch-fidelity/releases/tag/v0.2.0"
            )
        if self.features != "inception" and self.weights_path is not None:
            raise ValueError(f"features '{self.features}' read no file of weights: drop weights_path, or use 'inception'")
        return self


class KernelParams(FeatureParams):
    """Parameters of the kernel distance."""

    subsets: int = Field(0, ge=0)
    """Random subsets whose mean is told, with their standard deviation, as KID is published with 100; 0 for all samples at once,
    which is the more exact."""
    subset_size: int = Field(1000, ge=2)
    """Samples of each kind in a subset; `samples` must be as many at least."""


class LabelMatchParams(Params):
    """Parameters of the label match."""

    by: Literal["nearest", "classifier"] = "nearest"
    """What tells the class of a generated sample: its nearest held-out real sample, or a small classifier that is trained once on
    the data's training samples and kept."""


class CodeRecoveryParams(LabelMatchParams):
    """Parameters of the code recovery metric."""

    column: int = Field(0, ge=0)
    """Which categorical code is matched to the classes, counted from 0."""


class ClassModesParams(Params):
    """Parameters of the class modes."""

    target: Literal["uniform", "data"] = "uniform"
    """What the shares of the classes are compared with: equal ones, as in papers on stacked MNIST, or those of the data."""
