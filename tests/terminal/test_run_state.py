from __future__ import annotations

import math

import pytest
import torch

from ganforge.core.events import Evaluated, HealthChecked, RolledBack, Stepped
from ganforge.storage.value_info import StoredMetricInfo
from ganforge.terminal.run_state import MetricHistory, RunState


def test_terms_are_the_mean_of_the_last_iterations(clock):
    state = RunState(clock)
    for iteration in range(1, 101):
        state.update(Stepped(iteration, {"discriminator/total": torch.tensor(float(iteration))}, {}))

    assert state.iteration == 100
    assert state.terms() == {"discriminator/total": pytest.approx(sum(range(53, 101)) / 48)}


def test_speed_and_time_left(clock, events):
    state = RunState(clock)
    stream = events(iterations=1000, end=400, every=1000)
    state.update(next(stream))
    assert state.pace() == (0.0, None)

    for event in stream:
        clock.now += 0.01
        state.update(event)
        if state.iteration == 300:
            break
    per_second, left = state.pace()

    assert per_second == pytest.approx(100, rel=0.02)
    assert left == pytest.approx(7.0, rel=0.02)


def test_old_speed_is_forgotten(clock, events):
    state = RunState(clock)
    state.update(next(events(iterations=10_000)))
    for second in range(100):
        clock.now += 1
        state.iteration += 10 if second < 50 else 100
        per_second, _ = state.pace()

    assert per_second == pytest.approx(100)


def test_a_run_that_goes_on_counts_its_own_iterations_only(clock, events):
    state = RunState(clock)
    state.update(next(events(begin=900, end=1000, iterations=1000)))
    clock.now += 1
    state.iteration = 910

    assert state.pace() == (pytest.approx(10), pytest.approx(9))


def test_the_best_score_may_be_the_nearest_one():
    score = MetricHistory(StoredMetricInfo("", "nearer", floor=0.5))
    for iteration, value in enumerate((0.02, 0.49, 0.9), start=1):
        score.points[iteration] = value
    assert (score.best, score.progress) == (0.49, -1)


def test_a_score_that_is_not_judged_has_no_best_and_no_progress():
    score = MetricHistory(StoredMetricInfo("", "none"))
    score.points[1] = 1.0
    score.points[2] = 2.0
    assert math.isnan(score.best)
    assert (score.value, score.progress) == (2.0, 0)


@pytest.mark.parametrize(("better", "best", "progress"), [("lower", 1.0, 1), ("higher", 3.0, -1)])
def test_scores_know_their_best_and_which_way_is_better(better, best, progress):
    score = MetricHistory(StoredMetricInfo("", better))
    for iteration, value in ((10, 1.0), (20, 3.0), (30, 2.0)):
        score.points[iteration] = value

    assert (score.value, score.best) == (2.0, best)
    assert score.progress == progress

    score.points[40] = math.nan
    assert score.best == best
    assert score.progress == 0


def test_a_part_that_is_given_up_has_no_best_no_health_and_no_picture(clock, events, finding):
    state = RunState(clock)
    for event in events(end=60, every=20):
        state.update(event)
    state.update(Evaluated(60, {"wasserstein": 1e-9}, 0.0))
    state.update(HealthChecked(60, {}, (finding(),)))

    state.update(RolledBack(40, 60))

    score = state.scores["wasserstein"]
    assert (score.values, score.best) == ([0.5 / 20, 0.5 / 40], 0.5 / 40)
    assert (state.iteration, state.health, state.healthy_since) == (40, None, None)
    assert state.picture is None
    assert state.terms() == {}


def test_a_picture_from_before_stays(clock, events):
    state = RunState(clock)
    for event in events(end=50, every=20):
        state.update(event)
    state.update(RolledBack(40, 50))
    assert state.picture.iteration == 40


def test_a_metric_that_failed_has_no_value_until_it_is_measured_again(clock):
    state = RunState(clock)
    state.update(Evaluated(10, {"flaky/a": 1.0, "steady": 1.0}, 0.0))
    state.update(Evaluated(20, {"flaky/a": 0.5, "steady": 2.0}, 0.0))
    state.update(Evaluated(30, {"steady": 3.0}, 0.0, {"flaky": "no luck"}))
    assert state.measured() == {"steady": 3.0}
    assert (state.scores["flaky/a"].progress, state.scores["flaky/a"].best) == (0, 0.5)

    state.update(RolledBack(20, 30))
    assert state.measured() == {"flaky/a": 0.5, "steady": 2.0}
