"""Generated images beside their nearest training images, which reveals memorization, as in Figure 2 of Goodfellow et al. 2014."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from ganforge.build.blueprint import resolve_recipe
from ganforge.build.lock import explain_missing_plugins
from ganforge.core.contracts import ParallelSampleSource, SampleSource, StreamingDataset
from ganforge.core.errors import DataError, UsageError, isolated
from ganforge.core.formatting import clean
from ganforge.core.records import Samples
from ganforge.core.specs import DataSpec
from ganforge.figures import Pixels, images
from ganforge.figures.plot_data import find_groups
from ganforge.metrics import nearest_neighbours
from ganforge.recipe.reader import read_recipe
from ganforge.registry.plugin_loader import load_plugins
from ganforge.runs.loaded_generator import rebuild_dataset
from ganforge.storage.run_folder import RunFolder

FRAME = (255, 214, 0)
_SIDE = 1024  # pixels that a sheet is enlarged to, at most
_CHUNK_BYTES = 2**26  # of images of bytes that are read at once


def beside_training_images(samples: Samples, data: DataSpec, folder: RunFolder) -> tuple[bytes, tuple[str, ...]]:
    """:func:`beside_nearest` of all images that a run was trained on, and how these differ from the run's lock."""
    if not data.is_image:
        raise UsageError(
            "nearest training samples can be shown for images only; this run's data are points", remedy="drop --neighbours"
        )
    with explain_missing_plugins(folder.path):
        blueprint = resolve_recipe(read_recipe(folder.resolved), load_plugins())
    found = rebuild_dataset(folder, blueprint.dataset, seed=blueprint.recipe.train.seed)
    name = f"the data set '{blueprint.dataset.component.name}'"
    with isolated():
        training = found.dataset.streamed() if isinstance(found.dataset, StreamingDataset) else found.dataset.training().values
    return beside_nearest(samples, training, data, name=name), found.changes


def beside_nearest(
    samples: Samples, training: Tensor | SampleSource, data: DataSpec, *, name: str = "the data set", note: str = ""
) -> bytes:
    """A sheet as PNG: rows of samples, and framed on the right the training image nearest to the last sample of each row.

    Each label or first categorical code gets its rows. Training images are ``(m, *shape)`` floats or bytes, or a source, which is
    read in chunks. ``name`` is the data set's name for errors, ``note`` a text below the sheet.
    """
    arrangement = images.arrange_by_group(find_groups(samples, data), len(samples))
    # A row's last sample goes to its end, beside its neighbour; blanks go to its beginning.
    order = np.argsort(arrangement.places != images.BLANK, axis=1, kind="stable")
    rows = np.take_along_axis(arrangement.places, order, axis=1)
    nearest, places = _nearest(samples.values[torch.from_numpy(rows[:, -1])], training, data, name)

    limits = images.value_range(data, Samples(torch.cat([samples.values, nearest])))
    gap = max(1, data.shape[1] // 24)
    left = images.lay_out(images.to_pixels(samples, limits), rows, gap=gap)
    left = np.pad(left, ((gap, gap), (0, 2 * gap), (0, 0)), constant_values=255)
    drawn = np.concatenate([left, _framed(images.to_pixels(Samples(nearest), limits), places, gap)], axis=1)
    enlarged, factor = images.enlarge(drawn, _SIDE)
    names, pitch = [clean(name) for name in arrangement.names], factor * (data.shape[1] + gap)
    return images.encode_png(images.add_footer(images.add_captions(enlarged, names, pitch), note))


def _nearest(values: Tensor, training: Tensor | SampleSource, data: DataSpec, name: str) -> tuple[Tensor, images.GridIndices]:
    """The nearest training images, and their places; samples that are not finite have none."""
    best = torch.full((len(values),), torch.inf, dtype=torch.float64)
    nearest = torch.zeros_like(values)
    for part in _chunks(training, data):
        if part.shape[1:] != values.shape[1:]:
            shapes = " and ".join("×".join(map(str, shape)) for shape in (part.shape[1:], values.shape[1:]))
            raise DataError(
                f"the images of {name} no longer have the samples' shape: {shapes} (channels×height×width)",
                remedy="restore the data that the run was trained on, or drop --neighbours",
            )
        found = nearest_neighbours(_in_range_of(part, values, data), part)
        nearer = found.distances < best  # never where it is NaN
        best = torch.where(nearer, found.distances, best)
        nearest[nearer] = data.to_float(part[found.indices[nearer]]).to(nearest.dtype)
    places = torch.where(best.isfinite(), torch.arange(len(values)), images.BLANK)
    return nearest, places.numpy()[:, None]


def _chunks(training: Tensor | SampleSource, data: DataSpec) -> Iterator[Tensor]:
    """All training images, in chunks that take little memory."""
    if isinstance(training, Tensor):
        yield training
        return
    read = training.read_parallel if isinstance(training, ParallelSampleSource) else training.read
    step = max(1, _CHUNK_BYTES // data.size)
    for start in range(0, len(training), step):
        with isolated():
            part = read(range(start, min(start + step, len(training)))).values
        yield part


def _in_range_of(part: Tensor, values: Tensor, data: DataSpec) -> Tensor:
    """The samples in the range of the training images, so that these may stay bytes."""
    if part.is_floating_point() or data.value_range is None:
        return values.double()
    low, high = data.value_range
    return (values.double() - low) / (high - low) * 255


def _framed(pixels: Pixels, places: images.GridIndices, width: int) -> Pixels:
    """Images below each other, with a frame around each."""
    framed = np.pad(images.lay_out(pixels, places, gap=width), ((width, width), (width, width), (0, 0)))
    framed[np.arange(len(framed)) % (pixels.shape[1] + width) < width] = FRAME
    framed[:, :width] = framed[:, -width:] = FRAME
    return framed
