"""Figures of a generator's latent space: interpolations and traversals, as sheets and animations of images, or paths of points."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ganforge.core.formatting import clean
from ganforge.core.records import Latent, Samples
from ganforge.core.specs import DataSpec
from ganforge.figures import Floats, images, mpl_style
from ganforge.figures.plot_data import axis_limits, find_groups, fit_projection, flatten
from ganforge.runs.latent_grids import LatentGrid, Method, default_method, interpolate, interpolate_through, traverse
from ganforge.runs.loaded_generator import LoadedGenerator
from ganforge.runs.sample_files import check_paths
from ganforge.storage import atomic_files

FORMATS = (".png", ".gif")
ROWS = 8
"""Default rows of a figure."""
_STEPS = {".png": 10, ".gif": 24}  # of a row
_LINE_STEPS = 100  # of a path that is drawn as a line
_LEGS = 5  # latents that a path of points goes through
_CLOUD = 1000  # samples drawn below paths
_SHEET_SIDE, _FRAME_SIDE = 1024, 480  # pixels that a sheet and a frame of images are enlarged to, at most
_IMAGES_PACE, _POINTS_PACE = 80, 60  # milliseconds of each frame
_PAGE, _SCREEN = 6.4, 4.8  # inches: width of paths as a picture, and of a frame of them, which costs by its pixels


def interpolation(
    generator: LoadedGenerator, ends: Latent, ending: str, *, steps: int | None = None, method: Method | None = None
) -> bytes:
    """Interpolate from each of ``ends`` with an even index to the next one, in order of their labels or first categorical codes.

    The noise follows ``method``, by default :func:`default_method`; ``steps`` include both ends.
    """
    starts, stops = ends[0::2], ends[1::2]
    order, names = _ordered(starts, generator.data)
    steps, method = steps or _steps(generator.data, ending), method or default_method(generator.sampler)
    grid = interpolate(starts[order], stops[order], steps, method, names)
    return _draw(generator, grid, ending, "interpolation between latents")


def traversal(
    generator: LoadedGenerator,
    drawn: Latent,
    ending: str,
    *,
    steps: int | None = None,
    rows: int = ROWS,
    code: int | None = None,
    noise: int | None = None,
    hold_label: bool = False,
) -> bytes:
    """Vary one input and hold all others: :func:`ganforge.runs.latent_grids.traverse`.

    On a sheet of images, each column of labels and categorical codes has its own latent. In an animation, and where paths are
    drawn, the columns are steps of one interpolation: between two latents, or for paths through several. ``drawn`` are at least
    two latents, repeated where more are needed; ``rows`` counts where neither labels nor codes make rows.
    """
    data, columns = generator.data, steps or _steps(generator.data, ending)
    if data.is_image and ending == ".png":
        across = drawn[torch.arange(columns) % len(drawn)]
    else:
        legs = 1 if data.is_image else min(_LEGS, len(drawn) - 1)
        across = interpolate_through(drawn[: legs + 1], columns, default_method(generator.sampler))
    down = drawn[torch.arange(rows) % len(drawn)]
    grid = traverse(across, down, generator.sampler, data, code=code, noise=noise, hold_label=hold_label)
    return _draw(generator, grid, ending, "one input varied, all others held")


def write_figures(paths: Sequence[Path], draw: Callable[[str], bytes]) -> None:
    """Write a figure in the format of each path's ending; ``draw`` takes ``".png"`` or ``".gif"``."""
    check_paths(paths, FORMATS)
    for path in paths:
        atomic_files.write_bytes(path, draw(path.suffix.lower()))


def _draw(generator: LoadedGenerator, grid: LatentGrid, ending: str, title: str) -> bytes:
    samples, data = generator.generate(grid.latent), generator.data
    if data.is_image:
        return (_image_gif if ending == ".gif" else _image_sheet)(grid, samples, data)
    cloud = None
    if data.size > 1:
        cloud = flatten(generator.generate(generator.latents(_CLOUD, torch.Generator().manual_seed(0))))
    axes, rows, colours = _draw_paths(grid, flatten(samples), cloud, title, _PAGE if ending == ".png" else _SCREEN)
    return _path_gif(axes, rows, colours) if ending == ".gif" else _path_sheet(axes, rows, colours)


def _steps(data: DataSpec, ending: str) -> int:
    return _STEPS[ending] if data.is_image or ending == ".gif" else _LINE_STEPS


def _ordered(latent: Latent, data: DataSpec) -> tuple[torch.Tensor, tuple[str, ...]]:
    """Indices in the order of labels or codes, and the names of rows where these differ."""
    groups = find_groups(Samples(latent.noise, latent.labels, latent), data)
    if groups is None or len(np.unique(groups.indices)) < 2:
        return torch.arange(len(latent)), ("",) * len(latent)
    order = np.argsort(groups.indices, kind="stable")
    return torch.from_numpy(order), tuple(groups.names[group] for group in groups.indices[order])


def _image_sheet(grid: LatentGrid, samples: Samples, data: DataSpec) -> bytes:
    arrangement = images.Arrangement(images.arrange_in_order(len(samples), grid.columns).places, grid.names)
    return images.encode_png(images.draw_grid(samples, images.value_range(data, samples), arrangement, _SHEET_SIDE))


def _image_gif(grid: LatentGrid, samples: Samples, data: DataSpec) -> bytes:
    """Forth and back, a frame for each column, in which the images of all rows are about square."""
    pixels, places = images.to_pixels(samples, images.value_range(data, samples)), images.arrange_in_order(len(grid.names)).places
    sheets = (images.lay_out(pixels[column :: grid.columns], places) for column in range(grid.columns))
    frames = [Image.fromarray(images.enlarge(sheet, _FRAME_SIDE)[0]) for sheet in sheets]
    if data.shape[0] not in (3, 4):
        frames = [frame.convert("L") for frame in frames]
    return images.encode_gif(frames, pace=_IMAGES_PACE, back=True, colours=256)


def _path_sheet(axes: Any, rows: Floats, colours: Sequence[str]) -> bytes:
    """All paths, with a dot at each end."""
    for row, colour in zip(rows, colours, strict=True):
        axes.plot(*row[:1].T, "o", color="white", markeredgecolor=colour, markersize=5, zorder=3)
        axes.plot(*row[-1:].T, "o", color=colour, markersize=5, zorder=3)
    return images.encode_png(mpl_style.render(axes.figure))


def _path_gif(axes: Any, rows: Floats, colours: Sequence[str]) -> bytes:
    """The paths, with a dot on each at every step, forth and back."""
    dots = axes.scatter([0.0] * len(rows), [0.0] * len(rows), s=36, c=colours, edgecolors="white")
    blit, frames = mpl_style.BlitRenderer(axes.figure), []
    for step in range(rows.shape[1]):
        dots.set_offsets(rows[:, step])
        frames.append(Image.fromarray(blit.draw([dots])))
    return images.encode_gif(frames, pace=_POINTS_PACE, back=True)


def _draw_paths(grid: LatentGrid, values: Floats, cloud: Floats | None, title: str, width: float) -> tuple[Any, Floats, list[str]]:
    """Paths through the plane of the data over a cloud of samples; of one-dimensional data over the share of the way.

    Returns:
        The axes; ``(rows, columns, 2)`` points; the colour of each row.
    """
    values[~np.isfinite(values)] = np.nan  # infinities would be multiplied by zero
    if cloud is None:
        way = np.tile(np.linspace(0, 1, grid.columns), len(grid.names))
        points, ground, labels = np.column_stack([way, values[:, 0]]), np.zeros((0, 2)), ("share of the way", "x")
    else:
        plane = fit_projection(Samples(torch.from_numpy(_finite(cloud))))
        points, ground, labels = plane.project(values), plane.project(_finite(cloud)), plane.names
    limits = axis_limits(np.concatenate([_finite(points), ground]))
    across, down = limits[:, 1] - limits[:, 0]
    ratio = 0.6 if cloud is None else float(np.clip(down / across, 0.4, 1.0))

    names = list(dict.fromkeys(grid.names)) if any(grid.names) else []
    axes, key = mpl_style.titled_axes(clean(title), [clean(name) for name in names], width, 0.83 * width * ratio)
    colours = [mpl_style.GROUPS[(names.index(name) if names else at) % len(mpl_style.GROUPS)] for at, name in enumerate(grid.names)]
    axes.scatter(*ground.T, s=7, color=mpl_style.REAL, linewidths=0, alpha=0.6)
    rows: Floats = points.reshape(len(grid.names), grid.columns, 2)
    lines = [axes.plot(*row.T, color=colour, linewidth=1.6)[0] for row, colour in zip(rows, colours, strict=True)]
    axes.set(xlim=limits[0], ylim=limits[1], xlabel=labels[0], ylabel=labels[1])
    if cloud is not None:
        axes.set_aspect("equal", adjustable="box", anchor="NW")  # below title and legend, which begin at the left
    if key is not None:
        key.draw(axes, [lines[grid.names.index(name)] for name in names])
    return axes, rows, colours


def _finite(points: Floats) -> Floats:
    """Those of ``(n, d)`` points that can be drawn; the origin where there are none."""
    kept: Floats = points[np.isfinite(points).all(axis=1)]
    return kept if len(kept) else np.zeros((1, points.shape[1]))
