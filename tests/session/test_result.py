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
    assert Result.from_plain(json.loads(json.dumps(before.to_plain()))) == before


@pytest.mark.parametrize(
    ("verdicts", "counts"),
    [
        (["healthy", "fail", "healthy", "warn"], {"fail": 1, "warn": 1, "healthy": 2}),
        (["healthy", "not watched"], {"not watched": 1, "healthy": 1}),
        (["healthy"], {"healthy": 1}),
        ([], {}),
    ],
)
def test_a_sweep_has_the_worst_verdict_of_its_seeds_and_how_many_have_which(verdicts, counts):
    swept = SweepResult("sweep", Path("y"), [seed(*one) for one in enumerate(verdicts)], 1.0, 0)

    assert swept.to_plain()["health"] == {"verdict": next(iter(counts), "not watched"), "findings": [], "seeds": counts}
    assert list(swept.verdicts) == list(counts)
