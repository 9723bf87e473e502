"""Generated images beside their nearest training images, as in Figure 2 of Goodfellow et al. 2014: has it learnt by heart?"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ganforge.build.blueprint import resolve_recipe
from ganforge.build.builder import Folders, build_dataset
from ganforge.build.lock import read_lock
from ganforge.build.lock_differences import data_differences
from ganforge.core.contracts import ParallelSampleSource, SampleSource, StreamingDataset
from ganforge.core.errors import DataError, UsageError
from ganforge.core.formatting import clean
from ganforge.core.isolation import isolated
from ganforge.core.records import Samples
from ganforge.core.specs import DataSpec
from ganforge.figures import Pixels
from ganforge.figures.images import (
    BLANK,
    GridIndices,
    add_captions,
    add_footer,
    arrange_by_group,
    encode_png,
    enlarge,
    lay_out,
    scale_factor,
    to_pixels,
    value_range,
)
from ganforge.figures.plot_data import Groups
from ganforge.metrics import nearest_neighbours
from ganforge.recipe.reader import read_recipe
from ganforge.registry.plugin_loader import load_plugins
from ganforge.storage.data_folders import data_folders
from ganforge.storage.run_folder import RunFolder

FRAME = (255, 214, 0)
_SIDE = 1024  # pixels that a sheet is enlarged to, at most
_PART_BYTES = 2**26  # of images of bytes that are read at once


def require_images(data: DataSpec) -> None:
    """Refuse points, before their data set is read.

    Raises:
        UsageError: the data are no images.
    """
    if not data.is_image:
        raise UsageError("nearest training samples are drawn of images, and this run's are points", remedy="drop --neighbours")


@dataclass(frozen=True, slots=True)
class Training:
    """What a run was trained on, read again.

    Attributes:
        images: all of them, in memory or as a source that reads them when they are asked for; floats or bytes.
        name: what the data set is called.
        changes: in which respects the data are not what the run's lock has.
    """

    images: Tensor | SampleSource
    name: str
    changes: tuple[str, ...] = ()


def training_images(folder: RunFolder) -> Training:
    """What a run was trained on, read again by its own data set.

    Raises:
        DataMissingError: the data set is not on this computer.
        DataError: it cannot be read.
        PluginError: its plugin is missing or broken.
    """
    blueprint = resolve_recipe(read_recipe(folder.resolved), load_plugins())
    identity = folder.read_json(folder.identity) or {}
    data, *others = data_folders()
    folders = Folders(Path(identity.get("recipe_folder", folder.path)), data, tuple(others))
    changes = data_differences(read_lock(folder.path), blueprint.dataset, folders.recipe) if folder.lock.exists() else ()
    dataset = build_dataset(blueprint.dataset, seed=blueprint.recipe.train.seed, folders=folders)
    with isolated():
        images = dataset.streamed() if isinstance(dataset, StreamingDataset) else dataset.training().values
    return Training(images, f"the data set '{blueprint.dataset.component.name}'", tuple(one.message for one in changes))


def beside_nearest(
    samples: Samples,
    groups: Groups | None,
    training: Tensor | SampleSource,
    data: DataSpec,
    *,
    name: str = "the data set",
    note: str = "",
) -> bytes:
    """A sheet as PNG: rows of samples, and on the right, in yellow, the training image nearest to the last sample of each row.

    Args:
        samples: generated images in the data's own units.
        groups: labels or codes that make rows.
        training: ``(m, *shape)`` training images, floats or bytes, or a source of them, which is read in parts.
        data: the images' spec.
        name: what the data set is called.
        note: stands below the sheet.

    Raises:
        DataError: the training images are of another shape than the samples.
    """
    arrangement = arrange_by_group(groups, len(samples))
    # A row's last sample stands at its end, beside its neighbour, whatever is missing at its beginning.
    order = np.argsort(arrangement.places != BLANK, axis=1, kind="stable")
    rows = np.take_along_axis(arrangement.places, order, axis=1)
    nearest, places = _nearest(samples.values[torch.from_numpy(rows[:, -1])], training, data, name)

    limits = value_range(data, Samples(torch.cat([samples.values, nearest])))
    gap = max(1, data.shape[1] // 24)
    left = lay_out(to_pixels(samples, limits), rows, gap=gap)
    left = np.pad(left, ((gap, gap), (0, 2 * gap), (0, 0)), constant_values=255)
    drawn = np.concatenate([left, _framed(to_pixels(Samples(nearest), limits), places, gap)], axis=1)
    factor = scale_factor(drawn, _SIDE)
    pitch = factor * (data.shape[1] + gap)
    return encode_png(add_footer(add_captions(enlarge(drawn, factor), [clean(name) for name in arrangement.names], pitch), note))


def _nearest(values: Tensor, training: Tensor | SampleSource, data: DataSpec, name: str) -> tuple[Tensor, GridIndices]:
    """The nearest training images, and where they lie; nothing lies beside what is not finite."""
    best = torch.full((len(values),), torch.inf, dtype=torch.float64)
    nearest = torch.zeros_like(values)
    for part in _parts(training, data):
        if part.shape[1:] != values.shape[1:]:
            shapes = " and ".join("×".join(map(str, shape)) for shape in (part.shape[1:], values.shape[1:]))
            raise DataError(
                f"the images of {name} are not of the samples' shape any more: {shapes} (channels×height×width)",
                remedy="restore the data that the run was trained on, or drop --neighbours",
            )
        found = nearest_neighbours(_in_numbers_of(part, values, data), part)
        nearer = found.distances < best  # never where it is NaN
        best = torch.where(nearer, found.distances, best)
        nearest[nearer] = data.unpacked(part[found.indices[nearer]]).to(nearest.dtype)
    places = torch.where(best.isfinite(), torch.arange(len(values)), BLANK)
    return nearest, places.numpy()[:, None]


def _parts(training: Tensor | SampleSource, data: DataSpec) -> Iterator[Tensor]:
    """All training images, so many at once that they take little memory."""
    if isinstance(training, Tensor):
        yield training
        return
    read = training.read_parallel if isinstance(training, ParallelSampleSource) else training.read
    step = max(1, _PART_BYTES // data.size)
    for start in range(0, len(training), step):
        with isolated():
            part = read(range(start, min(start + step, len(training)))).values
        yield part


def _in_numbers_of(part: Tensor, values: Tensor, data: DataSpec) -> Tensor:
    """The samples in the training images' numbers, so that these may stay bytes."""
    if part.is_floating_point() or data.value_range is None:
        return values.double()
    low, high = data.value_range
    return (values.double() - low) / (high - low) * 255


def _framed(images: Pixels, places: GridIndices, width: int) -> Pixels:
    """Images below each other, yellow between and around them."""
    column = lay_out(images, places, gap=width)
    framed = np.empty((column.shape[0] + 2 * width, column.shape[1] + 2 * width, 3), np.uint8)
    framed[:] = FRAME
    height = images.shape[1]
    for top in range(0, len(column), height + width):
        framed[width + top : width + top + height, width:-width] = column[top : top + height]
    return framed
