"""``--metric`` texts, and the tables that they stand for."""

from __future__ import annotations

import pytest

from ganforge.core.errors import UsageError
from ganforge.runs.metric_args import requests

KNOWN = [{"use": "ganforge/wasserstein@1", "name": "wasserstein", "params": {"order": 2}, "samples": 2000, "every": 5}]


def tables(*texts, known=KNOWN, samples=None):
    return [dict(request.table) for request in requests(texts, known, samples)]


def test_without_a_text_all_metrics_of_the_recipe_are_meant():
    assert tables() == [{"use": "ganforge/wasserstein@1", "name": "wasserstein", "params": {"order": 2}, "samples": 2000}]
    assert tables(samples=50)[0]["samples"] == 50


def test_a_name_of_the_recipe_keeps_its_parameters_and_any_other_is_a_component():
    (own,) = tables("wasserstein:samples=500", samples=50)
    assert own == {"use": "ganforge/wasserstein@1", "name": "wasserstein", "params": {"order": 2}, "samples": 500}
    (other,) = tables("acme-gan/modes@2:name=again")
    assert other == {"use": "acme-gan/modes@2", "name": "again", "params": {}}
    assert tables("ganforge/modes")[0]["name"] == "modes"


@pytest.mark.parametrize(
    ("text", "params"),
    [
        (
            "kernel:features=raw,widths=[1.0, 2.0],deep={ a = [1, 2] }",
            {"features": "raw", "widths": [1.0, 2.0], "deep": {"a": [1, 2]}},
        ),
        ("kernel:params.samples=3", {"samples": 3}),
        ("kernel:label='a, b',on=true", {"label": "a, b", "on": True}),
    ],
)
def test_values_are_toml(text, params):
    assert tables(text)[0]["params"] == params


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([""], "names no metric"),
        (["modes:"], "ends in a colon"),
        (["modes:order"], "'order' is not of the form key=value"),
        (["modes:order=1 2"], "order: '1 2' is not a TOML value"),
        (["parzen:widths=[inf]"], r"widths: recipes cannot hold inf"),
        (["parzen:name=nan"], r"name: recipes cannot hold nan"),
        (["modes", "modes:order=1"], "two metrics are called 'modes'"),
    ],
)
def test_what_cannot_be_read_is_refused(texts, message):
    with pytest.raises(UsageError, match=message):
        tables(*texts)


def test_a_recipe_without_metrics_needs_a_text():
    with pytest.raises(UsageError, match="names no metric"):
        tables(known=[])
