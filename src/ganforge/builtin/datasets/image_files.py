"""One picture file as bytes: opened, turned upright, cropped, resized, in grey or colour; or why it cannot be."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ganforge.builtin.datasets.image_params import ImageFolderParams

if TYPE_CHECKING:
    from PIL import Image

_EIGHT_BITS = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"})
"""Pillow's modes of at most eight bits for each channel; others would be cut off at 255."""
_ORIENTATION = 0x0112
_LYING = frozenset({5, 6, 7, 8})
"""Values of Exif's orientation by which width and height change places."""


class Unfit(Exception):  # noqa: N818 - says why a file is left out; never leaves the data set
    """A file that is no picture as wanted; the text says why."""


def read_picture(path: Path, params: ImageFolderParams) -> NDArray[np.uint8]:
    """A picture ``(channels, height, width)``.

    Raises:
        Unfit: it cannot be read, or not as the params want it.
    """
    from PIL import ImageOps

    with _opened(path) as opened:
        opened.load()
        upright = ImageOps.exif_transpose(opened)
        return _as_array(_fitted(_in_colour(upright, grey=params.grayscale), params))


def picture_shape(path: Path, params: ImageFolderParams) -> tuple[int, int, int]:
    """The shape that :func:`read_picture` gives, from the file's head alone where that tells it.

    Raises:
        Unfit: its head cannot be read, or it is not as the params want it.
    """
    with _opened(path) as opened:
        width, height = opened.size
        if params.crop is None and params.size is None:
            if opened.getexif().get(_ORIENTATION) in _LYING:
                width, height = height, width
        else:
            side = _side(opened, params)
            width = height = params.size or side
        return (1 if params.grayscale else 3, height, width)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """A picture's file, opened; whatever goes wrong with it is said in one way.

    Raises:
        Unfit: it cannot be read, or not as a plain picture.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        _insist_on_file(path)
        with Image.open(path) as opened:
            _insist_on_plain(opened)
            yield opened
    except Unfit:
        raise
    except UnidentifiedImageError as error:
        raise Unfit("is no picture that Pillow knows") from error
    except Exception as error:  # what decoders raise on damaged files is not limited
        if isinstance(error, OSError) and error.strerror:
            raise Unfit(f"cannot be read: {error.strerror}") from error
        raise Unfit(f"is damaged: {str(error) or type(error).__name__}") from error


def _insist_on_file(path: Path) -> None:
    """Before it is opened, since to open a FIFO would wait for ever."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        kinds = ((stat.S_ISFIFO, "a FIFO"), (stat.S_ISSOCK, "a socket"), (stat.S_ISDIR, "a folder"))
        raise Unfit(f"is {next((kind for test, kind in kinds if test(mode)), 'a device')}, no file")


def _insist_on_plain(image: Image.Image) -> None:
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise Unfit(f"is an animation of {frames} frames")
    if image.mode not in _EIGHT_BITS:
        raise Unfit(f"has more than eight bits for each channel (Pillow's mode {image.mode})")
    if stored := _deep_form(image):
        raise Unfit(f"has more than eight bits for each channel (stored as {stored})")


def _deep_form(image: Image.Image) -> str | None:
    """How a PNG, TIFF or PPM of more bits is stored, of which Pillow would keep eight in silence."""
    for tile in getattr(image, "tile", ()):
        arguments = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        for argument in arguments:
            if isinstance(argument, str) and ";16" in argument:
                return argument
        if tile[0].startswith("ppm") and isinstance(arguments[-1], int) and arguments[-1] > 255:
            return f"values up to {arguments[-1]:,}"
    return None


def _in_colour(image: Image.Image, *, grey: bool) -> Image.Image:
    """Grey or RGB; what is transparent shows white."""
    from PIL import Image

    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("L" if grey else "RGB")


def _fitted(image: Image.Image, params: ImageFolderParams) -> Image.Image:
    """The centred square, of the wanted size; the whole picture where neither is asked for."""
    from PIL import Image

    if params.crop is None and params.size is None:
        return image
    side = _side(image, params)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    return square.resize((params.size, params.size), Image.Resampling.BICUBIC) if params.size else square


def _side(image: Image.Image, params: ImageFolderParams) -> int:
    """Of the square that is cut out."""
    side = params.crop or min(image.size)
    if side > min(image.size):
        raise Unfit(f"is {image.width}×{image.height}, smaller than crop = {side}")
    return side


def _as_array(image: Image.Image) -> NDArray[np.uint8]:
    pixels: NDArray[Any] = np.asarray(image, dtype=np.uint8)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
