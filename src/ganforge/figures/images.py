"""Images: from sample values to pixels, arranged on a grid, encoded as PNG and GIF."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ganforge.core.formatting import clean
from ganforge.core.records import Samples
from ganforge.core.specs import DataSpec
from ganforge.figures import Pixels
from ganforge.figures.plot_data import Groups

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_GROUPS = 20
"""With more groups than this, groups no longer get rows of their own."""
BLANK = -1

GridIndices = NDArray[np.int64]
"""``(rows, columns)`` index of the image in each cell; :data:`BLANK` where a cell is empty."""

_WHITE = 255
_TEXT_COLOUR = (90, 98, 108)
_FONT_SIZES = (9, 15)  # pixels: smallest size of captions, and that of footers
_LEGIBLE = 1 / 26  # of a picture's width: size of captions that can be read on a phone, where 330 pixels show the picture
_WIDEST = 1 / 3  # of a picture's width: space that captions take at most for larger letters than the smallest
_PALETTE_SIZE = 96


@dataclass(frozen=True, slots=True)
class Arrangement:
    """A grid of images before it is drawn, with the label of each row or an empty string."""

    places: GridIndices
    names: tuple[str, ...]


def value_range(data: DataSpec, samples: Samples) -> tuple[float, float]:
    """The smallest and largest value of an image: as declared, else the extremes of the finite values in ``samples``."""
    if data.value_range is not None:
        return data.value_range
    finite = samples.values[samples.values.isfinite()] if samples.values.is_floating_point() else samples.values
    low, high = (float(finite.min()), float(finite.max())) if finite.numel() else (0.0, 1.0)
    return (low, high) if high > low else (low, low + 1.0)


def to_pixels(samples: Samples, limits: tuple[float, float]) -> Pixels:
    """``(n, c, h, w)`` values in ``limits`` → ``(n, h, w, 3)`` bytes; values outside are clipped, NaN becomes black.

    One channel becomes grey. Of two or four channels, the last is alpha, composed over white. Five or more are shown in grey,
    side by side: ``(n, h, c · w, 3)``.
    """
    low, high = limits
    values = samples.values.detach().double().numpy()
    shades = np.clip(np.nan_to_num((values - low) / (high - low), nan=0.0), 0.0, 1.0)
    if shades.shape[1] in (2, 4):
        shades = shades[:, :-1] * shades[:, -1:] + (1 - shades[:, -1:])
    if shades.shape[1] > 4:
        shades = np.concatenate(np.split(shades, shades.shape[1], axis=1), axis=3)
    bytes_ = np.rint(255 * shades).astype(np.uint8).transpose(0, 2, 3, 1)  # (n, h, w, c)
    return bytes_ if bytes_.shape[3] == 3 else np.repeat(bytes_[..., :1], 3, axis=3)


def picture_size(shape: tuple[int, ...]) -> tuple[int, int]:
    """Height and width of what :func:`to_pixels` shows of an image ``(c, h, w)``."""
    channels, height, width = shape
    return height, width * channels if channels > 4 else width


def enlarge(picture: Pixels, side: int) -> tuple[Pixels, int]:
    """The picture enlarged by the largest integer factor at which it stays within ``side`` pixels, at least 1; and the factor."""
    factor = max(1, side // int(max(picture.shape[:2])))
    return picture.repeat(factor, axis=0).repeat(factor, axis=1), factor


def arrange_in_order(count: int, columns: int | None = None) -> Arrangement:
    """``count`` images in reading order; the grid is roughly square unless ``columns`` is given."""
    columns = columns or max(1, math.ceil(math.sqrt(count)))
    rows = math.ceil(count / columns)
    places = np.full(rows * columns, BLANK, np.int64)
    places[:count] = np.arange(count)
    return Arrangement(places.reshape(rows, columns), ("",) * rows)


def arrange_by_group(groups: Groups | None, count: int) -> Arrangement:
    """All ``count`` images, each group starting a new row; as many rows per group as make the grid roughly square."""
    members = _members(groups)
    if members is None:
        return arrange_in_order(count)
    if len(members) > MAX_GROUPS:
        places = _place(np.concatenate([indices for _, indices in members]))
        return Arrangement(places, ("",) * len(places))
    most = max(len(indices) for _, indices in members)
    rows = [sum(math.ceil(len(indices) / columns) for _, indices in members) for columns in range(1, most)]
    columns = next((columns for columns, needed in enumerate(rows, start=1) if needed <= columns), most)
    return _stack(members, columns)


def select_images(groups: Groups | None, count: int) -> Arrangement:
    """The first of ``count`` images: at most 64 in reading order, or equally many of each group, at most 100."""
    members = _members(groups)
    if members is None or len(members) > MAX_GROUPS:
        return arrange_in_order(min(count, 64))
    each = 100 // len(members)
    lines = max(1, round(math.sqrt(each / len(members))))
    columns = min(each // lines, max(len(indices) for _, indices in members))
    return _stack([(name, indices[: columns * lines]) for name, indices in members], columns)


def fit_grid(groups: Groups | None, count: int, columns: int, rows: int) -> GridIndices:
    """What fits on ``columns × rows``: a row or a column per group, or the groups in turn if there is room for neither."""
    members = _members(groups)
    if members is None:
        return arrange_in_order(min(count, columns * rows), columns).places
    if len(members) <= rows:
        return _stack([(name, indices[:columns]) for name, indices in members], columns).places
    if len(members) <= columns:
        return _stack([(name, indices[:rows]) for name, indices in members], rows).places.T
    in_turn = [index for each in zip_longest(*(indices for _, indices in members)) for index in each if index is not None]
    return _place(np.array(in_turn[: columns * rows]), columns)


def lay_out(images: Pixels, places: GridIndices, *, gap: int = 1, shade: int = _WHITE) -> Pixels:
    """Put ``(n, h, w, 3)`` images into their cells, ``gap`` pixels of grey ``shade`` apart → one ``(H, W, 3)`` picture."""
    _, height, width, _ = images.shape
    rows, columns = places.shape
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), shade, np.uint8)
    for row, column in np.argwhere(places != BLANK):
        top, left = row * (height + gap), column * (width + gap)
        sheet[top : top + height, left : left + width] = images[places[row, column]]
    return sheet


def draw_grid(samples: Samples, limits: tuple[float, float], arrangement: Arrangement, side: int) -> Pixels:
    """``(n, c, h, w)`` images on a grid, enlarged by an integer factor to at most ``side`` pixels, with the names of the rows."""
    drawn, factor = enlarge(lay_out(to_pixels(samples, limits), arrangement.places), side)
    names = [clean(name) for name in arrangement.names]
    return add_captions(drawn, names, factor * (samples.values.shape[2] + 1))


def add_captions(picture: Pixels, names: Sequence[str], pitch: float) -> Pixels:
    """Write the name of each row to its left; ``pitch`` is the distance of the rows in pixels.

    Without names, or without room for letters, the picture is returned unchanged.
    """
    if not any(names) or pitch < _FONT_SIZES[0]:
        return picture
    size = int(max(_FONT_SIZES[0], min(pitch / 2.2, picture.shape[1] * _LEGIBLE)))
    widest = max(_font(size).getlength(name) for name in names)
    size = int(max(_FONT_SIZES[0], min(size, size * picture.shape[1] * _WIDEST / widest)))
    margin = 12 + math.ceil(max(_font(size).getlength(name) for name in names))
    places = [(margin - 6, (row + 0.5) * pitch) for row in range(len(names))]
    return _write(picture, names, places, size, (picture.shape[1] + margin, picture.shape[0]))


def add_footer(picture: Pixels, note: str) -> Pixels:
    """Write a line of text below the picture, widening it if necessary; without a note it is returned unchanged."""
    if not note:
        return picture
    size = _FONT_SIZES[1]
    width = max(picture.shape[1], math.ceil(_font(size).getlength(note)) + 8)
    return _write(picture, [note], [(width - 4, picture.shape[0] + size)], size, (width, picture.shape[0] + 2 * size))


def _write(
    picture: Pixels, texts: Sequence[str], places: Sequence[tuple[float, float]], font_size: int, size: tuple[int, int]
) -> Pixels:
    """The picture in the upper right corner of a white page, with texts that end at the given places."""
    from PIL import Image, ImageDraw

    page = Image.new("RGB", size, (_WHITE,) * 3)
    page.paste(Image.fromarray(picture), (size[0] - picture.shape[1], 0))
    pen = ImageDraw.Draw(page)
    for text, place in zip(texts, places, strict=True):
        pen.text(place, text, fill=_TEXT_COLOUR, font=_font(font_size), anchor="rm")
    return np.asarray(page)


def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def encode_png(picture: Pixels) -> bytes:
    """``(H, W, 3)`` bytes as a PNG file."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(picture)).save(file, "PNG", compress_level=3)
    return file.getvalue()


def encode_gif(
    frames: Sequence[Image], *, pace: int, held: int | None = None, back: bool = False, colours: int = _PALETTE_SIZE
) -> bytes:
    """An endless GIF of pictures of equal size, all of mode RGB or all of mode L; then ``back`` to the first one if wanted.

    Each frame is shown for ``pace`` milliseconds, the last one for ``held`` if given. Grey frames keep their shades; colour frames
    share one palette, computed from a few of them.
    """
    from PIL.Image import Dither

    reduced = list(frames)
    if frames[0].mode == "RGB":
        palette = _palette(frames, colours)
        # Without dithering, pixels that do not change stay equal from frame to frame and compress to almost nothing.
        reduced = [frame.quantize(palette=palette, dither=Dither.NONE) for frame in frames]
    if back:
        reduced += reduced[-2:0:-1]
    file = io.BytesIO()
    durations = [pace] * (len(reduced) - 1) + [held or pace]
    reduced[0].save(file, "GIF", save_all=True, append_images=reduced[1:], duration=durations, loop=0, optimize=True)
    return file.getvalue()


def _palette(frames: Sequence[Image], colours: int) -> Image:
    from PIL import Image

    # A ninth of the pixels is enough. Median cut alone would spend most colours on the pale background.
    chosen = [np.asarray(frames[at])[::3, ::3] for at in (0, len(frames) // 2, -1)]
    return Image.fromarray(np.concatenate(chosen)).quantize(colors=colours, kmeans=2)


def _members(groups: Groups | None) -> list[tuple[str, GridIndices]] | None:
    """Name and indices of each group that occurs, in order; ``None`` unless there are at least two."""
    found = [] if groups is None else np.unique(groups.indices).tolist()
    if groups is None or len(found) < 2:
        return None
    return [(groups.names[group], np.flatnonzero(groups.indices == group)) for group in found]


def _stack(members: Sequence[tuple[str, GridIndices]], columns: int) -> Arrangement:
    """Each group in rows of ``columns``, labelled at its first row."""
    blocks = [_place(indices, columns) for _, indices in members]
    names = [text for block, (name, _) in zip(blocks, members, strict=True) for text in (name, *[""] * (len(block) - 1))]
    return Arrangement(np.concatenate(blocks), tuple(names))


def _place(indices: NDArray[np.int64], columns: int | None = None) -> GridIndices:
    """The images with these indices in reading order."""
    places = arrange_in_order(len(indices), columns).places
    return np.where(places == BLANK, BLANK, indices[places])
