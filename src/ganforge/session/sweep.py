"""Many seeds of one recipe: each a run of its own in a process of its own, below one parent run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganforge import __version__
from ganforge.core.findings import unchecked_report
from ganforge.recipe.toml_writer import fingerprint, flatten, to_toml
from ganforge.session.environment_info import command, git_facts, note
from ganforge.session.graceful_signals import Stopping, polite_signals
from ganforge.session.report_hook import keep_report
from ganforge.session.result import Result, SweepResult
from ganforge.session.run_plan import Options, Plot, prepare
from ganforge.session.upload_news import mlflow_facts
from ganforge.storage import atomic_files, run_status
from ganforge.storage.journal import JournalWriter
from ganforge.storage.run_folder import RunFolder
from ganforge.tracking.run_metadata import Artifact, StartRecord
from ganforge.tracking.supervisor import supervise

if TYPE_CHECKING:
    from rich.console import Console


def sweep(options: Options, *, seeds: int, jobs: int, console: Console) -> SweepResult:
    """Run ``seeds`` seeds, from the recipe's on, ``jobs`` at a time.

    The parent run in MLflow gets each metric's mean and spread over the seeds that are done, the worst verdict on their health, and
    how many have which. A signal stops the seeds under way, each with a checkpoint, and starts no more.

    Raises:
        RecipeError: before anything is created.
    """
    began = time.perf_counter()

    def say(text: str) -> None:
        console.print(text, highlight=False, markup=False, soft_wrap=True)

    with polite_signals() as stopping:
        stopping.notify = say
        plot = prepare(options, say)
        first = plot.blueprint.recipe.train.seed
        folder = _parent(plot, options, first, seeds)
        with folder.locked(), supervise(folder, options.tracking_uri) as delivery, JournalWriter(folder.journal) as journal:
            journal.record("start", **_start(plot, folder, first, seeds).to_record())
            run_status.write(folder, run_status.Status(status="running", iterations=seeds))
            results: list[Result] = []
            for result in _run_all(options, plot, folder, range(first, first + seeds), jobs, stopping):
                results.append(result)
                facts = (_shown(result.metrics), result.health["verdict"], result.folder)
                say(f"seed {result.seed}: {result.status} after {result.seconds:.0f} s  {'  '.join(map(str, filter(None, facts)))}")
                _tell_parent(journal, results)
            exit_code = stopping.exit_code if stopping.signal else next((r.exit_code for r in results if r.exit_code), 0)
            ended = SweepResult(folder.path.name, folder.path, tuple(results), time.perf_counter() - began, exit_code)
            _conclude(plot, folder, journal, ended, stopped=stopping.requested(), wanted=seeds, say=say)
        return SweepResult(ended.run, ended.folder, ended.seeds, ended.seconds, ended.exit_code, mlflow_facts(delivery.stop()))


def _run_all(options: Options, plot: Plot, folder: RunFolder, seeds: range, jobs: int, stopping: Stopping) -> Iterator[Result]:
    """The results of all seeds, in order, as they come."""
    parent = folder.read_json(folder.identity)["id"]
    with ThreadPoolExecutor(max_workers=jobs) as pool, _passed_on(stopping) as children:

        def one(seed: int) -> Result | None:
            return None if stopping.requested() else _run_one(options, plot, seed, parent, folder, children)

        for result in pool.map(one, seeds):
            if result is not None:
                yield result


def _run_one(
    options: Options, plot: Plot, seed: int, parent: str, folder: RunFolder, children: set[subprocess.Popen[str]]
) -> Result | None:
    """One seed as ``ganforge run … --json`` in a process of its own; its lines go to a log in the sweep's folder."""
    command = [sys.executable, "-P", "-m", "ganforge", "run", str(plot.source.path), "--plain", "--json"]
    command += [word for text in options.overrides for word in ("--set", text)]
    command += ["--set", f"train.seed={seed}", "--device", options.device, "--runs-dir", str(options.runs_dir), "--parent", parent]
    command += ["--tracking-uri", options.tracking_uri] if options.tracking_uri else []
    command += ["--locked", str(options.locked)] if options.locked else []

    log = folder.path / f"seed-{seed}.log"
    with log.open("w", encoding="utf-8") as errors:
        # In a session of its own, so that Ctrl-C reaches it through us and not twice.
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True)  # noqa: S603 - our own module
        children.add(child)
        output, _ = child.communicate()
        children.discard(child)
    try:
        return Result.from_plain(json.loads(output))
    except (ValueError, KeyError):
        return Result(
            run=f"{plot.name} seed {seed}",
            folder=log,
            status="failed",
            iterations=0,
            seconds=0.0,
            iterations_per_second=0.0,
            metrics={},
            health=unchecked_report(),
            mlflow={},
            exit_code=child.returncode or 1,
            seed=seed,
            reason=_last_line(log),
        )


@contextmanager
def _passed_on(stopping: Stopping) -> Iterator[set[subprocess.Popen[str]]]:
    """The children under way; a signal to us is passed on to them."""
    children: set[subprocess.Popen[str]] = set()
    tell = stopping.notify

    def pass_on(text: str) -> None:
        for child in list(children):
            os.kill(child.pid, stopping.signal or signal.SIGINT)
        tell(text)

    stopping.notify = pass_on
    try:
        yield children
    finally:
        stopping.notify = tell
        for child in list(children):
            child.kill()


def _parent(plot: Plot, options: Options, first: int, seeds: int) -> RunFolder:
    folder = RunFolder.create(options.runs_dir, plot.experiment, f"{plot.name}-seeds")
    atomic_files.write_text(folder.recipe, plot.source.text)
    atomic_files.write_text(folder.resolved, to_toml(plot.blueprint.resolved))
    identity = folder.read_json(folder.identity)
    folder.write_json(
        folder.identity,
        {
            **identity,
            "title": plot.title,
            "kind": "sweep",
            "ganforge": __version__,
            "command": command(),
            "seeds": [first, first + seeds - 1],
            "recipe": str(plot.source.path.resolve()),
            "fingerprint": fingerprint(plot.blueprint.resolved),
        },
    )
    return folder


def _start(plot: Plot, folder: RunFolder, first: int, seeds: int) -> StartRecord:
    identity = folder.read_json(folder.identity)
    path = plot.source.path.resolve()
    return StartRecord(
        run_id=identity["id"],
        run_name=f"{plot.name} seeds {first}–{first + seeds - 1} {identity['id'][:8]}",
        experiment=plot.experiment,
        params=flatten(plot.blueprint.resolved),
        tags={
            "ganforge.kind": "sweep",
            "mlflow.source.name": str(path),
            "mlflow.source.type": "LOCAL",
            **git_facts(path.parent),
            **plot.blueprint.recipe.tracking.tags,
        },
        note=note(plot.title, plot.blueprint.recipe.description, path, folder.path),
        artifacts=tuple(Artifact(each.name, "recipe") for each in (folder.recipe, folder.resolved)),
        experiment_tags={"mlflow.experimentKind": "custom_model_development"},
    )


def _tell_parent(journal: JournalWriter, results: list[Result]) -> None:
    """The parent's own metrics, so that its page is not empty while its children are folded away."""
    so_far = SweepResult("", Path(), tuple(results), 0.0, 0)
    values: dict[str, float] = {}
    for name, spread in so_far.spread.items():
        found = [result.metrics[name] for result in results if name in result.metrics]
        values |= {f"eval/{name}": sum(found) / len(found), f"eval/{name}_min": spread["min"], f"eval/{name}_max": spread["max"]}
    journal.record("eval", iteration=len(results), values=values)
    journal.record("health", iteration=len(results), verdict=so_far.verdict, findings=[], seeds=so_far.verdicts)


def _conclude(
    plot: Plot,
    folder: RunFolder,
    journal: JournalWriter,
    ended: SweepResult,
    *,
    stopped: bool,
    wanted: int,
    say: Callable[[str], None],
) -> None:
    plain: dict[str, Any] = ended.to_plain()
    folder.write_json(folder.metrics, {key: plain[key] for key in ("metrics", "spread", "health", "seeds")})
    journal.record("file", path=folder.metrics.name, folder="")
    reason = f"{len(ended.seeds)} of {wanted} seeds were run" if stopped else None
    outcome = "KILLED" if stopped else "FAILED" if ended.exit_code else "FINISHED"
    standing: run_status.RunState = "stopped" if stopped else "failed" if ended.exit_code else "finished"
    run_status.finish(folder, standing, reason=reason, health=plain["health"])
    if plot.blueprint.recipe.pictures.report:
        keep_report(folder, journal, warn=say)
    journal.record("end", status=outcome, reason=reason, exit_code=ended.exit_code)


def _shown(metrics: Any) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in metrics.items())


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8").strip().splitlines()
    return lines[-1] if lines else "it said nothing"
