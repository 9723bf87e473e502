"""What is no (n, …) is refused by every metric in one line, not by an error of torch."""

from __future__ import annotations

import pytest
import torch

from ganforge import metrics
from ganforge.core.errors import IncompatiblePartsError

FLAT, ROWS = torch.arange(8.0), torch.arange(8.0)[:, None]
PAIRS = {
    "frechet_distance": metrics.frechet_distance,
    "kernel_distance": metrics.kernel_distance,
    "kernel_distance_of_subsets": lambda a, b: metrics.kernel_distance_of_subsets(a, b, generator=torch.Generator(), size=4),
    "sliced_wasserstein": lambda a, b: metrics.sliced_wasserstein(a, b, torch.ones(1, 1)),
    "wasserstein1": metrics.wasserstein1,
    "wasserstein2": metrics.wasserstein2,
    "precision_recall": metrics.precision_recall,
    "one_nearest_neighbour": metrics.one_nearest_neighbour,
    "near_duplicates": metrics.near_duplicates,
    "mmd": metrics.mmd,
    "memorisation": lambda a, b: metrics.memorisation(a, b, b),
    "nearest_neighbours": metrics.nearest_neighbours,
    "nearest_labels": lambda a, b: metrics.nearest_labels(a, b, torch.zeros(8, dtype=torch.int64)),
    "parzen_log_likelihood": lambda a, b: metrics.parzen_log_likelihood(a, b, b),
}


@pytest.mark.parametrize("name", PAIRS)
def test_samples_have_rows(name):
    PAIRS[name](ROWS, ROWS + 1)
    for one, other in ((FLAT, FLAT), (FLAT, ROWS), (ROWS, FLAT), (torch.tensor(1.0), ROWS)):
        with pytest.raises(IncompatiblePartsError, match=r"samples must have the shape \(n, …\), got \((8,)?\)"):
            PAIRS[name](one, other)


def test_directions_are_columns():
    with pytest.raises(IncompatiblePartsError, match="directions"):
        metrics.sliced_wasserstein(ROWS, ROWS, torch.ones(1))


@pytest.mark.parametrize("codes", [[0, 3], [-1, 0]])
def test_a_code_that_no_logit_is_for_is_refused(codes):
    with pytest.raises(IncompatiblePartsError, match="3 logits do not cover codes from"):
        metrics.mutual_information_bound(torch.zeros(2, 3), torch.tensor(codes))


POINTS = torch.arange(24.0).reshape(12, 2)
ASKED = {
    "precision_recall with k = 0": lambda: metrics.precision_recall(POINTS, POINTS, k=0),
    "expected_coverage without a tenth neighbour": lambda: metrics.expected_coverage(5, 5, 10),
    "expected_coverage with k = 0": lambda: metrics.expected_coverage(5, 5, 0),
    "expected_coverage by no samples": lambda: metrics.expected_coverage(6, 0, 5),
    "hungarian_accuracy of a code below 0": lambda: metrics.hungarian_accuracy(torch.tensor([-1, 0]), torch.tensor([0, 1])),
    "class_coverage_floor of no samples": lambda: metrics.class_coverage_floor([0.5, 0.5], [0.5, 0.5], 0),
    "class_coverage_floor of other classes": lambda: metrics.class_coverage_floor([0.5, 0.5], [1.0], 10),
    "mode_coverage with too few shares": lambda: metrics.mode_coverage(POINTS, POINTS[:3], 0.1, [0.5, 0.5]),
    "mode_coverage without modes": lambda: metrics.mode_coverage(POINTS, POINTS[:0], 0.1),
    "mode_coverage with modes that are no rows": lambda: metrics.mode_coverage(POINTS, torch.zeros(2), 0.1),
    "mode_coverage of points": lambda: metrics.mode_coverage(POINTS, POINTS[:3], 0.0),
    "sliced_wasserstein without directions": lambda: metrics.sliced_wasserstein(POINTS, POINTS, torch.zeros(2, 0)),
    "sliced_wasserstein of order 0": lambda: metrics.sliced_wasserstein(POINTS, POINTS, torch.eye(2), order=0),
    "mmd without scales": lambda: metrics.mmd(POINTS, POINTS, scales=()),
    "mmd of scale 0": lambda: metrics.mmd(POINTS, POINTS, scales=(1.0, 0.0)),
}


@pytest.mark.parametrize("name", ASKED)
def test_what_has_no_answer_is_refused(name):
    with pytest.raises(IncompatiblePartsError):
        ASKED[name]()
