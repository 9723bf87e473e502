"""The training as an animated GIF, made at its end from the pictures in the run folder."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from ganforge.core.errors import StorageError
from ganforge.core.events import Event, Finished
from ganforge.observers.broadcast import Tell, Warn, warn_plainly
from ganforge.storage import atomic
from ganforge.storage.folder import RunFolder

FRAMES = 60
"""Most frames; of more pictures, evenly spaced ones are taken, the first and the last among them."""
WIDTH = 640
"""Most pixels across."""

_PACE, _HELD = 120, 2000  # milliseconds: of each frame, and of the last one
_COLOURS = 64


@contextmanager
def animation(folder: RunFolder, *, warn: Warn = warn_plainly) -> Iterator[Tell]:
    """Write ``pictures/training.gif`` when training ends, however it ends; a run that goes on shows its earlier part too.

    Args:
        folder: the run's folder; all ``pictures/samples-*.png`` there become frames.
        warn: told when the disk refuses.
    """

    def tell(event: Event) -> None:
        if not isinstance(event, Finished):
            return
        paths = sorted(folder.pictures.glob("samples-*.png"))
        if len(paths) < 2:
            return
        try:
            atomic.write_bytes(folder.pictures / "training.gif", gif(spaced(paths, FRAMES)), durable=False)
        except StorageError as error:
            warn(f"no animation: {error.message}")

    yield tell


def spaced(paths: Sequence[Path], count: int) -> list[Path]:
    """At most ``count`` of the paths, evenly spaced, the first and the last among them."""
    if len(paths) <= count:
        return list(paths)
    return [paths[round(index * (len(paths) - 1) / (count - 1))] for index in range(count)]


def gif(paths: Sequence[Path]) -> bytes:
    """The pictures as frames of one animation, all with the colours of the last and of the first."""
    frames = [_frame(path) for path in paths]
    palette = _palette(frames)
    # Without dithering, what does not move stays equal from frame to frame, and costs nothing.
    reduced = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    file = io.BytesIO()
    durations = [_PACE] * (len(reduced) - 1) + [_HELD]
    reduced[0].save(file, "GIF", save_all=True, append_images=reduced[1:], duration=durations, loop=0, optimize=True)
    return file.getvalue()


def _frame(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        frame = picture.convert("RGB")
    if frame.width > WIDTH:
        frame = frame.resize((WIDTH, round(frame.height * WIDTH / frame.width)), Image.Resampling.LANCZOS)
    return frame


def _palette(frames: Sequence[Image.Image]) -> Image.Image:
    first, last = frames[0], frames[-1]
    both = Image.new("RGB", (first.width + last.width, max(first.height, last.height)), "white")
    both.paste(first, (0, 0))
    both.paste(last, (first.width, 0))
    return both.quantize(colors=_COLOURS)
