"""What a page says of the values of a metric."""

import math

import pytest

from ganforge.core.contracts import TermInfo
from ganforge.report.curves import best, loss_panels
from ganforge.report.journal_curves import Binned
from ganforge.storage.value_info import StoredMetricInfo


@pytest.mark.parametrize(
    ("meaning", "expected"),
    [
        (StoredMetricInfo("", "lower"), (1, 0.02)),
        (StoredMetricInfo("", "higher"), (3, 0.9)),
        (StoredMetricInfo("", "nearer", None, 0.4998), (2, 0.49)),
        (StoredMetricInfo("", "nearer"), None),
        (StoredMetricInfo("", "none"), None),
        (StoredMetricInfo(""), None),
    ],
)
def test_the_best_value_is_what_the_metric_says_is_better(meaning, expected):
    assert best({1: 0.02, 2: 0.49, 3: 0.9, 4: float("nan")}, meaning) == expected


def test_the_chart_of_a_network_says_what_its_losses_mean_lately():
    term_info = {f"discriminator/{name}": TermInfo("cost", math.log(2), 0.0) for name in ("real", "fake")}
    terms = {key: Binned() for key in term_info}
    for one in terms.values():
        one.add(range(1, 101), [math.log(2)] * 90 + [1e-4] * 10)
    (panel,) = loss_panels(terms, term_info, 100)
    assert "without error" in panel.saying
    (panel,) = loss_panels(terms, {}, 100)
    assert panel.saying == ""
