"""The training as an animated GIF, made at its end from the pictures in the run folder."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from ganforge.callbacks.dispatch import Tell, Warn, warn_plainly
from ganforge.callbacks.picture_writer import drawn
from ganforge.core.errors import StorageError
from ganforge.core.events import Event, Finished
from ganforge.storage import atomic_files
from ganforge.storage.run_folder import RunFolder

FRAMES = 60
"""Most frames; of more pictures, evenly spaced ones are taken, the first and the last among them."""
WIDTH = 640
"""Most pixels across."""

_PACE, _HELD = 120, 2000  # milliseconds: of each frame, and of the last one
_COLOURS = 96
_FEWEST = 8
_LARGEST = 3_000_000  # bytes: MLflow's page and a README still load it at once


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
        # Later pictures are of a part that training gave up when it went back.
        paths = [path for at, path in sorted(drawn(folder).items()) if at <= event.iteration]
        if len(paths) < 2:
            return
        try:
            atomic_files.write_bytes(folder.pictures / "training.gif", _small_enough(paths), durable=False)
        except StorageError as error:
            warn(f"no animation: {error.message}")

    yield tell


def spaced(paths: Sequence[Path], count: int) -> list[Path]:
    """At most ``count`` of the paths, evenly spaced, the first and the last among them."""
    if len(paths) <= count:
        return list(paths)
    return [paths[round(index * (len(paths) - 1) / (count - 1))] for index in range(count)]


def _small_enough(paths: Sequence[Path], largest: int = _LARGEST) -> bytes:
    """The animation with as many frames as stay within ``largest`` bytes, but never fewer than 8."""
    count = min(len(paths), FRAMES)
    made = gif(spaced(paths, count))
    while len(made) > largest and count > _FEWEST:
        count = max(_FEWEST, min(count - 1, int(0.9 * count * largest / len(made))))
        made = gif(spaced(paths, count))
    return made


def gif(paths: Sequence[Path]) -> bytes:
    """The pictures as frames of one animation that stands still at its end."""
    return animated([_frame(path) for path in paths], pace=_PACE, held=_HELD)


def animated(
    frames: Sequence[Image.Image], *, pace: int, held: int | None = None, back: bool = False, colours: int = _COLOURS
) -> bytes:
    """An endless GIF of ``frames``: greys as they are, colours with one palette, made from a few of the frames.

    Args:
        frames: pictures of one size, all of mode RGB or all of mode L.
        pace: milliseconds of each frame.
        held: milliseconds of the last one, if others.
        back: whether it goes back to the first frame the way that it came.
        colours: in the palette, at most 256.
    """
    reduced = list(frames)
    if frames[0].mode == "RGB":
        palette = _palette(frames, colours)
        # Without dithering, what does not move stays equal from frame to frame, and costs nothing.
        reduced = [frame.quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
    if back:
        reduced += reduced[-2:0:-1]
    file = io.BytesIO()
    durations = [pace] * (len(reduced) - 1) + [held or pace]
    reduced[0].save(file, "GIF", save_all=True, append_images=reduced[1:], duration=durations, loop=0, optimize=True)
    return file.getvalue()


def _frame(path: Path) -> Image.Image:
    with Image.open(path) as picture:
        frame = picture.convert("RGB")
    if frame.width > WIDTH:
        frame = frame.resize((WIDTH, round(frame.height * WIDTH / frame.width)), Image.Resampling.BILINEAR)
    return frame


def _palette(frames: Sequence[Image.Image], colours: int) -> Image.Image:
    chosen = [frames[0], frames[len(frames) // 2], frames[-1]]
    sheet = Image.new("RGB", (max(frame.width for frame in chosen), sum(frame.height for frame in chosen)), "white")
    for number, frame in enumerate(chosen):
        sheet.paste(frame, (0, sum(before.height for before in chosen[:number])))
    # Every third pixel tells the colours as well. Median cut alone spends them on the pale background, and points and letters lose
    # theirs.
    return sheet.resize((max(1, sheet.width // 3), max(1, sheet.height // 3)), Image.Resampling.NEAREST).quantize(
        colors=colours, kmeans=2
    )
