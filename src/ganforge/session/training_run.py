"""One run from recipe to result: read → resolve → build → run → broadcast, and an honest end for every way of ending."""

from __future__ import annotations

import gc
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.text import Text

from ganforge.build.lock import read_lock
from ganforge.callbacks.animation import animation
from ganforge.callbacks.checkpoint_saver import Checkpoints
from ganforge.callbacks.curve_plotter import curves
from ganforge.callbacks.dispatch import Observer, broadcast
from ganforge.callbacks.journal_writer import journal as journaling
from ganforge.callbacks.picture_writer import pictures
from ganforge.core.errors import GanforgeError, RunFolderError, StorageError, TrainingError, UsageError
from ganforge.core.events import Finished, Outcome
from ganforge.core.findings import unchecked_report
from ganforge.core.isolation import describe_error
from ganforge.health.monitor import Watch, watched
from ganforge.session.failure_policy import KEPT, Rescue
from ganforge.session.graceful_signals import Stopping, polite_signals
from ganforge.session.report_hook import keep_report
from ganforge.session.result import Result
from ganforge.session.run_files import changes, introduce, lock_again, start_record
from ganforge.session.run_plan import Options, Plot, assemble, prepare, restore
from ganforge.session.upload_news import delivery_news, mlflow_facts
from ganforge.storage import atomic_files, run_status
from ganforge.storage.journal import JournalWriter
from ganforge.storage.run_folder import RunFolder
from ganforge.terminal.progress_ui import View, view
from ganforge.tracking.mlflow_model import libraries
from ganforge.tracking.supervisor import Summary, Supervisor, supervise
from ganforge.tracking.tracking_store import resolve as resolve_store

if TYPE_CHECKING:
    from rich.console import Console

    from ganforge.train.trainer import Trainer

_MLFLOW_STATUS: dict[Outcome, str] = {"finished": "FINISHED", "stopped": "KILLED", "diverged": "FAILED"}


@dataclass(frozen=True, slots=True)
class Stage:
    """What one run plays on.

    Attributes:
        plot: the recipe and its components.
        folder: the run's folder, locked.
        trainer: built, and restored where the run goes on.
        watch: what judges its health.
        journal: the run's journal.
        face: what the user sees.
        stopping: whether somebody asked to stop.
        delivery: the hold on what delivers to MLflow.
        known: what the watch knew then, where the run goes on.
    """

    plot: Plot
    folder: RunFolder
    trainer: Trainer
    watch: Watch
    journal: JournalWriter
    face: View
    stopping: Stopping
    delivery: Supervisor
    known: object


def run(options: Options, console: Console) -> Result:
    """Train what a recipe describes.

    Nothing is created before the recipe is found good and every part is built. The run then ends in one of the ways that
    ``status.json`` and MLflow tell: finished, stopped (KILLED), diverged or failed (FAILED).

    Args:
        options: what the command line asks.
        console: where the view goes; results are returned, not printed.

    Raises:
        GanforgeError: for all that the user can mend.
    """
    resolve_store(options.tracking_uri)  # a URI that MLflow does not take is refused before anything is built
    with polite_signals() as stopping:
        stopping.notify = lambda text: console.print(text, highlight=False, markup=False, soft_wrap=True)
        plot = prepare(options, stopping.notify)
        with _patience(console, plot.title, plain=options.plain), _collector_paused():
            trainer = assemble(plot, options.device, stopping.notify)
        with trainer.batches.reading():  # before there is a lock that its processes could inherit
            return _trained(plot, trainer, options, console, stopping)


def _trained(plot: Plot, trainer: Trainer, options: Options, console: Console, stopping: Stopping) -> Result:
    folder = plot.resumed or RunFolder.create(options.runs_dir, plot.experiment, plot.name)
    watch, known = Watch(plot.blueprint.recipe.health, [part.component.name for part in plot.blueprint.losses]), None
    with folder.locked():
        if plot.resumed:
            known = restore(trainer, watch, folder, stopping.notify)
            lock_again(plot, folder, trainer)
        else:
            introduce(plot, folder, trainer, options)
        with _staged(plot, folder, trainer, watch, known, options, console, stopping) as stage:
            finished = _play(stage)
        return _result(stage, finished, stage.delivery.stop())


@contextmanager
def _patience(console: Console, title: str, *, plain: bool) -> Iterator[None]:
    """Say at once what takes the first seconds."""
    text = f"{title}: importing torch, building the networks …"
    if plain or not console.is_terminal:
        console.print(text, highlight=False, markup=False, soft_wrap=True)
        yield
        return
    with console.status(Text(text)):
        yield


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Import and build without the garbage collector, then keep what lives for the whole run out of its sight.

    Importing torch makes hundreds of thousands of objects that stay; walking them again and again costs a fifth of the time
    before the first iteration, and more at each later import.
    """
    if not gc.isenabled():  # somebody else's decision
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def _staged(
    plot: Plot,
    folder: RunFolder,
    trainer: Trainer,
    watch: Watch,
    known: object,
    options: Options,
    console: Console,
    stopping: Stopping,
) -> Iterator[Stage]:
    """Everything around the trainer, opened; the journal is closed before the last delivery is waited for."""
    recipe = plot.blueprint.recipe
    face = view(console, plain=options.plain, title=plot.title, folder=folder.path, seed=recipe.train.seed)
    stopping.notify = face.notify
    with (
        supervise(folder, options.tracking_uri, mode=recipe.tracking.mode) as delivery,
        JournalWriter(folder.journal, on_error=lambda error: face.notify(f"{error}; training goes on")) as journal,
    ):
        yield Stage(plot, folder, trainer, watch, journal, face, stopping, delivery, known)


def _play(stage: Stage) -> Finished:
    """Train, and write down how it ended, whatever happens."""
    folder, journal = stage.folder, stage.journal
    recipe = stage.plot.blueprint.recipe
    keep = max(recipe.checkpoints.keep, KEPT) if recipe.health.on_fail == "roll-back" else recipe.checkpoints.keep
    saver = Checkpoints(folder, keep, warn=stage.face.notify)
    rescue = Rescue(
        recipe.health.on_fail, stage.trainer, stage.watch, folder, journal, stage.face.notify, stage.stopping.requested, stage.known
    )
    try:
        if not stage.plot.resumed:
            journal.record("start", **start_record(stage.plot, folder, stage.trainer).to_record())
        elif stage.plot.changed:
            journal.record("changed", iteration=stage.trainer.iteration, values=changes(stage.plot))
        finished = broadcast(
            rescue.concluded(watched(stage.trainer.run(rescue.should_stop, rescue.state), stage.watch)),
            _observers(stage),
            essential=[journaling(folder, journal, warn=stage.face.notify), saver],
            warn=stage.face.notify,
        )
        assert finished is not None  # noqa: S101 - the trainer's last event
        if saver.failures:
            journal.record("tag", key="ganforge.degraded", value=f"{saver.failures} checkpoints could not be written")
        _conclude(stage, finished)
    except KeyboardInterrupt:
        # The second Ctrl-C: nothing is saved, but nothing is left lying either.
        journal.record("end", status="KILLED", reason="interrupted at once", exit_code=130)
        run_status.finish(folder, "killed", reason="interrupted at once")
        raise
    except BaseException as error:  # a part that calls sys.exit must not pass for a run that ended well
        _failed(stage, error)
        if not isinstance(error, Exception):
            raise TrainingError(
                f"training was broken off at iteration {stage.trainer.iteration}: {describe_error(error)}",
                remedy=f"see {stage.folder.path / 'crash.txt'} for the part that did it",
            ) from error
        if out_of_memory := _memory_error(error, stage.plot.blueprint.recipe.train.batch_size):
            raise out_of_memory from error
        raise
    return finished


def _observers(stage: Stage) -> list[Observer]:
    """What may fail without ending training: the view first, so that it never waits for a drawing."""
    recipe, folder, face = stage.plot.blueprint.recipe, stage.folder, stage.face

    def recorded(key: str, iteration: int, path: Path) -> None:
        stage.journal.record("image", key=key, iteration=iteration, path=str(path.relative_to(folder.path)))

    observers: list[Observer] = [
        face.observer,
        delivery_news(stage.delivery, face.notify),
        pictures(folder, title=stage.plot.title, recorded=recorded, warn=face.notify),
        curves(folder, title=stage.plot.title, warn=face.notify),
    ]
    if recipe.pictures.gif:
        observers.append(animation(folder, warn=face.notify))
    return observers


def _conclude(stage: Stage, finished: Finished) -> None:
    """Write the final files and the journal's last records."""
    folder, journal = stage.folder, stage.journal
    known = run_status.read(folder) or run_status.Status(status="running")
    protocols = {metric.name: metric.protocol for metric in stage.trainer.observer.metrics}
    final = {"metrics": dict(known.metrics), "protocols": protocols, "health": dict(known.health or unchecked_report())}
    atomic_files.write_json(folder.metrics, {"iteration": finished.iteration, **final})

    for path in (folder.pictures / name for name in ("training.gif", "losses.png", "metrics.png")):
        if path.exists():
            journal.record("file", path=str(path.relative_to(folder.path)), folder="pictures")
    if finished.outcome == "finished" and stage.plot.blueprint.recipe.pictures.album:
        from ganforge.session.final_figures import keep_album

        keep_album(stage.trainer, folder, journal, warn=stage.face.notify)
    journal.record("file", path=folder.metrics.name, folder="")
    if any(folder.path.glob("lock-*.json")):
        journal.record("file", path=folder.lock.name, folder="recipe")
    if finished.outcome == "finished":
        _keep_model(stage, finished)
    if stage.plot.blueprint.recipe.pictures.report:
        keep_report(folder, journal, warn=stage.face.notify)
    journal.record(
        "end",
        status=_MLFLOW_STATUS[finished.outcome],
        reason=finished.reason,
        exit_code=_exit_code(stage, finished),
        iteration=finished.iteration,
    )


def _keep_model(stage: Stage, finished: Finished) -> None:
    """Put together what sampling needs, for MLflow's model; without an intact checkpoint and lock there is none."""
    from ganforge.runs.loaded_generator import write_bundle

    try:
        distributions = read_lock(stage.folder.path).requirements()
        write_bundle(stage.folder, stage.folder.path / "model")
    except (RunFolderError, UsageError) as error:
        stage.face.notify(f"no model for MLflow: {error.message}")
        return
    stage.journal.record("model", path="model", iteration=finished.iteration, requirements=[*libraries(), *distributions])


def _failed(stage: Stage, error: BaseException) -> None:
    """Leave a crash report and an honest status; a disk that is full must not hide the error itself."""
    told = describe_error(error)
    report = "".join(traceback.format_exception(error))
    try:
        atomic_files.write_text(stage.folder.path / "crash.txt", report)
        stage.journal.record("file", path="crash.txt", folder="")
        run_status.finish(stage.folder, "failed", error=told)
    except StorageError as refused:
        stage.face.notify(str(refused))
    stage.journal.record("end", status="FAILED", reason="exception", error=told, exit_code=getattr(error, "exit_code", 1))


def _memory_error(error: Exception, batch_size: int) -> GanforgeError | None:
    import torch

    if not isinstance(error, MemoryError | torch.OutOfMemoryError):
        return None
    return TrainingError(
        f"out of memory with batches of {batch_size}: {str(error).splitlines()[0] if str(error) else type(error).__name__}",
        remedy="lower train.batch_size or the networks' widths; the last checkpoint is kept",
    )


def _exit_code(stage: Stage, finished: Finished) -> int:
    match finished.outcome:
        case "finished":
            return 0
        case "stopped":
            return stage.stopping.exit_code if stage.stopping.requested() else 1  # 1: the health watch stopped it
        case "diverged":
            return 1


def _result(stage: Stage, finished: Finished, delivered: Summary) -> Result:
    known = run_status.read(stage.folder)
    return Result(
        run=stage.folder.path.name,
        folder=stage.folder.path,
        status=finished.outcome,
        iterations=finished.iteration,
        seconds=finished.seconds,
        iterations_per_second=stage.trainer.trained / max(finished.seconds, 1e-9),
        metrics=dict(known.metrics) if known else {},
        health=dict(known.health) if known and known.health else unchecked_report(),
        mlflow=mlflow_facts(delivered, wanted=stage.plot.blueprint.recipe.tracking.mode != "off"),
        exit_code=_exit_code(stage, finished),
        seed=stage.plot.blueprint.recipe.train.seed,
        reason=finished.reason,
    )
