from __future__ import annotations

import json
from pathlib import Path

import pytest

from ganforge.session.result import Result, SweepResult


def seed(number, verdict, **metrics):
    health = {"verdict": verdict, "findings": []}
    return Result("run", Path("x"), "finished", 10, 1.0, 10.0, metrics, health, {}, 0, number)


def test_a_result_comes_back_from_json():
    before = seed(3, "warn", wasserstein=0.5)
    assert Result.from_plain(json.loads(json.dumps({"schema": 1, **before.to_plain()}))) == before  # as `run --json` prints it


@pytest.mark.parametrize(
    ("verdicts", "counts"),
    [
        (["healthy", "fail", "healthy", "warn"], {"fail": 1, "warn": 1, "healthy": 2}),
        (["healthy", "not monitored"], {"not monitored": 1, "healthy": 1}),
        (["healthy"], {"healthy": 1}),
        ([], {}),
    ],
)
def test_a_sweep_has_the_worst_verdict_of_its_seeds_and_how_many_have_which(verdicts, counts):
    swept = SweepResult("sweep", Path("y"), [seed(*one) for one in enumerate(verdicts)], 1.0, 0)

    assert swept.to_plain()["health"] == {"verdict": next(iter(counts), "not monitored"), "findings": [], "seeds": counts}
    assert list(swept.verdicts) == list(counts)


def test_the_speed_of_a_sweep_is_that_of_all_its_seeds_together_whatever_was_given_up():
    again = Result("run", Path("x"), "stopped", 10, 2.0, 12.5, {}, {"verdict": "fail", "findings": []}, {}, 1, 1)  # 25 were trained
    assert SweepResult("sweep", Path("y"), [seed(0, "healthy"), again], 5.0, 1).to_plain()["iterations_per_second"] == 7.0
