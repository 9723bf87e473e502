"""Drawing with characters: braille dots for points and curves, half blocks for images.

A drawing is a list of lines, each a list of Rich segments.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from rich.color import Color
from rich.console import Console, ConsoleOptions, RenderResult
from rich.segment import Segment
from rich.style import Style

from ganforge.figures import Floats, Pixels

Line = list[Segment]

_SHADES = " ░▒▓█"
_BRAILLE = 0x2800
_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])
"""Bit of each of the 4 × 2 dots in a braille character (Unicode 1.1, U+2800)."""


class Lines:
    """A Rich renderable of finished lines."""

    def __init__(self, lines: Sequence[Line]) -> None:
        self.lines = lines

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """The lines, each followed by a line break."""
        del console, options
        for line in self.lines:
            yield from line
            yield Segment.line()


class Canvas:
    """A grid of ``columns × rows`` characters of 2 × 4 dots each; every dot belongs to a layer.

    A character has one colour, so within a character only the highest layer is visible.

    Args:
        columns: width in characters.
        rows: height in characters.
    """

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.width, self.height = 2 * columns, 4 * rows
        self._layers: NDArray[np.int64] = np.zeros((self.height, self.width), np.int64)

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
        return [_runs(letters, layers, styles) for letters, layers in zip(codes.tolist(), tops.tolist(), strict=True)]


def points_drawing(
    real: Floats, fake: Floats, groups: NDArray[np.int64] | None, limits: Floats, size: tuple[int, int], styles: Sequence[Style]
) -> list[Line]:
    """Real and generated points ``(n, 2)``, with the same scale on both axes.

    Args:
        real: drawn below, in ``styles[0]``.
        fake: drawn above.
        groups: ``(n,)`` group of each generated point, which selects among ``styles[1:]``.
        limits: ``(2, 2)`` ends of both axes.
        size: columns and rows in characters.
        styles: of real points, then of each group.
    """
    canvas = Canvas(*size)
    canvas.dots(*_place(real, limits, canvas), 1)
    finite = np.isfinite(fake).all(1)
    colours = len(styles) - 1
    layers = np.full(len(fake), 2) if groups is None else 2 + groups % colours
    canvas.dots(*_place(fake[finite], limits, canvas), layers[finite])
    return canvas.lines(styles)


def line_drawing(
    data: Floats, generated: Floats, discriminator: Floats | None, size: tuple[int, int], styles: Sequence[Style]
) -> list[Line]:
    """Two densities and D(x): the data as an area, the generated density as a line, D from 0 at the bottom to 1 at the top.

    Args:
        data: ``(2 × columns,)`` density of the data.
        generated: ``(2 × columns,)`` generated density.
        discriminator: ``(2 × columns,)`` D(x), or ``None``.
        size: columns and rows in characters.
        styles: of D = ½, of the data, of the generated density, and of D(x).
    """
    canvas = Canvas(*size)
    tallest = max(float(data.max()), 1e-12) / 0.8  # a higher generated density is clipped at the top
    if discriminator is not None:
        half = np.arange(0, canvas.width, 4)
        canvas.dots(half, np.full(len(half), canvas.height // 2), 1)
    canvas.area(data / tallest, 2)
    canvas.curve(generated / tallest, 3)
    if discriminator is not None:
        canvas.curve(discriminator, 4)
    return canvas.lines(styles)


def image_drawing(picture: Pixels, *, coloured: bool) -> list[Line]:
    """A picture ``(H, W, 3)`` as half blocks, two pixels per character; without colours as characters of different density."""
    if coloured and len(picture) % 2:  # the terminal's background shows below the last row
        return [*image_drawing(picture[:-1], coloured=True), _upper_halves(picture[-1].tolist())]
    if len(picture) % 2:
        picture = np.concatenate([picture, np.zeros_like(picture[:1])])
    upper, lower = picture[0::2], picture[1::2]
    if not coloured:
        shades = (upper.astype(np.int64) + lower).sum(2) * (len(_SHADES) - 1) // (6 * 255)
        return [[Segment("".join(_SHADES[shade] for shade in row))] for row in shades.tolist()]
    return [_half_blocks(above, below) for above, below in zip(upper.tolist(), lower.tolist(), strict=True)]


def shrink(images: Pixels, height: int, width: int) -> Pixels:
    """``(n, h, w, 3)`` images with shrunk pixels, each the mean of the area it covers."""
    means = np.einsum(
        "ih,nhwc,jw->nijc", _weights(images.shape[1], height), images.astype(np.float64), _weights(images.shape[2], width)
    )
    shrunk: Pixels = np.rint(means).astype(np.uint8)
    return shrunk


def _weights(many: int, few: int) -> Floats:
    """``(few, many)``: the weight of each of ``many`` pixels in each of ``few`` equal parts of a line."""
    edges = np.linspace(0, many, few + 1)
    starts, pixels = np.maximum(edges[:-1, None], np.arange(many)), np.minimum(edges[1:, None], np.arange(1, many + 1))
    shares: Floats = np.maximum(pixels - starts, 0) * few / many
    return shares


def _place(points: Floats, limits: Floats, canvas: Canvas) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    extent = limits[:, 1] - limits[:, 0]
    scale = min((canvas.width - 1) / extent[0], (canvas.height - 1) / extent[1])
    middle = limits.mean(1)
    bounded = np.clip((points - middle) * scale, -1e6, 1e6)  # distant points must not overflow as integers
    across = (canvas.width - 1) / 2 + bounded[:, 0]
    down = (canvas.height - 1) / 2 - bounded[:, 1]
    return across.round().astype(np.int64), down.round().astype(np.int64)


def _runs(codes: Sequence[int], layers: Sequence[int], styles: Sequence[Style]) -> Line:
    pairs = groupby(zip(codes, layers, strict=True), key=lambda pair: pair[1])
    return [
        Segment(" " * len(run)) if not layer else Segment("".join(chr(code) for code, _ in run), styles[layer - 1])
        for layer, run in ((layer, list(run)) for layer, run in pairs)
    ]


def _half_blocks(above: Sequence[Sequence[int]], below: Sequence[Sequence[int]]) -> Line:
    runs = [(pair, len(list(run))) for pair, run in groupby(zip(map(tuple, above), map(tuple, below), strict=True))]
    return [
        Segment("▀" * length, Style.from_color(Color.from_rgb(*upper), Color.from_rgb(*lower))) for (upper, lower), length in runs
    ]


def _upper_halves(above: Sequence[Sequence[int]]) -> Line:
    runs = [(pixel, len(list(run))) for pixel, run in groupby(map(tuple, above))]
    return [Segment("▀" * length, Style.from_color(Color.from_rgb(*pixel))) for pixel, length in runs]
