"""Curves out of journals: bins against numpy, runs that went on, records that cannot be read."""

import math
from dataclasses import asdict, replace

import numpy as np
import pytest
import torch

from ganforge.figures.run_history import BINS, BinnedCurve, read_history, terms_to_floats
from ganforge.storage.journal import JournalWriter
from ganforge.storage.run_folder import RunFolder


def binned(values, chunk=64):
    curve = BinnedCurve()
    for start in range(0, len(values), chunk):
        part = values[start : start + chunk]
        curve.add(range(start + 1, start + 1 + len(part)), part)
    return curve


@pytest.mark.parametrize("count", [1, 5, BINS, BINS + 1, 4 * BINS, 10_007])
def test_bins_hold_least_mean_and_greatest_of_their_iterations(count):
    values = np.random.default_rng(count).normal(size=count)
    curve = binned(values)

    assert curve.width == 2 ** max(0, math.ceil(math.log2(count / BINS)))
    at, low, mean, high = curve.series()
    assert len(at) <= BINS
    parts = [values[start : start + curve.width] for start in range(0, count, curve.width)]
    np.testing.assert_allclose(low, [part.min() for part in parts])
    np.testing.assert_allclose(mean, [part.mean() for part in parts])
    np.testing.assert_allclose(high, [part.max() for part in parts])
    np.testing.assert_allclose(at, [1 + curve.width * index + (curve.width - 1) / 2 for index in range(len(parts))])
    assert curve.last == values[-1]


def test_non_finite_values_are_reported_and_affect_no_bin():
    curve = binned([1.0, 2.0, math.nan, math.inf, 5.0])
    assert curve.non_finite_at == 3
    assert curve.last == 5.0
    assert curve.series()[2].tolist() == [1.0, 2.0, 5.0]


def test_iteration_zero_has_no_bin():
    curve = BinnedCurve()
    curve.add([0, 1], [9.0, 1.0])
    assert curve.series()[0].tolist() == [1.0]


def test_a_run_that_went_on_is_drawn_once(tmp_path):
    folder = RunFolder.create(tmp_path, "moons", "two")
    with JournalWriter(folder.journal) as writer:
        for iteration in range(1, 11):
            writer.metrics(iteration, {"loss/generator/total": math.nan if iteration == 9 else 1.0})
        for iteration in (4, 8):
            writer.record("eval", iteration=iteration, values={"eval/w": 1.0})
        writer.record("resume", iteration=4)
        for iteration in range(5, 8):
            writer.metrics(iteration, {"loss/generator/total": 2.0})

    history = read_history(folder)

    at, _, mean, _ = history.terms["generator/total"].series()
    assert at.tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert mean.tolist() == [1, 1, 1, 1, 2, 2, 2]
    assert history.terms["generator/total"].non_finite_at is None
    assert history.metrics == {"w": {4: 1.0}}
    assert history.resumed == [4]


def test_what_was_rolled_back_is_in_no_mean(tmp_path):
    folder = RunFolder.create(tmp_path, "moons", "two")
    with JournalWriter(folder.journal) as writer:
        for iteration in range(1, 4 * BINS + 1):
            writer.metrics(
                iteration, {"loss/generator/total": math.inf if iteration == 4 * BINS else 100.0 if iteration > 201 else 1.0}
            )
        writer.record("eval", iteration=250, values={"eval/w": 9.0})
        writer.record("rollback", iteration=201, reached=4 * BINS, reason="mode collapse")  # no bin ends there
        for iteration in range(202, 301):
            writer.metrics(iteration, {"loss/generator/total": 2.0})
        writer.record("rollback", iteration=240, reached=300)
        for iteration in range(241, 261):
            writer.metrics(iteration, {"loss/generator/total": 3.0})

    history = read_history(folder)

    at, low, mean, high = history.terms["generator/total"].series()
    assert (high.max(), history.terms["generator/total"].non_finite_at) == (3.0, None)
    expected = {iteration: 1.0 if iteration <= 201 else 2.0 if iteration <= 240 else 3.0 for iteration in range(1, 261)}
    np.testing.assert_allclose(mean, [expected[int(iteration)] for iteration in at])
    np.testing.assert_array_equal(low, high)
    assert at.tolist() == list(range(1, 261))
    assert history.metrics == {}
    assert (history.rolled_back, history.resumed) == ([(4 * BINS, 201), (300, 240)], [])
    assert history.redone == 4 * BINS - 201 + 60


def test_unreadable_records_are_reported_and_the_rest_is_kept(tmp_path):
    folder = RunFolder.create(tmp_path, "moons", "two")
    with JournalWriter(folder.journal) as writer:
        writer.record("eval", iteration=1, values={"eval/w": 1.0})
        writer.record("eval", iteration="soon", values=None)
        writer.record("something-new", values=3)
        writer.record("eval", iteration=2, values={"eval/w": 2.0}, protocols={"w": {"samples": 5}})

    history = read_history(folder)

    assert history.metrics == {"w": {1: 1.0, 2: 2.0}}
    assert history.protocols == {"w": {"samples": 5}}
    assert history.read_error == "the journal contains records that cannot be read"


def test_no_journal_is_an_empty_history(tmp_path):
    history = read_history(RunFolder(tmp_path))
    assert (history.terms, history.metrics, history.read_error) == ({}, {}, None)


def test_floats_of_rows_with_different_terms():
    assert terms_to_floats([{"a": torch.tensor(1.0)}, {}, {"b": torch.tensor(2.0), "c": torch.tensor(3.0)}]) == [
        {"a": 1.0},
        {},
        {"b": 2.0, "c": 3.0},
    ]
    assert terms_to_floats([]) == []


def test_bins_after_an_iteration_can_be_dropped():
    curve = binned([float(value) for value in range(1, 101)])
    curve.drop_after(60)
    at, _, mean, _ = curve.series()
    assert at.tolist() == mean.tolist() == list(range(1, 61))


def test_findings_are_kept_in_their_newest_form_when_they_are_gone(tmp_path, finding):
    folder = RunFolder.create(tmp_path, "moons", "two")
    gone, other = finding(since=10), finding("duplicates", "near-duplicates", "warn", since=60)
    with JournalWriter(folder.journal) as writer:
        writer.record("health", iteration=10, verdict="fail", findings=[asdict(gone)])
        writer.record("health", iteration=30, verdict="healthy", findings=[])
        writer.record("health", iteration=60, verdict="warn", findings=[asdict(other)])
        writer.record("health", iteration=80, verdict="warn", findings=[asdict(replace(other, evidence="fewer"))])

    assert read_history(folder).findings == [gone, replace(other, evidence="fewer")]
