"""Pictures inside a page: as ``data:`` URIs, whole ones only, and no more than a page can bear."""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from markupsafe import Markup

MOST_OF_ONE = 8 << 20
"""Bytes of one picture, at most."""
MOST_OF_ALL = 20 << 20
"""Bytes of all pictures of a page together, at most."""

_KINDS = {"PNG": "image/png", "GIF": "image/gif"}


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of the page.

    Attributes:
        name: its file's name.
        caption: what it shows.
        alternative: what a reader who does not see it is told.
        place: where its file lies, seen from the page, as a link has it.
        source: the picture itself as a ``data:`` URI; ``None`` where it is left out.
        width: in pixels.
        height: in pixels.
        missing: why it is left out; "" where it is not.
    """

    name: str
    caption: str
    alternative: str
    place: str
    source: Markup | None = None
    width: int = 0
    height: int = 0
    missing: str = ""


class Album:
    """The pictures of one page; what is asked for first is put in first.

    Args:
        page: where the page will lie.
        most_of_one: bytes.
        most_of_all: bytes.
    """

    def __init__(self, page: Path, most_of_one: int = MOST_OF_ONE, most_of_all: int = MOST_OF_ALL) -> None:
        self._page = page
        self._most_of_one = most_of_one
        self._left = most_of_all

    def add(self, path: Path, caption: str, alternative: str) -> Picture:
        """The picture in a file, or why it is left out."""
        place = link(path, self._page)

        def without(reason: str) -> Picture:
            return Picture(path.name, caption, alternative, place, missing=reason)

        try:
            size = path.stat().st_size
            if size > min(self._most_of_one, self._left):
                return without(f"{size / 2**20:.1f} MiB is too much for this page")
            content = path.read_bytes()
            kind, width, height = _judged(content)
        except OSError as error:
            return without(f"it cannot be read: {error.strerror or error}")
        except ValueError as error:
            return without(str(error))
        self._left -= size
        return Picture(path.name, caption, alternative, place, data_uri(content, kind), width, height)


def data_uri(content: bytes, kind: str) -> Markup:
    """``data:image/png;base64,…``."""
    # Nothing in it needs escaping, and looking for that takes long where a picture is large.
    return Markup(f"data:{kind};base64,{base64.b64encode(content).decode()}")  # noqa: S704 - the kind is one of ours


def link(path: Path, page: Path) -> str:
    """A file as a link on a page has it: relative, so that both may move together."""
    return quote(os.path.relpath(path.absolute(), page.absolute().parent))


def _judged(content: bytes) -> tuple[str, int, int]:
    """Media type and size; a browser must not be the first to find out that it is no picture.

    Raises:
        ValueError: it is none, or damaged.
    """
    import io

    import PIL.Image

    try:
        with PIL.Image.open(io.BytesIO(content), formats=tuple(_KINDS)) as picture:
            picture.load()
            return _KINDS[str(picture.format)], *picture.size
    except (OSError, SyntaxError, ValueError, EOFError, PIL.Image.DecompressionBombError) as error:
        raise ValueError("it is no picture, or damaged") from error
