"""Where each image lies on a sheet: a row for each class or code value where there are any, reading order otherwise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ganforge.figures.pixels import Bytes, square_columns
from ganforge.figures.projection import Groups

MANY = 20
"""Groups beyond which they get no rows of their own."""
BLANK = -1

Places = NDArray[np.int64]
"""``(rows, columns)`` index of the image at each place; :data:`BLANK` where there is none."""

_PAPER = 255
_INK = (90, 98, 108)
_LETTERS = (9, 15)  # pixels: least and greatest size of captions


@dataclass(frozen=True, slots=True)
class Arrangement:
    """A sheet before it is drawn.

    Attributes:
        places: which image lies where.
        names: what each row shows; empty texts where there is nothing to say.
    """

    places: Places
    names: tuple[str, ...]


def reading_order(count: int, columns: int | None = None) -> Arrangement:
    """``count`` images one after another, about square unless ``columns`` are given."""
    columns = columns or square_columns(count)
    rows = math.ceil(count / columns)
    places = np.full(rows * columns, BLANK, np.int64)
    places[:count] = np.arange(count)
    return Arrangement(places.reshape(rows, columns), ("",) * rows)


def by_group(groups: Groups | None, count: int) -> Arrangement:
    """All of ``count`` images, each group in rows of its own: in one each, or in as many as make the sheet about square."""
    members = _members(groups)
    if members is None:
        return reading_order(count)
    if len(members) > MANY:
        order = np.concatenate([indices for _, indices in members])
        plain = reading_order(count)
        return Arrangement(np.where(plain.places == BLANK, BLANK, order[plain.places]), plain.names)
    most = max(len(indices) for _, indices in members)
    columns = next(
        columns
        for columns in range(1, most + 1)
        if columns == most or sum(math.ceil(len(indices) / columns) for _, indices in members) <= columns
    )
    return _stacked(members, columns)


def excerpt(groups: Groups | None, count: int, *, ungrouped: int, grouped: int) -> Arrangement:
    """The first of ``count`` images: ``ungrouped`` in reading order, or as many of each group, together ``grouped``; or fewer."""
    members = _members(groups)
    if members is None or len(members) > MANY:
        return reading_order(min(count, ungrouped))
    each = grouped // len(members)
    lines = max(1, round(math.sqrt(each / len(members))))
    columns = min(each // lines, max(len(indices) for _, indices in members))
    return _stacked([(name, indices[: columns * lines]) for name, indices in members], columns)


def fitted(groups: Groups | None, count: int, columns: int, rows: int) -> Places:
    """What a sheet of ``columns × rows`` holds: a row or a column for each group; where both are too few, one of each in turn."""
    members = _members(groups)
    if members is None:
        return reading_order(min(count, columns * rows), columns).places
    if len(members) <= rows:
        return _stacked([(name, indices[:columns]) for name, indices in members], columns).places
    if len(members) <= columns:
        return _stacked([(name, indices[:rows]) for name, indices in members], rows).places.T
    rounds = max(len(indices) for _, indices in members)
    taken = [indices[turn] for turn in range(rounds) for _, indices in members if turn < len(indices)]
    places = reading_order(min(len(taken), columns * rows), columns).places
    return np.where(places == BLANK, BLANK, np.array(taken)[places])


def laid_out(images: Bytes, places: Places, *, gap: int = 1, shade: int = _PAPER) -> Bytes:
    """``(n, h, w, 3)`` images at their places, pixels of one shade of grey between → one ``(H, W, 3)`` picture."""
    _, height, width, _ = images.shape
    rows, columns = places.shape
    paper = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), shade, np.uint8)
    for row, column in np.argwhere(places != BLANK):
        top, left = row * (height + gap), column * (width + gap)
        paper[top : top + height, left : left + width] = images[places[row, column]]
    return paper


def captioned(picture: Bytes, names: Sequence[str], pitch: float) -> Bytes:
    """The picture with the name of each row on its left; ``pitch`` is the rows' distance in pixels.

    Where there are no names, or no room for letters, the picture is given back as it is.
    """
    if not any(names) or pitch < _LETTERS[0]:
        return picture
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(int(min(_LETTERS[1], max(_LETTERS[0], pitch / 3))))
    margin = 12 + math.ceil(max(font.getlength(name) for name in names))
    page = Image.new("RGB", (picture.shape[1] + margin, picture.shape[0]), (_PAPER,) * 3)
    page.paste(Image.fromarray(picture), (margin, 0))
    pen = ImageDraw.Draw(page)
    for row, name in enumerate(names):
        pen.text((margin - 6, (row + 0.5) * pitch), name, fill=_INK, font=font, anchor="rm")
    return np.asarray(page)


def footed(picture: Bytes, note: str) -> Bytes:
    """The picture with a line of text below it, if there is any; wider where the text is."""
    if not note:
        return picture
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(_LETTERS[1])
    width = max(picture.shape[1], math.ceil(font.getlength(note)) + 8)
    page = Image.new("RGB", (width, picture.shape[0] + 2 * _LETTERS[1]), (_PAPER,) * 3)
    page.paste(Image.fromarray(picture), (width - picture.shape[1], 0))
    ImageDraw.Draw(page).text((width - 4, picture.shape[0] + _LETTERS[1]), note, fill=_INK, font=font, anchor="rm")
    return np.asarray(page)


def _members(groups: Groups | None) -> list[tuple[str, Places]] | None:
    """Name and indices of each group that occurs, in order; ``None`` unless there are two."""
    found = [] if groups is None else np.unique(groups.indices).tolist()
    if groups is None or len(found) < 2:
        return None
    return [(groups.names[group], np.flatnonzero(groups.indices == group)) for group in found]


def _stacked(members: Sequence[tuple[str, Places]], columns: int) -> Arrangement:
    """Each group in rows of ``columns``, its name at its first."""
    blocks = [reading_order(len(indices), columns).places for _, indices in members]
    places = np.concatenate(
        [np.where(block == BLANK, BLANK, indices[block]) for block, (_, indices) in zip(blocks, members, strict=True)]
    )
    names = [text for block, (name, _) in zip(blocks, members, strict=True) for text in (name, *[""] * (len(block) - 1))]
    return Arrangement(places, tuple(names))
