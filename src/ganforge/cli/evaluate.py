"""``ganforge evaluate``: measure finished runs again."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from ganforge.cli import console, options
from ganforge.core.errors import GanforgeError

if TYPE_CHECKING:
    from ganforge.runs.evaluation import EvaluationResult

_CHECKSUM = re.compile(r"\b[0-9a-f]{32,}\b")


def evaluate(
    runs: options.Runs,
    *,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[:KEY=VALUE,...]",
            help="Any installed metric, with parameters and samples=. Default: the metrics of the recipe. Repeatable.",
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option("-n", "--count", min=2, help="Number of real and of generated samples. Default: each metric's own."),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, max=2**63 - 1, help="Seed for drawing samples. Default: the run's own.")
    ] = None,
    weights: Annotated[Literal["ema", "raw"], typer.Option(help="The EMA of the generator, or its raw weights.")] = "ema",
    floor: Annotated[
        bool, typer.Option("--floor", help="Also measure real samples against real samples: the value of a perfect generator.")
    ] = False,
    runs_dir: options.RunsDir = Path("runs"),
    device: options.Device = "auto",
    tracking_uri: options.RunTrackingUri = None,
    as_json: options.Json = False,
) -> None:
    """Measure finished or stopped runs again, from their folders.

    Uses the newest intact checkpoint. The values are recorded in the run folder (evaluations.jsonl) with their protocols, and in
    MLflow if it has the run. A metric that fails does not stop the others.
    """
    from ganforge.runs.evaluation import EvaluationRequest, evaluate_and_record
    from ganforge.runs.run_index import find, members

    request = EvaluationRequest(tuple(metric or ()), count, seed, weights, device, floor)
    folders = [folder for run in runs for folder in members(find(run, runs_dir))]
    done: list[EvaluationResult] = []
    for folder in folders:
        try:
            done.append(evaluate_and_record(folder, request, tracking_uri=tracking_uri))
        except GanforgeError as error:
            if len(folders) == 1:
                raise
            console.warning(f"{folder.path.resolve().name} is not measured: {error}")
            continue
        _print(done[-1], quiet=as_json, tracking_uri=tracking_uri)
    if as_json:
        console.print_json({"runs": [_to_plain(one) for one in done]})
    if not any(one.values for one in done):
        raise typer.Exit(2)  # no metric gave a value


def _print(evaluated: EvaluationResult, *, quiet: bool, tracking_uri: str | None) -> None:
    if evaluated.values and not quiet:
        console.print_line(f"{evaluated.folder.path.resolve().name} at iteration {evaluated.iteration:,}", style="bold")
        console.table(
            ("Metric", "Value", "Ideal", "Floor", "Better", "Protocol"), _rows(evaluated), right=(1, 2, 3), optional=(5, 3)
        )
    for text, error in evaluated.failed.items():
        console.warning(f"{text} is not measured: {error}")
    for remark in evaluated.remarks:
        console.note(remark)
    if evaluated.undelivered:
        options = ["--tracking-uri", tracking_uri] if tracking_uri else []
        command = shlex.join(["ganforge", "sync", str(evaluated.folder.path), *options])
        console.warning(f"MLflow does not have it yet ({evaluated.undelivered}); `{command}` sends it")


def _rows(evaluated: EvaluationResult) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for key, value in evaluated.values.items():
        floor = value.known_floor if value.floor is None else value.floor
        numbers = [None if number is None else f"{number:.4g}" for number in (value.value, value.info.ideal, floor)]
        rows.append((key, *numbers, value.info.better, _brief(evaluated.protocols[value.metric])))
    return rows


def _brief(protocol: Mapping[str, Any]) -> str:
    """The essential parts of a protocol, in one line, with the beginnings of checksums."""
    own = {key.removeprefix("metric."): value for key, value in protocol.items() if key.startswith("metric.")}
    params = [f"{name}={value}" for name, value in protocol["params"].items() if name not in own]
    stated = [f"{key} {_CHECKSUM.sub(lambda found: found[0][:12], str(value))}" for key, value in own.items()]
    return ", ".join([f"{protocol['samples']:,} samples", str(protocol["generator"]), f"seed {protocol['seed']}", *params, *stated])


def _to_plain(evaluated: EvaluationResult) -> dict[str, Any]:
    from ganforge.session.result import mlflow_facts

    return {
        "run": evaluated.folder.path.resolve().name,
        "folder": evaluated.folder.path,
        **evaluated.to_plain(),
        "mlflow": mlflow_facts(evaluated.delivered) if evaluated.delivered else None,
        "undelivered": evaluated.undelivered,
    }
