"""The texts and tables of a report: outcome, health, metrics with their protocols, environment, commands, and a sweep's seeds."""

from __future__ import annotations

import json
import shlex
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from ganforge.core import formatting
from ganforge.core.errors import StorageError
from ganforge.core.findings import NOT_MONITORED, VERDICTS
from ganforge.core.redaction import HIDDEN, mask, public_url
from ganforge.figures.charts import best_value, seed_charts
from ganforge.figures.run_history import read_history
from ganforge.registry.selection import next_command
from ganforge.report.report_data import ReportData, get_table, get_tables
from ganforge.report.report_images import ImageEmbedder, newest_samples, relative_link
from ganforge.runs.run_index import IdentifiedRun, current_status, run_folders
from ganforge.storage import value_info
from ganforge.storage.run_folder import Status
from ganforge.storage.value_info import StoredMetricInfo, ValueInfo

Row = tuple[str, str]
"""Name and value."""

_TONES = {
    "finished": "good", "running": "plain", "starting": "plain", "stopped": "warn", "unstarted": "warn", "unknown": "warn",
    "diverged": "bad", "failed": "bad", "killed": "bad", "healthy": "good", "warn": "warn", "fail": "bad",
}  # fmt: skip
_VERDICTS = {
    "healthy": "Healthy: the health monitor found no problems.",
    "warn": "There are warnings.",
    "fail": "Training is failing.",
    "diverged": "Diverged.",
    NOT_MONITORED: "Not monitored: this run has no health findings.",
}


@dataclass(frozen=True, slots=True)
class MetricRow:
    """The newest value of a metric; with its iteration, and the iteration and value of its best measurement, if they are known."""

    name: str
    info: StoredMetricInfo
    last: float | None
    protocol: Sequence[Row]
    at: int | None = None
    best: tuple[int, float] | None = None


def tone_of(word: object) -> str:
    """How good a state or verdict is: ``good``, ``plain``, ``warn`` or ``bad``, as in the style sheet."""
    return _TONES.get(str(word), "plain")


def format_time(seconds: object) -> str:
    """Unix seconds as a UTC time; ``–`` for anything else."""
    if not isinstance(seconds, int | float) or isinstance(seconds, bool):
        return "–"
    try:
        return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, OSError, ValueError):
        return "–"


def _iso_time(text: object) -> object:
    """A time in ISO 8601 as :func:`format_time` writes it."""
    with suppress(ValueError, OverflowError, OSError):
        return format_time(datetime.fromisoformat(text).timestamp()) if isinstance(text, str) else text
    return text


def describe_outcome(data: ReportData) -> str:
    """The state of the run in one line."""
    status = data.status
    if status is None:
        state = {"starting": "has just started", "unstarted": "never reached its first iteration"}.get(data.word)
        return f"The run {state or 'has an unknown state'}{_because(data.remark)}"
    of = f" of {status.iterations:,}" if status.iterations else ""
    match data.word:
        case "finished":
            return f"All {status.iteration:,} iterations are done{_speed(data)}."
        case "running":
            share = f" ({formatting.share(status.iteration, status.iterations)})" if status.iterations else ""
            return f"Still running: at iteration {status.iteration:,}{of}{share} when this page was made."
        case "failed":
            return f"Failed at iteration {status.iteration:,}{of}{_because(status.error or data.remark)}"
    return f"{data.word.capitalize()} at iteration {status.iteration:,}{of}{_because(data.remark)}"


def summarize_health(data: ReportData) -> dict[str, Any]:
    """The verdict of the health monitor with its findings, or that there was none."""
    verdict, health = _verdict(data.status), data.status.health if data.status else None
    return {"verdict": verdict, "verdict_text": _VERDICTS.get(verdict, verdict), "findings": get_tables(health, "findings")}


def list_metrics(data: ReportData) -> list[MetricRow]:
    """The metrics measured during training, in the order of their first values."""
    known = data.status.metrics if data.status else {}
    names = dict.fromkeys([*data.history.metrics, *known])
    protocols = {**get_table(data.final, "protocols"), **data.history.protocols}
    return [_metric_row(name, data, known.get(name), protocols) for name in names]


def list_environment(data: ReportData) -> list[Row]:
    """Hardware, software and provenance of the run."""
    identity, status, tags = data.run.identity, data.status, get_table(data.history.start, "tags")
    commit = str(tags.get("mlflow.source.git.commit", ""))
    dirty = ", with uncommitted changes" if tags.get("mlflow.source.git.dirty") == "true" else ""
    threads = identity.get("threads")
    dataset = get_table(data.history.start, "dataset")
    rows = [
        ("run", f"{data.run.folder.path.name} (id {data.run.id})"),
        ("experiment", data.run.experiment),
        ("seed", _text(identity, "seed")),
        ("device", _text(identity, "device") + (f" ({formatting.plural(threads, 'thread')})" if isinstance(threads, int) else "")),
        ("host", _text(identity, "host")),
        ("platform", _text(identity, "platform")),
        ("ganforge", _text(identity, "ganforge")),
        ("Python", _text(identity, "python")),
        ("libraries", ", ".join(f"{name} {version}" for name, version in get_table(identity, "versions").items())),
        ("started", format_time(identity.get("created"))),
        ("last update", format_time(status.heartbeat) if status else ""),
        ("training time", formatting.duration(status.seconds) + _since(data) if status and status.seconds else ""),
        ("resumed at iteration", ", ".join(f"{iteration:,}" for iteration in data.history.resumed)),
        ("rolled back", ", ".join(f"from {reached:,} to {iteration:,}" for reached, iteration in data.history.rolled_back)),
        ("git commit", f"{commit[:12]} on {tags.get('mlflow.source.git.branch', '?')}{dirty}" if commit else ""),
        ("git repository", public_url(str(tags.get("mlflow.source.git.repoURL", "")))),
        ("data", ", ".join(filter(None, (_text(dataset, "source") or _text(dataset, "name"), _text(dataset, "profile"))))),
        ("recipe file", _text(identity, "recipe")),
        ("recipe fingerprint", _text(identity, "fingerprint")[:16]),
        ("command", _text(identity, "command")),
    ]
    return [(name, value) for name, value in rows if value and value != "–"]


def list_overrides(data: ReportData) -> list[Row]:
    """Recipe keys changed on the command line, with their values as given."""
    try:
        words = shlex.split(_text(data.run.identity, "command"))
    except ValueError:
        return []
    texts = [after for before, after in pairwise(words) if before == "--set"]
    texts += [word.removeprefix("--set=") for word in words if word.startswith("--set=")]
    pairs = [text.partition("=") for text in texts]
    return [(key.strip(), mask(key, value.strip())) for key, _, value in pairs]


def list_changes(data: ReportData) -> list[tuple[int, str, str, str]]:
    """Recipe values changed by a resume: first iteration, key, original value, new value."""
    return [(at, key, mask(key, before) or "not set", mask(key, now) or "not set") for at, key, before, now in data.history.changed]


def list_commands(data: ReportData) -> list[Row]:
    """What you can do with the run, and the command for it."""
    path = data.run.folder.path.absolute()
    folder, again = str(path), ("make this page again", next_command("report", str(path)))
    if data.is_sweep:
        return [("compare its metrics", next_command("compare", folder)), ("list its seeds", next_command("runs", folder)), again]
    rows = [
        ("draw samples", next_command("sample", folder, "-n", "1000", "--out", "samples.npz")),
        ("interpolate between latents", next_command("interpolate", folder)),
        ("measure again", next_command("evaluate", folder)),
        ("use it in Python", f"ganforge.load({folder!r}).sample(1000)"),
    ]
    if data.word in {"stopped", "killed", "failed", "diverged"}:
        rows.insert(0, ("resume", next_command("run", "--resume", folder)))
    if recipe := _text(data.run.identity, "recipe"):
        settings = [word for key, value in list_overrides(data) if value != HIDDEN for word in ("--set", f"{key}={value}")]
        rows.append(("train it again", next_command("run", recipe, *settings)))
    return [*rows, again]


def summarize_sweep(data: ReportData, page: Path) -> dict[str, Any]:
    """The seeds of a sweep: those whose run folders are beside it, and those without a run; with the spread of their metrics."""
    runs, embedder = _runs_of(data), ImageEmbedder(page)
    seeds = [_summarize_seed(run, page, embedder) for run in runs]
    curves: dict[str, dict[str, Mapping[int, float]]] = {}
    info, until = ValueInfo(), 1.0
    for run, seed in zip(runs, seeds, strict=True):
        with suppress(StorageError):
            info = found if (found := value_info.read(run.folder)).metrics else info
        for name, points in read_history(run.folder).metrics.items():
            curves.setdefault(name, {})[seed["seed"]] = points
            until = max([until, *points])
    seeds += _seeds_without_run(data, {seed["seed"] for seed in seeds})
    charts = seed_charts(curves, info.metrics)
    health = _health_of(runs)
    facts = {"spreads": _spreads(seeds, info), "charts": charts, "until": until, "outcome": _outcome(seeds, data)}
    return {"seeds": seeds, **facts, **health}


def _health_of(runs: Sequence[IdentifiedRun]) -> dict[str, Any]:
    """The worst verdict of the seeds, and each problem with the seeds that have it."""
    states = {str(run.identity.get("seed", "?")): current_status(run.folder, run.identity)[1] for run in runs}
    verdicts = Counter(_verdict(status) for status in states.values())
    order = ["diverged", *VERDICTS]
    counts = sorted(verdicts.items(), key=lambda item: order.index(item[0]) if item[0] in order else len(order))
    problems: dict[str, dict[str, Any]] = {}
    for seed, status in states.items():
        for finding in get_tables(status.health if status else None, "findings"):
            evidence = f"seed {seed}: {finding.get('evidence')}"
            problem = problems.setdefault(str(finding.get("problem")), {**finding, "evidence": evidence, "seeds": []})
            problem["seeds"].append(seed)
    text = ", ".join(f"{verdict} in {count} of {formatting.plural(len(states), 'seed')}" for verdict, count in counts)
    return {
        "verdict": counts[0][0] if counts else NOT_MONITORED,
        "verdict_text": f"{text[:1].upper()}{text[1:]}." if text else _VERDICTS[NOT_MONITORED],
        "findings": list(problems.values()),
    }


def _metric_row(name: str, data: ReportData, known: Any, protocols: Mapping[str, Any]) -> MetricRow:
    points, info = data.history.metrics.get(name, {}), data.value_info.metrics.get(name, StoredMetricInfo())
    at = max(points, default=None)
    last = _number(points[at] if at is not None else known)
    return MetricRow(name, info, last, _protocol(name, protocols), at, best_value(points, info))


def describe_evaluation(one: Mapping[str, Any]) -> dict[str, Any]:
    """An evaluation after training, with the reasons why metrics failed among the remarks."""
    failed = [f"{name}: {_text(why, 'error')}" for name in get_table(one, "failed") if (why := get_table(one["failed"], name))]
    remarks = one.get("remarks")
    settings = {key: value for key, value in one.items() if isinstance(value, str | int | float) and key not in {"time", "number"}}
    return {
        "time": _iso_time(one.get("time")),
        "settings": [
            (key, f"{value:,}" if key == "iteration" and isinstance(value, int) else _value(key, value))
            for key, value in settings.items()
        ],
        "metrics": [_evaluated_row(name, value, one) for name, value in one["values"].items()],
        "remarks": [*failed, *(remarks if isinstance(remarks, list) else [])],
    }


def _evaluated_row(name: str, value: float, one: Mapping[str, Any]) -> MetricRow:
    info = one["value_info"][name]
    floor = {**get_table(one, "floors"), **get_table(one, "measured_floors")}.get(name)
    stored = StoredMetricInfo(_text(info, "label"), _text(info, "better"), info.get("ideal"), _number(floor))
    return MetricRow(name, stored, float(value), _protocol(name, one["protocols"]))


def _protocol(name: str, protocols: Mapping[str, Any]) -> list[Row]:
    """How a metric was measured; secrets are masked by their keys."""
    protocol = protocols.get(name) or protocols.get(name.partition("/")[0])
    if not isinstance(protocol, Mapping):
        return []
    return [(str(key), _value(str(key), value)) for key, value in protocol.items()]


def _verdict(status: Status | None) -> str:
    return str((status.health if status and status.health else {}).get("verdict") or NOT_MONITORED)


def _because(reason: str | None) -> str:
    return f": {reason.rstrip('.')}." if reason else "."


def _speed(data: ReportData) -> str:
    status = data.status
    if status is None or not status.seconds:
        return ""
    resumed = data.history.resumed[-1] if data.history.resumed else 0
    done = status.iteration - resumed + data.history.redone
    return f", in {formatting.duration(status.seconds)} of training{_since(data)} ({formatting.speed(done / status.seconds)})"


def _since(data: ReportData) -> str:
    """Where the process that is meant began, if the run was resumed."""
    return f" since iteration {data.history.resumed[-1]:,}" if data.history.resumed and data.history.resumed[-1] else ""


def _text(found: Mapping[str, Any], key: str) -> str:
    value = found.get(key)
    return str(value) if value is not None else ""


def _value(key: str, value: Any) -> str:
    if isinstance(value, str | int | float) or value is None:
        return mask(key, str(value))
    if mask(key, "x" * 8) == HIDDEN:
        return HIDDEN
    return json.dumps(value, ensure_ascii=False, default=str)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _runs_of(data: ReportData) -> list[IdentifiedRun]:
    """The runs that name this sweep as their parent, in the same folder of runs."""
    own = [run for run in run_folders(data.run.folder.path.absolute().parent.parent) if run.identity.get("parent") == data.run.id]
    return sorted(own, key=lambda run: (seed if isinstance(seed := run.identity.get("seed"), int) else -1, run.folder.path.name))


def _summarize_seed(run: IdentifiedRun, page: Path, embedder: ImageEmbedder) -> dict[str, Any]:
    word, status, remark = current_status(run.folder, run.identity)
    seed, samples = str(run.identity.get("seed", "?")), newest_samples(run.folder, status)
    return {
        "seed": seed,
        "word": word,
        "iteration": status.iteration if status else None,
        "duration": formatting.duration(status.seconds) if status else "",
        "verdict": _verdict(status),
        "metrics": dict(status.metrics) if status else {},
        "remark": remark,
        "name": run.folder.path.name,
        "page": relative_link(run.folder.report, page) if run.folder.report.is_file() else "",
        "image": embedder.embed(samples, f"seed {seed}", f"Samples of seed {seed}") if samples else None,
    }


def _seeds_without_run(data: ReportData, known: set[str]) -> list[dict[str, Any]]:
    """Seeds that only the sweep knows: they failed before they had a folder, or it was moved."""
    return [
        {
            **dict.fromkeys(("duration", "verdict", "name", "page", "image"), ""),
            "seed": str(one.get("seed", "?")),
            "word": str(one.get("status", "unknown")),
            "iteration": iterations if isinstance(iterations := one.get("iterations"), int) else None,
            "metrics": {},
            "remark": one.get("reason") or "its run folder is missing",
        }
        for one in get_tables(data.final, "seeds")
        if str(one.get("seed", "?")) not in known
    ]


def _spreads(seeds: Sequence[Mapping[str, Any]], info: ValueInfo) -> list[dict[str, Any]]:
    """Of each metric the median, minimum and maximum of the last values, and how many seeds have one."""
    values: dict[str, list[float]] = {}
    for seed in seeds:
        for name, value in seed["metrics"].items():
            values.setdefault(name, []).append(value)
    return [
        {"name": name, "info": info.metrics.get(name, StoredMetricInfo()), "median": statistics.median(own), "low": min(own),
         "high": max(own), "count": len(own)}
        for name, own in values.items()
    ]  # fmt: skip


def _outcome(seeds: Sequence[Mapping[str, Any]], data: ReportData) -> str:
    counts = Counter(seed["word"] for seed in seeds)
    states = ", ".join(f"{count} {word}" for word, count in counts.items()) or "none has started yet"
    match data.run.identity.get("seeds"):
        case [int(first), int(last)]:
            return f"{len(seeds)} of {formatting.plural(last - first + 1, 'seed')}: {states}."
    return f"{formatting.plural(len(seeds), 'seed')}: {states}."
