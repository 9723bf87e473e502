"""The newest samples beside real ones, drawn in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from rich.panel import Panel
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from ganforge.core.events import SamplesDrawn, Started
from ganforge.core.formatting import clean, count
from ganforge.core.records import Samples
from ganforge.figures import Floats
from ganforge.figures.images import BLANK, fit_grid, lay_out, to_pixels, value_range
from ganforge.figures.plot_data import (
    Projection,
    axis_limits,
    estimate_density,
    find_groups,
    fit_projection,
    flatten,
    line_logits,
    mixture_density,
    probability,
)
from ganforge.terminal.braille import Line, Lines, image_drawing, line_drawing, points_drawing, shrink

_SIDES = (24, 9)
"""Largest and smallest side in pixels to which images are shrunk."""
_SHOWN = 20
"""Images are shrunk until this many fit, or until they have the smallest side."""
_GAP = 64
"""The grey between images: white would be too bright on a dark terminal, and black images would merge with black."""
_REAL = Style(dim=True)
_FAKE = tuple(Style(color=f"bright_{name}", bold=True) for name in ("cyan", "magenta", "yellow", "green", "red", "blue"))
_CURVE = Style(color="yellow")
_STYLES = (_REAL, *_FAKE)


class SamplePreview:
    """Draws the samples of one run; what depends on the real samples is computed once.

    Args:
        started: how the run started.
    """

    def __init__(self, started: Started) -> None:
        self.started = started
        self._drawn: tuple[tuple[object, ...], Panel] | None = None

    def panel(self, picture: SamplesDrawn, size: tuple[int, int], *, coloured: bool) -> Panel:
        """The samples in a frame of ``size`` (columns, rows), cached while nothing changes."""
        key = (picture.iteration, size, coloured)
        if self._drawn is None or self._drawn[0] != key:
            self._drawn = (key, self._draw(picture, size, coloured=coloured))
        return self._drawn[1]

    def rows_wanted(self, columns: int) -> int:
        """Rows that a frame of ``columns`` can use."""
        if self.started.data.is_image or self.started.data.size == 1:
            return columns // 2
        across, down = self._plane.limits[:, 1] - self._plane.limits[:, 0]
        return max(6, 2 + int((columns - 2) * float(np.clip(down / across, 0.2, 1.0)) / 2 + 0.5))

    def _draw(self, picture: SamplesDrawn, size: tuple[int, int], *, coloured: bool) -> Panel:
        inner = (max(size[0] - 2, 1), max(size[1] - 2, 1))
        if self.started.data.is_image:
            drawing, legend = self._images(picture, inner, coloured=coloured), None
        elif self.started.data.size == 1:
            drawing, legend = self._line(picture, inner), self._line_legend(picture)
        else:
            drawing, legend = self._points(picture, inner), self._points_legend(picture)
        return Panel(
            Lines(drawing), title=f"samples at iteration {count(picture.iteration)}", title_align="left", subtitle=legend,
            subtitle_align="left", border_style=_REAL, padding=0, width=size[0],
        )  # fmt: skip

    def _points(self, picture: SamplesDrawn, size: tuple[int, int]) -> list[Line]:
        groups = find_groups(picture.fake, self.started.data, self.started.latent.categorical)
        return points_drawing(
            self._real,
            self._plane.project(flatten(picture.fake)),
            groups.indices if groups else None,
            self._plane.limits,
            size,
            _STYLES,
        )

    def _points_legend(self, picture: SamplesDrawn) -> Text:
        groups = find_groups(picture.fake, self.started.data, self.started.latent.categorical)
        names = groups.names[: len(_FAKE)] if groups else ("generated",)
        return _legend([("real", _REAL), *((clean(name), style) for name, style in zip(names, _FAKE, strict=False))])

    def _line(self, picture: SamplesDrawn, size: tuple[int, int]) -> list[Line]:
        low, high = self._span
        points = np.linspace(low, high, 2 * size[0])
        known = self.started.data.density
        data = mixture_density(known, points) if known else estimate_density(self._real[:, 0], points)
        discriminator = None
        if picture.logit_grid is not None:
            across, logits = line_logits(picture.logit_grid)
            discriminator = probability(np.interp(points, across, logits, left=np.nan, right=np.nan))
        generated = estimate_density(flatten(picture.fake)[:, 0], points)
        return line_drawing(data, generated, discriminator, size, (_REAL, _REAL, _FAKE[0], _CURVE))

    def _line_legend(self, picture: SamplesDrawn) -> Text:
        entries = [("data", _REAL), ("generated", _FAKE[0])]
        return _legend([*entries, ("D(x), ½ dotted", _CURVE)] if picture.logit_grid is not None else entries)

    def _images(self, picture: SamplesDrawn, size: tuple[int, int], *, coloured: bool) -> list[Line]:
        height, width, columns, down = _fit_images(self.started.data.shape[1:], (size[0], 2 * size[1]))
        groups = find_groups(picture.fake, self.started.data, self.started.latent.categorical)
        places = fit_grid(groups, len(picture.fake), columns, down)
        shown = np.unique(places[places != BLANK])  # convert only the images that are shown
        values = Samples(picture.fake.values[torch.from_numpy(shown)])
        images = shrink(to_pixels(values, value_range(self.started.data, self.started.real)), height, width)
        sheet = lay_out(images, np.where(places == BLANK, BLANK, np.searchsorted(shown, places)), shade=_GAP)
        margin = Segment(" " * max(0, (size[0] - sheet.shape[1]) // 2))
        return [[margin, *line] for line in image_drawing(sheet, coloured=coloured)[: size[1]]]

    @cached_property
    def _real(self) -> Floats:
        points = flatten(self.started.real)
        return points if points.shape[1] == 1 else self._plane.project(points)

    @cached_property
    def _plane(self) -> Projection:
        return fit_projection(self.started.real)

    @cached_property
    def _span(self) -> tuple[float, float]:
        low, high = axis_limits(flatten(self.started.real))[0]
        return float(low), float(high)


def _legend(entries: Sequence[tuple[str, Style]]) -> Text:
    return Text(" · ").join(Text(name, style) for name, style in entries)


def _fit_images(image: tuple[int, ...], room: tuple[int, int]) -> tuple[int, int, int, int]:
    """Height and width of each image in pixels, and columns and rows of images, for a ``room`` of width × height pixels.

    Images are as large as possible with 20 of them visible, within :data:`_SIDES`, and never enlarged.
    """
    own = max(image)
    for side in range(min(own, _SIDES[0]), 0, -1):
        height, width = (max(1, round(length * side / own)) for length in image)
        columns, down = (room[0] + 1) // (width + 1), (room[1] + 1) // (height + 1)
        if columns * down >= _SHOWN or (side <= _SIDES[1] and columns * down):
            return height, width, columns, down
    return 1, 1, 1, 1
