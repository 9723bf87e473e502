from __future__ import annotations

import math

import pytest
import torch

from ganforge.core.contracts import MetricInfo
from ganforge.core.events import Evaluated, HealthChecked, RolledBack, Stepped
from ganforge.terminal.run_state import Score, Standing


def test_terms_are_the_mean_of_the_last_iterations(clock):
    standing = Standing(clock)
    for iteration in range(1, 101):
        standing.hear(Stepped(iteration, {"discriminator/total": torch.tensor(float(iteration))}, {}))

    assert standing.iteration == 100
    assert standing.terms() == {"discriminator/total": pytest.approx(sum(range(53, 101)) / 48)}


def test_speed_and_time_left(clock, events):
    standing = Standing(clock)
    stream = events(iterations=1000, end=400, every=1000)
    standing.hear(next(stream))
    assert standing.pace() == (0.0, None)

    for event in stream:
        clock.now += 0.01
        standing.hear(event)
        if standing.iteration == 300:
            break
    per_second, left = standing.pace()

    assert per_second == pytest.approx(100, rel=0.02)
    assert left == pytest.approx(7.0, rel=0.02)


def test_old_speed_is_forgotten(clock, events):
    standing = Standing(clock)
    standing.hear(next(events(iterations=10_000)))
    for second in range(100):
        clock.now += 1
        standing.iteration += 10 if second < 50 else 100
        per_second, _ = standing.pace()

    assert per_second == pytest.approx(100)


def test_a_run_that_goes_on_counts_its_own_iterations_only(clock, events):
    standing = Standing(clock)
    standing.hear(next(events(begin=900, end=1000, iterations=1000)))
    clock.now += 1
    standing.iteration = 910

    assert standing.pace() == (pytest.approx(10), pytest.approx(9))


def test_the_best_score_may_be_the_nearest_one():
    score = Score(MetricInfo("", "nearer", floor=lambda count: (count - 1) / (2 * count - 1)), 1000)
    for iteration, value in enumerate((0.02, 0.49, 0.9), start=1):
        score.add(iteration, value)
    assert (score.best, score.best_iteration, score.progress) == (0.49, 2, -1)


def test_a_score_that_is_not_judged_has_no_best_and_no_progress():
    score = Score(MetricInfo("", "none"))
    score.add(1, 1.0)
    score.add(2, 2.0)
    assert math.isnan(score.best)
    assert (score.value, score.progress) == (2.0, 0)


@pytest.mark.parametrize(("better", "best", "progress"), [("lower", 1.0, 1), ("higher", 3.0, -1)])
def test_scores_know_their_best_and_which_way_is_better(better, best, progress):
    score = Score(MetricInfo("", better))
    for iteration, value in ((10, 1.0), (20, 3.0), (30, 2.0)):
        score.add(iteration, value)

    assert (score.value, score.best) == (2.0, best)
    assert score.progress == progress

    score.add(40, math.nan)
    assert score.best == best
    assert score.progress == 0


def test_a_part_that_is_given_up_has_no_best_no_health_and_no_picture(clock, events, finding):
    standing = Standing(clock)
    for event in events(end=60, every=20):
        standing.hear(event)
    standing.hear(Evaluated(60, {"wasserstein": 1e-9}, 0.0))
    standing.hear(HealthChecked(60, {}, (finding(),)))

    standing.hear(RolledBack(40, 60))

    score = standing.scores["wasserstein"]
    assert (score.value, score.before, score.best, score.best_iteration, score.times) == (0.5 / 40, 0.5 / 20, 0.5 / 40, 40, 2)
    assert (standing.iteration, standing.examined, standing.healthy_since) == (40, None, None)
    assert standing.picture is None
    assert standing.terms() == {}


def test_a_picture_from_before_stays(clock, events):
    standing = Standing(clock)
    for event in events(end=50, every=20):
        standing.hear(event)
    standing.hear(RolledBack(40, 50))
    assert standing.picture.iteration == 40


def test_a_metric_that_failed_has_no_value_until_it_is_measured_again(clock):
    standing = Standing(clock)
    standing.hear(Evaluated(10, {"flaky/a": 1.0, "steady": 1.0}, 0.0))
    standing.hear(Evaluated(20, {"flaky/a": 0.5, "steady": 2.0}, 0.0))
    standing.hear(Evaluated(30, {"steady": 3.0}, 0.0, {"flaky": "no luck"}))
    assert standing.measured() == {"steady": 3.0}
    assert (standing.scores["flaky/a"].progress, standing.scores["flaky/a"].best) == (0, 0.5)

    standing.hear(RolledBack(20, 30))
    assert standing.measured() == {"flaky/a": 0.5, "steady": 2.0}
