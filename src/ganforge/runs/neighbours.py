"""Generated images beside their nearest training images, as in Figure 2 of Goodfellow et al. 2014: has it learnt by heart?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ganforge.assembly.blueprint import resolve
from ganforge.assembly.building import Folders, build_dataset
from ganforge.core.errors import UsageError
from ganforge.core.records import Samples
from ganforge.core.specs import DataSpec
from ganforge.hooks.loading import load_plugins
from ganforge.metrics import nearest_neighbours
from ganforge.observers import paper
from ganforge.observers.images import Bytes, enlarged, fitting_factor, pixels, value_range
from ganforge.observers.plane import Groups
from ganforge.observers.sheets import BLANK, Places, by_group, captioned, laid_out
from ganforge.observers.words import clean
from ganforge.recipe.reading import read
from ganforge.storage.data_folders import data_folders
from ganforge.storage.folder import RunFolder

FRAME = (255, 214, 0)
_SIDE = 1024  # pixels that a sheet is enlarged to, at most


def require_images(data: DataSpec) -> None:
    """Refuse points, before their data set is read.

    Raises:
        UsageError: the data are no images.
    """
    if not data.is_image:
        raise UsageError("nearest training samples are drawn of images, and this run's are points", remedy="drop --neighbours")


def training_samples(folder: RunFolder) -> Samples:
    """What a run was trained on, read again by its own data set; images may be bytes.

    Raises:
        DataMissing: the data set is not on this computer.
        DataError: it cannot be read.
        PluginError: its plugin is missing or broken.
    """
    blueprint = resolve(read(folder.resolved), load_plugins())
    identity = folder.read_json(folder.identity) or {}
    data, *others = data_folders()
    folders = Folders(Path(identity.get("recipe_folder", folder.path)), data, tuple(others))
    return build_dataset(blueprint.dataset, seed=blueprint.recipe.train.seed, folders=folders).training()


def beside_nearest(samples: Samples, groups: Groups | None, training: Tensor, data: DataSpec) -> bytes:
    """A sheet as PNG: rows of samples, and on the right, in yellow, the training image nearest to the last sample of each row.

    Args:
        samples: generated images in the data's own units.
        groups: labels or codes that make rows.
        training: ``(m, *shape)`` training images, floats or bytes.
        data: the images' spec.
    """
    arrangement = by_group(groups, len(samples))
    last = np.array([row[row != BLANK][-1] for row in arrangement.places])
    nearest, places = _nearest(samples.values[torch.from_numpy(last)], training, data)

    limits, gap = value_range(data, samples), max(1, data.shape[1] // 24)
    left = laid_out(pixels(samples, limits), arrangement.places, gap=gap)
    left = np.pad(left, ((gap, gap), (0, 2 * gap), (0, 0)), constant_values=255)
    drawn = np.concatenate([left, _framed(pixels(Samples(nearest), limits), places, gap)], axis=1)
    factor = fitting_factor(drawn, _SIDE)
    pitch = factor * (data.shape[1] + gap)
    return paper.png(captioned(enlarged(drawn, factor), [clean(name) for name in arrangement.names], pitch))


def _nearest(values: Tensor, training: Tensor, data: DataSpec) -> tuple[Tensor, Places]:
    """The nearest training images, and where they lie; nothing lies beside what is not finite."""
    asked = values.double()
    if not training.is_floating_point() and data.value_range is not None:
        low, high = data.value_range
        asked = (asked - low) / (high - low) * 255  # in the training images' numbers, so that they may stay bytes
    found = nearest_neighbours(asked, training)
    places = torch.where(found.distances.isfinite(), torch.arange(len(asked)), BLANK)
    return data.unpacked(training[found.indices]), places.numpy()[:, None]


def _framed(images: Bytes, places: Places, width: int) -> Bytes:
    """Images below each other, yellow between and around them."""
    column = laid_out(images, places, gap=width)
    framed = np.empty((column.shape[0] + 2 * width, column.shape[1] + 2 * width, 3), np.uint8)
    framed[:] = FRAME
    height = images.shape[1]
    for top in range(0, len(column), height + width):
        framed[width + top : width + top + height, width:-width] = column[top : top + height]
    return framed
