"""The loss curves with their equilibrium lines, and the metrics' curves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np

from ganforge.callbacks.dispatch import Tell, Warn, warn_plainly
from ganforge.core import formatting
from ganforge.core.contracts import MetricInfo, TermInfo
from ganforge.core.errors import StorageError
from ganforge.core.events import Evaluated, Event, Finished, HealthChecked, Started, Stepped
from ganforge.core.findings import Finding
from ganforge.core.metric_goal import in_words
from ganforge.figures import mpl_style
from ganforge.figures.history import Floats, History, smoothed
from ganforge.storage import atomic_files, journal
from ganforge.storage.run_folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTS = 2000
"""Points of each curve, at most."""
PAUSE = 60.0
"""Seconds between two drawings of the losses while training goes on."""

_MARKS = 8  # beginnings of findings that are marked, at most
_WORDS = 28  # letters of a line beside a panel
_SMOOTH = 40  # the running mean spans this share of a curve: one fortieth
_NARROW = 20.0  # a curve that spans more than this factor, and is positive, is drawn on a log axis


@contextmanager
def curves(
    folder: RunFolder, *, title: str, warn: Warn = warn_plainly, clock: Callable[[], float] = time.monotonic
) -> Iterator[Tell]:
    """Draw ``pictures/losses.png`` at evaluations, at most once a minute, and with ``pictures/metrics.png`` at the end.

    Args:
        folder: the run's folder; a run that goes on gets its earlier points from the journal there.
        title: stands above the curves.
        warn: told once when the disk refuses.
        clock: seconds, monotonic.
    """
    plotter = _Plotter(folder, formatting.clean(title), warn, clock)
    yield plotter.tell


class _Plotter:
    def __init__(self, folder: RunFolder, title: str, warn: Warn, clock: Callable[[], float]) -> None:
        self._folder, self._title, self._warn, self._clock = folder, title, warn, clock
        self._losses = History(POINTS)
        self._metrics: dict[str, dict[int, float]] = {}
        self._term_info: Mapping[str, TermInfo] = {}
        self._value_info: Mapping[str, MetricInfo] = {}
        self._findings: dict[tuple[str, int], Finding] = {}
        self._reached = 0
        self._drawn = clock()
        self._refused = False

    def tell(self, event: Event) -> None:
        match event:
            case Stepped():
                if event.iteration <= self._reached:
                    self._go_back(event.iteration)
                self._reached = event.iteration
                self._losses.add(event.iteration, event.terms)
            case HealthChecked():
                self._see(event.findings)
            case Started():
                self._term_info, self._value_info = event.term_info, event.value_info
                if event.iteration:
                    self._recall(event.iteration)
            case Evaluated():
                for name, value in event.values.items():
                    self._metrics.setdefault(name, {})[event.iteration] = value
                if self._clock() - self._drawn >= PAUSE:
                    self._draw_losses()
            case Finished():
                self._draw_losses()
                self._draw_metrics()

    def _see(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            self._findings[finding.trouble, finding.since] = finding

    def _go_back(self, iteration: int) -> None:
        """Training was rolled back: what was measured from ``iteration`` on was given up; the findings of then say why."""
        for name, points in self._metrics.items():
            self._metrics[name] = {at: value for at, value in points.items() if at < iteration}

    def _recall(self, before: int) -> None:
        """What the journal tells of the part of the run before this process."""
        rows: list[tuple[int, dict[str, float]]] = []
        for _, record in journal.read(self._folder.journal):
            if record["kind"] == "metrics":
                columns = {key.removeprefix("loss/"): c for key, c in record["values"].items() if key.startswith("loss/")}
                rows += [
                    (iteration, {key: column[at] for key, column in columns.items()})
                    for at, iteration in enumerate(record["iterations"])
                    if columns and iteration <= before
                ]
            if record["kind"] == "health" and record["iteration"] <= before:
                self._see(Finding.from_plain(plain) for plain in record["findings"])
            if record["kind"] == "eval" and record["iteration"] <= before:
                for key, value in record["values"].items():
                    self._metrics.setdefault(key.removeprefix("eval/"), {})[record["iteration"]] = value
        self._losses.restore(rows)

    def _draw_losses(self) -> None:
        self._drawn = self._clock()
        iterations, terms = self._losses.series()
        if len(iterations) > 1:
            findings = list(self._findings.values())
            self._write("losses.png", losses_figure(iterations, terms, self._term_info, self._title, findings))

    def _draw_metrics(self) -> None:
        if self._metrics:
            self._write("metrics.png", metrics_figure(self._metrics, self._value_info, self._title))

    def _write(self, name: str, picture: mpl_style.Picture) -> None:
        try:
            atomic_files.write_bytes(self._folder.pictures / name, mpl_style.png(picture), durable=False)
        except StorageError as error:
            if not self._refused:
                self._warn(f"no curves: {error.message}")
            self._refused = True


def losses_figure(
    iterations: Floats,
    terms: Mapping[str, Floats],
    term_info: Mapping[str, TermInfo],
    title: str,
    findings: Sequence[Finding] = (),
) -> mpl_style.Picture:
    """One panel for each network: its terms and total over the iterations, each beside the value at equilibrium.

    A thin line marks where a finding of the health watch began, with the trouble's name; those that fail come first where there are
    more than eight.

    Args:
        iterations: ``(p,)``.
        terms: by ``discriminator/real``: ``(p,)``.
        term_info: what the terms mean, by the same keys.
        title: stands above.
        findings: all that were ever seen.
    """
    networks = list(dict.fromkeys(key.partition("/")[0] for key in terms))
    sheet, axes = mpl_style.figure(8.0, 0.7 + 2.6 * len(networks), nrows=len(networks), sharex=True)
    for panel, network in zip(np.atleast_1d(axes), networks, strict=True):
        own = {key.partition("/")[2]: values for key, values in terms.items() if key.startswith(f"{network}/")}
        _loss_panel(panel, iterations, own, {name: term_info.get(f"{network}/{name}") for name in own})
        panel.set_ylabel(network)
    _mark(list(np.atleast_1d(axes)), findings)
    _count_iterations(np.atleast_1d(axes)[-1])
    settles = any(term_info[key].equilibrium is not None for key in terms if key in term_info)
    return _finished(sheet, title, "dashed: value at equilibrium" if settles else "")


def metrics_figure(
    metrics: Mapping[str, Mapping[int, float]], value_info: Mapping[str, MetricInfo], title: str
) -> mpl_style.Picture:
    """One panel for each metric, with its ideal value and what it means.

    Args:
        metrics: by name, the values by iteration.
        value_info: what they mean.
        title: stands above.
    """
    sheet, axes = mpl_style.figure(8.0, 0.7 + 1.9 * len(metrics), nrows=len(metrics), sharex=True)
    for number, (panel, (name, points)) in enumerate(zip(np.atleast_1d(axes), metrics.items(), strict=True)):
        at = sorted(points)
        colour = mpl_style.GROUPS[number % len(mpl_style.GROUPS)]
        panel.plot(at, [points[iteration] for iteration in at], color=colour, linewidth=1.6, marker="o", markersize=3.5)
        _explain(panel, name, value_info.get(name))
        panel.grid(axis="y", color=mpl_style.GRID, linewidth=0.8)
    _count_iterations(np.atleast_1d(axes)[-1])
    has_ideal = any(value_info[name].ideal is not None for name in metrics if name in value_info)
    return _finished(sheet, title, "dashed: ideal value" if has_ideal else "")


def _explain(panel: Axes, name: str, measure: MetricInfo | None) -> None:
    """The metric's name and meaning beside its panel, and its ideal as a line."""
    head = formatting.clean(name)
    if measure is None:
        panel.text(1.01, 0.98, head, transform=panel.transAxes, va="top", size=8, color=mpl_style.INK)
        return
    meaning = fill(f"{formatting.clean(measure.label)}; {in_words(measure.better, measure.ideal)}", _WORDS)
    panel.text(1.01, 0.98, head, transform=panel.transAxes, va="top", size=8, weight="bold", color=mpl_style.INK)
    panel.text(1.01, 0.86, mpl_style.literal(meaning), transform=panel.transAxes, va="top", size=7.5, color=mpl_style.MUTED)
    if measure.ideal is not None:
        panel.axhline(measure.ideal, color=mpl_style.HALF, linewidth=1.0, linestyle=(0, (4, 3)))


def _loss_panel(panel: Axes, iterations: Floats, terms: Mapping[str, Floats], term_info: Mapping[str, TermInfo | None]) -> None:
    shown = {name: values for name, values in terms.items() if name == "total" or not _is_total(values, terms)}
    for number, (name, values) in enumerate(shown.items()):
        colour = mpl_style.INK if name == "total" else mpl_style.GROUPS[number % len(mpl_style.GROUPS)]
        reading = term_info.get(name)
        panel.plot(iterations, values, color=colour, linewidth=0.6, alpha=0.18)
        label = f"{name}: {reading.label}" if reading and reading.label else name
        smooth = smoothed(values, len(values) // _SMOOTH)
        panel.plot(iterations, smooth, color=colour, linewidth=1.5, label=mpl_style.literal(fill(formatting.clean(label), _WORDS)))
        if reading is not None and reading.equilibrium is not None:
            panel.axhline(reading.equilibrium, color=colour, linewidth=0.9, linestyle=(0, (4, 3)), alpha=0.8)
    _fit(panel, list(shown.values()))
    panel.grid(axis="y", color=mpl_style.GRID, linewidth=0.8)
    mpl_style.legend(panel, loc="upper left", bbox_to_anchor=(1.005, 1.02), labelspacing=0.8)


def _mark(panels: Sequence[Axes], findings: Sequence[Finding]) -> None:
    """Where findings began, one line for all of one iteration; the words stand in the uppermost panel."""
    begun: dict[int, list[Finding]] = {}
    for finding in sorted(findings, key=lambda one: (one.level != "fail", one.since))[:_MARKS]:
        begun.setdefault(finding.since, []).append(finding)
    for since, found in begun.items():
        colour = mpl_style.FAIL if any(finding.level == "fail" for finding in found) else mpl_style.WARN
        for panel in panels:
            panel.axvline(since, color=colour, linewidth=0.8, alpha=0.9, zorder=1)
        said = mpl_style.literal(formatting.clean(", ".join(dict.fromkeys(finding.trouble for finding in found))))
        panels[0].text(
            since, 0.98, said, transform=panels[0].get_xaxis_transform(), rotation=90, va="top", ha="right", size=7, color=colour,
            bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.8}, zorder=1.5,
        )  # fmt: skip


def _is_total(values: Floats, terms: Mapping[str, Floats]) -> bool:
    """Whether a term is all there is of its network's total, so that one curve would hide the other."""
    return "total" in terms and np.array_equal(values, terms["total"], equal_nan=True)


def _count_iterations(panel: Axes) -> None:
    from matplotlib.ticker import StrMethodFormatter

    panel.set_xlabel("iteration")
    panel.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def _fit(panel: Axes, terms: list[Floats]) -> None:
    """A log axis for positive values over several scales; else limits that a few spikes do not decide."""
    finite = np.concatenate([values[np.isfinite(values)] for values in terms])
    if not len(finite):
        return
    low, high = np.percentile(finite, [0.5, 99.5])
    if finite.min() > 0 and high > _NARROW * low:
        panel.set_yscale("log")
        panel.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        panel.tick_params(which="minor", left=False)
        return
    margin = 0.08 * max(high - low, 1e-3)
    panel.set_ylim(min(low, 0.0) - margin if low < 0 else max(low - margin, 0.0), high + margin)


def _finished(sheet: Any, title: str, remark: str) -> mpl_style.Picture:
    sheet.subplots_adjust(
        left=0.1, right=0.73, top=1 - 0.42 / sheet.get_figheight(), bottom=0.45 / sheet.get_figheight(), hspace=0.16
    )
    mpl_style.headed(sheet, title, left=0.1, right=0.98, top=1 - 0.2 / sheet.get_figheight(), note=remark)
    sheet.align_ylabels()
    return mpl_style.pixels_of(sheet)
