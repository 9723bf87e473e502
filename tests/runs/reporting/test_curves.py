"""What a page says of the values of a metric."""

import pytest

from ganforge.runs.reporting.curves import best
from ganforge.storage.meanings import MetricMeaning


@pytest.mark.parametrize(
    ("meaning", "expected"),
    [
        (MetricMeaning("", "lower"), (1, 0.02)),
        (MetricMeaning("", "higher"), (3, 0.9)),
        (MetricMeaning("", "nearer", None, 0.4998), (2, 0.49)),
        (MetricMeaning("", "nearer"), None),
        (MetricMeaning("", "none"), None),
        (MetricMeaning(""), None),
    ],
)
def test_the_best_value_is_what_the_metric_says_is_better(meaning, expected):
    assert best({1: 0.02, 2: 0.49, 3: 0.9, 4: float("nan")}, meaning) == expected
