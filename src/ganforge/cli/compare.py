"""``ganforge compare``: compare runs and sweeps."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ganforge.cli import console, options
from ganforge.core import formatting

if TYPE_CHECKING:
    from ganforge.runs.comparison import GroupStats, MetricComparison, SkippedMetric
    from ganforge.runs.run_groups import RunGroup


def compare(
    runs: options.Runs,
    *,
    metric: Annotated[list[str] | None, typer.Option(help="Only this metric, such as modes or modes/captured. Repeatable.")] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY", help="Ignore this key when comparing protocols, such as generator. Repeatable."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Draw the curves into this PNG.", show_default=False)] = None,
    runs_dir: options.RunsDir = Path("runs"),
    as_json: options.Json = False,
) -> None:
    """Compare runs, grouped by recipe over their seeds.

    Shows the median and spread of each metric, and a two-sided Mann-Whitney U test of each recipe against the first one. Values
    measured with different protocols are not compared; the difference is shown.
    """
    from ganforge.runs.comparison import compare as compared_groups
    from ganforge.runs.run_groups import group_runs, recipe_differences
    from ganforge.runs.sample_files import check_paths

    if out is not None:
        check_paths([out], (".png",))
    groups, remarks = group_runs(runs, runs_dir)
    compared, left_out = compared_groups(groups, metrics=metric or (), ignore=ignore or ())
    apart = recipe_differences(groups)
    for remark in remarks:
        console.note(remark)
    if not as_json:
        _print(groups, compared, apart)
    _print_remarks(groups, compared, left_out)
    drawn = _draw(groups, compared, out) if out is not None else None
    if as_json:
        named = {group.name: [console.attributes(run, "run", "folder", "seed") for run in group.runs] for group in groups}
        facts = {
            "groups": [{"name": name, "runs": members} for name, members in named.items()],
            "metrics": {one.metric: _metric(one) for one in compared},
            "left_out": {one.metric: console.attributes(one, "reason", "differences") for one in left_out},
            "recipe_differences": {key: dict(zip(named, values, strict=True)) for key, values in apart.items()},
            "picture": drawn,
        }
        console.print_json(facts)
    if not compared:
        raise typer.Exit(2)  # no metric could be compared


def _print(groups: Sequence[RunGroup], compared: Sequence[MetricComparison], apart: Mapping[str, Sequence[str | None]]) -> None:
    if compared:
        headings = ("Metric", "Better", "Runs", "n", "Median", "Least", "Greatest", "p", "Better pairs", "Verdict")
        console.table(headings, [row for one in compared for row in _rows(one)], right=(3, 4, 5, 6, 7, 8), optional=(8, 5, 6, 1))
    if len(groups) > 1:
        if compared:
            console.print_line()
        rows = [(re.sub(r"\.(\d+)(?=\.)", r"[\1]", key), *values) for key, values in apart.items()]  # loss[0].use, as in messages
        console.table(("Recipe key", *(group.name for group in groups)), rows)


def _rows(one: MetricComparison) -> list[tuple[object, ...]]:
    tests = {test.group: (f"{test.p:.2g}", f"{test.better:.0%}", test.verdict) for test in one.tests}
    rows: list[tuple[object, ...]] = []
    for stats in one.stats:
        numbers = [f"{number:.4g}" for number in _summary(stats).values()]
        tested = tests.get(stats.group, (None, None, None))
        rows.append((one.metric, one.info.get("better"), stats.group, len(stats.values), *numbers, *tested))
    return rows


def _summary(stats: GroupStats) -> dict[str, float]:
    """Median, least and greatest finite value."""
    finite = stats.finite or [math.nan]
    return {"median": stats.median, "min": min(finite), "max": max(finite)}


def _print_remarks(groups: Sequence[RunGroup], compared: Sequence[MetricComparison], left_out: Sequence[SkippedMetric]) -> None:
    from ganforge.registry.selection import next_command
    from ganforge.storage.run_folder import RunFolder

    if len(groups) == 1:
        console.note(f"all runs use one recipe, {groups[0].name}: nothing to test")
    for one in compared:
        for key, values in one.ignored.items():
            console.warning(f"{one.metric}: compared although {key} differs: {', '.join(map(str, values))}")
        for stats in one.stats:
            facts = [
                (stats.missing, "without a value"),
                (len(stats.values) - len(stats.finite), "with a value that is not finite"),
                (stats.early, "with a value from before the end of training"),
            ]
            if remarks := [f"{formatting.plural(count, 'run')} {what}" for count, what in facts if count]:
                console.warning(f"{one.metric} of {stats.group}: {', '.join(remarks)}")
    if any(len(one.tests) > 1 for one in compared):
        console.note("p is corrected for the number of recipes compared with the first one (Holm)")
    if together := _joint_significance(compared):
        console.note(together)
    for missing in left_out:
        console.warning(f"{missing.metric} is not compared: {missing.reason}")
    if not compared and not left_out:
        names = [RunFolder(run.folder).reference for group in groups for run in group.runs]
        console.warning(f"the runs have no metric values; `{next_command('evaluate', *names)}` measures them")


def _joint_significance(compared: Sequence[MetricComparison]) -> str | None:
    """How many tests were made, and which remain significant after correction for all of them."""
    from ganforge.runs.comparison import LEVEL

    tests = [(one.metric, trial) for one in compared for trial in one.tests]
    winning = [(metric, trial) for metric, trial in tests if trial.winner]
    if len(tests) < 2 or not winning:
        return None
    significant = dict.fromkeys(metric for metric, trial in winning if trial.p_of_all <= LEVEL)
    left = f"{', '.join(significant)} remain" if significant else "none remains"
    return (
        f"{len(winning)} of {len(tests)} tests are significant; each would be by chance up to 1 time in {round(1 / LEVEL)}. "
        f"After correction for all {len(tests)} (Holm), {left}"
    )


def _draw(groups: Sequence[RunGroup], compared: Sequence[MetricComparison], out: Path) -> Path | None:
    """Draw the training curves of the metrics that were compared."""
    trained = [one for one in compared if one.origins == ("training",)]
    if not trained:
        console.warning("no curves are drawn: the compared values were not measured during training")
        return None
    from ganforge.figures.charts import comparison_charts, draw_charts
    from ganforge.figures.images import encode_png
    from ganforge.storage import atomic_files

    panels = {
        one.metric: {group.name: [run.curves[one.metric] for run in group.runs if one.metric in run.curves] for group in groups}
        for one in trained
    }
    title = " and ".join(group.name for group in groups)
    charts = comparison_charts(panels, {one.metric: one.info for one in trained})
    picture = draw_charts(charts, title, note="line: median, band: all seeds", shared_legend=True)
    atomic_files.write_bytes(out, encode_png(picture))
    console.note(f"curves written to {out}")
    return out


def _metric(one: MetricComparison) -> dict[str, Any]:
    return {
        **one.info,
        **console.attributes(one, "protocol", "origins", "ignored", "tests"),
        "groups": [
            {
                "name": stats.group,
                "n": len(stats.values),
                **_summary(stats),
                **console.attributes(stats, "values", "aims", "runs", "missing", "early"),
                "not_finite": len(stats.values) - len(stats.finite),
            }
            for stats in one.stats
        ],
    }
