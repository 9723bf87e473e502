"""Many seeds of one recipe, each a run in its own process below one parent run; and whether they reach what the recipe expects."""

from __future__ import annotations

import json
import logging
import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganforge import __version__
from ganforge.build.blueprint import check_expectations
from ganforge.core.errors import UsageError
from ganforge.core.findings import report
from ganforge.recipe.config import Expectation
from ganforge.session.result import Result, SweepResult, mlflow_facts
from ganforge.session.run_files import common_start_record, write_recipe_files
from ganforge.session.run_plan import Options, RunPlan, assemble, prepare
from ganforge.session.training_loop import StopRequest, graceful_signals
from ganforge.storage.journal import JournalWriter
from ganforge.storage.run_folder import RunFolder, RunState, Status
from ganforge.terminal.log_handler import show_messages
from ganforge.terminal.sweep_progress import SweepProgress, log_file
from ganforge.terminal.text_layout import print_text
from ganforge.tracking.supervisor import supervise

if TYPE_CHECKING:
    from rich.console import Console

_REFRESH = 0.5  # seconds between two looks at the seeds that are running
_log = logging.getLogger(__name__)


def sweep(options: Options, *, seeds: int, jobs: int, console: Console) -> SweepResult:
    """Run ``seeds`` seeds, starting at the recipe's, ``jobs`` at a time.

    The parent run in MLflow gets the metrics' means and spreads, and the health verdicts. A signal stops the seeds under way.
    """
    with show_messages(partial(print_text, console, indent=2)), graceful_signals() as stop:
        return _run_sweep(prepare(options), options, seeds, jobs, console, stop)


def _run_sweep(plan: RunPlan, options: Options, seeds: int, jobs: int, console: Console, stop: StopRequest) -> SweepResult:
    started, first = time.perf_counter(), plan.blueprint.recipe.train.seed
    folder = RunFolder.create(options.runs_dir, plan.experiment, f"{plan.name}-seeds")
    write_recipe_files(plan, folder, {"kind": "sweep", "ganforge": __version__, "seeds": [first, first + seeds - 1]})
    mode = plan.blueprint.recipe.tracking.mode
    with folder.locked(), supervise(folder, options.tracking_uri, mode=mode) as delivery, JournalWriter(folder.journal) as journal:
        suffix, tags = f"seeds {first}–{first + seeds - 1}", {"ganforge.kind": "sweep", "ganforge.version": __version__}
        start = common_start_record(plan, folder, suffix, tags, seeds=seeds)
        journal.record("start", **start.to_record())
        folder.write_status(Status(status="running", iterations=seeds))
        results: list[Result] = []
        progress = SweepProgress(console, range(first, first + seeds), folder.path, plan.blueprint.recipe.train.iterations)
        with progress.shown():
            for result in _run_all(options, plan, folder, progress, jobs, stop):
                results.append(result)
                metrics = "  ".join(f"{name} {value:.4g}" for name, value in result.metrics.items())
                facts = "  ".join(map(str, filter(None, (metrics, result.health["verdict"], result.folder))))
                _log.info("seed %d: %s after %.0f s  %s", result.seed, result.status, result.seconds, facts)
                _record_progress(journal, results)
        exit_code = stop.exit_code if stop.signal else next((one.exit_code for one in results if one.exit_code), 0)
        swept = SweepResult(folder.path.name, folder.path, tuple(results), time.perf_counter() - started, exit_code)
        reason = f"{len(results)} of {seeds} seeds were run" if stop.requested() else None
        _finish(plan, folder, journal, swept, reason)
    return replace(swept, mlflow=mlflow_facts(delivery.stop(), wanted=mode != "off"))


def _run_all(
    options: Options, plan: RunPlan, folder: RunFolder, progress: SweepProgress, jobs: int, stop: StopRequest
) -> Iterator[Result]:
    """The results of all seeds, in order, as they arrive."""
    parent = folder.read_identity()["id"]

    def run_one(seed: int) -> Result | None:
        if stop.requested():
            return None
        return _run_one(_command(options, plan, seed, parent, jobs), plan, seed, folder, stop, options.tracking_uri)

    with ThreadPoolExecutor(max_workers=jobs) as pool:
        try:
            running = {seed: pool.submit(run_one, seed) for seed in progress.seeds}
            for one in running.values():
                while not one.done():
                    progress.update(seed for seed, other in running.items() if other.done())
                    wait([one], timeout=_REFRESH)
                if result := one.result():
                    yield result
        finally:
            for child in list(stop.children):
                child.kill()


def _command(options: Options, plan: RunPlan, seed: int, parent: str, jobs: int) -> list[str]:
    """``ganforge run … --json`` for one seed; parallel jobs compute on one thread each, unless the user decides otherwise."""
    command = [sys.executable, "-P", "-m", "ganforge", "run", str(plan.source.path), "--plain", "--json"]
    is_limited = jobs > 1 and plan.blueprint.recipe.train.threads is None and "OMP_NUM_THREADS" not in os.environ
    overrides = (*options.overrides, *(["train.threads=1"] if is_limited else []))
    command += [word for text in overrides for word in ("--set", text)]
    command += ["--set", f"train.seed={seed}", "--device", options.device, "--runs-dir", str(options.runs_dir), "--parent", parent]
    return command + (["--locked", str(options.locked)] if options.locked else [])


def _run_one(command: Sequence[str], plan: RunPlan, seed: int, folder: RunFolder, stop: StopRequest, uri: str | None) -> Result:
    """Run a seed in its own process; its stderr goes to a log in the sweep's folder."""
    log = log_file(folder.path, seed)
    environment = {**os.environ, **({"MLFLOW_TRACKING_URI": uri} if uri else {})}  # not an argument: it may hold a password
    with log.open("w", encoding="utf-8") as errors:
        # A session of its own, so that Ctrl-C reaches it through us and not twice.
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True, env=environment)  # noqa: S603 - our own module
        stop.children.add(child)
        output, _ = child.communicate()
        stop.children.discard(child)
    try:
        return Result.from_plain(json.loads(output))
    except (ValueError, KeyError):
        name, code, lines = f"{plan.name} seed {seed}", child.returncode or 1, log.read_text(encoding="utf-8").strip().splitlines()
        reason = lines[-1] if lines else "its log is empty"
        return Result(name, log, "failed", 0, 0.0, 0.0, {}, report((), conclusive=False), {}, code, seed, reason)


def _record_progress(journal: JournalWriter, results: Sequence[Result]) -> None:
    """Record the parent's own metrics, so that its page in MLflow shows them while its children are collapsed."""
    so_far = SweepResult("", Path(), results, 0.0, 0)
    values: dict[str, float] = {}
    for name, found in so_far.values.items():
        values |= {f"seeds/{name}": sum(found) / len(found), f"seeds/{name}_min": min(found), f"seeds/{name}_max": max(found)}
    journal.record("eval", iteration=len(results), values=values)
    journal.record("health", iteration=len(results), verdict=so_far.verdict, findings=[], seeds=so_far.verdicts)


def _finish(plan: RunPlan, folder: RunFolder, journal: JournalWriter, swept: SweepResult, stopped: str | None) -> None:
    plain = swept.to_plain()
    folder.write_json(folder.metrics, {key: plain[key] for key in ("metrics", "spread", "health", "seeds")})
    journal.record("file", path=folder.metrics.name, folder="")
    status: RunState = "stopped" if stopped else "failed" if swept.exit_code else "finished"
    folder.finish(status, reason=stopped, health=plain["health"])
    if plan.blueprint.recipe.pictures.report:
        from ganforge.session.final_figures import write_final_report

        write_final_report(folder, journal)
    mlflow_status = {"stopped": "KILLED", "failed": "FAILED", "finished": "FINISHED"}[status]
    journal.record("end", status=mlflow_status, reason=stopped, exit_code=swept.exit_code)


@dataclass(frozen=True, slots=True)
class Band:
    """One expectation of a recipe, and by seed the last value; ``None`` for a seed that did not finish or was not run."""

    expected: Expectation
    values: Mapping[int, float | None]

    @property
    def needed(self) -> int:
        """How many seeds must lie in it."""
        return self.expected.seeds if self.expected.at_least is None else self.expected.at_least

    @property
    def inside(self) -> int:
        """How many seeds lie in it."""
        low = -math.inf if self.expected.min is None else self.expected.min
        high = math.inf if self.expected.max is None else self.expected.max
        return sum(value is not None and math.isfinite(value) and low <= value <= high for value in self.values.values())

    @property
    def verdict(self) -> str:
        """``met``, ``missed`` or ``not measured``."""
        if all(value is None for value in self.values.values()):
            return "not measured"
        return "met" if self.inside >= self.needed else "missed"

    def to_plain(self) -> dict[str, Any]:
        """JSON-able, with stable keys."""
        return {
            **self.expected.model_dump(include={"metric", "min", "max", "seeds"}),
            "needed": self.needed,
            "values": self.values,
            "inside": self.inside,
            "met": self.verdict == "met",
            "measured": self.verdict != "not measured",
        }


@dataclass(frozen=True, slots=True)
class Verification:
    """All expectations of a recipe, in its order, and the runs that were compared with them."""

    bands: tuple[Band, ...]
    sweep: SweepResult

    @property
    def met(self) -> bool:
        """Whether every band is met."""
        return all(band.verdict == "met" for band in self.bands)

    @property
    def exit_code(self) -> int:
        """0 where every band is met, else 1; above 128 where a signal stopped the sweep."""
        return self.sweep.exit_code if self.sweep.exit_code > 128 else int(not self.met)

    def to_plain(self) -> dict[str, Any]:
        """JSON-able, with stable keys."""
        return {
            "schema": 1,
            "met": self.met,
            "bands": [band.to_plain() for band in self.bands],
            "run": self.sweep.run,
            "folder": str(self.sweep.folder),
            "seconds": self.sweep.seconds,
            "seeds": [{"seed": one.seed, "run": one.run, "status": one.status, "reason": one.reason} for one in self.sweep.seeds],
            "exit_code": self.exit_code,
        }


def verify(options: Options, *, jobs: int, console: Console) -> Verification:
    """Run a recipe's seeds as a sweep, and compare their last values with the recipe's expectations, all measurable here."""
    with show_messages(lambda _: None):  # the sweep shows these messages
        plan = prepare(options)
    expected = plan.blueprint.recipe.expect
    if not expected:
        raise UsageError(
            f"{plan.source.path} has no expectations",
            remedy='add a [[expect]] table, such as metric = "wasserstein", max = 0.1, seeds = 3',
        )
    evaluator = assemble(plan, "cpu").evaluator
    check_expectations(plan.blueprint, evaluator.value_info, evaluator.unavailable, required=True)
    swept = sweep(options, seeds=max(one.seeds for one in expected), jobs=jobs, console=console)
    first = plan.blueprint.recipe.train.seed
    return Verification(tuple(check_expectation(one, first, swept.seeds) for one in expected), swept)


def check_expectation(expected: Expectation, first: int, results: Sequence[Result]) -> Band:
    """Compare one expectation with the results of its seeds, which start at ``first``."""
    last = {result.seed: result.metrics.get(expected.metric) for result in results if result.status == "finished"}
    return Band(expected, {seed: last.get(seed) for seed in range(first, first + expected.seeds)})
