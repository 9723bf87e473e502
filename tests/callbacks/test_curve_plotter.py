from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from ganforge.callbacks import curve_plotter as module
from ganforge.callbacks.curve_plotter import curves, losses_figure, metrics_figure
from ganforge.core.contracts import MetricInfo, TermInfo
from ganforge.core.events import Evaluated, Started, Stepped
from ganforge.storage.journal import JournalWriter
from ganforge.storage.run_folder import RunFolder


@pytest.fixture
def folder(tmp_path):
    return RunFolder.create(tmp_path, "moons", "vanilla")


@pytest.fixture
def drawn(monkeypatch):
    """What was drawn: iterations and terms of the losses, values of the metrics."""
    calls = {"losses": [], "metrics": []}
    losses, metrics = module.losses_figure, module.metrics_figure
    monkeypatch.setattr(module, "losses_figure", lambda *given: calls["losses"].append(given) or losses(*given))
    monkeypatch.setattr(
        module, "metrics_figure", lambda *given: calls["metrics"].append(json.loads(json.dumps(given[0]))) or metrics(*given)
    )
    return calls


def tell_all(folder, stream, clock, seconds=0.0):
    with curves(folder, title="Two moons", warn=pytest.fail, clock=clock) as tell:
        for event in stream:
            clock.now += seconds
            tell(event)


def test_both_files_at_the_end(folder, clock, events):
    tell_all(folder, events(), clock)

    for name in ("losses.png", "metrics.png"):
        with Image.open(folder.pictures / name) as picture:
            assert picture.width == 1000
            assert len(set(picture.convert("L").tobytes())) > 20


def test_while_training_goes_on_at_most_once_a_minute(folder, clock, events, drawn):
    tell_all(folder, events(every=10), clock, seconds=1.5)  # 10 evaluations in 150 s

    assert len(drawn["losses"]) == 3  # after 60 s, after 120 s, and at the end
    assert len(drawn["metrics"]) == 1


def test_a_run_that_goes_on_gets_its_earlier_points_from_the_journal(folder, clock, events, drawn):
    with JournalWriter(folder.journal) as journal:
        for event in events(end=70):
            if isinstance(event, Stepped):
                journal.metrics(
                    event.iteration, {f"loss/{key}": value for key, value in event.terms.items()} | {"rate/lr/generator": 1.0}
                )
            if isinstance(event, Evaluated):
                journal.record("eval", iteration=event.iteration, values=dict(event.values))

    tell_all(folder, events(begin=50), clock)

    iterations, terms, *_ = drawn["losses"][-1]
    assert iterations.tolist() == list(range(1, 101))  # what came after the resumed state is not from this run
    assert set(terms) == {
        "discriminator/real",
        "discriminator/fake",
        "discriminator/total",
        "generator/adversarial",
        "generator/total",
    }
    whole = [float(event.terms["generator/total"]) for event in events() if isinstance(event, Stepped)]
    np.testing.assert_allclose(terms["generator/total"], whole)
    assert list(drawn["metrics"][-1]["wasserstein"]) == ["25", "50", "75", "100"]


def test_terms_that_are_never_finite_are_no_reason_to_fail():
    picture = losses_figure(
        np.arange(10.0),
        {"discriminator/total": np.full(10, np.nan), "generator/$odd": np.linspace(1e-5, 1e3, 10)},
        {"generator/$odd": TermInfo("costs $5 or $6", 0.5)},
        "title",
    )

    assert picture.shape[2] == 3


LONG = "a title of many words, " * 6
WORDY = "what the discriminator descends: the weighted sum of its terms"


def test_no_word_is_cut_off_at_the_edges():
    # over several scales, so that the log axis needs its widest numbers
    values = np.geomspace(1e-5, 2.0, 50)
    losses = losses_figure(
        np.arange(50.0),
        {"discriminator/r1": values, "discriminator/total": 1 + values, "generator/total": values},
        {key: TermInfo(WORDY, 0.5) for key in ("discriminator/r1", "discriminator/total", "generator/total")},
        LONG,
    )
    metrics = metrics_figure({"wasserstein": {1: 1e-5, 2: 3e-5}}, {"wasserstein": MetricInfo(WORDY, "lower", 0.0)}, LONG)

    for picture in (losses, metrics):
        assert (picture[:, :4] == 255).all()
        assert (picture[:, -4:] == 255).all()


def test_dashes_are_explained_only_where_there_are_any():
    def remark(ideal):
        picture = metrics_figure({"wasserstein": {1: 0.5, 2: 0.4}}, {"wasserstein": MetricInfo("distance", "lower", ideal)}, "t")
        return (picture[:35, 750:] < 255).any()

    assert remark(0.0)
    assert not remark(None)


def test_the_equilibrium_is_a_dashed_line_at_its_value():
    def drawn(equilibrium):
        steady = np.full(50, 0.2) + np.linspace(0, 1, 50)
        return losses_figure(np.arange(50.0), {"generator/total": steady}, {"generator/total": TermInfo("", equilibrium)}, "t")

    def changed(equilibrium):  # rows of pixels below the heading that the line alone explains
        return np.flatnonzero((drawn(equilibrium)[40:] != drawn(None)[40:]).any(axis=(1, 2)))

    high, low = changed(1.0), changed(0.5)
    assert 1 <= len(high) <= 4
    assert 1 <= len(low) <= 4
    assert high.max() < low.min()


def red(picture):
    """Columns of pixels that are redder than anything else in the figure."""
    levels = picture.astype(int)
    return np.flatnonzero(((levels[..., 0] - levels[..., 1:].max(axis=2)) > 90).sum(axis=0) > 100)


def test_a_thin_line_with_a_word_marks_where_a_finding_began(finding):
    iterations = np.arange(100.0)
    terms = {"generator/total": 1 + iterations / 100, "discriminator/total": 2 + iterations / 100}

    def drawn(*findings):
        return losses_figure(iterations, terms, {}, "t", findings)

    early, late = (red(drawn(finding(since=since))) for since in (20, 80))
    assert len(red(drawn())) == 0
    assert 1 <= len(early) <= 20  # the line, and the word beside it
    assert early.max() < late.min()
    assert len(red(drawn(*(finding(f"check {n}", since=10 * n) for n in range(1, 10))))) >= 8


def test_findings_are_marked_when_they_have_gone_and_when_the_run_goes_on(folder, clock, events, watched, finding, drawn):
    gone, other = finding(since=10), finding("duplicates", "near-duplicates", "warn", since=60)
    with JournalWriter(folder.journal) as journal:
        journal.record("health", iteration=10, verdict="fail", findings=[gone.to_plain()])
        journal.record("health", iteration=30, verdict="healthy", findings=[])
        journal.record("health", iteration=70, verdict="fail", findings=[finding(since=70).to_plain()])

    tell_all(folder, watched(events(begin=50), {60: [other], 80: [replace(other, seen="fewer", iteration=80)], 90: []}), clock)

    *_, findings = drawn["losses"][-1]
    assert findings == [gone, replace(other, seen="fewer", iteration=80)]


def test_what_was_rolled_back_is_not_drawn(folder, clock, events, drawn):
    *earlier, _ = events(end=60)
    again = [event for event in events() if getattr(event, "iteration", 0) > 20 and not isinstance(event, Started)]
    doubled = [replace(e, terms={k: 2 * v for k, v in e.terms.items()}) if isinstance(e, Stepped) else e for e in again]
    tell_all(folder, [*earlier, *(event for event in doubled if event.iteration <= 45), doubled[-1]], clock)

    iterations, terms, *_ = drawn["losses"][-1]
    assert iterations.tolist() == list(range(1, 46))
    whole = [float(event.terms["generator/total"]) for event in events(end=45) if isinstance(event, Stepped)]
    np.testing.assert_allclose(terms["generator/total"], [*whole[:20], *(2 * value for value in whole[20:])])
    assert list(drawn["metrics"][-1]["wasserstein"]) == ["25"]  # that of iteration 50 was given up


def test_nothing_to_draw_makes_no_file(folder, clock, events):
    started, *_, finished = events()
    tell_all(folder, [started, finished], clock)

    assert not list(folder.pictures.iterdir())


def test_a_disk_that_refuses_is_told_once(folder, clock, events):
    folder.pictures.rmdir()
    folder.pictures.write_text("not a folder")
    said = []
    with curves(folder, title="", warn=said.append, clock=clock) as tell:
        for event in events():
            tell(event)

    assert len(said) == 1
    assert said[0].startswith("no curves: cannot write")


def test_terms_stay_tensors_until_something_is_drawn(folder, clock, monkeypatch, events):
    read = []
    monkeypatch.setattr(torch.Tensor, "__float__", lambda tensor: read.append(1) or tensor.item())
    with curves(folder, title="", clock=clock) as tell:
        for event in events(every=1000):
            if isinstance(event, Started | Stepped):
                tell(event)

    assert not read
