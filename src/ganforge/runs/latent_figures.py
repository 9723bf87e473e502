"""Walks and their samples drawn: of images sheets and animations, of points their paths through the plane."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from PIL import Image

from ganforge.callbacks.animation import animated
from ganforge.core.formatting import clean
from ganforge.core.records import Samples
from ganforge.core.specs import DataSpec
from ganforge.figures import mpl_style
from ganforge.figures.history import Floats
from ganforge.figures.image_grid import captioned, laid_out, reading_order
from ganforge.figures.pixels import Bytes, enlarged, fitting_factor, pixels, value_range
from ganforge.figures.projection import Plane, flat, limits_of, plane_of
from ganforge.runs.interpolation import Walk

_SHEET_SIDE, _FRAME_SIDE = 1024, 480  # pixels that a sheet and a frame of images are enlarged to, at most
_IMAGES_PACE, _POINTS_PACE = 80, 60  # milliseconds of each frame
_PAGE, _SCREEN = 6.4, 4.8  # inches: width of paths as a picture, and of a frame of them, which costs by its pixels


def png(walk: Walk, samples: Samples, data: DataSpec, cloud: Samples | None, title: str) -> bytes:
    """A walk as a picture: a row of images each, or a path each over the ``cloud`` of other samples.

    Args:
        walk: what the samples were made from.
        samples: one for each latent of the walk, in the data's own units.
        data: the data's spec.
        cloud: of points, what is drawn below the paths; not used for images.
        title: stands above paths.
    """
    if not data.is_image:
        return mpl_style.png(_Paths(walk, samples, data, cloud, title, _PAGE).whole())
    places = reading_order(len(samples), walk.columns).places
    drawn = laid_out(pixels(samples, value_range(data, samples)), places)
    factor = fitting_factor(drawn, _SHEET_SIDE)
    return mpl_style.png(captioned(enlarged(drawn, factor), [clean(name) for name in walk.names], factor * (data.shape[1] + 1)))


def gif(walk: Walk, samples: Samples, data: DataSpec, cloud: Samples | None, title: str) -> bytes:
    """A walk as an animation there and back: a frame for each column. Arguments as for :func:`png`."""
    if data.is_image:
        frames = [Image.fromarray(frame) for frame in _image_frames(walk, samples, data)]
        if data.shape[0] != 3:
            frames = [frame.convert("L") for frame in frames]
        return animated(frames, pace=_IMAGES_PACE, back=True, colours=256)
    paths = _Paths(walk, samples, data, cloud, title, _SCREEN)
    return animated([Image.fromarray(frame) for frame in paths.frames()], pace=_POINTS_PACE, back=True)


def _image_frames(walk: Walk, samples: Samples, data: DataSpec) -> Iterator[Bytes]:
    """Of each column, the images of all rows: below each other with their names, or about square."""
    images = pixels(samples, value_range(data, samples))
    rows = len(walk.names)
    places = reading_order(rows).places
    for column in range(walk.columns):
        drawn = laid_out(images[column :: walk.columns], places)
        yield enlarged(drawn, fitting_factor(drawn, _FRAME_SIDE))


class _Paths:
    """Paths through the plane of the data, or for numbers over the way that is gone."""

    def __init__(self, walk: Walk, samples: Samples, data: DataSpec, cloud: Samples | None, title: str, width: float) -> None:
        values = flat(samples)
        values[~np.isfinite(values)] = np.nan  # infinities would be multiplied by zero
        if data.size == 1:
            way = np.tile(np.linspace(0, 1, walk.columns), len(walk.names))
            points, ground = np.column_stack([way, values[:, 0]]), np.zeros((0, 2))
            plane = Plane(np.zeros(2), np.eye(2), np.zeros((2, 2)), ("share of the way", "x"))
        else:
            plane = plane_of(Samples(torch.from_numpy(_finite(values if cloud is None else flat(cloud)))))
            points, ground = plane.project(values), np.zeros((0, 2)) if cloud is None else plane.project(_finite(flat(cloud)))
        self._rows: Floats = points.reshape(len(walk.names), walk.columns, 2)
        self._limits = limits_of(np.concatenate([_finite(points), ground]))
        across, down = self._limits[:, 1] - self._limits[:, 0]
        names = list(dict.fromkeys(walk.names)) if any(walk.names) else []
        self._key = mpl_style.key([clean(name) for name in names], 0.85 * width) if names else None
        head = 0.55 + (self._key.height if self._key else 0.0)
        height = 0.6 + head + 0.83 * width * (float(np.clip(down / across, 0.4, 1.0)) if data.size > 1 else 0.6)
        self._page, self._axes = mpl_style.figure(width, height)
        self._page.subplots_adjust(left=0.12, right=0.97, bottom=0.55 / height, top=1 - head / height)
        mpl_style.headed(self._page, clean(title), left=0.12, right=0.97, top=1 - 0.25 / height)
        self._draw(walk, plane, ground, equal=data.size > 1)

    def whole(self) -> Bytes:
        """All paths, with a dot at each end."""
        for row, colour in zip(self._rows, self._colours, strict=True):
            self._axes.plot(*row[:1].T, "o", color="white", markeredgecolor=colour, markersize=5, zorder=3)
            self._axes.plot(*row[-1:].T, "o", color=colour, markersize=5, zorder=3)
        return mpl_style.pixels_of(self._page)

    def frames(self) -> Iterator[Bytes]:
        """The paths, with a dot of each at every step."""
        dots = self._axes.scatter([0.0] * len(self._rows), [0.0] * len(self._rows), s=36, c=self._colours, edgecolors="white")
        blit = mpl_style.Blit(self._page)
        for step in range(self._rows.shape[1]):
            dots.set_offsets(self._rows[:, step])
            yield blit.pixels([dots])

    def _draw(self, walk: Walk, plane: Plane, ground: Floats, *, equal: bool) -> None:
        axes: Any = self._axes
        kinds = list(dict.fromkeys(walk.names)) if any(walk.names) else [""] * len(walk.names)
        shades = [kinds.index(name) if name else at for at, name in enumerate(walk.names)]
        self._colours = [mpl_style.GROUPS[shade % len(mpl_style.GROUPS)] for shade in shades]
        axes.scatter(*ground.T, s=7, color=mpl_style.REAL, linewidths=0, alpha=0.6)
        for row, colour in zip(self._rows, self._colours, strict=True):
            axes.plot(*row.T, color=colour, linewidth=1.6)
        axes.set(xlim=self._limits[0], ylim=self._limits[1], xlabel=plane.names[0], ylabel=plane.names[1])
        if equal:
            axes.set_aspect("equal", adjustable="box", anchor="NW")  # below title and legend, which begin at the left
        if self._key is not None:
            self._key.draw(axes, [axes.lines[walk.names.index(name)] for name in kinds[: mpl_style.KEY_MOST]])


def _finite(points: Floats) -> Floats:
    """Those of ``(n, d)`` points that can be drawn; the origin where there are none."""
    kept: Floats = points[np.isfinite(points).all(axis=1)]
    return kept if len(kept) else np.zeros((1, points.shape[1]))
