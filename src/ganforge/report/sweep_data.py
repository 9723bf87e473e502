"""The contents of a sweep's report: its seeds side by side."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ganforge.core import formatting
from ganforge.core.errors import StorageError
from ganforge.core.findings import NOT_MONITORED
from ganforge.figures.charts import Chart, seed_charts
from ganforge.figures.run_history import read_history
from ganforge.report.report_data import ReportData, get_table, get_tables, read_valid_status
from ganforge.report.report_images import ImageEmbedder, InlineImage, newest_samples, relative_link
from ganforge.runs.run_index import IdentifiedRun, run_folders
from ganforge.storage import value_info
from ganforge.storage.value_info import StoredMetricInfo, ValueInfo


@dataclass(frozen=True, slots=True)
class SeedSummary:
    """The result of one seed.

    Attributes:
        word: its state.
        metrics: last values by name.
        remark: why it ended; "" if it finished.
        name: its folder's name; "" if it has no run.
        page: link to its own page; "" if there is none.
        image: its newest samples.
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
    """The last values of one metric over the ``count`` seeds that have one."""

    name: str
    info: StoredMetricInfo
    median: float
    low: float
    high: float
    count: int


@dataclass(frozen=True, slots=True)
class SweepSummary:
    """The results of all seeds; ``until`` is the last iteration on the charts' axis."""

    seeds: Sequence[SeedSummary]
    spreads: Sequence[MetricSpread]
    charts: Sequence[Chart]
    until: float
    outcome: str


def summarize_sweep(data: ReportData, page: Path) -> SweepSummary:
    """Summarize the seeds of a sweep: those whose run folders are beside it, and those without a run."""
    runs, embedder = _runs_of(data), ImageEmbedder(page)
    seeds = [_summarize_seed(run, page, embedder) for run in runs]
    curves: dict[str, dict[str, Mapping[int, float]]] = {}
    info, until = ValueInfo(), 1.0
    for run, seed in zip(runs, seeds, strict=True):
        info = _read_value_info(run) or info
        for name, points in read_history(run.folder).metrics.items():
            curves.setdefault(name, {})[seed.seed] = points
            until = max([until, *points])
    seeds += _seeds_without_run(data, {seed.seed for seed in seeds})
    return SweepSummary(seeds, _spreads(seeds, info), seed_charts(curves, info.metrics), until, _outcome(seeds, data))


def _runs_of(data: ReportData) -> list[IdentifiedRun]:
    """The runs that name this sweep as their parent, in the same folder of runs."""
    own = [run for run in run_folders(data.folder.path.absolute().parent.parent) if run.identity.get("parent") == data.run.id]
    return sorted(own, key=lambda run: (seed if isinstance(seed := run.identity.get("seed"), int) else -1, run.folder.path.name))


def _summarize_seed(run: IdentifiedRun, page: Path, embedder: ImageEmbedder) -> SeedSummary:
    word, status, remark = read_valid_status(run)
    seed, samples = str(run.identity.get("seed", "?")), newest_samples(run.folder, status)
    return SeedSummary(
        seed=seed,
        word=word,
        iteration=status.iteration if status else None,
        duration=formatting.duration(status.seconds) if status else "",
        verdict=str(get_table({"health": status and status.health}, "health").get("verdict", NOT_MONITORED)),
        metrics={name: float(value) for name, value in (status.metrics if status else {}).items()},
        remark=remark or "",
        name=run.folder.path.name,
        page=relative_link(run.folder.report, page) if run.folder.report.is_file() else "",
        image=embedder.embed(samples, f"seed {seed}", f"Samples of seed {seed}") if samples else None,
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


def _spreads(seeds: Sequence[SeedSummary], info: ValueInfo) -> list[MetricSpread]:
    values: dict[str, list[float]] = {}
    for seed in seeds:
        for name, value in seed.metrics.items():
            values.setdefault(name, []).append(value)
    return [
        MetricSpread(name, info.metrics.get(name, StoredMetricInfo()), statistics.median(own), min(own), max(own), len(own))
        for name, own in values.items()
    ]


def _outcome(seeds: Sequence[SeedSummary], data: ReportData) -> str:
    counts = Counter(seed.word for seed in seeds)
    states = ", ".join(f"{count} {word}" for word, count in counts.items()) or "none has started yet"
    match data.identity.get("seeds"):
        case [int(first), int(last)]:
            return f"{len(seeds)} of {formatting.plural(last - first + 1, 'seed')}: {states}."
    return f"{formatting.plural(len(seeds), 'seed')}: {states}."
