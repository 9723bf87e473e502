"""The album of a run that is finished: walks through its latent space, and its samples beside the nearest training images."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from ganforge.core.errors import StorageError
from ganforge.core.isolation import describe_error, isolated
from ganforge.core.records import Latent
from ganforge.figures.projection import groups_of
from ganforge.runs.latent_explorer import FORMATS, ROWS, Guide
from ganforge.runs.nearest_training import beside_nearest
from ganforge.storage import atomic_files
from ganforge.storage.journal import JournalWriter
from ganforge.storage.run_folder import RunFolder
from ganforge.train.random_streams import seeded, stream
from ganforge.train.trainer import Trainer

_SAMPLES = 64
"""Samples on the sheet with the nearest training images."""


def keep_album(trainer: Trainer, folder: RunFolder, journal: JournalWriter, *, warn: Callable[[str], None]) -> None:
    """Draw the album, and record it: sheets to stand beside the samples in MLflow, animations among the pictures."""
    for path in album(trainer, folder, warn=warn):
        place = str(path.relative_to(folder.path))
        if path.suffix == ".png":
            journal.record("image", key=f"images/{path.stem}", iteration=trainer.iteration, path=place)
        else:
            journal.record("file", path=place, folder="pictures")


def album(trainer: Trainer, folder: RunFolder, *, warn: Callable[[str], None]) -> Iterator[Path]:
    """Draw each picture that this run's data and latents allow into ``pictures/``, and tell its file once it is there.

    None of them can make a run fail: one that cannot be drawn is missing, with a warning; a disk that refuses ends the album.

    Args:
        trainer: its average generator is drawn.
        folder: the run's folder.
        warn: told what is missing, and why.
    """
    for name, draw in _pictures(trainer):
        path = folder.pictures / name
        try:
            with seeded(trainer.plan.seed), isolated():
                content = draw()
            # A picture can be drawn again: the end of a run need not wait for the disk.
            atomic_files.write_bytes(path, content, durable=False)
        except StorageError as error:
            warn(f"{name} and what follows is missing: {error.message}")
            return
        except Exception as error:  # noqa: BLE001 - a finished run must not fail for want of a picture
            warn(f"{name} is missing: {describe_error(error)}")
            continue
        yield path


def _pictures(trainer: Trainer) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Name of each file, and what draws it."""
    data, spec = trainer.observer.data, trainer.sampler.spec
    guide = Guide(trainer.average.network, trainer.sampler, data)
    for ending in FORMATS:
        yield f"interpolation{ending}", partial(_interpolation, trainer, guide, ending)
    if spec.classes or spec.has_codes:
        for ending in FORMATS:
            yield f"traversal{ending}", partial(_traversal, trainer, guide, ending)
    if data.is_image:
        yield "neighbours.png", partial(_neighbours, trainer, guide)


def _interpolation(trainer: Trainer, guide: Guide, ending: str) -> bytes:
    return guide.interpolation(_latents(trainer, "interpolation", 2 * ROWS), ending)


def _traversal(trainer: Trainer, guide: Guide, ending: str) -> bytes:
    return guide.traversal(_latents(trainer, "traversal", 10), ending)


def _neighbours(trainer: Trainer, guide: Guide) -> bytes:
    samples = guide.samples(_latents(trainer, "neighbours", _SAMPLES))
    groups = groups_of(samples, guide.data, trainer.sampler.spec.categorical)
    training, count = trainer.observer.training().values, trainer.observer.training_count()
    # All of what is streamed would take as long as an epoch: `sample --neighbours` does that for those who ask.
    note = f"nearest among {len(training):,} of {count:,} training images" if count and count > len(training) else ""
    return beside_nearest(samples, groups, training, guide.data, note=note)


def _latents(trainer: Trainer, name: str, count: int) -> Latent:
    return trainer.sampler.draw(count, stream(trainer.plan.seed, "album", name))
