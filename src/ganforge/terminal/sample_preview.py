"""The newest samples beside real ones, drawn with characters: braille dots for points and curves, half blocks for images.

A drawing is a list of lines, each a list of Rich segments.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import groupby, takewhile, zip_longest
from operator import itemgetter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.color import Color
from rich.panel import Panel
from rich.segment import Segment, SegmentLines
from rich.style import Style
from rich.text import Text

from ganforge.core.events import SamplesDrawn, Started
from ganforge.core.formatting import clean
from ganforge.core.records import Samples
from ganforge.figures import Floats, Pixels, plot_data
from ganforge.figures.images import BLANK, fit_grid, lay_out, picture_size, to_pixels, value_range
from ganforge.terminal import palette

Line = list[Segment]

_SIDES = (24, 9)  # largest and smallest side in pixels to which images are shrunk
_SHOWN = 20  # images are shrunk until this many fit, or until they have the smallest side
_GAP = 64  # the grey between images: white would be too bright on a dark terminal, and black images would merge with black
_REAL = Style(dim=True)
_FAKE = tuple(Style(color=colour, bold=True) for colour in palette.GROUPS)
_CURVE = Style(color=palette.WARNING)
_STYLES = (_REAL, *_FAKE)

_SHADES = " ░▒▓█"
_BRAILLE = 0x2800
_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
"""Bit of each of the 4 × 2 dots in a braille character (Unicode 1.1, U+2800)."""


class SamplePreview:
    """Draws the samples of one run; what depends on the real samples is computed once."""

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
        legend: list[tuple[str, Style]] = []
        if self.started.data.is_image:
            drawing = self._images(picture, inner, coloured=coloured)
        elif self.started.data.size == 1:
            drawing, legend = self._line(picture, inner)
        else:
            drawing, legend = self._points(picture, inner, coloured=coloured)
        title = f"samples at iteration {picture.iteration:,}"
        subtitle = _fitted_legend(legend, max(size[0] - 6, 1)) if legend else None
        return Panel(
            SegmentLines(drawing, new_lines=True), title=title, title_align="left", subtitle=subtitle, subtitle_align="left",
            border_style=_REAL, padding=0, width=size[0],
        )  # fmt: skip

    def _points(
        self, picture: SamplesDrawn, size: tuple[int, int], *, coloured: bool
    ) -> tuple[list[Line], list[tuple[str, Style]]]:
        canvas = Canvas(*size)
        canvas.points(self._real, self._plane.limits, 1)
        points = self._plane.project(plot_data.flatten(picture.fake))
        groups = plot_data.find_groups(picture.fake, self.started.data) if coloured else None
        layers = 2 + (groups.indices % len(_FAKE) if groups else np.zeros(len(points), np.int64))
        finite = np.isfinite(points).all(1)
        canvas.points(points[finite], self._plane.limits, layers[finite])
        own = [clean(name) for name in groups.names] if groups else ["generated"]
        names = ("real", *("/".join(own[index :: len(_FAKE)]) for index in range(min(len(own), len(_FAKE)))))
        return canvas.lines(_STYLES), list(zip(names, _STYLES, strict=False))

    def _line(self, picture: SamplesDrawn, size: tuple[int, int]) -> tuple[list[Line], list[tuple[str, Style]]]:
        """The density of the data as an area, the generated one as a line; D from 0 at the bottom to 1 at the top."""
        canvas, legend = Canvas(*size), [("data", _REAL), ("generated", _FAKE[0])]
        low, high = plot_data.axis_limits(self._real)[0].tolist()
        points = np.linspace(low, high, canvas.width)
        data = plot_data.data_density(self.started.data, self._real[:, 0], points)
        tallest = max(float(data.max()), 1e-12) / 0.8  # a higher generated density is clipped at the top
        canvas.area(data / tallest, 1)
        canvas.curve(plot_data.estimate_density(plot_data.flatten(picture.fake)[:, 0], points) / tallest, 2)
        if picture.logit_grid is not None:
            half = np.arange(0, canvas.width, 4)
            canvas.dots(half, np.full(len(half), canvas.height // 2), 1)
            across, logits = plot_data.grid_logits(picture.logit_grid)
            canvas.curve(plot_data.probability(np.interp(points, across, logits, left=np.nan, right=np.nan)), 3)
            legend.append(("D(x), ½ dotted", _CURVE))
        return canvas.lines((_REAL, _FAKE[0], _CURVE)), legend

    def _images(self, picture: SamplesDrawn, size: tuple[int, int], *, coloured: bool) -> list[Line]:
        height, width, columns, down = _fit_images(picture_size(self.started.data.shape), (size[0], 2 * size[1]))
        groups = plot_data.find_groups(picture.fake, self.started.data)
        places = fit_grid(groups, len(picture.fake), columns, down)
        shown = np.unique(places[places != BLANK])  # convert only the images that are shown
        values = Samples(picture.fake.values[torch.from_numpy(shown)])
        images = shrink(to_pixels(values, value_range(self.started.data, self.started.real)), height, width)
        sheet = lay_out(images, np.where(places == BLANK, BLANK, np.searchsorted(shown, places)), shade=_GAP)
        margin = Segment(" " * max(0, (size[0] - sheet.shape[1]) // 2))
        return [[margin, *line] for line in image_drawing(sheet, coloured=coloured)[: size[1]]]

    @cached_property
    def _real(self) -> Floats:
        points = plot_data.flatten(self.started.real)
        return points if points.shape[1] == 1 else self._plane.project(points)

    @cached_property
    def _plane(self) -> plot_data.Projection:
        return plot_data.fit_projection(self.started.real)


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


class Canvas:
    """A grid of ``columns × rows`` characters of 2 × 4 dots each; every dot belongs to a layer.

    A character has one colour, so within a character only the highest layer is visible.
    """

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.width, self.height = 2 * columns, 4 * rows
        self._layers: NDArray[np.int64] = np.zeros((self.height, self.width), np.int64)

    def points(self, points: Floats, limits: Floats, layer: int | NDArray[np.int64]) -> None:
        """Set a dot for each of the ``(n, 2)`` points within ``(2, 2)`` limits, with the same scale on both axes."""
        scale = ((self.width - 1, self.height - 1) / (limits[:, 1] - limits[:, 0])).min()
        bounded = np.clip((points - limits.mean(1)) * scale, -1e6, 1e6)  # distant points must not overflow as integers
        middle = np.array([self.width - 1, self.height - 1]) / 2
        across, down = (middle + bounded * (1, -1)).round().astype(np.int64).T
        self.dots(across, down, layer)

    def dots(self, across: NDArray[np.int64], down: NDArray[np.int64], layer: int | NDArray[np.int64]) -> None:
        """Set dots of ``layer`` (from 1) at ``(n,)`` columns and rows of dots; dots outside the canvas are ignored."""
        inside = (across >= 0) & (across < self.width) & (down >= 0) & (down < self.height)
        chosen = np.broadcast_to(layer, across.shape)[inside]
        np.maximum.at(self._layers, (down[inside], across[inside]), chosen)

    def curve(self, heights: Floats, layer: int) -> None:
        """A line through one height in [0, 1] per column of dots ``(width,)``, from the bottom; NaN leaves a gap."""
        known = np.isfinite(heights)
        down = np.where(known, (1 - np.clip(np.nan_to_num(heights), 0, 1)) * (self.height - 1), 0).round().astype(np.int64)
        for column in np.flatnonzero(known):
            start, end = down[column - 1] if column and known[column - 1] else down[column], down[column]
            step = 1 if end >= start else -1
            span = np.arange(start + step, end + step, step) if start != end else down[column : column + 1]
            self.dots(np.full(len(span), column), span, layer)

    def area(self, heights: Floats, layer: int) -> None:
        """Fill the area under a curve with a light pattern of dots."""
        down = (1 - np.clip(heights, 0, 1)) * (self.height - 1)
        rows, columns = np.indices((self.height, self.width))
        filled = (rows >= down) & ((rows + columns) % 2 == 0)
        self.dots(columns[filled], rows[filled], layer)

    def lines(self, styles: Sequence[Style]) -> list[Line]:
        """The canvas as lines; ``styles[layer - 1]`` is the style of a layer."""
        cells = self._layers.reshape(self.rows, 4, self.columns, 2).transpose(0, 2, 1, 3)  # (rows, columns, 4, 2)
        tops = cells.max(axis=(2, 3))  # (rows, columns)
        shown = (cells == tops[..., None, None]) & (cells > 0)
        codes = _BRAILLE + (shown * _DOTS).sum(axis=(2, 3))
        return [_braille(letters, layers, styles) for letters, layers in zip(codes.tolist(), tops.tolist(), strict=True)]


def image_drawing(picture: Pixels, *, coloured: bool) -> list[Line]:
    """A picture ``(H, W, 3)`` as half blocks, two pixels per character; without colours as characters of different density."""
    lines = picture.tolist()
    if coloured:  # the terminal's background shows below the last row of an odd number
        return [_half_blocks(*pair) for pair in zip_longest(lines[::2], lines[1::2], fillvalue=[None] * picture.shape[1])]
    padded = np.pad(picture.astype(np.int64), ((0, len(picture) % 2), (0, 0), (0, 0)))
    shades = (padded[0::2] + padded[1::2]).sum(2) * (len(_SHADES) - 1) // (6 * 255)
    return [[Segment("".join(_SHADES[shade] for shade in row))] for row in shades.tolist()]


def shrink(images: Pixels, height: int, width: int) -> Pixels:
    """``(n, h, w, 3)`` images with shrunk pixels, each a mean over the area that it covers."""
    small = [Image.fromarray(image).resize((width, height), Image.Resampling.HAMMING) for image in images]
    return np.stack([np.asarray(image) for image in small])


def _braille(codes: Sequence[int], layers: Sequence[int], styles: Sequence[Style]) -> Line:
    runs = [(layer, list(run)) for layer, run in groupby(zip(codes, layers, strict=True), key=itemgetter(1))]
    return [
        Segment("".join(chr(code) for code, _ in run), styles[layer - 1]) if layer else Segment(" " * len(run))
        for layer, run in runs
    ]


def _half_blocks(above: Sequence[Any], below: Sequence[Any]) -> Line:
    """A line of characters; ``below`` consists of ``None`` where there are no pixels."""
    runs = [(pair, len(list(run))) for pair, run in groupby(zip(above, below, strict=True))]
    return [Segment("▀" * length, Style.from_color(*(pixel and Color.from_rgb(*pixel) for pixel in pair))) for pair, length in runs]


def _fitted_legend(legend: list[tuple[str, Style]], width: int) -> Text:
    """The names in their styles; without room for all, those after the first lack what it begins with too: ``code 0 = 0 · 1``."""
    text = Text(" · ").join(Text(name, style) for name, style in legend)
    groups = [name.split(" ") for name, style in legend if style is not _REAL]
    shared = " ".join(words[0] for words in takewhile(lambda words: len(set(words)) == 1, zip(*groups, strict=False)))
    if text.cell_len > width and groups[1:] and shared:
        first = " ".join(groups[0])
        short = [name if name == first else name.removeprefix(f"{shared} ") for name, _ in legend]
        text = Text(" · ").join(Text(name, style) for name, (_, style) in zip(short, legend, strict=True))
    text.truncate(width, overflow="ellipsis")
    return text
