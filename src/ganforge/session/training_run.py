"""One run from recipe to result: read → resolve → build → train → callbacks → result, recorded however it ends."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ganforge.build.lock import read_lock
from ganforge.build.parts import name_part
from ganforge.callbacks import Callback, Handler, broadcast
from ganforge.callbacks.picture_writer import animation, curves, pictures
from ganforge.callbacks.run_recorder import CheckpointSaver
from ganforge.callbacks.run_recorder import journal as journal_writer
from ganforge.core.errors import PartError, RunFolderError, StorageError, TrainingError, UsageError, describe_error
from ganforge.core.events import Event, Finished, Outcome
from ganforge.core.findings import report
from ganforge.core.redaction import mask_text
from ganforge.health.monitor import HealthMonitor
from ganforge.session.result import Result, mlflow_facts
from ganforge.session.run_files import start_record, update_lock, write_run_files
from ganforge.session.run_plan import Options, RunPlan, assemble, prepare, restore
from ganforge.session.training_loop import MIN_CHECKPOINTS, StopRequest, TrainingLoop, graceful_signals
from ganforge.storage import atomic_files
from ganforge.storage.journal import JournalWriter
from ganforge.storage.run_folder import RunFolder, Status
from ganforge.terminal.log_handler import show_messages
from ganforge.terminal.progress_ui import create_ui
from ganforge.terminal.run_state import ProgressUI
from ganforge.terminal.text_layout import print_text
from ganforge.tracking.mlflow_model import library_requirements
from ganforge.tracking.supervisor import Supervisor, UploadSummary, supervise

if TYPE_CHECKING:
    from rich.console import Console

    from ganforge.recipe.config import Recipe
    from ganforge.train.trainer import Trainer

_MLFLOW_STATUS: dict[Outcome, str] = {"finished": "FINISHED", "stopped": "KILLED", "diverged": "FAILED"}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunContext:
    """Everything that one run works with."""

    plan: RunPlan
    folder: RunFolder
    trainer: Trainer
    monitor: HealthMonitor
    journal: JournalWriter
    ui: ProgressUI
    stop: StopRequest
    delivery: Supervisor

    @property
    def recipe(self) -> Recipe:
        """The recipe."""
        return self.plan.blueprint.recipe


def run(options: Options, console: Console) -> Result:
    """Train a recipe.

    Nothing is created before the recipe is valid and every part is built. The run then ends as finished, stopped (``KILLED`` in
    MLflow), diverged or failed (``FAILED``); ``status.json`` says which. The live view and messages go to ``console``.
    """
    show = partial(print_text, console)
    with graceful_signals() as stop, show_messages(show) as messages:
        plan = prepare(options)
        show("importing torch, building the networks …")
        trainer = assemble(plan, options.device)
        with trainer.batches.prefetching():  # before there is a lock that its processes could inherit
            folder = plan.resumed or RunFolder.create(options.runs_dir, plan.experiment, plan.name)
            seed = plan.blueprint.recipe.train.seed
            ui = create_ui(console, plain=options.plain, title=plan.title, folder=folder.path, seed=seed)
            with folder.locked(), _opened(plan, folder, trainer, options, ui, stop) as context:
                messages.note = ui.notify
                finished = _train(context)
                return _result(context, finished, context.delivery.stop())


@contextmanager
def _opened(
    plan: RunPlan, folder: RunFolder, trainer: Trainer, options: Options, ui: ProgressUI, stop: StopRequest
) -> Iterator[RunContext]:
    """Write or restore the run's files, then open the upload and the journal, which is closed before the upload ends."""
    recipe = plan.blueprint.recipe
    monitor = HealthMonitor(recipe.health, [part.component.name for part in plan.blueprint.losses], recipe.frozen)
    if plan.resumed:
        restore(trainer, monitor, folder)
        update_lock(plan, folder, trainer)
    else:
        write_run_files(plan, folder, trainer, options)
    with (
        supervise(folder, options.tracking_uri, mode=recipe.tracking.mode) as delivery,
        JournalWriter(folder.journal, keep_going=True) as journal,
    ):
        yield RunContext(plan, folder, trainer, monitor, journal, ui, stop, delivery)


def _train(context: RunContext) -> Finished:
    """Train, and record how it ended, whatever happens."""
    folder, journal, trainer = context.folder, context.journal, context.trainer
    try:
        if not context.plan.resumed:
            journal.record("start", **start_record(context.plan, folder, trainer).to_record())
        elif context.plan.changed:
            journal.record("changed", iteration=trainer.iteration, values=context.plan.changed)
        finished = _broadcast(context)
        _conclude(context, finished)
    except KeyboardInterrupt:
        # The second Ctrl-C: nothing is saved, but folder and MLflow say so.
        journal.record("end", status="KILLED", reason="interrupted at once", exit_code=130)
        folder.finish("killed", reason="interrupted at once")
        raise
    except BaseException as error:  # a component that calls sys.exit must not pass for a run that ended well
        _record_failure(context, error)
        if not isinstance(error, Exception):
            raise TrainingError(
                f"training aborted at iteration {trainer.iteration}: {describe_error(error)}",
                remedy=f"see {folder.path / 'crash.txt'} for the component that did it",
            ) from error
        import torch

        if isinstance(error, MemoryError | torch.OutOfMemoryError):
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise TrainingError(
                f"out of memory with batches of {context.recipe.train.batch_size}: {reason}",
                remedy="lower train.batch_size or the networks' widths; the last checkpoint is kept",
            ) from error
        raise
    return finished


def _broadcast(context: RunContext) -> Finished:
    """Train, and send the events to the callbacks."""
    recipe, folder, journal = context.recipe, context.folder, context.journal
    on_fail, keep = recipe.health.on_fail, recipe.checkpoints.keep
    loop = TrainingLoop(on_fail, context.trainer, context.monitor, folder, journal, context.stop)
    saver = CheckpointSaver(folder, max(keep, MIN_CHECKPOINTS) if on_fail == "roll-back" else keep)
    essential: list[Callback] = [journal_writer(folder, journal), saver.callback()]
    try:
        finished = broadcast(loop.events(), _callbacks(context), essential=essential)
    except PartError as error:
        when = f" at iteration {context.trainer.iteration + 1}"
        raise name_part(error, context.plan.blueprint.parts, when=when) from (error.__cause__ or error)
    assert finished is not None  # noqa: S101 - the trainer's last event
    if saver.failures:
        journal.record("tag", key="ganforge.degraded", value=f"{saver.failures} checkpoints could not be written")
    return finished


def _callbacks(context: RunContext) -> list[Callback]:
    """The callbacks that may fail without ending training; the user interface first, so that it never waits for a drawing."""
    folder, title = context.folder, context.plan.title

    def recorded(key: str, iteration: int, path: Path) -> None:
        context.journal.record("image", key=key, iteration=iteration, path=str(path.relative_to(folder.path)))

    callbacks: list[Callback] = [
        context.ui.callback(),
        upload_news(context.delivery),
        pictures(folder, title=title, recorded=recorded),
        curves(folder, title=title),
    ]
    return [*callbacks, animation(folder)] if context.recipe.pictures.gif else callbacks


@contextmanager
def upload_news(delivery: Supervisor) -> Iterator[Handler]:
    """A callback that looks at the upload to MLflow once a second, and logs when it fails and when it works again."""
    looked, phase = time.monotonic(), "starting"

    def handle(_event: Event) -> None:
        nonlocal looked, phase
        if time.monotonic() - looked < 1:
            return
        looked, before, state = time.monotonic(), phase, delivery.state()
        phase = state.phase
        if phase == "unreachable" != before:
            _log.warning("MLflow is unreachable (%s); records are kept in the run folder", state.message)
        elif phase == "stopped" != before:
            _log.warning("MLflow gets no more records: %s; they are kept in the run folder", state.message)
        elif phase == "uploading" and before == "unreachable":
            _log.info("MLflow is back after %.0f s; %d points delivered so far", state.outage or 0, state.points)

    yield handle


def _conclude(context: RunContext, finished: Finished) -> None:
    """Write the final files and the journal's last records."""
    folder, journal, wanted = context.folder, context.journal, context.recipe.pictures
    reached = folder.read_status() or Status(status="running")
    protocols = {metric.name: metric.protocol for metric in context.trainer.evaluator.metrics}
    health = dict(reached.health or report((), conclusive=False))
    final = {"iteration": finished.iteration, "metrics": dict(reached.metrics), "protocols": protocols, "health": health}
    folder.write_json(folder.metrics, final)

    for path in (folder.pictures / name for name in ("training.gif", "losses.png", "metrics.png")):
        if path.exists():
            journal.record("file", path=str(path.relative_to(folder.path)), folder="pictures")
    from ganforge.session.final_figures import draw_final_figures, write_final_report

    if finished.outcome == "finished" and wanted.final_figures:
        draw_final_figures(context.trainer, folder, journal)
    journal.record("file", path=folder.metrics.name, folder="")
    if any(folder.path.glob("lock-*.json")):
        journal.record("file", path=folder.lock.name, folder="recipe")
    if finished.outcome == "finished":
        _write_model(context, finished)
    if wanted.report:
        write_final_report(folder, journal)
    status, code = _MLFLOW_STATUS[finished.outcome], _exit_code(context, finished)
    journal.record("end", status=status, reason=finished.reason, exit_code=code, iteration=finished.iteration)


def _write_model(context: RunContext, finished: Finished) -> None:
    """Write what sampling needs, for MLflow's model; this takes an intact checkpoint and lock."""
    from ganforge.runs.loaded_generator import write_bundle

    folder = context.folder
    try:
        distributions = read_lock(folder.path).requirements()
        write_bundle(folder.path, folder.path / "model")
    except (RunFolderError, UsageError) as error:
        _log.warning("no model for MLflow: %s", error.message)
        return
    requirements = [*library_requirements(), *distributions]
    context.journal.record("model", path="model", iteration=finished.iteration, requirements=requirements)


def _record_failure(context: RunContext, error: BaseException) -> None:
    """Write a crash report and the status; a full disk must not hide the error itself."""
    folder, journal, text = context.folder, context.journal, describe_error(error)
    try:
        atomic_files.write_text(folder.path / "crash.txt", mask_text("".join(traceback.format_exception(error))))
        journal.record("file", path="crash.txt", folder="")
        folder.finish("failed", error=text)
    except StorageError as refused:
        _log.warning(str(refused))
    journal.record("end", status="FAILED", reason="exception", error=text, exit_code=getattr(error, "exit_code", 1))


def _exit_code(context: RunContext, finished: Finished) -> int:
    if finished.outcome == "stopped" and context.stop.requested():
        return context.stop.exit_code
    return 0 if finished.outcome == "finished" else 1  # 1: it diverged, or a health check stopped it


def _result(context: RunContext, finished: Finished, delivered: UploadSummary) -> Result:
    status = context.folder.read_status()
    return Result(
        run=context.folder.path.name,
        folder=context.folder.path,
        status=finished.outcome,
        iterations=finished.iteration,
        seconds=finished.seconds,
        iterations_per_second=context.trainer.iterations_run / max(finished.seconds, 1e-9),
        metrics=dict(status.metrics) if status else {},
        health=dict(status.health) if status and status.health else report((), conclusive=False),
        mlflow=mlflow_facts(delivered, wanted=context.recipe.tracking.mode != "off"),
        exit_code=_exit_code(context, finished),
        seed=context.recipe.train.seed,
        reason=finished.reason,
    )
