"""The generator's portrait in the terminal: its newest samples beside real ones, drawn with letters."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from rich.segment import Segment

from ganforge.core.events import SamplesDrawn, Started
from ganforge.core.formatting import clean, count
from ganforge.core.records import Samples
from ganforge.figures.densities import estimated_density, mixture_density, probability
from ganforge.figures.history import Floats
from ganforge.figures.image_grid import BLANK, fitted, laid_out
from ganforge.figures.pixels import pixels, value_range
from ganforge.figures.projection import Plane, field_line, flat, groups_of, limits_of, plane_of
from ganforge.terminal import rows
from ganforge.terminal.braille import Line, image_drawing, line_drawing, points_drawing, shrunk

_SIDES = (24, 9)
"""Largest and least side of an image in the terminal, in pixels, to which larger ones are shrunk."""
_SHOWN = 20
"""Images that are shrunk for, until they have their least side."""
_GAP = 64
"""The grey between images: white would outshine them on a dark terminal, black would join them."""
_STYLES = (rows.REAL, *rows.FAKE)


class Portrait:
    """Draws pictures of one run; what follows from the real samples is computed once.

    Args:
        started: how the run began.
    """

    def __init__(self, started: Started) -> None:
        self.started = started
        self._drawn: tuple[tuple[object, ...], list[Line]] | None = None

    def lines(self, picture: SamplesDrawn, size: tuple[int, int], *, coloured: bool) -> list[Line]:
        """The picture in a frame of ``size`` (columns, rows), from memory when nothing changed."""
        key = (picture.iteration, size, coloured)
        if self._drawn is None or self._drawn[0] != key:
            self._drawn = (key, self._framed(picture, size, coloured=coloured))
        return self._drawn[1]

    def rows_wanted(self, columns: int) -> int:
        """Rows that a frame of ``columns`` can make use of."""
        if self.started.data.is_image or self.started.data.size == 1:
            return columns // 2
        across, down = self._plane.limits[:, 1] - self._plane.limits[:, 0]
        return max(6, 2 + int((columns - 2) * float(np.clip(down / across, 0.2, 1.0)) / 2 + 0.5))

    def _framed(self, picture: SamplesDrawn, size: tuple[int, int], *, coloured: bool) -> list[Line]:
        inner = (max(size[0] - 2, 1), max(size[1] - 2, 1))
        if self.started.data.is_image:
            drawing, foot = self._images(picture, inner, coloured=coloured), None
        elif self.started.data.size == 1:
            drawing, foot = self._line(picture, inner), self._line_legend(picture)
        else:
            drawing, foot = self._points(picture, inner), self._points_legend(picture)
        return rows.boxed(drawing, size[0], f"samples at iteration {count(picture.iteration)}", foot)

    def _points(self, picture: SamplesDrawn, size: tuple[int, int]) -> list[Line]:
        groups = groups_of(picture.fake, self.started.data, self.started.latent.categorical)
        return points_drawing(
            self._real,
            self._plane.project(flat(picture.fake)),
            groups.indices if groups else None,
            self._plane.limits,
            size,
            _STYLES,
        )

    def _points_legend(self, picture: SamplesDrawn) -> Line:
        groups = groups_of(picture.fake, self.started.data, self.started.latent.categorical)
        names = groups.names[: len(rows.FAKE)] if groups else ("generated",)
        legend = [Segment(" real", rows.REAL)]
        for name, style in zip(names, rows.FAKE, strict=False):
            legend += [Segment(" · "), Segment(clean(name), style)]
        return [*legend, Segment(" ")]

    def _line(self, picture: SamplesDrawn, size: tuple[int, int]) -> list[Line]:
        low, high = self._span
        points = np.linspace(low, high, 2 * size[0])
        known = self.started.data.density
        data = mixture_density(known, points) if known else estimated_density(self._real[:, 0], points)
        discriminator = None
        if picture.field is not None:
            across, logits = field_line(picture.field)
            discriminator = probability(np.interp(points, across, logits, left=np.nan, right=np.nan))
        generated = estimated_density(flat(picture.fake)[:, 0], points)
        return line_drawing(data, generated, discriminator, size, (rows.DIM, rows.REAL, rows.FAKE[0], rows.CURVE))

    def _line_legend(self, picture: SamplesDrawn) -> Line:
        legend = [Segment(" data", rows.REAL), Segment(" · "), Segment("generated", rows.FAKE[0])]
        if picture.field is not None:
            legend += [Segment(" · "), Segment("D(x), ½ dotted", rows.CURVE)]
        return [*legend, Segment(" ")]

    def _images(self, picture: SamplesDrawn, size: tuple[int, int], *, coloured: bool) -> list[Line]:
        height, width, columns, down = _fitting(self.started.data.shape[1:], (size[0], 2 * size[1]))
        groups = groups_of(picture.fake, self.started.data, self.started.latent.categorical)
        places = fitted(groups, len(picture.fake), columns, down)
        shown = np.unique(places[places != BLANK])  # only these are worth the work
        values = Samples(picture.fake.values[torch.from_numpy(shown)])
        images = shrunk(pixels(values, value_range(self.started.data, self.started.real)), height, width)
        sheet = laid_out(images, np.where(places == BLANK, BLANK, np.searchsorted(shown, places)), shade=_GAP)
        return [rows.centred(line, size[0]) for line in image_drawing(sheet, coloured=coloured)[: size[1]]]

    @cached_property
    def _real(self) -> Floats:
        points = flat(self.started.real)
        return points if points.shape[1] == 1 else self._plane.project(points)

    @cached_property
    def _plane(self) -> Plane:
        return plane_of(self.started.real)

    @cached_property
    def _span(self) -> tuple[float, float]:
        low, high = limits_of(flat(self.started.real))[0]
        return float(low), float(high)


def _fitting(image: tuple[int, ...], room: tuple[int, int]) -> tuple[int, int, int, int]:
    """Height and width of each image in pixels, and columns and rows of them, where ``room`` is so many pixels wide and high.

    Images are as large as lets 20 of them be shown, within :data:`_SIDES`, and never larger than they are.
    """
    own = max(image)
    for side in range(min(own, _SIDES[0]), 0, -1):
        height, width = (max(1, round(length * side / own)) for length in image)
        columns, down = (room[0] + 1) // (width + 1), (room[1] + 1) // (height + 1)
        if columns * down >= _SHOWN or (side <= _SIDES[1] and columns * down):
            return height, width, columns, down
    return 1, 1, 1, 1
