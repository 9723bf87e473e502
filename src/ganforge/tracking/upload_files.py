"""Files on their way to the store: pictures that are some, text without secrets."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ganforge.core.redaction import mask_text
from ganforge.tracking.sink import Refused

if TYPE_CHECKING:
    from PIL.Image import Image

_MASKED_FILES = {".toml", ".json", ".txt", ".log", ".md", ".csv", ".diff", ".yaml", ".yml"}
_MASKED_BYTES = 1 << 20


def opened(path: Path) -> Image:
    """A picture file as an image.

    Raises:
        Refused: it is none, or damaged.
    """
    import PIL.Image

    try:
        with PIL.Image.open(path) as picture:
            picture.load()
            return picture.copy()
    except (OSError, SyntaxError, PIL.Image.DecompressionBombError) as error:
        raise Refused(f"{path.name} is no picture: {error}") from error


@contextmanager
def without_secrets(path: Path) -> Iterator[Path]:
    """The file, or a copy without secrets where it is text that holds any.

    Raises:
        Refused: it is missing.
    """
    if not path.is_file():
        raise Refused(f"{path.name} is missing")
    if path.suffix not in _MASKED_FILES or path.stat().st_size > _MASKED_BYTES:
        yield path
        return
    text = path.read_text("utf-8", errors="replace")
    clean = mask_text(text)
    if clean == text:
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, path.name)
        copy.write_text(clean, "utf-8")
        yield copy
