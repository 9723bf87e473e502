from __future__ import annotations

import math

import pytest

from ganforge.core import formatting
from ganforge.core.specs import DataSpec


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.07123, "0.0712"),
        (1.38629, "1.386"),
        (12345.6, "12,346"),
        (1.2e-5, "1.2e-05"),
        (0.0, "0"),
        (-0.25, "-0.25"),
        (8.0, "8"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
    ],
)
def test_numbers(value, text):
    assert formatting.number(value) == text


@pytest.mark.parametrize(("value", "text"), [(1.3, "1.300"), (0.0712, "0.071"), (123.45, "123.5"), (math.nan, "nan")])
def test_numbers_that_change_in_place_keep_their_zeros(value, text):
    assert formatting.fixed(value) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "00:00"), (16.4, "00:16"), (3723, "1:02:03"), (183_600, "2 d 3:00:00"), (-1, "00:00")]
)
def test_durations(seconds, text):
    assert formatting.duration(seconds) == text


@pytest.mark.parametrize(("per_second", "text"), [(812.4, "812 it/s"), (3.21, "3.2 it/s"), (0.08, "12.5 s/it"), (0, "– it/s")])
def test_speeds(per_second, text):
    assert formatting.speed(per_second) == text


def test_all_is_done_only_at_the_end():
    assert formatting.share(9_999, 10_000) == "99 %"
    assert formatting.share(10_000, 10_000) == "100 %"


def test_data_and_parameters():
    assert formatting.data(DataSpec((2,), classes=2)) == "2-dimensional points, 2 classes"
    assert formatting.data(DataSpec((3, 32, 64))) == "32×64 images, 3 channels"
    assert formatting.parameters({"generator": 1000, "discriminator": 1}) == "1,001 parameters (generator 1,000, discriminator 1)"


def test_equilibria_have_their_names_from_the_literature():
    assert formatting.level(math.log(4)) == "log 4 = 1.386"
    assert formatting.level(0.25) == "0.25"
    assert formatting.symbolic_name(math.log(2)) == "log 2"


def test_a_title_cannot_steer_the_terminal():
    assert formatting.clean("evil \x1b[2J\ntitle\x07") == "evil  [2J title "
