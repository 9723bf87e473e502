"""The images of a report: embedded as ``data:`` URIs, complete ones only, within limits of size."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from markupsafe import Markup

from ganforge.callbacks.picture_writer import sample_pictures
from ganforge.report.report_data import ReportData
from ganforge.storage.run_folder import RunFolder, Status

_MEDIA_TYPES = {"PNG": "image/png", "GIF": "image/gif"}
_SHEETS = (
    ("real.png", "Real samples, to compare with"),
    ("interpolation.png", "Interpolations: each row goes from one random latent to another"),
    ("traversal.png", "One input varied, all others held: rows and columns vary labels, codes or noise"),
    ("neighbours.png", "Nearest training images: the yellow column is the training image nearest to the sample beside it"),
)
_ANIMATIONS = (
    ("interpolation.gif", "Interpolations, forwards and backwards: the samples change as the latent moves"),
    ("traversal.gif", "One input varied, forwards and backwards: the samples change with a label, code or noise"),
)


@dataclass(frozen=True, slots=True)
class InlineImage:
    """An image of the page."""

    name: str  # its file's
    caption: str
    alternative: str
    link: str  # its file, relative to the page
    source: Markup | None = None  # the image as a data: URI; None if it is left out
    width: int = 0  # pixels
    height: int = 0
    missing: str = ""  # why it is left out


class ImageEmbedder:
    """Embeds images until the page is full: the first ones have precedence. The limits are in bytes."""

    def __init__(self, page: Path, max_image: int = 8 << 20, max_total: int = 20 << 20) -> None:
        self._page = page
        self._max_image = max_image
        self._left = max_total

    def embed(self, path: Path, caption: str, alternative: str) -> InlineImage:
        """The image in a file, or why it is left out."""
        image = InlineImage(path.name, caption, alternative, relative_link(path, self._page))
        try:
            size = path.stat().st_size
            if size > min(self._max_image, self._left):
                return replace(image, missing=f"{size / 2**20:.1f} MiB is too large for this page")
            content = path.read_bytes()
            media_type, width, height = _check_image(content)
        except OSError as error:
            return replace(image, missing=f"it cannot be read: {error.strerror or error}")
        except ValueError as error:
            return replace(image, missing=str(error))
        self._left -= size
        # Nothing in it needs escaping, and searching a large image for it is slow.
        source = Markup(f"data:{media_type};base64,{base64.b64encode(content).decode()}")  # noqa: S704 - one of our media types
        return replace(image, source=source, width=width, height=height)


def collect_images(data: ReportData, embedder: ImageEmbedder) -> dict[str, Any]:
    """Embed the run's images, the most important ones first, so that animations are the first to be left out."""
    path = newest_samples(data.run.folder, data.status)
    caption = f"Generated samples at iteration {int(path.stem.rpartition('-')[2]):,}" if path else ""
    samples = embedder.embed(path, caption, f"{caption} of the run “{data.title}”") if path else None
    sheets = _embed_existing(data, _SHEETS, embedder)
    path = data.run.folder.pictures / "training.gif"
    alternative = f"{data.title}: an animation of the samples during training"
    training = embedder.embed(path, "The training, from noise to samples", alternative) if path.is_file() else None
    return {"samples": samples, "sheets": sheets, "training": training, "animations": _embed_existing(data, _ANIMATIONS, embedder)}


def relative_link(path: Path, page: Path) -> str:
    """A link from the page to a file, relative, so that both can be moved together."""
    return quote(os.path.relpath(path.absolute(), page.absolute().parent))


def newest_samples(folder: RunFolder, status: Status | None) -> Path | None:
    """The file of a run's newest samples; newer ones than the reported iteration were discarded by a roll-back."""
    found = sample_pictures(folder, until=status.iteration) if status else sample_pictures(folder)
    return found[max(found)] if found else None


def _embed_existing(data: ReportData, known: Sequence[tuple[str, str]], embedder: ImageEmbedder) -> list[InlineImage]:
    paths = [(data.run.folder.pictures / name, caption) for name, caption in known]
    return [embedder.embed(path, caption, caption) for path, caption in paths if path.is_file()]


def _check_image(content: bytes) -> tuple[str, int, int]:
    """Media type, width and height; a :class:`ValueError` if it cannot be decoded, so that the browser gets valid images only."""
    import PIL.Image

    try:
        with PIL.Image.open(io.BytesIO(content), formats=tuple(_MEDIA_TYPES)) as picture:
            picture.load()
            return _MEDIA_TYPES[str(picture.format)], *picture.size
    except (OSError, SyntaxError, ValueError, EOFError, PIL.Image.DecompressionBombError) as error:
        raise ValueError("it is not an image, or damaged") from error
