"""The contents of a sweep's report: its seeds side by side."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ganforge.core import formatting
from ganforge.core.errors import StorageError
from ganforge.figures.charts import Chart, seed_charts
from ganforge.figures.run_history import read_history
from ganforge.report.report_data import ReportData, get_tables, read_valid_status
from ganforge.report.report_images import InlineImage, relative_link, thumbnail
from ganforge.runs.run_lookup import IdentifiedRun, run_folders
from ganforge.storage import value_info
from ganforge.storage.run_status import Status
from ganforge.storage.value_info import StoredMetricInfo, ValueInfo

_MAX_THUMBNAILS = 64


@dataclass(frozen=True, slots=True)
class SeedSummary:
    """The result of one seed.

    Attributes:
        seed: its number.
        word: its state.
        iteration: iterations done, ``None`` if unknown.
        duration: duration of the training.
        verdict: verdict of the health monitor.
        metrics: last values by name.
        remark: why it ended; "" if it finished.
        name: its folder's name; "" if it has no run.
        page: link to its own page; "" if there is none.
        image: its newest samples, reduced in size.
    """

    seed: str
    word: str
    iteration: int | None = None
    duration: str = ""
    verdict: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    remark: str = ""
    name: str = ""
    page: str = ""
    image: InlineImage | None = None


@dataclass(frozen=True, slots=True)
class MetricSpread:
    """The last values of one metric over the seeds.

    Attributes:
        name: the metric.
        info: what it means.
        median: median of the last values.
        low: their minimum.
        high: their maximum.
        count: number of seeds with a value.
    """

    name: str
    info: StoredMetricInfo
    median: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class SweepSummary:
    """The results of all seeds.

    Attributes:
        seeds: by their numbers.
        spreads: one for each metric.
        charts: a chart for each metric with a curve for each seed.
        until: last iteration on the charts' axis.
        outcome: the states of the seeds in one line.
    """

    seeds: Sequence[SeedSummary]
    spreads: Sequence[MetricSpread]
    charts: Sequence[Chart]
    until: float
    outcome: str


def summarize_sweep(data: ReportData, page: Path) -> SweepSummary:
    """Summarize the seeds of a sweep: those whose run folders are beside it, and those without a run.

    Args:
        data: of the sweep's own folder.
        page: the file of its page.
    """
    values: dict[str, dict[str, float]] = {}
    curves: dict[str, dict[str, Mapping[int, float]]] = {}
    seeds: list[SeedSummary] = []
    info, until = ValueInfo(), 1.0
    for run in _runs_of(data):
        seed = str(run.identity.get("seed", "?"))
        word, status, remark = read_valid_status(run)
        image = thumbnail(run.folder, status, seed, page) if len(seeds) < _MAX_THUMBNAILS else None
        seeds.append(_summarize_seed(run, seed, word, status, remark, page, image))
        until = max(until, status.iterations if status else 0)
        info = _read_value_info(run) or info
        for name, value in (status.metrics if status else {}).items():
            values.setdefault(name, {})[seed] = float(value)
        for name, points in read_history(run.folder).metrics.items():
            curves.setdefault(name, {})[seed] = points
    seeds += _seeds_without_run(data, {seed.seed for seed in seeds})
    spreads = [
        MetricSpread(
            name,
            info.metrics.get(name, StoredMetricInfo()),
            statistics.median(own.values()),
            min(own.values()),
            max(own.values()),
            len(own),
        )
        for name, own in values.items()
    ]
    return SweepSummary(seeds, spreads, seed_charts(curves, info.metrics), until, _outcome(seeds, data))


def _runs_of(data: ReportData) -> list[IdentifiedRun]:
    """The runs that name this sweep as their parent, in the same folder of runs."""
    root = data.folder.path.absolute().parent.parent
    own = [run for run in run_folders(root) if run.identity.get("parent") == data.run.id]
    return sorted(own, key=lambda run: (_integer(run.identity.get("seed")), run.folder.path.name))


def _summarize_seed(
    run: IdentifiedRun, seed: str, word: str, status: Status | None, remark: str | None, page: Path, image: InlineImage | None
) -> SeedSummary:
    health = status.health if status else None
    return SeedSummary(
        seed=seed,
        word=word,
        iteration=status.iteration if status else None,
        duration=formatting.duration(status.seconds) if status else "",
        verdict=str(health.get("verdict", "not monitored")) if isinstance(health, Mapping) else "not monitored",
        metrics={name: float(value) for name, value in (status.metrics if status else {}).items()},
        remark=remark or "",
        name=run.folder.path.name,
        page=relative_link(run.folder.report, page) if run.folder.report.is_file() else "",
        image=image,
    )


def _seeds_without_run(data: ReportData, known: set[str]) -> list[SeedSummary]:
    """Seeds that only the sweep knows: they failed before they had a folder, or it was moved."""
    return [
        SeedSummary(
            seed=str(one.get("seed", "?")),
            word=str(one.get("status", "unknown")),
            iteration=iterations if isinstance(iterations := one.get("iterations"), int) else None,
            remark=str(one.get("reason") or "its run folder is missing"),
        )
        for one in get_tables(data.final, "seeds")
        if str(one.get("seed", "?")) not in known
    ]


def _read_value_info(run: IdentifiedRun) -> ValueInfo | None:
    try:
        found = value_info.read(run.folder)
    except StorageError:
        return None
    return found if found.metrics else None


def _outcome(seeds: Sequence[SeedSummary], data: ReportData) -> str:
    counts = Counter(seed.word for seed in seeds)
    states = ", ".join(f"{count} {word}" for word, count in counts.items()) or "none has started yet"
    match data.identity.get("seeds"):
        case [int(first), int(last)]:
            return f"{len(seeds)} of {formatting.plural(last - first + 1, 'seed')}: {states}."
    return f"{formatting.plural(len(seeds), 'seed')}: {states}."


def _integer(value: Any) -> int:
    return value if isinstance(value, int) else -1
