"""What is drawn once a run has ended: walks through its latent space, its samples beside training images, and its report."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial

from ganforge.core.contracts import StreamingDataset
from ganforge.core.errors import StorageError, describe_error, isolated
from ganforge.core.records import Latent
from ganforge.games.checked_calls import draw_latents
from ganforge.runs.latent_figures import FORMATS, ROWS, interpolation, traversal
from ganforge.runs.loaded_generator import LoadedGenerator
from ganforge.runs.nearest_images import beside_nearest
from ganforge.storage import atomic_files
from ganforge.storage.journal import JournalWriter
from ganforge.storage.run_folder import RunFolder
from ganforge.train.random_streams import seeded, stream
from ganforge.train.trainer import Trainer

_log = logging.getLogger(__name__)


def draw_final_figures(trainer: Trainer, folder: RunFolder, journal: JournalWriter) -> None:
    """Draw the figures that this run's data and latents allow into ``pictures/``; one that fails is left out with a warning."""
    for name, draw in _figures(trainer, folder):
        path = folder.pictures / name
        try:
            with seeded(trainer.config.seed), isolated():
                content = draw()
            # A picture can be drawn again: the end of a run need not wait for the disk.
            atomic_files.write_bytes(path, content, durable=False)
        except StorageError as error:
            _log.warning("%s and what follows is missing: %s", name, error.message)
            return
        except Exception as error:  # noqa: BLE001 - a finished run must not fail for want of a picture
            _log.warning("%s is missing: %s", name, describe_error(error))
            continue
        place = str(path.relative_to(folder.path))
        if path.suffix == ".png":
            journal.record("image", key=f"images/{path.stem}", iteration=trainer.iteration, path=place)
        else:
            journal.record("file", path=place, folder="pictures")


def write_final_report(folder: RunFolder, journal: JournalWriter) -> None:
    """Write ``report.html`` and record it for MLflow; a report that cannot be written is left out with a warning."""
    journal.flush()  # the report shows the journal
    try:
        with isolated():
            from ganforge.report.page import write_report

            page = write_report(folder)
    except Exception as error:  # noqa: BLE001 - a run that has ended must not fail for want of a page
        _log.warning("%s is missing: %s", folder.report.name, describe_error(error))
        return
    journal.record("file", path=page.name, folder="")


def _figures(trainer: Trainer, folder: RunFolder) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Name of each file, and what draws it."""
    data, spec = trainer.evaluator.data, trainer.sampler.spec
    role = trainer.game.spec.generator
    generator = LoadedGenerator(trainer.generator, trainer.sampler, data, spec, trainer.iteration, folder.path, role)
    walks: dict[str, tuple[Callable[..., bytes], int]] = {"interpolation": (interpolation, 2 * ROWS)}
    if spec.classes or spec.has_codes:
        walks["traversal"] = (traversal, 10)
    for name, (draw, count) in walks.items():
        for ending in FORMATS:
            yield f"{name}{ending}", partial(_walk, trainer, partial(draw, generator), name, count, ending)
    if data.is_image:
        yield "neighbours.png", partial(_neighbours, trainer, generator)


def _walk(trainer: Trainer, draw: Callable[[Latent, str], bytes], name: str, count: int, ending: str) -> bytes:
    return draw(_latents(trainer, name, count), ending)


def _neighbours(trainer: Trainer, generator: LoadedGenerator) -> bytes:
    samples = generator.generate(_latents(trainer, "neighbours", 64))
    dataset = trainer.evaluator.dataset
    training = dataset.training().values
    count = len(dataset.streamed()) if isinstance(dataset, StreamingDataset) else 0
    # To search all of a streamed data set takes as long as an epoch: `sample --neighbours` does that on request.
    note = f"nearest among {len(training):,} of {count:,} training images" if count > len(training) else ""
    return beside_nearest(samples, training, generator.data, note=note)


def _latents(trainer: Trainer, name: str, count: int) -> Latent:
    return draw_latents(trainer.sampler, count, stream(trainer.config.seed, "album", name))
