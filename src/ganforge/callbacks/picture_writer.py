"""Pictures of what the generator makes, one file at each :class:`~ganforge.core.events.SamplesDrawn`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ganforge.callbacks.dispatch import Tell, Warn, warn_plainly
from ganforge.core.errors import StorageError
from ganforge.core.events import Evaluated, Event, SamplesDrawn, Started, Stepped
from ganforge.storage import atomic_files
from ganforge.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from ganforge.figures.sample_figures import Portraitist

Recorded = Callable[[str, int, Path], None]
"""Told each picture that was written: key such as ``images/samples``, iteration, file."""

KEY = "images/samples"
"""The pictures' key in journal and MLflow."""

_HEAD_START = 1.0
"""Seconds of training before the first picture."""


@contextmanager
def pictures(folder: RunFolder, *, title: str, recorded: Recorded, warn: Warn = warn_plainly) -> Iterator[Tell]:
    """Draw each picture into ``pictures/samples-<iteration>.png``.

    The first one waits until training has gone on for a second (or ends, or is pictured or saved again): importing the drawing
    library takes about as long, and the view shall show first that training goes on.

    Args:
        folder: the run's folder.
        title: stands above each picture.
        recorded: told each file.
        warn: told once when the disk refuses a picture, and once when the discriminator fails on one; later ones are tried again.
    """
    sketchbook = _Sketchbook(folder, title, recorded, warn)
    first: SamplesDrawn | None = None
    begin = 0.0

    def tell(event: Event) -> None:
        nonlocal first, begin
        if isinstance(event, Started):
            sketchbook.open(event)
            begin = time.monotonic()
        elif first is not None and (not isinstance(event, Stepped | Evaluated) or time.monotonic() - begin >= _HEAD_START):
            sketchbook.draw(first)
            first = None

        if isinstance(event, SamplesDrawn):
            sketchbook.excuse(event)
            if sketchbook.is_blank:
                first = event
            else:
                sketchbook.draw(event)

    yield tell
    if first is not None:
        sketchbook.draw(first)


class _Sketchbook:
    """The pictures of one run; nothing is imported before the first."""

    def __init__(self, folder: RunFolder, title: str, recorded: Recorded, warn: Warn) -> None:
        self._folder, self._title, self._recorded, self._warn = folder, title, recorded, warn
        self._started: Started | None = None
        self._artist: Portraitist | None = None
        self._refused = self._excused = False

    @property
    def is_blank(self) -> bool:
        return self._artist is None

    def open(self, started: Started) -> None:
        self._started = started

    def excuse(self, picture: SamplesDrawn) -> None:
        """Say once why pictures do not show the discriminator."""
        if picture.missing and not self._excused:
            self._excused = True
            self._warn(
                f"the picture of iteration {picture.iteration} is without the discriminator, which fails on it in eval mode: "
                f"{picture.missing}; training goes on"
            )

    def draw(self, picture: SamplesDrawn) -> None:
        from ganforge.figures import mpl_style

        if self._artist is None:
            self._artist = self._hired()
        drawn = self._artist.draw(picture)
        path = picture_path(self._folder, picture.iteration)
        try:
            # A picture can be drawn again; syncing it would stop training.
            atomic_files.write_bytes(path, mpl_style.png(drawn), durable=False)
        except StorageError as error:
            if not self._refused:
                self._warn(f"pictures are missing from iteration {picture.iteration} on: {error.message}")
            self._refused = True
            return
        self._recorded(KEY, picture.iteration, path)

    def _hired(self) -> Portraitist:
        from ganforge.figures.sample_figures import portraitist

        assert self._started is not None  # noqa: S101 - a trainer's first event
        return portraitist(self._started, self._title)


def picture_path(folder: RunFolder, iteration: int) -> Path:
    """Where the picture of an iteration lies."""
    return folder.pictures / f"samples-{iteration:08}.png"


def drawn(folder: RunFolder) -> dict[int, Path]:
    """All pictures of samples in a run's folder, by iteration."""
    found = {path.stem.removeprefix("samples-"): path for path in folder.pictures.glob("samples-*.png")}
    return {int(at): found[at] for at in sorted(found, key=lambda at: (len(at), at)) if at.isdecimal() and at.isascii()}
