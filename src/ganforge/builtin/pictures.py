"""One picture file as bytes: opened, turned upright, cropped, resized, in grey or colour; or why it cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ganforge.builtin.params_images import ImageFolderParams

if TYPE_CHECKING:
    from PIL import Image

_EIGHT_BITS = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr"})
"""Pillow's modes of at most eight bits for each channel; others would be cut off at 255."""


class Unfit(Exception):  # noqa: N818 - says why a file is left out; never leaves the data set
    """A file that is no picture as wanted; the text says why."""


def read_picture(path: Path, params: ImageFolderParams) -> NDArray[np.uint8]:
    """A picture ``(channels, height, width)``.

    Raises:
        Unfit: it cannot be read, or not as the params want it.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as opened:
            _insist_on_plain(opened)
            opened.load()
            upright = ImageOps.exif_transpose(opened)
            return _as_array(_fitted(_in_colour(upright, grey=params.grayscale), params))
    except Unfit:
        raise
    except UnidentifiedImageError as error:
        raise Unfit("is no picture that Pillow knows") from error
    except Exception as error:  # what decoders raise on damaged files is not limited
        raise Unfit(f"is damaged: {str(error) or type(error).__name__}") from error


def _insist_on_plain(image: Image.Image) -> None:
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        raise Unfit(f"is an animation of {frames} frames")
    if image.mode not in _EIGHT_BITS:
        raise Unfit(f"has more than eight bits for each channel (Pillow's mode {image.mode})")


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
    side = params.crop or min(image.size)
    if side > min(image.size):
        raise Unfit(f"is {image.width}×{image.height}, smaller than crop = {side}")
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    return square.resize((params.size, params.size), Image.Resampling.BICUBIC) if params.size else square


def _as_array(image: Image.Image) -> NDArray[np.uint8]:
    pixels: NDArray[Any] = np.asarray(image, dtype=np.uint8)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)
