from __future__ import annotations

import numpy as np
import pytest
import torch

from ganforge.figures.history import History, floats, smoothed


def fill(history, iterations):
    for iteration in iterations:
        history.add(iteration, {"a": torch.tensor(float(iteration)), "b": torch.tensor(-float(iteration))})


def test_keeps_everything_while_it_fits():
    history = History(limit=100)
    fill(history, range(1, 51))

    iterations, series = history.series()

    assert iterations.tolist() == list(range(1, 51))
    assert series["a"].tolist() == iterations.tolist()
    assert series["b"].tolist() == (-iterations).tolist()


@pytest.mark.parametrize("total", [101, 1000, 12_345])
def test_however_long_the_run_the_points_are_few_and_evenly_spaced(total):
    history = History(limit=100)
    fill(history, range(1, total + 1))

    iterations, series = history.series()

    assert 40 <= len(iterations) <= 100
    assert set(np.diff(iterations)) == {history.stride}
    assert iterations[-1] > total - history.stride
    assert series["a"].tolist() == iterations.tolist()
    assert len(history) <= 100 + 256


def test_terms_stay_tensors_until_asked(monkeypatch):
    read = []
    monkeypatch.setattr(torch.Tensor, "__float__", lambda tensor: read.append(1) or tensor.item())
    history = History(limit=2000)
    fill(history, range(1, 101))
    assert not read

    history.series()
    assert read


def test_an_earlier_part_of_the_run_is_put_before():
    history = History(limit=100)
    fill(history, [21, 22])
    history.restore([(20, {"a": 2.0}), (10, {"a": 1.0}), (20, {"b": 5.0})])

    iterations, series = history.series()

    assert iterations.tolist() == [10, 20, 21, 22]
    assert series["a"].tolist() == [1.0, 2.0, 21.0, 22.0]
    np.testing.assert_array_equal(series["b"], [np.nan, 5.0, -21.0, -22.0])


def test_floats_of_rows_with_different_terms():
    assert floats([{"a": torch.tensor(1.0)}, {}, {"b": torch.tensor(2.0), "c": torch.tensor(3.0)}]) == [
        {"a": 1.0},
        {},
        {"b": 2.0, "c": 3.0},
    ]
    assert floats([]) == []


def test_smoothing_is_the_running_mean_and_skips_what_is_absent():
    values = np.array([1.0, 2.0, np.nan, 4.0, 6.0])

    np.testing.assert_allclose(smoothed(values, 3), [1.5, 1.5, 3.0, 5.0, 5.0])
    assert smoothed(values, 1) is values
