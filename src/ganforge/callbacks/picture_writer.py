"""Writes a run's pictures: samples, loss and metric curves, and the animation of the training."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ganforge.callbacks import Handler
from ganforge.core.errors import StorageError
from ganforge.core.events import Evaluated, Event, Finished, SamplesDrawn, Started, Stepped
from ganforge.storage import atomic_files, value_info
from ganforge.storage.run_folder import RunFolder
from ganforge.storage.value_info import ValueInfo

if TYPE_CHECKING:
    from ganforge.figures import Pixels

RecordPicture = Callable[[str, int, Path], None]
"""Receives each picture written: key such as ``images/samples``, iteration, file."""

_log = logging.getLogger(__name__)

_HEAD_START = 1.0  # seconds of training before the first picture
_CURVES_INTERVAL = 60.0  # least seconds between two drawings of the losses during training
_CURVES_SHARE = 0.01  # share of the time that drawing curves may take
_FRAME_PACE, _LAST_FRAME_PACE = 120, 2000  # milliseconds
_MIN_FRAMES, _MAX_FRAMES = 8, 60
_FRAME_WIDTH = 640  # pixels, at most
_MAX_BYTES = 3_000_000  # of the animation, so that MLflow's page and a README load it quickly


@contextmanager
def pictures(folder: RunFolder, *, title: str, recorded: RecordPicture) -> Iterator[Handler]:
    """Write ``pictures/samples-<iteration>.png`` at each :class:`~ganforge.core.events.SamplesDrawn`, for images also ``real.png``.

    The first picture waits for one second of training (or for the end, a save or another picture): importing matplotlib takes
    about that long, and the progress display should appear first. Pictures that cannot be written are left out with one warning.
    """
    writer = _PictureWriter(folder, title, recorded)
    yield writer.handle
    writer.write_first()


class _PictureWriter:
    def __init__(self, folder: RunFolder, title: str, recorded: RecordPicture) -> None:
        self._folder, self._title, self._recorded = folder, title, recorded
        self._draw: Callable[[SamplesDrawn], Pixels] | None = None
        self._started: Started | None = None
        self._first: SamplesDrawn | None = None
        self._begin = 0.0
        self._failed = self._warned = False

    def handle(self, event: Event) -> None:
        if isinstance(event, Started):
            self._started, self._begin = event, time.monotonic()
        elif not isinstance(event, Stepped | Evaluated) or time.monotonic() - self._begin >= _HEAD_START:
            self.write_first()

        if isinstance(event, SamplesDrawn):
            self._warn_about_missing_logits(event)
            if self._draw is None:
                self._first = event
            else:
                self._write(event, self._draw)

    def write_first(self) -> None:
        """Write the picture that waits; the figure, and with it matplotlib, is loaded now."""
        if self._first is None or self._started is None:
            return
        from ganforge.figures.sample_figures import ImageFigure, make_sample_figure

        figure = make_sample_figure(self._started, self._title)
        self._draw = figure.draw
        path = self._folder.pictures / "real.png"
        if isinstance(figure, ImageFigure) and not path.exists():  # pictures of points show real ones, too
            self._write(self._first, lambda _: figure.draw_real(), path)
        self._write(self._first, self._draw)
        self._first = None

    def _warn_about_missing_logits(self, picture: SamplesDrawn) -> None:
        if picture.grid_error and not self._warned:
            self._warned = True
            text = "the picture of iteration %d lacks the discriminator, which fails in eval mode: %s; training continues"
            _log.warning(text, picture.iteration, picture.grid_error)

    def _write(self, picture: SamplesDrawn, draw: Callable[[SamplesDrawn], Pixels], path: Path | None = None) -> None:
        """Write a picture: the samples of this iteration unless there is a path."""
        path = path or self._folder.pictures / f"samples-{picture.iteration:08}.png"
        try:
            _write_png(path, draw(picture))
        except StorageError as error:
            if not self._failed:
                _log.warning("no pictures from iteration %d on: %s", picture.iteration, error.message)
            self._failed = True
            return
        self._recorded(f"images/{path.stem.partition('-')[0]}", picture.iteration, path)


def sample_pictures(folder: RunFolder, until: float = float("inf")) -> dict[int, Path]:
    """The sample pictures in a run's folder by iteration, up to ``until``: later ones were discarded by a roll-back."""
    found = {path.stem.removeprefix("samples-"): path for path in folder.pictures.glob("samples-*.png")}
    numbered = {int(at): found[at] for at in sorted(found, key=lambda at: (len(at), at)) if at.isdecimal() and at.isascii()}
    return {at: path for at, path in numbered.items() if at <= until}


@contextmanager
def curves(folder: RunFolder, *, title: str, clock: Callable[[], float] = time.monotonic) -> Iterator[Handler]:
    """Draw ``pictures/losses.png`` at evaluations, at most once a minute, and with ``pictures/metrics.png`` at the end.

    The curves come from the journal, so a resumed run shows its earlier part too. An earlier callback must write it. Reading and
    drawing take at most 1 % of the time.
    """
    due = clock() + _CURVES_INTERVAL
    failed = False

    def write(*, metrics: bool) -> None:
        nonlocal due, failed
        began = clock()
        try:
            _write_curves(folder, title, metrics=metrics)
        except StorageError as error:
            if not failed:
                _log.warning("no curves: %s", error.message)
            failed = True
        due = clock() + max(_CURVES_INTERVAL, (clock() - began) / _CURVES_SHARE)

    def handle(event: Event) -> None:
        if isinstance(event, Finished) or (isinstance(event, Evaluated) and clock() >= due):
            write(metrics=isinstance(event, Finished))

    yield handle


def _write_curves(folder: RunFolder, title: str, *, metrics: bool) -> None:
    from ganforge.figures.charts import draw_charts, loss_charts, metric_charts
    from ganforge.figures.run_history import read_history

    history = read_history(folder)
    try:
        info = value_info.read(folder)
    except StorageError:
        info = ValueInfo()
    if losses := [chart for chart in loss_charts(history.terms, info.terms) if any(len(one.at) > 1 for one in chart.curves)]:
        _write_png(folder.pictures / "losses.png", draw_charts(losses, title, findings=history.findings))
    if metrics and (charts := metric_charts(history.metrics, info.metrics)):
        _write_png(folder.pictures / "metrics.png", draw_charts(charts, title))


def _write_png(path: Path, picture: Pixels) -> None:
    from ganforge.figures.images import encode_png

    # Not durable: a picture can be drawn again, and syncing would delay training.
    atomic_files.write_bytes(path, encode_png(picture), durable=False)


@contextmanager
def animation(folder: RunFolder) -> Iterator[Handler]:
    """Write ``pictures/training.gif`` from the sample pictures, those before a resume included, when training ends."""

    def handle(event: Event) -> None:
        if not isinstance(event, Finished):
            return
        paths = list(sample_pictures(folder, until=event.iteration).values())
        if len(paths) < 2:
            return
        try:
            atomic_files.write_bytes(folder.pictures / "training.gif", _animate(paths), durable=False)
        except StorageError as error:
            _log.warning("no animation: %s", error.message)

    yield handle


def pick_evenly(paths: Sequence[Path], count: int) -> list[Path]:
    """At most ``count`` of the paths, evenly spaced, including the first and the last."""
    if len(paths) <= count:
        return list(paths)
    return [paths[round(index * (len(paths) - 1) / (count - 1))] for index in range(count)]


def _animate(paths: Sequence[Path], max_bytes: int = _MAX_BYTES) -> bytes:
    """A GIF of as many pictures as fit into ``max_bytes``, but at least 8."""
    from PIL import Image

    from ganforge.figures.images import encode_gif

    count = min(len(paths), _MAX_FRAMES)
    while True:
        frames = [Image.open(path).convert("RGB") for path in pick_evenly(paths, count)]
        scale = min(1.0, _FRAME_WIDTH / frames[0].width)
        size = (round(frames[0].width * scale), round(frames[0].height * scale))
        frames = [frame.resize(size, Image.Resampling.BILINEAR) for frame in frames] if scale < 1 else frames
        animated = encode_gif(frames, pace=_FRAME_PACE, held=_LAST_FRAME_PACE)
        if len(animated) <= max_bytes or count <= _MIN_FRAMES:
            return animated
        count = max(_MIN_FRAMES, min(count - 1, int(0.9 * count * max_bytes / len(animated))))
