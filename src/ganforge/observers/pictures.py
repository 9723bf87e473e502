"""Pictures of what the generator makes, one file at each :class:`~ganforge.core.events.Pictured`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ganforge.core.errors import StorageError
from ganforge.core.events import Event, Pictured, Started
from ganforge.observers import paper
from ganforge.observers.broadcast import Tell, Warn, warn_plainly
from ganforge.observers.figures import Portraitist, portraitist
from ganforge.storage import atomic
from ganforge.storage.folder import RunFolder

Recorded = Callable[[str, int, Path], None]
"""Told each picture that was written: key such as ``images/samples``, iteration, file."""

KEY = "images/samples"
"""The pictures' key in journal and MLflow."""


@contextmanager
def pictures(folder: RunFolder, *, title: str, recorded: Recorded, warn: Warn = warn_plainly) -> Iterator[Tell]:
    """Draw each picture into ``pictures/samples-<iteration>.png``.

    Args:
        folder: the run's folder.
        title: stands above each picture.
        recorded: told each file.
        warn: told once when the disk refuses a picture; later ones are tried again.
    """
    artist: Portraitist | None = None
    refused = False

    def tell(event: Event) -> None:
        nonlocal artist, refused
        if isinstance(event, Started):
            artist = portraitist(event, title)
        if not isinstance(event, Pictured) or artist is None:
            return
        try:
            path = _written(folder, event.iteration, artist.draw(event))
        except StorageError as error:
            if not refused:
                warn(f"pictures are missing from iteration {event.iteration} on: {error.message}")
            refused = True
            return
        recorded(KEY, event.iteration, path)

    yield tell


def picture_path(folder: RunFolder, iteration: int) -> Path:
    """Where the picture of an iteration lies."""
    return folder.pictures / f"samples-{iteration:08}.png"


def _written(folder: RunFolder, iteration: int, picture: paper.Picture) -> Path:
    path = picture_path(folder, iteration)
    atomic.write_bytes(path, paper.png(picture), durable=False)  # a picture can be drawn again; syncing it would stop training
    return path
