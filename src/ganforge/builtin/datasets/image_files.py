"""Picture files: listing a folder, and decoding one file to bytes. Imports no torch or NumPy until a picture is decoded."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganforge.builtin.datasets.dataset_specs import ImageFolderParams

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

_LITTER = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r", "__macosx", "@eadir", "$recycle.bin", "lost+found"})
"""Files and folders of file managers, archivers and file servers; skipped silently, like hidden ones."""
_CONVERTED = frozenset({"1", "L", "La", "LA", "P", "PA", "RGB", "RGBa", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV"})
"""Pillow's modes that it converts to grey and RGB without loss of range."""
_UNREADABLE = {
    ".heic": "HEIC: convert it to JPEG",
    ".heif": "HEIF: convert it to JPEG",
    ".dng": "raw data of a camera: export it as JPEG or PNG",
    ".cr2": "raw data of a camera: export it as JPEG or PNG",
    ".cr3": "raw data of a camera: export it as JPEG or PNG",
    ".nef": "raw data of a camera: export it as JPEG or PNG",
    ".arw": "raw data of a camera: export it as JPEG or PNG",
    ".raf": "raw data of a camera: export it as JPEG or PNG",
    ".svg": "a vector drawing: export it as PNG",
    ".pdf": "a document: export its pages as PNG",
    ".zip": "an archive: unpack it and remove it",
    ".tar": "an archive: unpack it and remove it",
    ".gz": "an archive: unpack it and remove it",
    ".mp4": "a video: export its frames",
    ".mov": "a video: export its frames; phones write one beside each live photo",
}
"""Files that Pillow does not read (.dng it reads as its small preview), and what to do."""
_ORIENTATION = 0x0112
_ROTATED = frozenset({5, 6, 7, 8})
"""Values of the Exif orientation that swap width and height."""


class UnusablePictureError(Exception):
    """A file is not a usable picture; the message says why. Raised and caught within the data set."""


def files_below(folder: Path, failed: Callable[[OSError], object]) -> Iterator[Path]:
    """All non-folders in the folder and its sub-folders, in the order of their names; follows links, except in a cycle.

    Args:
        folder: where to start.
        failed: called with the error of each folder that cannot be listed.
    """
    above: dict[str, frozenset[str]] = {str(folder): frozenset()}
    for place, folders, files in os.walk(folder, onerror=failed, followlinks=True):
        seen = above.pop(place) | {os.path.realpath(place)}  # a link to one of its own parents is a cycle; one to a sibling is not
        inside = {name: f"{place.rstrip(os.sep)}{os.sep}{name}" for name in sorted(folders) if not is_litter(name)}
        folders[:] = [name for name, path in inside.items() if os.path.realpath(path) not in seen]
        above |= {inside[name]: seen for name in folders}
        yield from (Path(place, name) for name in sorted(files) if not is_litter(name))


def is_litter(name: str) -> bool:
    """Whether a file or folder is hidden, or one that file managers, archivers and file servers add."""
    return name.startswith(".") or name.lower() in _LITTER


def read_picture(path: Path, params: ImageFolderParams) -> NDArray[np.uint8]:
    """A picture ``(channels, height, width)``, upright, cropped, resized, in grey or colour."""
    import numpy as np
    from PIL import ImageOps

    with _opened(path) as opened:
        opened.load()
        upright = ImageOps.exif_transpose(opened)
        pixels: NDArray[Any] = np.asarray(_fitted(_in_colour(upright, grey=params.grayscale), params), dtype=np.uint8)
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def picture_shape(path: Path, params: ImageFolderParams) -> tuple[int, int, int]:
    """The shape of :func:`read_picture`, from the file's header alone if possible."""
    with _opened(path) as opened:
        width, height = opened.size
        if params.crop is None and params.size is None:
            if opened.getexif().get(_ORIENTATION) in _ROTATED:
                width, height = height, width
        else:
            side = _side(opened, params)
            width = height = params.size or side
        return (1 if params.grayscale else 3, height, width)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """A picture's file, opened; all errors become :class:`UnusablePictureError`."""
    from PIL import Image, UnidentifiedImageError

    try:
        _check_regular(path)
        with Image.open(path) as opened:
            _check_plain(opened)
            yield opened
    except UnusablePictureError:
        raise
    except UnidentifiedImageError as error:
        raise UnusablePictureError("is not a picture that Pillow can read") from error
    except Exception as error:  # decoders raise errors of many kinds on damaged files
        if isinstance(error, OSError) and error.strerror:
            raise UnusablePictureError(f"cannot be read: {error.strerror}") from error
        raise UnusablePictureError(f"is damaged: {str(error) or type(error).__name__}") from error


def _check_regular(path: Path) -> None:
    """Checked before opening, since opening a FIFO would wait forever."""
    if reason := _UNREADABLE.get(path.suffix.lower()):
        raise UnusablePictureError(f"is {reason}")
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        kinds = ((stat.S_ISFIFO, "a FIFO"), (stat.S_ISSOCK, "a socket"), (stat.S_ISDIR, "a folder"))
        raise UnusablePictureError(f"is {next((kind for test, kind in kinds if test(mode)), 'a device')}, not a file")


def _check_plain(image: Image.Image) -> None:
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # phones and stereo cameras put further views behind the picture
        kind = "an animation" if image.format in ("GIF", "PNG", "WEBP", "AVIF") else "a file"
        raise UnusablePictureError(f"is {kind} of {frames} {'pages' if image.format == 'TIFF' else 'frames'}: save each as a file")
    if image.mode == "LAB":
        raise UnusablePictureError("has the colours of CIELAB, which are not converted: save it in RGB")
    if image.mode not in _CONVERTED:
        raise UnusablePictureError(f"has more than eight bits per channel (Pillow's mode {image.mode}): save it with eight")
    if stored := _deep_form(image):
        raise UnusablePictureError(f"has more than eight bits per channel (stored as {stored}): save it with eight")


def _deep_form(image: Image.Image) -> str | None:
    """How a PNG, TIFF or PPM of more bits is stored, which Pillow would silently reduce to eight."""
    for tile in getattr(image, "tile", ()):
        arguments = tile[3] if isinstance(tile[3], tuple) else (tile[3],)
        for argument in arguments:
            if isinstance(argument, str) and ";16" in argument:
                return argument
        if tile[0].startswith("ppm") and isinstance(arguments[-1], int) and arguments[-1] > 255:
            return f"values up to {arguments[-1]:,}"
    return None


def _in_colour(image: Image.Image, *, grey: bool) -> Image.Image:
    """Grey or RGB; transparent parts become white."""
    from PIL import Image

    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("L" if grey else "RGB")


def _fitted(image: Image.Image, params: ImageFolderParams) -> Image.Image:
    """The centred square, resized; the whole picture if neither crop nor size is given."""
    from PIL import Image

    if params.crop is None and params.size is None:
        return image
    side = _side(image, params)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side))
    return square.resize((params.size, params.size), Image.Resampling.BICUBIC) if params.size else square


def _side(image: Image.Image, params: ImageFolderParams) -> int:
    """Side of the square to crop."""
    side = params.crop or min(image.size)
    if side > min(image.size):
        raise UnusablePictureError(f"is {image.width}×{image.height}, smaller than crop = {side}")
    return side
