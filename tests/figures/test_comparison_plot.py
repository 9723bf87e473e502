"""Curves of many seeds over each other."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ganforge.figures import mpl_style
from ganforge.figures.comparison_plot import overlaid, spread_over_seeds


def test_median_and_band_over_the_seeds_that_have_a_value():
    at, rows = spread_over_seeds([{1: 1.0, 2: 5.0}, {1: 3.0, 2: math.nan}, {1: 2.0, 3: math.inf}])
    assert at == [1, 2, 3]
    assert rows[:, 0].tolist() == [1.0, 2.0, 3.0]
    assert rows[:, 1].tolist() == [5.0] * 3
    assert np.isnan(rows[:, 2]).all()


@pytest.mark.parametrize("curves", [[{1: 0.5}], [{1: 0.5, 2: 0.4}, {1: 30.0, 2: 20.0}], [{}]])
def test_each_metric_is_a_panel(curves):
    measure = {"label": "distance that costs $1", "better": "lower", "ideal": 0.0}
    one = overlaid({"w": {"a": curves}}, {"w": measure}, "title")
    two = overlaid({"w": {"a": curves, "b": curves}, "modes/captured": {"a": curves}}, {}, "title")
    assert one.shape[1] == two.shape[1] == 1000
    assert two.shape[0] > one.shape[0]
    colour = np.array([int(mpl_style.GROUPS[0][place : place + 2], 16) for place in (1, 3, 5)])
    assert bool((one == colour).all(-1).any())
