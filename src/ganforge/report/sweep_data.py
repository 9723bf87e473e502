"""The page of a sweep: its seeds side by side."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ganforge.core import formatting
from ganforge.core.errors import StorageError
from ganforge.figures.charts import Chart, seed_charts
from ganforge.figures.run_history import read_history
from ganforge.report.inline_images import Picture, data_uri, link
from ganforge.report.outcome_text import Tone, tone
from ganforge.report.report_data import Facts, sound_standing, tables
from ganforge.report.run_images import newest_samples
from ganforge.runs.run_lookup import IdentifiedRun, run_folders
from ganforge.storage import value_info as meaning_file
from ganforge.storage.run_status import Status
from ganforge.storage.value_info import ValueInfo

_SIDE = 520
"""Pixels to which the seeds' pictures are made smaller."""
_MOST_PICTURED = 64
"""Seeds whose pictures the page holds."""


@dataclass(frozen=True, slots=True)
class Seed:
    """One seed's result.

    Attributes:
        seed: its number, in words.
        word: how it stands.
        tone: how good that is.
        iteration: iterations done.
        took: time of training.
        verdict: of the health watch.
        metrics: last values by name.
        remark: why it ended so; "" where it finished.
        name: its folder's name; "" where it came to none.
        page: its own page as a link; "" where it has none.
        picture: its newest samples, made smaller.
    """

    seed: str
    word: str
    tone: Tone
    iteration: str
    took: str
    verdict: str
    metrics: Mapping[str, str]
    remark: str = ""
    name: str = ""
    page: str = ""
    picture: Picture | None = None


@dataclass(frozen=True, slots=True)
class Spread:
    """One metric over the seeds.

    Attributes:
        name: the metric's.
        meaning: in plain words.
        median: of the last values.
        low: the least.
        high: the greatest.
        count: seeds that have it.
        ideal: of a perfect generator.
        floor: of a perfect generator at this sample size.
        better: ``lower``, ``higher``, ``nearer`` or ``none``; "" where nobody said.
    """

    name: str
    meaning: str
    median: str
    low: str
    high: str
    count: int
    ideal: str
    floor: str
    better: str


@dataclass(frozen=True, slots=True)
class Sweep:
    """All seeds.

    Attributes:
        seeds: by their numbers.
        spreads: by metric.
        charts: a chart for each metric with a curve for each seed.
        until: last iteration on the charts' axis.
        outcome: how they stand, in one line.
    """

    seeds: Sequence[Seed]
    spreads: Sequence[Spread]
    charts: Sequence[Chart]
    until: float
    outcome: str


def swept(facts: Facts, page: Path) -> Sweep:
    """The seeds of a sweep: those whose runs lie beside it, and those that came to no run.

    Args:
        facts: of the parent.
        page: where its page will lie.
    """
    runs = _children(facts)
    values: dict[str, dict[str, float]] = {}
    curves: dict[str, dict[str, Mapping[int, float]]] = {}
    seeds: list[Seed] = []
    meanings, until = ValueInfo(), 1.0
    for run in runs:
        number = str(run.identity.get("seed", "?"))
        word, status, remark = sound_standing(run)
        picture = _thumbnail(run, status, number, page) if len(seeds) < _MOST_PICTURED else None
        seeds.append(_seed(run, number, word, status, remark, page, picture))
        until = max(until, status.iterations if status else 0)
        meanings = _meanings(run) or meanings
        for name, value in (status.metrics if status else {}).items():
            values.setdefault(name, {})[number] = float(value)
        for name, points in read_history(run.folder).metrics.items():
            curves.setdefault(name, {})[number] = points
    seeds += _without_run(facts, {seed.seed for seed in seeds})
    spreads = [_spread(name, list(own.values()), meanings) for name, own in values.items()]
    return Sweep(seeds, spreads, seed_charts(curves, meanings.metrics), until, _outcome(seeds, facts))


def _children(facts: Facts) -> list[IdentifiedRun]:
    """The runs that name this one as their parent, below the folder that it lies in itself."""
    root = facts.folder.path.absolute().parent.parent
    own = [run for run in run_folders(root) if run.identity.get("parent") == facts.run.id]
    return sorted(own, key=lambda run: (_whole(run.identity.get("seed")), run.folder.path.name))


def _seed(
    run: IdentifiedRun, number: str, word: str, status: Status | None, remark: str | None, page: Path, picture: Picture | None
) -> Seed:
    metrics = status.metrics if status else {}
    health = status.health if status else None
    return Seed(
        seed=number,
        word=word,
        tone=tone(word),
        iteration=f"{status.iteration:,}" if status else "",
        took=formatting.duration(status.seconds) if status else "",
        verdict=str(health.get("verdict", "not watched")) if isinstance(health, Mapping) else "not watched",
        metrics={name: formatting.number(float(value)) for name, value in metrics.items()},
        remark=formatting.clean(remark or ""),
        name=run.folder.path.name,
        page=link(run.folder.report, page) if run.folder.report.is_file() else "",
        picture=picture,
    )


def _without_run(facts: Facts, known: set[str]) -> list[Seed]:
    """Seeds of which only the parent knows: they failed before they had a folder, or it was moved away."""
    return [
        Seed(
            seed=str(one.get("seed", "?")),
            word=str(one.get("status", "unknown")),
            tone=tone(str(one.get("status"))),
            iteration=str(one.get("iterations", "")),
            took="",
            verdict="",
            metrics={},
            remark=formatting.clean(str(one.get("reason") or "its run folder is not here")),
        )
        for one in tables(facts.final, "seeds")
        if str(one.get("seed", "?")) not in known
    ]


def _meanings(run: IdentifiedRun) -> ValueInfo | None:
    try:
        found = meaning_file.read(run.folder)
    except StorageError:
        return None
    return found if found.metrics else None


def _spread(name: str, values: Sequence[float], meanings: ValueInfo) -> Spread:
    meaning = meanings.metrics.get(name)
    ideal, floor = (meaning.ideal, meaning.floor) if meaning else (None, None)
    return Spread(
        name=formatting.clean(name),
        meaning=formatting.clean(meaning.label) if meaning else "",
        median=formatting.number(statistics.median(values)),
        low=formatting.number(min(values)),
        high=formatting.number(max(values)),
        count=len(values),
        ideal="" if ideal is None else formatting.number(ideal),
        floor="" if floor is None else formatting.number(floor),
        better=meaning.better if meaning else "",
    )


def _outcome(seeds: Sequence[Seed], facts: Facts) -> str:
    counted = Counter(seed.word for seed in seeds)
    told = ", ".join(f"{count} {word}" for word, count in counted.items()) or "none has begun yet"
    match facts.identity.get("seeds"):
        case [int(first), int(last)]:
            return f"{len(seeds)} of {formatting.plural(last - first + 1, 'seed')}: {told}."
    return f"{formatting.plural(len(seeds), 'seed')}: {told}."


def _thumbnail(run: IdentifiedRun, status: Status | None, number: str, page: Path) -> Picture | None:
    """The newest samples, small enough for many of them to stand on one page."""
    import io

    import PIL.Image

    path = newest_samples(run.folder, status)
    if path is None:
        return None
    caption = f"seed {number}"
    try:
        with PIL.Image.open(path, formats=("PNG",)) as picture:
            small = picture.convert("RGB")
    except (OSError, SyntaxError, ValueError, PIL.Image.DecompressionBombError):
        return None
    small.thumbnail((_SIDE, _SIDE))
    file = io.BytesIO()
    small.save(file, "PNG")
    source = data_uri(file.getvalue(), "image/png")
    return Picture(path.name, caption, f"Samples of seed {number}", link(path, page), source, small.width, small.height)


def _whole(value: Any) -> int:
    return value if isinstance(value, int) else -1
