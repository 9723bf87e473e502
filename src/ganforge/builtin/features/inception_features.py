"""Features of the Inception network of 2015, which published FIDs and KIDs are distances of (Heusel et al. 2017)."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganforge.builtin.features.photographs import checked_file, in_chunks, need_images, to_photographs
from ganforge.builtin.features.small_classifier import at_rest
from ganforge.plugin import DataError, DataSpec, IncompatiblePartsError

_INSTALL = "pip install 'ganforge[fid]'"
_PUBLISHED = "6726825d"
"""What the SHA-256 of the weights converted from the original's begins with, as their file's name says."""


class InceptionFeatures:
    """The 2,048 averages of the last layer before the classes, resized by the network as TensorFlow 1 did.

    Args:
        network: torch-fidelity's feature extractor.
        data: what the images are.
        sha256: of the weights.
    """

    def __init__(self, network: Any, data: DataSpec, sha256: str) -> None:
        self.network, self.data = network, data
        published = sha256.startswith(_PUBLISHED)
        self.told = "Inception features" if published else "features of an Inception network with other weights than published FIDs"
        self.protocol: Mapping[str, str] = {
            "features": "inception-v3-compat/2048",
            "sha256": sha256,
            "resize": "bilinear as TensorFlow 1, to 299×299",
        }

    def __call__(self, values: Tensor) -> Tensor:
        """``(n, 2048)``."""
        return in_chunks(self._some, values)

    def _some(self, values: Tensor) -> Tensor:
        (found,) = self.network(to_photographs(values, self.data).round().to(torch.uint8))
        return torch.as_tensor(found)


def inception_features(data: DataSpec, weights: Path) -> InceptionFeatures:
    """The features for images of that kind.

    Raises:
        IncompatiblePartsError: the data are no images, or torch-fidelity and torchvision are not installed, or not whole.
        DataError: the file of weights is missing, or holds something else.
    """
    need_images("inception", data)
    extractor = _extractor()
    sha256 = checked_file(weights, "put weights-inception-2015-12-05-6726825d.pth there, or change weights_path")
    try:
        with torch.random.fork_rng(devices=[]):
            network = extractor("inception-v3-compat", ["2048"], feature_extractor_weights_path=str(weights))
    except Exception as error:
        said = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{weights}: holds no weights of this Inception network: {said}",
            remedy="get weights-inception-2015-12-05-6726825d.pth from https://github.com/toshas/torch-fidelity/releases/tag/v0.2.0",
        ) from error
    return InceptionFeatures(at_rest(network), data, sha256)


def _extractor() -> Any:
    """torch-fidelity's class; a torchvision that is of another torch raises all kinds of errors when it is imported."""
    try:
        importlib.import_module("torchvision")
    except ImportError as error:
        raise IncompatiblePartsError(
            f"features 'inception' need a package that is not installed: {error.name}", remedy=_INSTALL
        ) from error
    except Exception as error:
        raise IncompatiblePartsError(
            f"features 'inception' need torchvision, which is installed and broken: {str(error).splitlines()[0]}",
            remedy=f"install the one that goes with torch {torch.__version__}: {_INSTALL} --force-reinstall",
        ) from error
    try:
        module = importlib.import_module("torch_fidelity.feature_extractor_inceptionv3")
    except ImportError as error:
        raise IncompatiblePartsError(
            f"features 'inception' need a package that is not installed: {error.name}", remedy=_INSTALL
        ) from error
    return module.FeatureExtractorInceptionV3
